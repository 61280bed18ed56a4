#include "coded.h"
#include "base/compiler.h"
#include "directives.h"

static bool ends_in(struct bytes text, struct bytes end)
{
    return text.size > end.size && bytes_end_with_nocase(text, end);
}

/* Of a Content-Type's value. */
static bool gets_smaller(struct bytes type)
{
    static const struct bytes types[] = {
#define CODED_TYPE(name) BYTES_INIT(name),
#include "tables/coded_types.def"
#undef CODED_TYPE
    };
    static const struct bytes suffixes[] = {BYTES_INIT("+json"), BYTES_INIT("+xml"), BYTES_INIT("+text")};
    const char *semicolon = memchr(type.data, ';', type.size);

    if (semicolon != NULL)
        type = bytes_trim(bytes_first(type, (size_t)(semicolon - type.data)));
    if (bytes_equal_nocase(type, BYTES("text/event-stream")))
        return false;
    if (type.size > 5 && bytes_equal_nocase(bytes_first(type, 5), BYTES("text/")))
        return true;
    for (size_t i = 0; i < COUNT_OF(suffixes); i++)
        if (ends_in(type, suffixes[i]))
            return true;
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (bytes_equal_nocase(type, types[i]))
            return true;
    return false;
}

static bool forbids_transformation(struct bytes cache_control)
{
    struct http_field field = {HTTP_HEADER_CACHE_CONTROL, BYTES("Cache-Control"), cache_control};
    struct cache_directives directives = directives_of(&(struct http_fields){&field, 1});

    return directives_have(&directives, DIRECTIVE_NO_TRANSFORM);
}

static bool may_be_coded(const struct route_policy *policy, int status, struct bytes rendered,
                         int64_t body_bytes)
{
    bool has_type = false;
    struct http_field field;

    if (!policy->compress || status < 200 || status == 204 || status == 206 || status == 304 ||
        (body_bytes != HTTP_BODY_UNKNOWN && body_bytes < policy->compress_bytes_min))
        return false;
    while (rendered_next(&rendered, &field)) {
        switch (field.header) { /* the default: others say nothing of the body's bytes */
        case HTTP_HEADER_CONTENT_ENCODING:
        case HTTP_HEADER_CONTENT_RANGE: return false;
        case HTTP_HEADER_CACHE_CONTROL:
            if (forbids_transformation(field.value))
                return false;
            break;
        case HTTP_HEADER_CONTENT_TYPE:
            if (!gets_smaller(field.value))
                return false;
            has_type = true;
            break;
        default: break;
        }
    }
    return has_type;
}

/* RFC 9111 §5.2.1.6; and a range is one of the bytes that the origin has. */
static bool wants_origins_bytes(const struct http_fields *request)
{
    for (size_t i = 0; i < request->count; i++)
        if (request->list[i].header == HTTP_HEADER_RANGE ||
            (request->list[i].header == HTTP_HEADER_CACHE_CONTROL &&
             forbids_transformation(request->list[i].value)))
            return true;
    return false;
}

struct coding_plan coding_plan_of(const struct route_policy *policy, const struct http_fields *request,
                                  int status, struct bytes rendered, int64_t body_bytes)
{
    struct coding_plan plan = {.coding = CODING_IDENTITY};
    struct accepted_codings accepted;

    plan.may_be_coded = may_be_coded(policy, status, rendered, body_bytes);
    if (!plan.may_be_coded || wants_origins_bytes(request))
        return plan;
    accepted = accepted_codings_of(request);
    plan.coding = coding_choose(&accepted);
    return plan;
}

/* RFC 9530 and its forerunners: of bytes that are not those we send. */
static bool is_digest(struct bytes name)
{
    static const struct bytes digests[] = {BYTES_INIT("content-digest"), BYTES_INIT("repr-digest"),
                                           BYTES_INIT("digest"), BYTES_INIT("content-md5")};

    for (size_t i = 0; i < COUNT_OF(digests); i++)
        if (bytes_equal_nocase(name, digests[i]))
            return true;
    return false;
}

static bool names_accept_encoding(struct bytes vary)
{
    struct bytes name;

    while (http_list_next(&vary, &name))
        if (bytes_equal(name, BYTES("*")) || bytes_equal_nocase(name, BYTES("Accept-Encoding")))
            return true;
    return false;
}

/* `is_coded`: the bytes are not those the fields were written for. True if Vary names Accept-Encoding. */
static bool append_fields(struct buffer *fields, struct bytes rendered, bool is_coded)
{
    bool is_varied = false;
    struct http_field field;

    while (rendered_next(&rendered, &field)) {
        if (is_coded && field.header == HTTP_HEADER_OTHER && is_digest(field.name))
            continue;
        is_varied |= field.header == HTTP_HEADER_VARY && names_accept_encoding(field.value);
        /* RFC 9110 §8.8.1: the same ETag for other bytes must be a weak one. */
        if (is_coded && field.header == HTTP_HEADER_ETAG && field.value.size > 0 &&
            field.value.data[0] == '"') {
            buffer_append(fields, field.name);
            buffer_append_literal(fields, ": W/");
            buffer_append(fields, field.value);
            buffer_append_literal(fields, "\r\n");
            continue;
        }
        rendered_append(fields, field.name, field.value);
    }
    return is_varied;
}

void coded_fields_append(struct buffer *fields, struct bytes rendered, enum coding coding)
{
    bool is_varied = append_fields(fields, rendered, coding != CODING_IDENTITY);

    if (coding != CODING_IDENTITY)
        rendered_append(fields, BYTES("Content-Encoding"), coding_name(coding));
    if (!is_varied)
        rendered_append(fields, BYTES("Vary"), BYTES("Accept-Encoding"));
}

void coded_fields_append_validated(struct buffer *fields, struct bytes rendered)
{
    if (!append_fields(fields, rendered, true))
        rendered_append(fields, BYTES("Vary"), BYTES("Accept-Encoding"));
}

struct bytes coded_key(char text[CODED_KEY_BYTES], uint64_t body_number, enum coding coding)
{
    size_t size = 0;

    /* No URL begins like this. */
    text[size++] = '\n';
    text[size++] = '~';
    text[size++] = (char)('0' + (int)coding);
    memcpy(text + size, &body_number, sizeof body_number);
    return bytes_of(text, size + sizeof body_number);
}
