#include "parts.h"
#include "base/hash.h"
#include "ranged.h"
#include "validate.h"

enum { MAGIC_PARTS = 0x6e750004 };

/* In the machine's own byte order, as what stored_response.c writes. */
struct parts_head {
    uint64_t seal; /* a keyed hash of what follows, up to the response, which has its own */
    uint32_t magic, count;
    uint32_t names_bytes, values_bytes;
    uint64_t size;
    struct http_range list[PARTS_MAX];
};
enum { SEAL_BYTES = sizeof(uint64_t) };

void parts_encode(struct buffer *value, uint64_t seed, const struct parts *parts)
{
    size_t start = value->size;
    struct parts_head head = {.magic = MAGIC_PARTS,
                              .count = (uint32_t)parts->count,
                              .names_bytes = (uint32_t)parts->vary_names.size,
                              .values_bytes = (uint32_t)parts->vary_values.size,
                              .size = parts->size};

    memcpy(head.list, parts->list, parts->count * sizeof parts->list[0]);
    buffer_append(value, bytes_of(&head, sizeof head));
    buffer_append(value, parts->vary_names);
    buffer_append(value, parts->vary_values);
    if (value->failed)
        return;
    head.seal = hash_bytes(bytes_after(buffer_bytes(value), start + SEAL_BYTES), seed);
    memcpy(value->data + start, &head.seal, sizeof head.seal);
    stored_response_encode(value, seed, &parts->response);
}

uint64_t parts_bytes(const struct parts *parts)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < parts->count; i++)
        sum += parts->list[i].end - parts->list[i].start;
    return sum;
}

static bool are_in_order(const struct parts *parts)
{
    for (size_t i = 0; i < parts->count; i++)
        if (parts->list[i].start >= parts->list[i].end || parts->list[i].end > parts->size ||
            (i > 0 && parts->list[i].start <= parts->list[i - 1].end))
            return false;
    return parts->count > 0;
}

bool parts_decode(struct bytes value, uint64_t value_bytes, uint64_t seed, struct parts *parts)
{
    struct parts_head head;
    size_t size;

    if (value.size < sizeof head)
        return false;
    memcpy(&head, value.data, sizeof head);
    if (head.magic != MAGIC_PARTS || head.count > PARTS_MAX ||
        head.names_bytes > value.size - sizeof head ||
        head.values_bytes > value.size - sizeof head - head.names_bytes)
        return false;
    size = sizeof head + head.names_bytes + head.values_bytes;
    if (hash_bytes(bytes_after(bytes_first(value, size), SEAL_BYTES), seed) != head.seal)
        return false;
    parts->size = head.size;
    parts->count = head.count;
    memcpy(parts->list, head.list, sizeof parts->list);
    parts->vary_names = bytes_of(value.data + sizeof head, head.names_bytes);
    parts->vary_values = bytes_of(value.data + sizeof head + head.names_bytes, head.values_bytes);
    return are_in_order(parts) &&
           stored_response_decode(bytes_after(value, size), value_bytes - size, seed, &parts->response) &&
           parts->response.body_bytes == parts_bytes(parts);
}

bool part_of(struct bytes rendered, struct http_range *range, uint64_t *size)
{
    struct http_field field;
    bool is_one = false;

    while (rendered_next(&rendered, &field)) {
        if (field.header != HTTP_HEADER_CONTENT_RANGE)
            continue;
        if (is_one || !http_content_range_read(field.value, range, size))
            return false;
        is_one = true;
    }
    return is_one;
}

bool may_combine(const struct parts *known, const struct parts *other)
{
    return known->size == other->size && is_strong_etag(known->response.etag) &&
           bytes_equal(known->response.etag, other->response.etag) &&
           bytes_equal(known->response.hidden, other->response.hidden) && /* tags among them */
           bytes_equal(known->vary_names, other->vary_names) &&
           bytes_equal(known->vary_values, other->vary_values) &&
           bytes_equal(rendered_value(known->response.fields, HTTP_HEADER_CONTENT_ENCODING),
                       rendered_value(other->response.fields, HTTP_HEADER_CONTENT_ENCODING));
}

bool parts_join(const struct parts *known, struct http_range range, struct parts *joined)
{
    struct http_range list[PARTS_MAX + 1];
    size_t count = 0;
    bool is_placed = false;

    for (size_t i = 0; i < known->count; i++) {
        struct http_range part = known->list[i];
        if (part.end < range.start) {
            list[count++] = part;
            continue;
        }
        if (part.start > range.end) {
            if (!is_placed)
                list[count++] = range;
            is_placed = true;
            list[count++] = part;
            continue;
        }
        range.start = part.start < range.start ? part.start : range.start;
        range.end = part.end > range.end ? part.end : range.end;
    }
    if (!is_placed)
        list[count++] = range;
    if (count > PARTS_MAX)
        return false;
    joined->size = known->size;
    joined->count = count;
    memcpy(joined->list, list, count * sizeof list[0]);
    return true;
}

bool parts_find(const struct parts *parts, const struct http_range *range, uint64_t *offset)
{
    uint64_t before = 0;

    for (size_t i = 0; i < parts->count; i++) {
        const struct http_range *part = &parts->list[i];
        if (range->start >= part->start && range->end <= part->end) {
            *offset = before + (range->start - part->start);
            return true;
        }
        before += part->end - part->start;
    }
    return false;
}

static bool has_name(struct bytes rendered, struct bytes name)
{
    struct http_field field;

    while (rendered_next(&rendered, &field))
        if (bytes_equal_nocase(field.name, name))
            return true;
    return false;
}

void parts_fields_render(struct buffer *lines, struct bytes older, struct bytes newer)
{
    struct bytes rest = newer;
    struct http_field field;

    while (rendered_next(&older, &field))
        if (!has_name(newer, field.name))
            rendered_append(lines, field.name, field.value);
    while (rendered_next(&rest, &field))
        if (field.header != HTTP_HEADER_CONTENT_RANGE)
            rendered_append(lines, field.name, field.value);
}
