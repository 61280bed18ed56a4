#include "folder.h"
#include "base/compiler.h"
#include "message/percent.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
    const char *ending, *media_type;
} media_types[] = {
#define MEDIA_TYPE(ending, media_type) {ending, media_type},
#include "tables/media_types.def"
#undef MEDIA_TYPE
};

static const char *media_type_of(struct bytes name)
{
    const char *dot = name.size > 0 ? memrchr(name.data, '.', name.size) : NULL;
    struct bytes ending = dot != NULL ? bytes_after(name, (size_t)(dot - name.data) + 1) : bytes_of("", 0);

    for (size_t i = 0; i < COUNT_OF(media_types); i++)
        if (bytes_equal_nocase(ending, bytes_of_text(media_types[i].ending)))
            return media_types[i].media_type;
    return "application/octet-stream";
}

enum err folder_open(const char *path, struct folder *folder)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOTDIR ? ERR_TYPE : err_from_errno(errno);
    folder->fd = fd;
    return OK;
}

void folder_close(struct folder *folder) { close(folder->fd); }

/* The path as the name of a file in the folder: decoded, without '/' at the front, "." for the folder
 * itself. ERR_MISSING for one that no file may have: a part that begins with a dot, an empty part, a byte
 * of 0. */
static enum err name_of(struct bytes path, char name[PATH_MAX])
{
    size_t size = 0;

    for (size_t at = 1; at < path.size;) {
        bool begins = size == 0 || name[size - 1] == '/';
        bool was_encoded = path.data[at] == '%';
        char c;
        if (!percent_take(path, &at, &c))
            return ERR_SYNTAX;
        if (c == '\0' || (begins && (c == '.' || c == '/')) || (was_encoded && c == '/') ||
            size == PATH_MAX - sizeof "/index.html")
            return ERR_MISSING;
        name[size++] = c;
    }
    if (size == 0)
        name[size++] = '.';
    name[size] = '\0';
    return OK;
}

/* Where the kernel has no openat2, or a sandbox forbids it: part by part, and no symbolic link at all. */
static int open_by_parts(int folder_fd, char *name, int flags)
{
    int at = dup(folder_fd), next;
    char *slash;

    while (at >= 0 && (slash = strchr(name, '/')) != NULL && slash[1] != '\0') {
        *slash = '\0';
        next = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        *slash = '/';
        close(at);
        at = next;
        name = slash + 1;
    }
    if (at < 0)
        return -1;
    next = openat(at, name, flags | O_NOFOLLOW);
    close(at);
    return next;
}

static int open_beneath(int folder_fd, char *name)
{
    /* A FIFO must not make us wait until somebody writes into it. */
    enum { FLAGS = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY };
    struct open_how how = {.flags = FLAGS, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    long fd;
    int attempts = 0;

    do /* a rename somewhere on the way has the kernel ask to try again */
        fd = syscall(SYS_openat2, folder_fd, name, &how, sizeof how);
    while (fd < 0 && errno == EAGAIN && ++attempts < 16);
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        fd = open_by_parts(folder_fd, name, FLAGS);
    return (int)fd;
}

static enum err open_err(int errno_value)
{
    switch (errno_value) {
    case EMFILE:
    case ENFILE: return ERR_NO_DESCRIPTOR;
    case ENOMEM: return ERR_NO_MEMORY;
    default: return ERR_MISSING; /* whatever there is, it may not be shown */
    }
}

enum err folder_open_file(const struct folder *folder, struct bytes path, struct folder_file *file)
{
    char name[PATH_MAX];
    struct stat status;
    bool lacks_slash = false;
    enum err err = name_of(path, name);
    int fd;

    if (err != OK)
        return err;
    fd = open_beneath(folder->fd, name);
    if (fd >= 0 && fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
        size_t size = strlen(name);
        lacks_slash = path.data[path.size - 1] != '/';
        close(fd);
        if (name[size - 1] != '/') /* an empty part would be one more to open where that is done by parts */
            name[size++] = '/';
        memcpy(name + size, "index.html", sizeof "index.html");
        fd = open_beneath(folder->fd, name);
    }
    if (fd < 0)
        return open_err(errno);
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return ERR_MISSING;
    }
    if (lacks_slash) {
        close(fd);
        return ERR_TYPE;
    }
    *file =
        (struct folder_file){.fd = fd,
                             .size = (uint64_t)status.st_size,
                             .changed_ns = status.st_mtim.tv_sec * 1000000000LL + status.st_mtim.tv_nsec,
                             .number = (uint64_t)status.st_ino,
                             .media_type = media_type_of(bytes_of_text(name))};
    return OK;
}
