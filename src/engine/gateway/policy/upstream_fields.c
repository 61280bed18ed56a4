#include "upstream_fields.h"
#include "base/compiler.h"
#include "base/words.h"
#include "coding/accept_encoding.h"
#include <stdlib.h>

bool upstream_takes(enum http_header header)
{
    switch (header) {
    case HTTP_HEADER_HOST:
    case HTTP_HEADER_FORWARDED:
    case HTTP_HEADER_X_FORWARDED_FOR:
    case HTTP_HEADER_X_FORWARDED_HOST:
    case HTTP_HEADER_X_FORWARDED_PROTO:
    case HTTP_HEADER_X_HTTP_METHOD_OVERRIDE:
    case HTTP_HEADER_X_ORIGINAL_URL:
    case HTTP_HEADER_X_REWRITE_URL: return false;
    case HTTP_HEADER_OTHER: return true;
    default: return http_header_kind(header) == HTTP_HEADER_END_TO_END;
    }
}

bool is_precondition(enum http_header header)
{
    return header == HTTP_HEADER_IF_MATCH || header == HTTP_HEADER_IF_NONE_MATCH ||
           header == HTTP_HEADER_IF_MODIFIED_SINCE || header == HTTP_HEADER_IF_UNMODIFIED_SINCE ||
           header == HTTP_HEADER_IF_RANGE || header == HTTP_HEADER_RANGE;
}

/* What the origin gets to see of `field`; false if nothing. `accepted`: what to say of codings. */
static bool value_for_origin(const struct http_field *field, const struct http_fields *fields,
                             const struct upstream_wish *wish, struct bytes *accepted, struct bytes *value)
{
    if (!upstream_takes(field->header) || (is_precondition(field->header) && !wish->with_preconditions) ||
        http_connection_names(fields, field->name))
        return false;
    *value = field->value;
    if (field->header != HTTP_HEADER_ACCEPT_ENCODING || !wish->is_for_all)
        return true;
    *value = *accepted;
    *accepted = (struct bytes){0}; /* once, however many lines there were */
    return value->size > 0;
}

bool upstream_fields_init(struct upstream_fields *upstream, const struct http_fields *fields,
                          const struct upstream_wish *wish)
{
    struct accepted_codings codings = accepted_codings_of(fields);
    char accepted_text[ACCEPTED_CODINGS_BYTES_MAX];
    struct bytes all_accepted = bytes_of(accepted_text, accepted_codings_format(&codings, accepted_text));
    struct bytes accepted = all_accepted, value;
    char *text;

    *upstream = (struct upstream_fields){0};
    for (size_t i = 0; i < fields->count; i++) {
        const struct http_field *field = &fields->list[i];
        if (!value_for_origin(field, fields, wish, &accepted, &value))
            continue;
        buffer_append(&upstream->text, field->name);
        buffer_append(&upstream->text, value);
        upstream->fields.count++;
    }
    if (upstream->text.failed)
        return false;
    if (upstream->fields.count == 0)
        return true;
    upstream->fields.list = calloc(upstream->fields.count, sizeof *upstream->fields.list);
    if (upstream->fields.list == NULL)
        return false;
    text = upstream->text.data; /* moves no more */
    accepted = all_accepted;
    for (size_t i = 0, taken = 0; i < fields->count; i++) {
        const struct http_field *field = &fields->list[i];
        if (!value_for_origin(field, fields, wish, &accepted, &value))
            continue;
        upstream->fields.list[taken++] = (struct http_field){
            field->header, bytes_of(text, field->name.size), bytes_of(text + field->name.size, value.size)};
        text += field->name.size + value.size;
    }
    return true;
}

void upstream_fields_fini(struct upstream_fields *upstream)
{
    free(upstream->fields.list);
    buffer_fini(&upstream->text);
    *upstream = (struct upstream_fields){0};
}
