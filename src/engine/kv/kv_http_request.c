#include "engine/kv/kv_http_request.h"
#include "base/number.h"
#include "engine/kv/kv_call.h"
#include "message/http_range.h"
#include "message/percent.h"

static const struct http_refusal good = {0, NULL};

static struct http_refusal refuse(int status, const char *detail)
{
    return (struct http_refusal){status, detail};
}

static struct bytes field_value(const struct http_fields *fields, enum http_header header)
{
    const struct http_field *field = http_fields_find(fields, header);
    return field != NULL ? field->value : (struct bytes){NULL, 0};
}

/* ---- what is asked ----------------------------------------------------------------------------- */

static bool append_decoded(struct buffer *out, struct bytes text)
{
    for (size_t at = 0; at < text.size;) {
        char c;
        if (!percent_take(text, &at, &c))
            return false;
        buffer_append_byte(out, c);
    }
    return true;
}

struct http_refusal kv_http_read_key(const struct http_request *request, struct buffer *name,
                                     uint32_t *database)
{
    const struct bytes keys = BYTES("/keys/"), db = BYTES("db=");
    uint64_t number = 0;

    if (!bytes_start_with(request->path, keys))
        return refuse(404, "there is nothing but /keys/NAME here");
    if (request->path.size == keys.size)
        return refuse(400, "the name of the key is empty");
    if (!append_decoded(name, bytes_after(request->path, keys.size)))
        return refuse(400, "a % in the name must be followed by two hex digits");
    if (name->failed)
        return refuse(503, "no memory");
    if (request->has_query && request->query.size > 0 &&
        (!bytes_start_with(request->query, db) ||
         !digits_parse(bytes_after(request->query, db.size), KV_DATABASES - 1, &number)))
        return refuse(400, "the query may be db=0 to db=15, and nothing else");
    *database = (uint32_t)number;
    return good;
}

/* The seconds of Cache-Control: max-age. False if there is no such directive. */
static bool find_max_age(const struct http_fields *fields, struct bytes *seconds)
{
    const struct bytes directive = BYTES("max-age=");

    for (size_t i = 0; i < fields->count; i++) {
        struct bytes list = fields->list[i].value, element;
        if (fields->list[i].header != HTTP_HEADER_CACHE_CONTROL)
            continue;
        while (http_list_next(&list, &element))
            if (element.size >= directive.size &&
                bytes_equal_nocase(bytes_first(element, directive.size), directive)) {
                *seconds = bytes_after(element, directive.size);
                return true;
            }
    }
    return false;
}

struct http_refusal kv_http_read_put(const struct http_request *request, nh_put_options *options)
{
    const uint64_t ttl_ms_max = UINT64_C(1000) * 1000 * 365 * 24 * 60 * 60; /* a thousand years */
    const struct http_field *ttl = http_fields_find_name(&request->fields, BYTES("Nuthatch-TTL"));
    const struct http_field *flags = http_fields_find_name(&request->fields, BYTES("Nuthatch-Flags"));
    struct bytes seconds = {NULL, 0};
    uint64_t number;

    if (http_fields_find_name(&request->fields, BYTES("Content-Range")) != NULL)
        return refuse(400, "a value is put whole, not in ranges");
    if (ttl != NULL)
        seconds = ttl->value;
    if (ttl != NULL || find_max_age(&request->fields, &seconds)) {
        if (!thousandths_parse(seconds, ttl_ms_max, &number) || number == 0)
            return refuse(400, "the time to live must be seconds above 0, with at most three decimals");
        options->ttl_ms = (int64_t)number;
    }
    if (flags != NULL) {
        if (!digits_parse(flags->value, UINT32_MAX, &number))
            return refuse(400, "Nuthatch-Flags must be a number of 32 bits");
        options->flags = (uint32_t)number;
    }
    return good;
}

/* ---- conditions -------------------------------------------------------------------------------- */

static bool is_etag_of(struct bytes etag, uint64_t version)
{
    char text[NUMBER_TEXT_BYTES + 2];
    size_t size = 1 + uint64_format(text + 1, version);

    text[0] = text[size++] = '"';
    return bytes_equal(etag, bytes_of(text, size));
}

/* Whether a field called `header` names the value that is there; `is_weak`: a W/ before it does not
 * matter. */
static bool is_named(const struct http_fields *fields, enum http_header header, bool is_there,
                     uint64_t version, bool is_weak)
{
    for (size_t i = 0; i < fields->count; i++) {
        struct bytes list = fields->list[i].value, element;
        if (fields->list[i].header != header)
            continue;
        while (http_list_next(&list, &element)) {
            if (is_weak && bytes_start_with(element, BYTES("W/")))
                element = bytes_after(element, 2);
            if (is_there && (bytes_equal(element, BYTES("*")) || is_etag_of(element, version)))
                return true;
        }
    }
    return false;
}

enum kv_http_condition kv_http_check(const struct http_fields *fields, bool is_there, uint64_t version)
{
    if (http_fields_find(fields, HTTP_HEADER_IF_MATCH) != NULL &&
        !is_named(fields, HTTP_HEADER_IF_MATCH, is_there, version, false))
        return KV_HTTP_FAILED;
    if (is_named(fields, HTTP_HEADER_IF_NONE_MATCH, is_there, version, true))
        return KV_HTTP_NOT_MODIFIED;
    return KV_HTTP_HOLDS;
}

/* ---- ranges ------------------------------------------------------------------------------------ */

struct kv_http_range kv_http_read_range(const struct http_fields *fields, uint64_t value_bytes,
                                        uint64_t version)
{
    const struct http_field *if_range = http_fields_find(fields, HTTP_HEADER_IF_RANGE);
    struct http_ranges ranges = http_ranges_of(field_value(fields, HTTP_HEADER_RANGE), value_bytes);
    struct kv_http_range whole = {.end = value_bytes};

    if (if_range != NULL && !is_etag_of(if_range->value, version))
        return whole;
    switch (ranges.kind) {
    case HTTP_RANGES_NONE: return whole;
    case HTTP_RANGES_OUTSIDE: return (struct kv_http_range){.is_outside = true};
    case HTTP_RANGES_PARTS: break;
    }
    if (ranges.count > 1)
        return whole;
    return (struct kv_http_range){
        .first = ranges.list[0].start, .end = ranges.list[0].end, .is_part = true};
}
