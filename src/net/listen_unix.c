/* listen_unix.c — listening sockets that are files. */
#include "net/listen.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG_COUNT = 4096 };

enum err address_of_path(struct bytes path, struct address *address)
{
    struct sockaddr_un *name = (struct sockaddr_un *)&address->storage;

    if (path.size == 0 || path.data[0] != '/' || memchr(path.data, '\0', path.size) != NULL)
        return ERR_SYNTAX;
    if (path.size > LISTEN_PATH_BYTES_MAX)
        return ERR_TOO_LARGE;
    *address = (struct address){.size = sizeof *name};
    name->sun_family = AF_UNIX;
    memcpy(name->sun_path, path.data, path.size);
    return OK;
}

/* What is in the way at `address`: OK if nothing is, or a socket was that nobody listens on any more. */
static enum err clear_place(const struct address *address)
{
    const char *path = ((const struct sockaddr_un *)&address->storage)->sun_path;
    struct stat status;
    int fd, error = 0;

    if (lstat(path, &status) != 0)
        return errno == ENOENT ? OK : err_from_errno(errno);
    if (!S_ISSOCK(status.st_mode))
        return ERR_EXISTS;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_from_errno(errno);
    if (connect(fd, (const struct sockaddr *)&address->storage, address->size) != 0)
        error = errno;
    close(fd);
    if (error == ENOENT)
        return OK;
    if (error != ECONNREFUSED) /* a full queue (EAGAIN) is a listener too, and of others nothing is known */
        return ERR_ADDRESS_IN_USE;
    return unlink(path) == 0 || errno == ENOENT ? OK : err_from_errno(errno);
}

enum err listen_open_unix(const struct address *address, int mode, struct socket_file *file, int *result)
{
    const char *path = ((const struct sockaddr_un *)&address->storage)->sun_path;
    enum err err = clear_place(address);
    struct stat status;
    int fd;

    if (err != OK)
        return err;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_from_errno(errno);
    if (bind(fd, (const struct sockaddr *)&address->storage, address->size) != 0) {
        err = err_from_errno(errno);
        close(fd);
        return err;
    }
    /* Until listen nobody can connect, whatever the mode was meanwhile. */
    if ((mode >= 0 && chmod(path, (mode_t)mode) != 0) || lstat(path, &status) != 0 ||
        listen(fd, BACKLOG_COUNT) != 0) {
        err = err_from_errno(errno);
        unlink(path);
        close(fd);
        return err;
    }
    *file = (struct socket_file){status.st_dev, status.st_ino};
    *result = fd;
    return OK;
}

void socket_file_remove(const struct address *address, const struct socket_file *file)
{
    const char *path = ((const struct sockaddr_un *)&address->storage)->sun_path;
    struct stat status;

    if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode) && status.st_dev == file->device &&
        status.st_ino == file->number)
        unlink(path);
}
