/* buffer.h — bytes we own, appended at the end and taken from the front.
 *
 * A zeroed struct is an empty buffer that holds no memory. It grows with what is appended, by
 * doubling, never in advance. Running out of memory sets `failed` and drops the append; whoever sends
 * the buffer looks at `failed` once instead of at every append. One thread at a time. */
#pragma once
#include "base/bytes.h"
#include "base/compiler.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
    char *data;
    size_t size;     /* bytes in use */
    size_t capacity; /* bytes allocated */
    bool failed;     /* an append was dropped for want of memory */
};

/* Makes room for `size` more bytes and returns where they go (buffer_commit adds them), or null with
 * `failed` set. */
char *buffer_grow(struct buffer *buffer, size_t size);

static inline char *buffer_reserve(struct buffer *buffer, size_t size)
{
    if (LIKELY(buffer->capacity - buffer->size >= size))
        return buffer->size > 0 ? buffer->data + buffer->size : buffer->data; /* C forbids even null + 0 */
    return buffer_grow(buffer, size);
}

static inline void buffer_commit(struct buffer *buffer, size_t size) { buffer->size += size; }

static inline void buffer_append(struct buffer *buffer, struct bytes bytes)
{
    char *end;

    if (bytes.size == 0) /* an empty buffer may have no memory to point into */
        return;
    end = buffer_reserve(buffer, bytes.size);
    if (LIKELY(end != NULL)) {
        memcpy(end, bytes.data, bytes.size); /* what has a size has bytes. NOLINT(*NonNullParamChecker) */
        buffer->size += bytes.size;
    }
}

#define buffer_append_literal(buffer, literal) buffer_append(buffer, BYTES(literal))

static inline void buffer_append_byte(struct buffer *buffer, char byte)
{
    char *end = buffer_reserve(buffer, 1);
    if (LIKELY(end != NULL)) {
        *end = byte;
        buffer->size++;
    }
}

/* Decimal digits, with a minus sign if need be. */
void buffer_append_int64(struct buffer *buffer, int64_t value);
void buffer_append_uint64(struct buffer *buffer, uint64_t value);

void buffer_append_format(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);

static inline struct bytes buffer_bytes(const struct buffer *buffer)
{
    return (struct bytes){buffer->data, buffer->size};
}

/* Drops the first `count` bytes, moving the rest to the front. */
void buffer_consume(struct buffer *buffer, size_t count);

/* Empties the buffer and keeps its memory. */
static inline void buffer_clear(struct buffer *buffer)
{
    buffer->size = 0;
    buffer->failed = false;
}

/* Gives the memory back and leaves an empty buffer. */
void buffer_fini(struct buffer *buffer);
