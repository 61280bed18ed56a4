/* file.h — a whole file in memory. */
#pragma once
#include "base/buffer.h"
#include "base/err.h"

/* Appends the contents of the file at `path` to `contents`, at most 1 GiB. Returns OK; ERR_MISSING,
 * ERR_FORBIDDEN, ERR_TOO_LARGE, ERR_NO_MEMORY, ERR_SYSTEM. */
enum err file_read(const char *path, struct buffer *contents);
