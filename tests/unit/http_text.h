/* http_text.h — the fields of a message, written in a test as "Name: value\nName: value". */
#pragma once
#include "base/bytes.h"
#include "message/http.h"

struct http_text {
    struct http_field list[64];
    struct http_fields fields;
};

/* `text` stays readable as long as `fields` is used. */
static inline void http_text_read(struct http_text *fields, const char *text)
{
    fields->fields = (struct http_fields){fields->list, 0};
    while (*text != '\0') {
        const char *end = strchr(text, '\n');
        struct bytes line = bytes_of(text, end == NULL ? strlen(text) : (size_t)(end - text));
        const char *colon = memchr(line.data, ':', line.size);
        struct http_field *field = &fields->list[fields->fields.count++];

        field->name = bytes_of(text, (size_t)(colon - text));
        field->value = bytes_trim(bytes_after(line, field->name.size + 1));
        field->header = http_header_find(field->name);
        text += line.size + (end != NULL);
    }
}
