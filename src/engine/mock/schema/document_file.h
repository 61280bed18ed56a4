/* document_file.h — files that a document refers to: which those may be, and their bytes. */
#pragma once
#include "base/buffer.h"
#include "base/err.h"
#include "region.h"

/* The name of `reference`, found in the file `base`, relative to the first document's folder, without "."
 * and
 * ".."; null if that is outside of the folder or no relative path. In `region`; null without memory, too.
 */
char *document_file_name(struct region *region, const char *base, const char *reference);

/* Appends what is in the file `name` below `folder`; symbolic links do not lead out of it. Returns OK;
 * ERR_MISSING; ERR_FORBIDDEN; ERR_TYPE if it is no regular file; ERR_TOO_LARGE beyond `size_max`;
 * ERR_NO_MEMORY; ERR_SYSTEM. */
enum err document_file_read(const char *folder, const char *name, size_t size_max, struct buffer *contents);
