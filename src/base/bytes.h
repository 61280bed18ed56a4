/* bytes.h — a borrowed run of bytes: a pointer and a length, never owned, never terminated.
 *
 * Whoever hands one out says how long it stays readable. A size of 0 may come with a null pointer. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct bytes {
    const char *data;
    size_t size;
};

/* The bytes of a string literal, without its terminator. */
#define BYTES(literal) ((struct bytes){"" literal, sizeof(literal) - 1})
/* The same as an initialiser of static data. */
#define BYTES_INIT(literal)                                                                                \
    {                                                                                                      \
        "" literal, sizeof(literal) - 1                                                                    \
    }
/* For printf's "%.*s". */
#define BYTES_PRINTF(bytes) (int)(bytes).size, (bytes).data

static inline struct bytes bytes_of(const void *data, size_t size) { return (struct bytes){data, size}; }

static inline struct bytes bytes_of_text(const char *text) { return (struct bytes){text, strlen(text)}; }

/* What is left of `bytes` after its first `count` bytes; `count` is at most its size. */
static inline struct bytes bytes_after(struct bytes bytes, size_t count)
{
    /* The condition costs nothing: it is there because C forbids even null + 0. */
    return (struct bytes){count > 0 ? bytes.data + count : bytes.data, bytes.size - count};
}

/* The first `count` bytes; `count` is at most its size. */
static inline struct bytes bytes_first(struct bytes bytes, size_t count)
{
    return (struct bytes){bytes.data, count};
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    /* What has a size has bytes. NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool bytes_start_with(struct bytes bytes, struct bytes start)
{
    /* Likewise. NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
    return bytes.size >= start.size && (start.size == 0 || memcmp(bytes.data, start.data, start.size) == 0);
}

static inline bool bytes_end_with(struct bytes bytes, struct bytes end)
{
    return bytes.size >= end.size && bytes_equal(bytes_after(bytes, bytes.size - end.size), end);
}

/* Below, at or above 0 as `a` comes before `b`, is `b`, or comes after it, byte by byte. */
static inline int bytes_compare(struct bytes a, struct bytes b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size > 0 ? memcmp(a.data, b.data, size) : 0;

    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static inline char byte_to_lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c; }

/* Equal but for the case of ASCII letters; no locale. */
static inline bool bytes_equal_nocase(struct bytes a, struct bytes b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++)
        if (byte_to_lower(a.data[i]) != byte_to_lower(b.data[i]))
            return false;
    return true;
}

static inline bool bytes_end_with_nocase(struct bytes bytes, struct bytes end)
{
    return bytes.size >= end.size && bytes_equal_nocase(bytes_after(bytes, bytes.size - end.size), end);
}

/* `bytes` without spaces and tabs at either end (the OWS of RFC 9110 §5.6.3). */
static inline struct bytes bytes_trim(struct bytes bytes)
{
    while (bytes.size > 0 && (bytes.data[0] == ' ' || bytes.data[0] == '\t'))
        bytes = bytes_after(bytes, 1);
    while (bytes.size > 0 && (bytes.data[bytes.size - 1] == ' ' || bytes.data[bytes.size - 1] == '\t'))
        bytes.size--;
    return bytes;
}
