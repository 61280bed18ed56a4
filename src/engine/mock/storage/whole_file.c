#include "whole_file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool whole_file_write_all(int fd, struct bytes bytes)
{
    while (bytes.size > 0) {
        ssize_t written = write(fd, bytes.data, bytes.size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes = bytes_after(bytes, (size_t)written);
    }
    return true;
}

void whole_file_sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
    int fd = folder != NULL ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

    free(folder);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

/* Moves the file unless something is there; file systems that cannot promise that are looked at before. */
static bool move_to_free_place(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return true;
    if (errno != EINVAL && errno != ENOSYS)
        return false;
    if (access(to, F_OK) == 0) {
        errno = EEXIST;
        return false;
    }
    return rename(from, to) == 0;
}

enum err whole_file_write(const char *path, struct bytes bytes, enum whole_file_mode mode,
                          unsigned permissions)
{
    char *beside = NULL;
    bool is_good;
    int fd, why;

    if (asprintf(&beside, "%s.new", path) < 0)
        return ERR_NO_MEMORY;
    fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    is_good = fd >= 0 && fchmod(fd, (mode_t)permissions) == 0 && whole_file_write_all(fd, bytes) &&
              fsync(fd) == 0;
    is_good =
        is_good && (mode == WHOLE_FILE_NEW ? move_to_free_place(beside, path) : rename(beside, path) == 0);
    why = errno;
    if (fd >= 0) {
        close(fd);
        if (!is_good)
            unlink(beside);
    }
    if (is_good)
        whole_file_sync_folder(path);
    free(beside);
    errno = why;
    return is_good ? OK : err_from_errno(why);
}
