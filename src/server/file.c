#include "server/file.h"
#include <errno.h>
#include <stdio.h>

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
