#include "media_range.h"
#include "base/number.h"

struct bytes media_type_bare(struct bytes type)
{
    const char *end = type.size > 0 ? memchr(type.data, ';', type.size) : NULL;
    return bytes_trim(end != NULL ? bytes_first(type, (size_t)(end - type.data)) : type);
}

bool media_type_is_json(struct bytes type)
{
    static const struct bytes suffix = BYTES_INIT("+json");

    type = media_type_bare(type);
    return bytes_equal_nocase(type, BYTES("application/json")) ||
           bytes_equal_nocase(type, BYTES("text/json")) ||
           (type.size > suffix.size && bytes_end_with_nocase(type, suffix));
}

/* 0: does not have it; then the more, the more exactly. */
static int precision(struct bytes range, struct bytes type)
{
    const char *slash;

    range = media_type_bare(range);
    type = media_type_bare(type);
    if (bytes_equal(range, BYTES("*/*")))
        return 1;
    slash = range.size > 0 ? memchr(range.data, '/', range.size) : NULL;
    if (slash == NULL)
        return 0;
    if (bytes_equal(bytes_after(range, (size_t)(slash - range.data)), BYTES("/*"))) {
        size_t size = (size_t)(slash - range.data) + 1;
        return type.size >= size && bytes_equal_nocase(bytes_first(range, size), bytes_first(type, size))
                   ? 2
                   : 0;
    }
    return bytes_equal_nocase(range, type) ? 3 : 0;
}

bool media_range_has(struct bytes range, struct bytes type) { return precision(range, type) > 0; }

/* The weight among the parameters (§12.4.2); 1000 if there is none, or it is malformed. */
static int weight(struct bytes range)
{
    while (range.size > 0) {
        const char *end = memchr(range.data, ';', range.size);
        struct bytes parameter =
            bytes_trim(end != NULL ? bytes_first(range, (size_t)(end - range.data)) : range);
        uint64_t thousandths;
        range = end != NULL ? bytes_after(range, (size_t)(end - range.data) + 1) : (struct bytes){0};
        if (parameter.size > 2 && byte_to_lower(parameter.data[0]) == 'q' && parameter.data[1] == '=' &&
            thousandths_parse(bytes_after(parameter, 2), 1000, &thousandths))
            return (int)thousandths;
    }
    return 1000;
}

int media_quality(const struct http_fields *fields, struct bytes type)
{
    int best = 0, quality = 0;
    bool has_accept = false;

    for (size_t i = 0; i < fields->count; i++) {
        struct bytes list = fields->list[i].value, range;
        if (!bytes_equal_nocase(fields->list[i].name, BYTES("Accept")))
            continue;
        while (http_list_next(&list, &range)) {
            int exactly = precision(range, type);
            has_accept = true;
            if (exactly > best) {
                best = exactly;
                quality = weight(range);
            }
        }
    }
    return has_accept ? quality : 1000;
}
