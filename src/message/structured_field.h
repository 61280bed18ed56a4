/* structured_field.h — structured field values (RFC 9651): items, lists, dictionaries, parameters. Pure.
 *
 * Strict, as the RFC wants it: a field with one mistake anywhere is to be ignored as a whole. So ask first
 * whether the text is a list, a dictionary or an item, and then take it apart. Nothing is allocated and
 * nothing copied: what comes out are runs of the text, and lives as long as that.
 *
 *     struct bytes rest = text;
 *     if (structured_is_dictionary(text))
 *         while (structured_dictionary_next(&rest, &member))
 *             … */
#pragma once
#include "base/buffer.h"
#include "message/http.h"

enum structured_type {
    STRUCTURED_INTEGER,    /* number: at most 15 digits */
    STRUCTURED_DECIMAL,    /* number: in thousandths */
    STRUCTURED_DATE,       /* number: seconds since 1970 */
    STRUCTURED_BOOLEAN,    /* number: 0 or 1; also what a key without a value is */
    STRUCTURED_STRING,     /* text: between the quotes, as written; see structured_append_string */
    STRUCTURED_TOKEN,      /* text */
    STRUCTURED_BINARY,     /* text: between the colons, in base64 */
    STRUCTURED_DISPLAY,    /* text: between the quotes, percent-encoded UTF-8 */
    STRUCTURED_INNER_LIST, /* text: between the parentheses; for structured_inner_next */
};

struct structured_value {
    enum structured_type type;
    int64_t number;
    struct bytes text;
};

struct structured_member {
    struct bytes key; /* of a dictionary's member, and of a parameter; else empty */
    struct structured_value value;
    struct bytes parameters; /* for structured_parameter_next */
};

/* Appends the values of all lines called `name`, in the order they came, as one value (§4.2). `name` is in
 * any case. */
void structured_join(struct buffer *text, const struct http_fields *fields, struct bytes name);

/* Whether all of `text` is one; an empty text is an empty list, and an empty dictionary. */
bool structured_is_list(struct bytes text);
bool structured_is_dictionary(struct bytes text);

/* True, with `*item`, if all of `text` is one item (no inner list). */
bool structured_is_item(struct bytes text, struct structured_member *item);

/* Take the next member off the front of `*rest`. False at the end, and where the text is no such thing:
 * then it is left as it is. */
bool structured_list_next(struct bytes *rest, struct structured_member *member);
bool structured_dictionary_next(struct bytes *rest, struct structured_member *member);
bool structured_inner_next(struct bytes *rest, struct structured_member *item);
bool structured_parameter_next(struct bytes *rest, struct structured_member *parameter);

/* The member of `dictionary` that counts for `key`: the last one (§3.2). False if there is none. */
bool structured_dictionary_find(struct bytes dictionary, struct bytes key,
                                struct structured_member *member);

/* Appends a STRING's text without the backslashes of its escapes. */
void structured_append_string(struct buffer *out, struct bytes text);
