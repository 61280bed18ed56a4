#include "http_lines.h"
#include "engine/gateway/policy/stored_response.h"
#include <stdlib.h>

static bool is_null(nh_bytes bytes) { return bytes.data == NULL && bytes.size > 0; }

nh_result http_lines_init(struct http_lines *lines, const nh_http_fields *from)
{
    lines->fields = (struct http_fields){.list = lines->few};
    lines->many = NULL;
    if (from == NULL || (from->list == NULL && from->count > 0))
        return NH_INVALID;
    if (from->count > NH_HTTP_FIELDS_MAX)
        return NH_TOO_LARGE;
    if (from->count > HTTP_LINES_INLINE) {
        lines->fields.list = lines->many = malloc(from->count * sizeof *lines->many);
        if (lines->many == NULL)
            return NH_NO_MEMORY;
    }
    for (size_t i = 0; i < from->count; i++) {
        if (is_null(from->list[i].name) || is_null(from->list[i].value))
            return NH_INVALID;
        struct bytes name = bytes_of(from->list[i].name.data, from->list[i].name.size);
        struct bytes value = bytes_trim(bytes_of(from->list[i].value.data, from->list[i].value.size));
        if (!http_is_token(name) || !http_is_field_value(value))
            return NH_INVALID;
        lines->fields.list[lines->fields.count++] =
            (struct http_field){http_header_find(name), name, value};
    }
    return NH_OK;
}

void http_lines_fini(struct http_lines *lines) { free(lines->many); }

nh_http_field http_line_out(const struct http_field *field)
{
    return (nh_http_field){.name = {field->name.data, field->name.size},
                           .value = {field->value.data, field->value.size}};
}

void http_lines_render(struct buffer *rendered, const struct http_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++)
        rendered_append(rendered, fields->list[i].name, fields->list[i].value);
}
