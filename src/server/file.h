/* file.h — a whole file in memory; where one may be made. */
#pragma once
#include "base/buffer.h"
#include "base/err.h"

/* Appends the contents of the file at `path` to `contents`, at most 1 GiB. Returns OK; ERR_MISSING,
 * ERR_FORBIDDEN, ERR_TOO_LARGE, ERR_NO_MEMORY, ERR_SYSTEM. */
enum err file_read(const char *path, struct buffer *contents);

/* Whether a file may be made at `path`, or one that is there replaced: so that it is found out before there
 * is something to write. Returns OK, or with a line that says what to do appended to `message`,
 * ERR_MISSING, ERR_TYPE, ERR_FORBIDDEN, ERR_NO_MEMORY, ERR_SYSTEM. */
enum err file_check_place(const char *path, struct buffer *message);
