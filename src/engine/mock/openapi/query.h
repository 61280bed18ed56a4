/* query.h — the pairs of a query, or of a form's body (application/x-www-form-urlencoded). Pure. */
#pragma once
#include "base/bytes.h"
#include "message/percent.h"

/* Takes the next pair off the front of `query`, still encoded; false at the end. A pair without '=' has an
 * empty value. */
static inline bool query_next(struct bytes *query, struct bytes *name, struct bytes *value)
{
    while (query->size > 0) {
        const char *end = memchr(query->data, '&', query->size), *equals;
        struct bytes pair = end != NULL ? bytes_first(*query, (size_t)(end - query->data)) : *query;
        *query = bytes_after(*query, end != NULL ? pair.size + 1 : pair.size);
        if (pair.size == 0)
            continue;
        equals = memchr(pair.data, '=', pair.size);
        *name = equals != NULL ? bytes_first(pair, (size_t)(equals - pair.data)) : pair;
        *value = equals != NULL ? bytes_after(pair, name->size + 1) : bytes_of(pair.data + pair.size, 0);
        return true;
    }
    return false;
}

/* Decodes `text` ('+' is a space) into the `size` bytes at `decoded`; false if it does not fit, or a '%'
 * lacks its digits. */
static inline bool query_decode(struct bytes text, char *decoded, size_t size, struct bytes *result)
{
    size_t at = 0, count = 0;

    while (at < text.size) {
        bool is_space = text.data[at] == '+';
        if (count == size || !percent_take(text, &at, &decoded[count]))
            return false;
        if (is_space)
            decoded[count] = ' ';
        count++;
    }
    *result = bytes_of(decoded, count);
    return true;
}
