#include "validate.h"
#include "base/compiler.h"
#include "message/http_date.h"
#include <stdlib.h>

static struct bytes without_weakness(struct bytes etag)
{
    return bytes_start_with(etag, BYTES("W/")) ? bytes_after(etag, 2) : etag;
}

/* RFC 9110 §8.8.3.2: weak comparison. An entity tag is quoted; a list of them may hold commas inside. */
static bool list_has_etag(struct bytes list, struct bytes etag)
{
    size_t at = 0;

    if (bytes_equal(bytes_trim(list), BYTES("*")))
        return true;
    if (etag.size == 0)
        return false;
    while (at < list.size) {
        size_t start = at;
        const char *close;
        if (list.data[at] == ',' || list.data[at] == ' ' || list.data[at] == '\t') {
            at++;
            continue;
        }
        if (list.data[at] == 'W' && list.size - at > 2 && list.data[at + 1] == '/')
            at += 2;
        if (list.data[at] != '"' || list.size - at < 2)
            return false;
        close = memchr(list.data + at + 1, '"', list.size - at - 1);
        if (close == NULL)
            return false;
        at = (size_t)(close - list.data) + 1;
        if (bytes_equal(without_weakness(bytes_of(list.data + start, at - start)), without_weakness(etag)))
            return true;
    }
    return false;
}

struct bytes rendered_value(struct bytes rendered, enum http_header header)
{
    struct http_field field;

    while (rendered_next(&rendered, &field))
        if (field.header == header)
            return field.value;
    return (struct bytes){0};
}

bool client_has_it(const struct http_fields *fields, struct bytes rendered, int64_t now_wall_ms)
{
    const struct http_field *since = NULL;
    struct bytes etag = {0}, modified;
    bool names_etags = false;
    int64_t modified_ms, since_ms;

    for (size_t i = 0; i < fields->count; i++) {
        const struct http_field *field = &fields->list[i];
        if (field->header == HTTP_HEADER_IF_MODIFIED_SINCE) {
            if (since != NULL)
                return false;
            since = field;
        }
        if (field->header != HTTP_HEADER_IF_NONE_MATCH)
            continue;
        if (!names_etags)
            etag = rendered_value(rendered, HTTP_HEADER_ETAG);
        names_etags = true;
        if (list_has_etag(field->value, etag))
            return true;
    }
    if (names_etags || since == NULL)
        return false;
    modified = rendered_value(rendered, HTTP_HEADER_LAST_MODIFIED);
    if (modified.size == 0)
        modified = rendered_value(rendered, HTTP_HEADER_DATE);
    return http_date_parse(modified, now_wall_ms, &modified_ms) &&
           http_date_parse(since->value, now_wall_ms, &since_ms) && modified_ms <= since_ms;
}

bool belongs_in_not_modified(enum http_header header)
{
    switch (header) {
    case HTTP_HEADER_CACHE_CONTROL:
    case HTTP_HEADER_CONTENT_LOCATION:
    case HTTP_HEADER_DATE:
    case HTTP_HEADER_ETAG:
    case HTTP_HEADER_EXPIRES:
    case HTTP_HEADER_LAST_MODIFIED:
    case HTTP_HEADER_VARY: return true;
    default: return false;
    }
}

bool is_validated_by(const struct stored_response *stored, const struct http_fields *not_modified)
{
    const struct http_field *etag = http_fields_find(not_modified, HTTP_HEADER_ETAG);
    const struct http_field *modified = http_fields_find(not_modified, HTTP_HEADER_LAST_MODIFIED);

    /* Without a validator of its own it is the answer to the condition we sent. */
    if (etag != NULL && stored->etag.size > 0)
        return bytes_equal(without_weakness(etag->value), without_weakness(stored->etag));
    return etag != NULL || modified == NULL || stored->last_modified.size == 0 ||
           bytes_equal(modified->value, stored->last_modified);
}

bool is_described_by(const struct stored_response *stored, const struct http_fields *head,
                     int64_t body_bytes)
{
    const struct http_field *etag = http_fields_find(head, HTTP_HEADER_ETAG);
    const struct http_field *modified = http_fields_find(head, HTTP_HEADER_LAST_MODIFIED);

    return (etag == NULL || bytes_equal(etag->value, stored->etag)) &&
           (modified == NULL || bytes_equal(modified->value, stored->last_modified)) &&
           (body_bytes == HTTP_BODY_UNKNOWN || (uint64_t)body_bytes == stored->body_bytes);
}

/* RFC 9111 §3.2, and fields that describe the stored body's form. */
static bool is_left_alone(enum http_header header)
{
    return header == HTTP_HEADER_CONTENT_LENGTH || header == HTTP_HEADER_CONTENT_ENCODING ||
           header == HTTP_HEADER_CONTENT_RANGE ||
           (header != HTTP_HEADER_OTHER && http_header_kind(header) == HTTP_HEADER_HOP_BY_HOP);
}

static bool replaces(const struct http_fields *fields, const struct http_field *stored)
{
    for (size_t i = 0; i < fields->count; i++)
        if (fields->list[i].header == stored->header && !is_left_alone(stored->header) &&
            (stored->header != HTTP_HEADER_OTHER || bytes_equal_nocase(fields->list[i].name, stored->name)))
            return true;
    return false;
}

/* Adds those of `stored` that the 304 leaves as they are. */
static void add_kept(struct http_fields *merged, struct bytes stored,
                     const struct http_fields *not_modified)
{
    struct http_field field;

    while (rendered_next(&stored, &field))
        /* A 304 without a Date was made when it came (RFC 9110 §6.6.1), not when the stored one was. */
        if (field.header != HTTP_HEADER_DATE && !replaces(not_modified, &field))
            merged->list[merged->count++] = field;
}

static size_t line_count(struct bytes rendered)
{
    struct http_field field;
    size_t count = 0;

    while (rendered_next(&rendered, &field))
        count++;
    return count;
}

struct http_fields freshened_fields(struct bytes stored_rendered, struct bytes stored_hidden,
                                    const struct http_fields *not_modified)
{
    struct http_fields merged = {0};
    size_t lines = line_count(stored_rendered) + line_count(stored_hidden) + not_modified->count;

    merged.list = calloc(lines + 1, sizeof *merged.list);
    if (merged.list == NULL)
        return merged;
    add_kept(&merged, stored_rendered, not_modified);
    add_kept(&merged, stored_hidden, not_modified);
    for (size_t i = 0; i < not_modified->count; i++)
        if (!is_left_alone(not_modified->list[i].header))
            merged.list[merged.count++] = not_modified->list[i];
    return merged;
}
