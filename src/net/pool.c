#include "net/pool.h"
#include <stdlib.h>

struct buffer *pool_take(struct pool *pool)
{
    struct buffer *buffer;

    if (pool->count == 0)
        return calloc(1, sizeof *buffer);
    buffer = pool->buffers[--pool->count];
    pool->bytes -= buffer->capacity;
    if (pool->count < pool->least_count)
        pool->least_count = pool->count;
    return buffer;
}

void pool_give(struct pool *pool, struct buffer *buffer)
{
    if (pool->count == POOL_BUFFERS_MAX || buffer->capacity > POOL_BUFFER_BYTES_MAX ||
        pool->bytes + buffer->capacity > POOL_BYTES_MAX) {
        buffer_fini(buffer);
        free(buffer);
        return;
    }
    buffer_clear(buffer);
    pool->bytes += buffer->capacity;
    pool->buffers[pool->count++] = buffer;
}

void pool_trim(struct pool *pool)
{
    size_t unused_count = pool->least_count;

    /* The last in are the first out: those that lay unused are at the bottom. */
    for (size_t i = 0; i < unused_count; i++) {
        pool->bytes -= pool->buffers[i]->capacity;
        buffer_fini(pool->buffers[i]);
        free(pool->buffers[i]);
    }
    pool->count -= unused_count;
    for (size_t i = 0; i < pool->count; i++)
        pool->buffers[i] = pool->buffers[i + unused_count];
    pool->least_count = pool->count;
}

void pool_fini(struct pool *pool)
{
    pool->least_count = pool->count;
    pool_trim(pool);
}
