#include "message/http_range.h"
#include "base/number.h"
#include "message/http.h"

/* "bytes" and `separator` at the front of `value`, taken off. */
static bool take_unit(struct bytes *value, char separator)
{
    static const struct bytes unit = BYTES_INIT("bytes");

    if (value->size <= unit.size || value->data[unit.size] != separator ||
        !bytes_equal_nocase(bytes_first(*value, unit.size), unit))
        return false;
    *value = bytes_after(*value, unit.size + 1);
    return true;
}

/* A number of any size: one that is too large for us lies behind every end. */
static bool read_position(struct bytes text, uint64_t *position)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    if (!digits_parse(text, INT64_MAX, position))
        *position = INT64_MAX;
    return text.size > 0;
}

/* One range-spec: false if it is none. An empty range is one of which nothing is there. */
static bool read_range(struct bytes text, uint64_t size, struct http_range *range)
{
    const char *dash = memchr(text.data, '-', text.size);
    struct bytes first, last;
    uint64_t start, end;

    if (dash == NULL)
        return false;
    first = bytes_first(text, (size_t)(dash - text.data));
    last = bytes_after(text, first.size + 1);
    if (first.size == 0) { /* the last so many bytes */
        if (!read_position(last, &end))
            return false;
        *range = (struct http_range){end < size ? size - end : 0, size};
        return true;
    }
    if (!read_position(first, &start))
        return false;
    end = size;
    if (last.size > 0) {
        if (!read_position(last, &end) || end < start)
            return false;
        end = end < size ? end + 1 : size;
    }
    *range = (struct http_range){start < end ? start : end, end};
    return true;
}

/* Adds `range` where the first of those stands that it overlaps or touches, or else at the end. */
static bool add(struct http_ranges *ranges, struct http_range range)
{
    size_t place = ranges->count;

    for (size_t i = 0; i < ranges->count;) {
        struct http_range *other = &ranges->list[i];
        if (range.start > other->end || other->start > range.end) {
            i++;
            continue;
        }
        range.start = other->start < range.start ? other->start : range.start;
        range.end = other->end > range.end ? other->end : range.end;
        place = i < place ? i : place;
        memmove(other, other + 1, (--ranges->count - i) * sizeof *other);
        i = 0; /* it has grown */
    }
    if (ranges->count == HTTP_RANGES_MAX)
        return false;
    place = place < ranges->count ? place : ranges->count;
    memmove(&ranges->list[place + 1], &ranges->list[place],
            (ranges->count++ - place) * sizeof ranges->list[0]);
    ranges->list[place] = range;
    return true;
}

struct http_ranges http_ranges_of(struct bytes value, uint64_t size)
{
    static const struct http_ranges none = {.kind = HTTP_RANGES_NONE};
    struct http_ranges ranges = {.kind = HTTP_RANGES_OUTSIDE};
    struct bytes element;
    bool is_there = false;

    if (!take_unit(&value, '='))
        return none;
    while (http_list_next(&value, &element)) {
        struct http_range range;
        if (!read_range(element, size, &range))
            return none;
        is_there = true;
        /* RFC 9110 §14.1.2: all of nothing is there, but no Content-Range can say so. */
        if (size == 0 && element.data[0] == '-')
            return none;
        if (range.start == range.end)
            continue;
        ranges.kind = HTTP_RANGES_PARTS;
        if (!add(&ranges, range))
            return none;
    }
    return is_there ? ranges : none;
}

bool http_content_range_read(struct bytes value, struct http_range *range, uint64_t *size)
{
    const char *slash, *dash;
    struct bytes positions;
    uint64_t first, last, whole;

    if (!take_unit(&value, ' '))
        return false;
    slash = memchr(value.data, '/', value.size);
    if (slash == NULL)
        return false;
    positions = bytes_first(value, (size_t)(slash - value.data));
    dash = memchr(positions.data, '-', positions.size);
    if (dash == NULL || !digits_parse(bytes_after(value, positions.size + 1), INT64_MAX, &whole) ||
        !digits_parse(bytes_first(positions, (size_t)(dash - positions.data)), INT64_MAX, &first) ||
        !digits_parse(bytes_after(positions, (size_t)(dash - positions.data) + 1), INT64_MAX, &last) ||
        first > last || last >= whole)
        return false;
    *range = (struct http_range){first, last + 1};
    *size = whole;
    return true;
}

size_t http_content_range_format(char *text, const struct http_range *range, uint64_t size)
{
    char *at = text;

    memcpy(at, "bytes ", 6);
    at += 6;
    if (range == NULL) {
        *at++ = '*';
    } else {
        at += uint64_format(at, range->start);
        *at++ = '-';
        at += uint64_format(at, range->end - 1);
    }
    *at++ = '/';
    at += uint64_format(at, size);
    return (size_t)(at - text);
}
