/* folder.h — the files of one folder, by the path of a request; nothing outside of it, whatever the path or
 * a symbolic link says, and nothing whose name begins with a dot.
 *
 * Any thread may open files. Opening may wait for a disk. */
#pragma once
#include "base/bytes.h"
#include "base/err.h"
#include <stdint.h>

struct folder {
    int fd;
};

/* ERR_MISSING, ERR_FORBIDDEN, ERR_TYPE if `path` is no folder. */
enum err folder_open(const char *path, struct folder *folder);
void folder_close(struct folder *folder);

struct folder_file {
    int fd; /* the caller's to close */
    uint64_t size;
    int64_t changed_ns;     /* since 1970 */
    uint64_t number;        /* which tells it from the one that had its name before */
    const char *media_type; /* static */
};

/* Opens the regular file at `path`, which begins with '/' and may be percent-encoded; of a folder its
 * index.html. Returns OK; ERR_MISSING if there is none that may be shown; ERR_TYPE for a folder that has an
 * index.html, but whose '/' the path lacks; ERR_SYNTAX for malformed percent-encoding; ERR_NO_DESCRIPTOR,
 * ERR_SYSTEM. */
enum err folder_open_file(const struct folder *folder, struct bytes path, struct folder_file *file);
