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

/* The character at `*at`, percent-decoded if it is one that a dot segment can hide behind; moves on. */
static char next_character(struct bytes path, size_t *at)
{
    char c = path.data[(*at)++];

    if (c == '%' && path.size - *at >= 2) {
        char high = path.data[*at], low = byte_to_lower(path.data[*at + 1]);
        char decoded = high == '2' && low == 'e'   ? '.'
                       : high == '2' && low == 'f' ? '/'
                       : high == '5' && low == 'c' ? '/'
                                                   : '\0';
        if (decoded != '\0') {
            *at += 2;
            return decoded;
        }
    }
    return c == '\\' ? '/' : c;
}

/* The last eight bytes of `text`; where there are fewer, letters stand for those that are missing. */
static uint64_t last_word(struct bytes text)
{
    uint64_t word = WORD_OF('a');

    if (text.size >= 8)
        return word_load(text.data + text.size - 8);
    for (size_t i = 0; i < text.size; i++)
        word = word << 8 | (unsigned char)text.data[i];
    return word;
}

static uint64_t is_odd(uint64_t word)
{
    return (word & WORD_HIGH_BITS) | word_has_below(word, ' ' + 1) | word_has(word, 0x7f) |
           word_has(word, '#');
}

/* Only visible ASCII but '#'. */
static bool is_visible(struct bytes text)
{
    uint64_t odd = is_odd(last_word(text));

    for (size_t i = 0; i + 8 <= text.size; i += 8)
        odd |= is_odd(word_load(text.data + i));
    return odd == 0;
}

static uint64_t is_special(uint64_t word)
{
    return word_has(word, '.') | word_has(word, '%') | word_has(word, '\\') | word_has(word, '?');
}

/* Most paths: nothing in them is, or could be read as, a dot or a query. */
static bool has_no_specials(struct bytes path)
{
    uint64_t special = is_special(last_word(path));

    for (size_t i = 0; i + 8 <= path.size; i += 8)
        special |= is_special(word_load(path.data + i));
    return special == 0;
}

bool target_is_plain(struct bytes path, struct bytes query)
{
    size_t at = 0, dots = 0, others = 0;

    if (!is_visible(path) || !is_visible(query))
        return false;
    if (LIKELY(has_no_specials(path)))
        return true;
    while (at < path.size) {
        char c = next_character(path, &at);
        if (c == '?')
            return false;
        if (c == '/') {
            if (others == 0 && (dots == 1 || dots == 2))
                return false;
            dots = others = 0;
        } else if (c == '.') {
            dots++;
        } else {
            others++;
        }
    }
    return others > 0 || (dots != 1 && dots != 2);
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
