#include "server/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum err file_read(const char *path, struct buffer *contents)
{
    enum { PIECE_BYTES = 64 * 1024, BYTES_MAX = 1024 * 1024 * 1024 };
    FILE *file = fopen(path, "r");
    enum err err = OK;

    if (file == NULL)
        return err_from_errno(errno);
    while (err == OK) {
        char *end = buffer_reserve(contents, PIECE_BYTES);
        size_t size;

        if (end == NULL) {
            err = ERR_NO_MEMORY;
            break;
        }
        size = fread(end, 1, PIECE_BYTES, file);
        buffer_commit(contents, size);
        if (size < PIECE_BYTES) {
            if (ferror(file))
                err = errno == EISDIR ? ERR_TYPE : ERR_SYSTEM;
            break;
        }
        if (contents->size > BYTES_MAX)
            err = ERR_TOO_LARGE;
    }
    fclose(file);
    return err;
}

static enum err check_folder(const char *path, const char *folder, struct buffer *message)
{
    struct stat status;

    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
        buffer_append_format(message, "%s is no file; name one, such as %s%snuthatch.values\n", path, path,
                             S_ISDIR(status.st_mode) && path[strlen(path) - 1] != '/' ? "/" : "");
        return ERR_TYPE;
    }
    if (stat(folder, &status) != 0) {
        enum err err = err_from_errno(errno);
        if (err == ERR_MISSING)
            buffer_append_format(message, "%s: there is no folder %s; make it, or name a file elsewhere\n",
                                 path, folder);
        else
            buffer_append_format(message, "%s: cannot look at the folder %s: %s\n", path, folder,
                                 strerror(errno));
        return err;
    }
    if (!S_ISDIR(status.st_mode)) {
        buffer_append_format(message, "%s: %s is no folder; name a file elsewhere\n", path, folder);
        return ERR_TYPE;
    }
    if (faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) != 0) {
        enum err err = err_from_errno(errno);
        buffer_append_format(message,
                             "%s: cannot write in the folder %s: %s; let this user write there, or name a "
                             "file elsewhere\n",
                             path, folder, strerror(errno));
        return err;
    }
    return OK;
}

enum err file_check_place(const char *path, struct buffer *message)
{
    const char *slash = strrchr(path, '/');
    char *folder;
    enum err err;

    if (slash == NULL)
        return check_folder(path, ".", message);
    folder = strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (folder == NULL)
        return ERR_NO_MEMORY;
    err = check_folder(path, folder, message);
    free(folder);
    return err;
}
