#include "document_file.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

char *document_file_name(struct region *region, const char *base, const char *reference)
{
    const char *slash = strrchr(base, '/');
    size_t base_size = slash != NULL ? (size_t)(slash - base) + 1 : 0, size = 0;
    char *name;
    const char *scheme = strchr(reference, ':'), *first_slash = strchrnul(reference, '/');

    if (*reference == '/' || *reference == '\0' || (scheme != NULL && scheme < first_slash))
        return NULL;
    name = region_format(region, "%.*s%s", (int)base_size, base, reference);
    if (name == NULL)
        return NULL;
    for (const char *part = name, *end; *part != '\0'; part = *end == '/' ? end + 1 : end) {
        size_t part_size;
        end = strchrnul(part, '/');
        part_size = (size_t)(end - part);
        if (part_size == 0 || (part_size == 1 && *part == '.'))
            continue;
        if (part_size == 2 && part[0] == '.' && part[1] == '.') {
            if (size == 0)
                return NULL;
            do
                size--;
            while (size > 0 && name[size - 1] != '/');
            continue;
        }
        memmove(name + size, part, part_size);
        size += part_size;
        if (*end == '/')
            name[size++] = '/';
    }
    if (size == 0 || name[size - 1] == '/')
        return NULL;
    name[size] = '\0';
    return name;
}

static int open_beneath(int folder_fd, const char *name)
{
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_BENEATH};
    long fd = syscall(SYS_openat2, folder_fd, name, &how, sizeof how);

    if (fd < 0 &&
        (errno == ENOSYS || errno == EPERM)) /* an old kernel, or a container that does not know it */
        fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    return (int)fd;
}

static enum err read_all(int fd, size_t size_max, struct buffer *contents)
{
    size_t size = 0;
    struct stat about;

    if (fstat(fd, &about) != 0)
        return err_from_errno(errno);
    if (!S_ISREG(about.st_mode))
        return ERR_TYPE;
    for (;;) {
        char *end = buffer_reserve(contents, 64 << 10);
        ssize_t count;
        if (end == NULL)
            return ERR_NO_MEMORY;
        count = read(fd, end, 64 << 10);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return err_from_errno(errno);
        if (count == 0)
            return OK;
        buffer_commit(contents, (size_t)count);
        size += (size_t)count;
        if (size > size_max)
            return ERR_TOO_LARGE;
    }
}

enum err document_file_read(const char *folder, const char *name, size_t size_max, struct buffer *contents)
{
    int folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC), fd;
    enum err err;

    if (folder_fd < 0)
        return err_from_errno(errno);
    fd = open_beneath(folder_fd, name);
    if (fd < 0) {
        err = errno == EXDEV ? ERR_FORBIDDEN : err_from_errno(errno);
    } else {
        err = read_all(fd, size_max, contents);
        close(fd);
    }
    close(folder_fd);
    return err;
}
