/* http_range.h — parts of a representation, in bytes: Range and Content-Range (RFC 9110 §14). Pure.
 *
 * No position is ever larger than the representation's size, so no sum of two can overflow. */
#pragma once
#include "base/bytes.h"
#include <stdbool.h>
#include <stdint.h>

enum { HTTP_RANGES_MAX = 8, HTTP_CONTENT_RANGE_BYTES_MAX = 80 };

struct http_range {
    uint64_t start, end; /* the bytes from `start` up to, but not with, `end` */
};

enum http_ranges_kind {
    HTTP_RANGES_NONE,    /* nothing that is understood: the answer is the whole */
    HTTP_RANGES_PARTS,   /* one or more, none of them empty */
    HTTP_RANGES_OUTSIDE, /* nothing of it is there: 416 */
};

struct http_ranges {
    enum http_ranges_kind kind;
    size_t count;
    /* In the order they were asked for; those that overlap or touch are one, so that all of them together
     * are never more than the whole. */
    struct http_range list[HTTP_RANGES_MAX];
};

/* What a Range field with this value asks of a representation of `size` bytes, at most INT64_MAX. A value
 * that breaks the grammar, another unit than bytes, a range that ends before it begins and more than
 * HTTP_RANGES_MAX ranges apart from each other are NONE (RFC 9110 §14.2). */
struct http_ranges http_ranges_of(struct bytes value, uint64_t size);

/* Reads the Content-Range of one part whose representation's size is known, "bytes 0-4/10"; any other is
 * false. */
bool http_content_range_read(struct bytes value, struct http_range *range, uint64_t *size);

/* Writes "bytes 0-4/10", or "bytes * /10" without the space if `range` is null, at `text`, which has room
 * for HTTP_CONTENT_RANGE_BYTES_MAX; returns the size. */
size_t http_content_range_format(char *text, const struct http_range *range, uint64_t size);
