#include "engine/kv/kv_http_request.h"
#include "base/number.h"
#include "engine/kv/kv_call.h"
#include "message/http_range.h"
#include "message/percent.h"

static const struct kv_http_refusal good = {0, NULL};

static struct kv_http_refusal refuse(int status, const char *detail)
{
    return (struct kv_http_refusal){status, detail};
}

static struct bytes field_value(const struct http_fields *fields, enum http_header header)
{
    const struct http_field *field = http_fields_find(fields, header);
    return field != NULL ? field->value : (struct bytes){NULL, 0};
}

/* The first field called `name`, for which the table of headers has no row. Null if there is none. */
static const struct http_field *find_by_name(const struct http_fields *fields, struct bytes name)
{
    for (size_t i = 0; i < fields->count; i++)
        if (bytes_equal_nocase(fields->list[i].name, name))
            return &fields->list[i];
    return NULL;
}

/* ---- who may ask ------------------------------------------------------------------------------- */

/* As long for one wrong byte as for another. */
static bool is_same_token(struct bytes a, struct bytes b)
{
    unsigned char difference = 0;

    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++)
        difference |= (unsigned char)(a.data[i] ^ b.data[i]);
    return difference == 0;
}

static bool bears_token(const struct http_request *request, struct bytes token)
{
    const struct bytes scheme = BYTES("Bearer ");
    struct bytes value = field_value(&request->fields, HTTP_HEADER_AUTHORIZATION);

    return value.size > scheme.size && bytes_equal_nocase(bytes_first(value, scheme.size), scheme) &&
           is_same_token(bytes_trim(bytes_after(value, scheme.size)), token);
}

/* "127.0.0.1:8081" without its port. */
static struct bytes host_of(struct bytes authority)
{
    size_t size = authority.size;

    while (size > 0 && authority.data[size - 1] >= '0' && authority.data[size - 1] <= '9')
        size--;
    if (size > 0 && authority.data[size - 1] == ':')
        return bytes_first(authority, size - 1);
    return authority;
}

/* Four numbers, the first of them 127: a name that only begins so may be anybody's. */
static bool is_loopback_number(struct bytes host)
{
    uint64_t number;
    unsigned count = 0;

    while (count < 4) {
        const char *dot = host.size > 0 ? memchr(host.data, '.', host.size) : NULL;
        size_t size = dot != NULL ? (size_t)(dot - host.data) : host.size;
        if (!digits_parse(bytes_first(host, size), 255, &number) || (count == 0 && number != 127))
            return false;
        count++;
        host = bytes_after(host, size);
        if (dot == NULL)
            break;
        host = bytes_after(host, 1);
    }
    return count == 4 && host.size == 0;
}

static bool is_loopback_host(struct bytes authority)
{
    struct bytes host = host_of(authority);

    return bytes_equal_nocase(host, BYTES("localhost")) || bytes_equal(host, BYTES("[::1]")) ||
           is_loopback_number(host);
}

/* Whether the page that sent it, if a page did, came from this server. */
static bool is_from_here(const struct http_request *request)
{
    const struct http_field *origin = find_by_name(&request->fields, BYTES("Origin"));
    const struct http_field *site = find_by_name(&request->fields, BYTES("Sec-Fetch-Site"));
    const struct bytes scheme = BYTES("http://");

    if (site != NULL && !bytes_equal(site->value, BYTES("same-origin")) &&
        !bytes_equal(site->value, BYTES("none")))
        return false;
    return origin == NULL ||
           (bytes_start_with(origin->value, scheme) &&
            bytes_equal_nocase(bytes_after(origin->value, scheme.size), request->authority));
}

struct kv_http_refusal kv_http_may_pass(const struct http_request *request, struct bytes token,
                                        bool is_local)
{
    if (!is_from_here(request))
        return refuse(403, "a page of another origin may not use this server");
    if (token.size > 0)
        return bears_token(request, token)
                   ? good
                   : refuse(401, "this server wants its token: Authorization: Bearer");
    if (is_local && request->authority.size > 0 && !is_loopback_host(request->authority))
        return refuse(403, "this server is for its own machine: the Host must be localhost or a number");
    return good;
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

struct kv_http_refusal kv_http_read_key(const struct http_request *request, struct buffer *name,
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

struct kv_http_refusal kv_http_read_put(const struct http_request *request, nh_put_options *options)
{
    const uint64_t ttl_ms_max = UINT64_C(1000) * 1000 * 365 * 24 * 60 * 60; /* a thousand years */
    const struct http_field *ttl = find_by_name(&request->fields, BYTES("Nuthatch-TTL"));
    const struct http_field *flags = find_by_name(&request->fields, BYTES("Nuthatch-Flags"));
    struct bytes seconds = {NULL, 0};
    uint64_t number;

    if (find_by_name(&request->fields, BYTES("Content-Range")) != NULL)
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
