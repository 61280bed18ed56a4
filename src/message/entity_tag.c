#include "message/entity_tag.h"

static bool is_weak(struct bytes etag) { return bytes_start_with(etag, BYTES("W/")); }

/* Whether `tag` is `opaque`, or what it is in gzip: "…-gzip". */
static bool is_of(struct bytes tag, struct bytes opaque)
{
    static const struct bytes ending = BYTES_INIT("-gzip\"");

    return bytes_equal(tag, opaque) ||
           (tag.size + 1 == opaque.size + ending.size &&
            bytes_equal(bytes_first(tag, opaque.size - 1), bytes_first(opaque, opaque.size - 1)) &&
            bytes_equal(bytes_after(tag, opaque.size - 1), ending));
}

bool entity_tags_have(struct bytes tags, struct bytes etag, bool weakly)
{
    struct bytes opaque = is_weak(etag) ? bytes_after(etag, 2) : etag;

    if (bytes_equal(bytes_trim(tags), BYTES("*")))
        return true;
    while (tags.size > 0) {
        bool weak = is_weak(tags);
        const char *end;
        if (tags.data[0] == ' ' || tags.data[0] == '\t' || tags.data[0] == ',') {
            tags = bytes_after(tags, 1);
            continue;
        }
        if (weak)
            tags = bytes_after(tags, 2);
        if (tags.size < 2 || tags.data[0] != '"' ||
            (end = memchr(tags.data + 1, '"', tags.size - 1)) == NULL)
            return false;
        if ((weakly || (!weak && !is_weak(etag))) &&
            is_of(bytes_first(tags, (size_t)(end - tags.data) + 1), opaque))
            return true;
        tags = bytes_after(tags, (size_t)(end - tags.data) + 1);
    }
    return false;
}

bool entity_tag_condition(const struct http_fields *fields, enum http_header header, struct bytes etag,
                          bool *has)
{
    bool is_there = false;

    *has = false;
    for (size_t i = 0; i < fields->count; i++) {
        if (fields->list[i].header != header)
            continue;
        is_there = true;
        *has |= entity_tags_have(fields->list[i].value, etag, header == HTTP_HEADER_IF_NONE_MATCH);
    }
    return is_there;
}
