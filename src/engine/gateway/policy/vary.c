#include "vary.h"
#include "base/compiler.h"
#include "coding/accept_encoding.h"
#include "upstream_fields.h"
#include <stdlib.h>

static int compare_names(const void *a, const void *b)
{
    const struct bytes *left = a, *right = b;
    size_t size = left->size < right->size ? left->size : right->size;
    int order = 0;

    for (size_t i = 0; i < size && order == 0; i++)
        order = byte_to_lower(left->data[i]) - byte_to_lower(right->data[i]);
    return order != 0 ? order : (left->size > right->size) - (left->size < right->size);
}

static bool add_line(struct bytes value, struct bytes *names, size_t *count)
{
    size_t at = 0;

    while (at <= value.size) {
        const char *comma = at < value.size ? memchr(value.data + at, ',', value.size - at) : NULL;
        size_t end = comma == NULL ? value.size : (size_t)(comma - value.data);
        struct bytes name = bytes_trim(bytes_of(value.data + at, end - at));

        at = end + 1;
        if (name.size == 0)
            continue;
        /* "*" is a token too. */
        if (!http_is_token(name) || (name.size == 1 && name.data[0] == '*') || *count == VARY_NAMES_MAX)
            return false;
        names[(*count)++] = name;
    }
    return true;
}

static bool write_names(const struct bytes *names, size_t count, struct vary *vary)
{
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && compare_names(&names[i - 1], &names[i]) == 0)
            continue;
        if (vary->size + names[i].size + 1 > sizeof vary->text)
            return false;
        for (size_t j = 0; j < names[i].size; j++)
            vary->text[vary->size++] = byte_to_lower(names[i].data[j]);
        vary->text[vary->size++] = '\n';
    }
    return true;
}

bool vary_of(const struct http_fields *fields, struct vary *vary)
{
    struct bytes names[VARY_NAMES_MAX];
    size_t count = 0;

    vary->size = 0;
    for (size_t i = 0; i < fields->count; i++)
        if (fields->list[i].header == HTTP_HEADER_VARY && !add_line(fields->list[i].value, names, &count))
            return false;
    if (count > 1)
        qsort(names, count, sizeof names[0], compare_names);
    if (!write_names(names, count, vary)) {
        vary->size = 0;
        return false;
    }
    return true;
}

/* Copies `value` without the blanks around its commas. */
static bool append_value(struct bytes value, char *text, size_t capacity, size_t *size)
{
    size_t at = 0;

    while (at <= value.size) {
        const char *comma = at < value.size ? memchr(value.data + at, ',', value.size - at) : NULL;
        size_t end = comma == NULL ? value.size : (size_t)(comma - value.data);
        struct bytes part = bytes_trim(bytes_of(value.data + at, end - at));

        if (*size + part.size + 1 > capacity)
            return false;
        if (at > 0)
            text[(*size)++] = ',';
        if (part.size > 0)
            memcpy(text + *size, part.data, part.size);
        *size += part.size;
        at = end + 1;
    }
    return true;
}

/* As it goes upstream: one text for all clients that take the same. */
static bool append_accepted_codings(const struct http_fields *fields, char *text, size_t capacity,
                                    size_t *size)
{
    struct accepted_codings accepted = accepted_codings_of(fields);

    if (!accepted.is_said)
        return true;
    if (capacity - *size < 1 + ACCEPTED_CODINGS_BYTES_MAX)
        return false;
    text[(*size)++] = '=';
    *size += accepted_codings_format(&accepted, text + *size);
    return true;
}

static bool append_lines_of(struct bytes name, const struct http_fields *fields, char *text,
                            size_t capacity, size_t *size)
{
    enum http_header header = http_header_find(name);
    size_t lines = 0;

    for (size_t i = 0; i < fields->count; i++) {
        const struct http_field *field = &fields->list[i];
        if (field->header != header)
            continue;
        if (header == HTTP_HEADER_OTHER && !bytes_equal_nocase(field->name, name))
            continue;
        if (http_connection_names(fields, field->name)) /* it does not go upstream: counts as absent */
            continue;
        if (*size == capacity)
            return false;
        /* '=' tells an empty value from an absent field. */
        text[(*size)++] = lines++ == 0 ? '=' : ',';
        if (!append_value(field->value, text, capacity, size))
            return false;
    }
    return true;
}

static bool append_values_of(struct bytes name, const struct http_fields *fields, char *text,
                             size_t capacity, size_t *size)
{
    enum http_header header = http_header_find(name);

    if (header != HTTP_HEADER_OTHER && !upstream_takes(header))
        return true;
    if (header == HTTP_HEADER_ACCEPT_ENCODING)
        return append_accepted_codings(fields, text, capacity, size);
    return append_lines_of(name, fields, text, capacity, size);
}

typedef bool append_name(struct bytes name, const struct http_fields *fields, char *text, size_t capacity,
                         size_t *size);

static bool append_all(append_name *append, struct bytes names, const struct http_fields *fields,
                       char *text, size_t capacity, size_t *size)
{
    *size = 0;
    while (names.size > 0) {
        const char *line_end = memchr(names.data, '\n', names.size);
        size_t length = line_end == NULL ? names.size : (size_t)(line_end - names.data);

        if (!append(bytes_first(names, length), fields, text, capacity, size) || *size == capacity)
            return false;
        text[(*size)++] = '\n';
        names = bytes_after(names, line_end == NULL ? names.size : length + 1);
    }
    return true;
}

bool vary_values(struct bytes names, const struct http_fields *fields, char *text, size_t capacity,
                 size_t *size)
{
    return append_all(append_values_of, names, fields, text, capacity, size);
}

bool vary_values_as_they_came(struct bytes names, const struct http_fields *fields, char *text,
                              size_t capacity, size_t *size)
{
    return append_all(append_lines_of, names, fields, text, capacity, size);
}
