/* region.h — memory that is taken in pieces and given back all at once: what a document is taken apart
 * into.
 *
 * A zeroed struct is an empty region. One thread at a time. */
#pragma once
#include "base/bytes.h"
#include "base/compiler.h"
#include <stddef.h>

struct region {
    struct region_chunk *chunks;
    char *free_bytes;
    size_t free_size;
};

/* `size` zeroed bytes, aligned for anything, until region_fini; null without memory. */
void *region_take(struct region *region, size_t size);

/* Copies with a NUL behind; null without memory. */
char *region_copy(struct region *region, struct bytes bytes);
char *region_format(struct region *region, const char *format, ...) PRINTF_LIKE(2, 3);

void region_fini(struct region *region);
