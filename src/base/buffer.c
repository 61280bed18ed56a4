#include "base/buffer.h"
#include "base/number.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { SMALLEST_BYTES = 256 };

char *buffer_grow(struct buffer *buffer, size_t size)
{
    size_t capacity = buffer->capacity > 0 ? buffer->capacity : SMALLEST_BYTES;
    char *data;

    if (size > SIZE_MAX / 2 - buffer->size) {
        buffer->failed = true;
        return NULL;
    }
    while (capacity - buffer->size < size)
        capacity *= 2;
    data = realloc(buffer->data, capacity);
    if (data == NULL) {
        buffer->failed = true;
        return NULL;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return data + buffer->size;
}

void buffer_append_uint64(struct buffer *buffer, uint64_t value)
{
    char *end = buffer_reserve(buffer, NUMBER_TEXT_BYTES);
    if (end != NULL)
        buffer->size += uint64_format(end, value);
}

void buffer_append_int64(struct buffer *buffer, int64_t value)
{
    char *end = buffer_reserve(buffer, NUMBER_TEXT_BYTES);
    if (end != NULL)
        buffer->size += int64_format(end, value);
}

void buffer_append_format(struct buffer *buffer, const char *format, ...)
{
    va_list arguments;
    int size;
    char *end;

    va_start(arguments, format);
    size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (size < 0 ||
        (end = buffer_reserve(buffer, (size_t)size + 1)) == NULL) /* 1: vsnprintf's terminator */
        return;
    va_start(arguments, format);
    vsnprintf(end, (size_t)size + 1, format, arguments);
    va_end(arguments);
    buffer->size += (size_t)size;
}

void buffer_consume(struct buffer *buffer, size_t count)
{
    if (count < buffer->size)
        memmove(buffer->data, buffer->data + count, buffer->size - count);
    buffer->size -= count;
}

void buffer_fini(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}
