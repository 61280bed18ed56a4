/* pool.h — buffers between two uses, so that an idle stream holds none and a busy one allocates none.
 *
 * Bounded in number and bytes; what lay unused for a whole interval is given back. One thread. */
#pragma once
#include "base/buffer.h"

enum {
    POOL_BUFFERS_MAX = 1024,
    POOL_BUFFER_BYTES_MAX = 64 * 1024, /* a buffer that grew beyond is freed */
    POOL_BYTES_MAX = 8 * 1024 * 1024,  /* in all */
};

struct pool {
    size_t count;
    size_t bytes;       /* the capacities of the buffers held */
    size_t least_count; /* the fewest held since the last pool_trim: so many lay unused */
    struct buffer *buffers[POOL_BUFFERS_MAX];
};

/* An empty buffer, the caller's until pool_give; null without memory. */
struct buffer *pool_take(struct pool *pool);
void pool_give(struct pool *pool, struct buffer *buffer);

/* Frees the buffers that lay unused since the last call. */
void pool_trim(struct pool *pool);

/* Frees all. */
void pool_fini(struct pool *pool);
