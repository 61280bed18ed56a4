#include "no_vary_search.h"
#include "message/structured_field.h"
#include "query_parameters.h"
#include "stored_response.h"

/* ---- what the field says ------------------------------------------------------------------------- */

void search_field_join(struct buffer *text, struct bytes rendered)
{
    struct http_field field;

    while (rendered_next(&rendered, &field)) {
        if (!bytes_equal_nocase(field.name, BYTES("No-Vary-Search")))
            continue;
        if (text->size > 0)
            buffer_append_literal(text, ", ");
        buffer_append(text, field.value);
    }
}

/* False if it is something else than a boolean. */
static bool read_boolean(const struct structured_member *member, bool *is_true)
{
    *is_true = member->value.type == STRUCTURED_BOOLEAN && member->value.number == 1;
    return member->value.type == STRUCTURED_BOOLEAN;
}

static bool read_names(const struct structured_member *member, struct bytes *names)
{
    struct bytes rest = member->value.text;
    struct structured_member item;

    if (member->value.type != STRUCTURED_INNER_LIST)
        return false;
    while (structured_inner_next(&rest, &item))
        if (item.value.type != STRUCTURED_STRING)
            return false;
    *names = member->value.text;
    return true;
}

/* §5.1. Keys that are not known mean nothing. */
bool search_variance_of(struct bytes text, struct search_variance *variance)
{
    struct structured_member member, first;
    struct bytes names = {0};

    *variance = (struct search_variance){0};
    if (!structured_is_dictionary(text))
        return false;
    if (structured_dictionary_find(text, BYTES("key-order"), &member) &&
        !read_boolean(&member, &variance->ignores_order))
        return false;
    if (structured_dictionary_find(text, BYTES("params"), &member) &&
        !read_boolean(&member, &variance->is_all_but) && !read_names(&member, &variance->names))
        return false;
    if (structured_dictionary_find(text, BYTES("except"), &member) &&
        (!variance->is_all_but || !read_names(&member, &variance->names)))
        return false;
    names = variance->names;
    return variance->is_all_but || variance->ignores_order || structured_inner_next(&names, &first);
}

/* ---- queries ------------------------------------------------------------------------------------- */

/* §5.3: the next character of a string's name, which is written as in a query. */
static char next_of_string(struct bytes string, size_t *at)
{
    if (string.data[*at] == '\\' && *at + 1 < string.size) {
        *at += 2;
        return string.data[*at - 1];
    }
    return query_next_character(string, at);
}

static bool is_same_name(struct bytes string, struct bytes name)
{
    size_t i = 0, j = 0;

    while (i < string.size && j < name.size)
        if (next_of_string(string, &i) != query_next_character(name, &j))
            return false;
    return i == string.size && j == name.size;
}

static bool counts(const void *rules, const struct query_parameter *parameter)
{
    const struct search_variance *variance = rules;
    struct bytes rest = variance->names;
    struct structured_member item;

    while (structured_inner_next(&rest, &item))
        if (is_same_name(item.value.text, parameter->name))
            return variance->is_all_but;
    return !variance->is_all_but;
}

/* Appends what `part` means, so spelled that nothing else is. */
static bool append_part(struct bytes part, char end, char *text, size_t capacity, size_t *size)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t at = 0; at < part.size;) {
        unsigned char c = (unsigned char)query_next_character(part, &at);
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                        c == '-' || c == '_' || c == '.';
        if (capacity - *size < 4)
            return false;
        if (!is_plain) {
            text[(*size)++] = '%';
            text[(*size)++] = hex[c >> 4];
        }
        text[(*size)++] = is_plain ? (char)c : hex[c & 15];
    }
    if (*size == capacity)
        return false;
    text[(*size)++] = end;
    return true;
}

static bool append_parameter(const struct query_parameter *parameter, char *text, size_t capacity,
                             size_t *size)
{
    return append_part(parameter->name, '=', text, capacity, size) &&
           append_part(parameter->value, '&', text, capacity, size);
}

bool search_canonical(const struct search_variance *variance, struct bytes query, char *text,
                      size_t capacity, size_t *size)
{
    struct query_form form = {counts, append_parameter, variance->ignores_order};

    return query_write(query, &form, variance, text, capacity, size);
}
