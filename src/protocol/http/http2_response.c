#include "base/number.h"
#include "protocol/http/http2_message.h"
#include <assert.h>
#include <stdlib.h>

enum { OWN_FIELDS_MAX = 3 }; /* :status, content-length, date */

static void add(struct http2_fields *fields, struct bytes name, struct bytes value)
{
    /* nghttp2 only reads them. */
    fields->list[fields->count++] = (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name.data,
                                                 .namelen = name.size,
                                                 .value = (uint8_t *)(uintptr_t)value.data,
                                                 .valuelen = value.size,
                                                 .flags = NGHTTP2_NV_FLAG_NONE};
}

/* As in HTTP/1.1: a field of this hop is of the connection's making. */
static bool may_render(const struct http_field *field)
{
    if (field->header != HTTP_HEADER_OTHER)
        return http_header_kind(field->header) == HTTP_HEADER_END_TO_END &&
               http_is_field_value(field->value);
    return http_is_token(field->name) && http_is_field_value(field->value);
}

static size_t count_lines(struct bytes rendered)
{
    size_t count = 0;

    for (const char *at = rendered.data, *end = at + rendered.size; at < end;) {
        at = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;
        count++;
    }
    return count;
}

static void add_lines(struct http2_fields *fields, struct bytes rendered)
{
    while (rendered.size > 0) {
        const char *end = memchr(rendered.data, '\n', rendered.size);
        struct bytes line = bytes_first(rendered, (size_t)(end - rendered.data) - 1);
        const char *colon = memchr(line.data, ':', line.size);
        struct bytes name = bytes_first(line, (size_t)(colon - line.data));

        add(fields, name, bytes_trim(bytes_after(line, name.size + 1)));
        rendered = bytes_after(rendered, line.size + 2);
    }
}

bool http2_fields_init(struct http2_fields *fields, const struct http_response *response, const char *date)
{
    size_t count = OWN_FIELDS_MAX + response->fields.count;
    bool has_length = response->status >= 200 && response->status != 204 && response->status != 304 &&
                      response->body_bytes >= 0;

    assert(response->status >= 100 && response->status <= 999);
    if (response->rendered.size > 0)
        count += count_lines(response->rendered);
    fields->count = 0;
    fields->list = fields->few;
    if (count > sizeof fields->few / sizeof fields->few[0]) {
        fields->list = reallocarray(NULL, count, sizeof *fields->list);
        if (fields->list == NULL)
            return false;
    }
    for (int i = 2, left = response->status; i >= 0; i--, left /= 10)
        fields->status[i] = (char)('0' + left % 10);
    add(fields, BYTES(":status"), bytes_of(fields->status, sizeof fields->status));
    if (has_length)
        add(fields, BYTES("content-length"),
            bytes_of(fields->length, uint64_format(fields->length, (uint64_t)response->body_bytes)));
    if (date != NULL)
        add(fields, BYTES("date"), bytes_of(date, 29));
    for (size_t i = 0; i < response->fields.count; i++)
        if (may_render(&response->fields.list[i]))
            add(fields, response->fields.list[i].name, response->fields.list[i].value);
    add_lines(fields, response->rendered);
    return true;
}

void http2_fields_fini(struct http2_fields *fields)
{
    if (fields->list != fields->few)
        free(fields->list);
}
