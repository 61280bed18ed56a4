#include "key_rule.h"
#include "query_parameters.h"
#include "vary.h"

/* ---- the query ----------------------------------------------------------------------------------- */

static bool fits(struct bytes item, struct bytes name)
{
    bool is_prefix = item.data[item.size - 1] == '*';
    size_t i = 0, j = 0;

    item.size -= is_prefix;
    while (i < item.size && j < name.size)
        if (query_next_character(item, &i) != query_next_character(name, &j))
            return false;
    return i == item.size && (is_prefix || j == name.size);
}

static bool is_listed(const char *list, struct bytes name)
{
    struct bytes items = route_items(list), item;

    while (http_list_next(&items, &item))
        if (fits(item, name))
            return true;
    return false;
}

static bool counts(const void *rules, const struct query_parameter *parameter)
{
    const struct route_policy *policy = rules;

    if (memchr(parameter->whole.data, ';', parameter->whole.size) != NULL)
        return true;
    return (policy->key_query_allow == NULL || is_listed(policy->key_query_allow, parameter->name)) &&
           !is_listed(policy->key_query_ignore, parameter->name);
}

static bool append(const struct query_parameter *parameter, char *text, size_t capacity, size_t *size)
{
    struct bytes whole = parameter->whole;

    if (whole.size + 1 > capacity - *size)
        return false;
    if (*size > 0)
        text[(*size)++] = '&';
    memcpy(text + *size, whole.data, whole.size);
    *size += whole.size;
    return true;
}

bool key_query(const struct route_policy *policy, struct bytes query, char *text, size_t capacity,
               size_t *size)
{
    struct query_form form = {counts, append, policy->key_query_sort};

    return query_write(query, &form, policy, text, capacity, size);
}

/* ---- header fields and cookies -------------------------------------------------------------------- */

/* Takes the next cookie off the front of a Cookie field's value (RFC 6265 §4.2.1); its name is empty if
 * none is written. */
static bool next_cookie(struct bytes *cookies, struct bytes *name, struct bytes *value)
{
    while (cookies->size > 0) {
        const char *end = memchr(cookies->data, ';', cookies->size), *equals;
        size_t size = end != NULL ? (size_t)(end - cookies->data) : cookies->size;
        struct bytes pair = bytes_trim(bytes_first(*cookies, size));

        *cookies = bytes_after(*cookies, end != NULL ? size + 1 : size);
        if (pair.size == 0)
            continue;
        equals = memchr(pair.data, '=', pair.size);
        *name = equals != NULL ? bytes_trim(bytes_first(pair, (size_t)(equals - pair.data)))
                               : bytes_first(pair, 0);
        *value = equals != NULL ? bytes_trim(bytes_after(pair, (size_t)(equals - pair.data) + 1)) : pair;
        return true;
    }
    return false;
}

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

/* Whether every origin sees the same name and value in `pair`: those that strip blanks and those that do
 * not, those that let quotes hold a ';' and those that do not. */
static bool is_plain_pair(struct bytes pair)
{
    size_t quote_count = 0, equals = pair.size;

    if (pair.size == 0)
        return true;
    for (size_t i = pair.size; i-- > 0;) {
        quote_count += pair.data[i] == '"';
        if (pair.data[i] == '=')
            equals = i;
    }
    if (is_blank(pair.data[0]) || is_blank(pair.data[pair.size - 1]) || quote_count % 2 != 0)
        return false;
    return equals == pair.size || ((equals == 0 || !is_blank(pair.data[equals - 1])) &&
                                   (equals + 1 == pair.size || !is_blank(pair.data[equals + 1])));
}

static bool are_cookies_plain(const struct http_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        struct bytes rest = fields->list[i].value;
        if (fields->list[i].header != HTTP_HEADER_COOKIE)
            continue;
        while (rest.size > 0) {
            const char *end = memchr(rest.data, ';', rest.size);
            struct bytes pair = bytes_first(rest, end != NULL ? (size_t)(end - rest.data) : rest.size);
            if (!is_plain_pair(pair))
                return false;
            rest = bytes_after(rest, end != NULL ? pair.size + 1 : pair.size);
            if (rest.size > 0 && rest.data[0] == ' ')
                rest = bytes_after(rest, 1);
        }
    }
    return true;
}

/* All values of the cookie, each behind a ';', which no value has. */
static bool append_cookie(struct bytes wanted, const struct http_fields *fields, char *text,
                          size_t capacity, size_t *size)
{
    for (size_t i = 0; i < fields->count; i++) {
        struct bytes cookies = fields->list[i].value, name, value;
        if (fields->list[i].header != HTTP_HEADER_COOKIE)
            continue;
        while (next_cookie(&cookies, &name, &value)) {
            if (!bytes_equal(name, wanted))
                continue;
            if (value.size + 1 > capacity - *size)
                return false;
            text[(*size)++] = ';';
            if (value.size > 0)
                memcpy(text + *size, value.data, value.size);
            *size += value.size;
        }
    }
    return true;
}

bool key_selection(const struct route_policy *policy, const struct http_fields *fields, char *text,
                   size_t capacity, size_t *size)
{
    struct bytes headers = route_items(policy->key_headers), cookies = route_items(policy->key_cookies),
                 name;

    *size = 0;
    if (cookies.size > 0 && !are_cookies_plain(fields))
        return false;
    while (http_list_next(&headers, &name)) {
        size_t written;
        if (!vary_values(name, fields, text + *size, capacity - *size, &written))
            return false;
        *size += written;
    }
    while (http_list_next(&cookies, &name)) {
        if (!append_cookie(name, fields, text, capacity, size) || *size == capacity)
            return false;
        text[(*size)++] = '\n'; /* which no field has */
    }
    return true;
}

bool key_leaves_cookies(const struct route_policy *policy, const struct http_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        struct bytes cookies = fields->list[i].value, name, value;
        if (fields->list[i].header != HTTP_HEADER_COOKIE)
            continue;
        while (next_cookie(&cookies, &name, &value)) {
            struct bytes keyed = route_items(policy->key_cookies), item;
            bool is_keyed = false;
            while (!is_keyed && http_list_next(&keyed, &item))
                is_keyed = bytes_equal(item, name);
            if (!is_keyed)
                return true;
        }
    }
    return false;
}
