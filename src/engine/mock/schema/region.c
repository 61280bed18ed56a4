#include "region.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { CHUNK_BYTES = 16 << 10, ALIGNMENT = _Alignof(max_align_t) };

struct region_chunk {
    struct region_chunk *next;
    _Alignas(max_align_t) char bytes[];
};

void *region_take(struct region *region, size_t size)
{
    size_t rounded = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    void *taken;

    if (rounded < size)
        return NULL;
    if (rounded > region->free_size) {
        size_t chunk_bytes = rounded > CHUNK_BYTES ? rounded : CHUNK_BYTES;
        struct region_chunk *chunk = calloc(1, sizeof *chunk + chunk_bytes);
        if (chunk == NULL)
            return NULL;
        chunk->next = region->chunks;
        region->chunks = chunk;
        region->free_bytes = chunk->bytes;
        region->free_size = chunk_bytes;
    }
    taken = region->free_bytes;
    region->free_bytes += rounded;
    region->free_size -= rounded;
    return taken;
}

char *region_copy(struct region *region, struct bytes bytes)
{
    char *copy = region_take(region, bytes.size + 1);

    if (copy != NULL && bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    return copy;
}

char *region_format(struct region *region, const char *format, ...)
{
    va_list arguments;
    char *text = NULL;
    int size;

    va_start(arguments, format);
    size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (size >= 0)
        text = region_take(region, (size_t)size + 1);
    if (text == NULL)
        return NULL;
    va_start(arguments, format);
    vsnprintf(text, (size_t)size + 1, format, arguments);
    va_end(arguments);
    return text;
}

void region_fini(struct region *region)
{
    while (region->chunks != NULL) {
        struct region_chunk *chunk = region->chunks;
        region->chunks = chunk->next;
        free(chunk);
    }
    *region = (struct region){0};
}
