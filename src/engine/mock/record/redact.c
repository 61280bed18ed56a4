#include "redact.h"
#include "engine/mock/rules/request_view.h"
#include "engine/mock/rules/secret_names.h"

bool secret_words_have(const struct secret_words *words, struct bytes name)
{
    for (size_t i = 0; i < words->count; i++)
        if (bytes_equal_nocase(bytes_of_text(words->names[i]), name))
            return true;
    return is_secret_name(name);
}

/* ---- those of the request ------------------------------------------------------------------------ */

static void add(struct secrets *secrets, struct bytes value)
{
    if (value.size < SECRET_BYTES_MIN || secrets->count == SECRETS_MAX)
        return;
    secrets->values[secrets->count].begin = secrets->text.size;
    secrets->values[secrets->count++].size = value.size;
    buffer_append(&secrets->text, value);
}

/* "a=1; b=2": the values. */
static void add_cookies(struct secrets *secrets, struct bytes list)
{
    while (list.size > 0) {
        const char *end = memchr(list.data, ';', list.size);
        struct bytes pair = end != NULL ? bytes_first(list, (size_t)(end - list.data)) : list;
        const char *equals = pair.size > 0 ? memchr(pair.data, '=', pair.size) : NULL;
        if (equals != NULL)
            add(secrets, bytes_after(pair, (size_t)(equals - pair.data) + 1));
        list = bytes_after(list, pair.size + (end != NULL));
    }
}

static void add_field(struct secrets *secrets, const struct http_field *field)
{
    const char *space = field->value.size > 0 ? memchr(field->value.data, ' ', field->value.size) : NULL;

    if (bytes_equal_nocase(field->name, BYTES("Cookie")))
        add_cookies(secrets, field->value);
    else if (space != NULL && bytes_equal_nocase(field->name, BYTES("Authorization")))
        add(secrets, bytes_after(field->value, (size_t)(space - field->value.data) + 1));
    else
        add(secrets, field->value);
}

/* Takes "name=value" off the front of a query, as it stands there. */
static bool next_pair(struct bytes *rest, struct bytes *name, struct bytes *value, bool *has_value)
{
    const char *end = rest->size > 0 ? memchr(rest->data, '&', rest->size) : NULL;
    struct bytes pair = end != NULL ? bytes_first(*rest, (size_t)(end - rest->data)) : *rest;
    const char *equals = pair.size > 0 ? memchr(pair.data, '=', pair.size) : NULL;

    if (rest->size == 0)
        return false;
    *has_value = equals != NULL;
    *name = equals != NULL ? bytes_first(pair, (size_t)(equals - pair.data)) : pair;
    *value = equals != NULL ? bytes_after(pair, name->size + 1) : (struct bytes){0};
    *rest = bytes_after(*rest, pair.size + (end != NULL));
    return true;
}

static bool is_secret_parameter(const struct secret_words *words, struct bytes name)
{
    struct buffer decoded = {0};
    bool is_secret;

    request_decode(&decoded, name, true);
    is_secret = secret_words_have(words, buffer_bytes(&decoded));
    buffer_fini(&decoded);
    return is_secret;
}

void secrets_find(struct secrets *secrets, const struct secret_words *words,
                  const struct http_request *request)
{
    struct bytes rest = request->query, name, value;
    bool has_value;

    for (size_t i = 0; i < request->fields.count; i++)
        if (secret_words_have(words, request->fields.list[i].name))
            add_field(secrets, &request->fields.list[i]);
    while (next_pair(&rest, &name, &value, &has_value)) {
        struct buffer decoded = {0};
        if (!is_secret_parameter(words, name))
            continue;
        add(secrets, value);
        request_decode(&decoded, value, true);
        if (!bytes_equal(buffer_bytes(&decoded), value))
            add(secrets, buffer_bytes(&decoded));
        buffer_fini(&decoded);
    }
}

void secrets_fini(struct secrets *secrets) { buffer_fini(&secrets->text); }

/* ---- taking them out ----------------------------------------------------------------------------- */

/* The first of the secrets in `text`, the longest of those at one place; null if there is none. */
static const char *find_first(const struct secrets *secrets, struct bytes text, size_t *size)
{
    const char *first = NULL;

    for (size_t i = 0; i < secrets->count && text.size > 0; i++) {
        struct bytes value =
            bytes_of(secrets->text.data + secrets->values[i].begin, secrets->values[i].size);
        const char *found = memmem(text.data, text.size, value.data, value.size);
        if (found == NULL || (first != NULL && (found > first || (found == first && value.size <= *size))))
            continue;
        first = found;
        *size = value.size;
    }
    return first;
}

bool secrets_redact(const struct secrets *secrets, struct bytes text, struct buffer *out)
{
    bool had_one = false;
    const char *found;
    size_t size = 0;

    while ((found = find_first(secrets, text, &size)) != NULL) {
        buffer_append(out, bytes_first(text, (size_t)(found - text.data)));
        buffer_append_literal(out, SECRET_PLACEHOLDER);
        text = bytes_after(text, (size_t)(found - text.data) + size);
        had_one = true;
    }
    buffer_append(out, text);
    return had_one;
}

void secrets_redact_query(const struct secret_words *words, struct bytes query, struct buffer *out)
{
    struct bytes name, value;
    bool has_value, is_first = true;

    while (next_pair(&query, &name, &value, &has_value)) {
        if (!is_first)
            buffer_append_byte(out, '&');
        is_first = false;
        buffer_append(out, name);
        if (has_value)
            buffer_append_byte(out, '=');
        buffer_append(out, is_secret_parameter(words, name) ? BYTES(SECRET_PLACEHOLDER) : value);
    }
}

/* "sid=1; Path=/": the cookie's value alone. */
static void redact_cookie(struct bytes value, struct buffer *out)
{
    const char *end = value.size > 0 ? memchr(value.data, ';', value.size) : NULL;
    struct bytes pair = end != NULL ? bytes_first(value, (size_t)(end - value.data)) : value;
    const char *equals = pair.size > 0 ? memchr(pair.data, '=', pair.size) : NULL;

    if (equals != NULL)
        buffer_append(out, bytes_first(pair, (size_t)(equals - pair.data) + 1));
    buffer_append_literal(out, SECRET_PLACEHOLDER);
    buffer_append(out, bytes_after(value, pair.size));
}

static bool ends_url(char c)
{
    return c == '#' || c == '>' || c == '"' || c == ' ' || c == ',' || c == ';';
}

void secrets_redact_field(const struct secrets *secrets, const struct secret_words *words,
                          const struct http_field *field, struct buffer *out)
{
    struct buffer known = {0};
    struct bytes rest;

    if (field->header == HTTP_HEADER_SET_COOKIE) {
        redact_cookie(field->value, out);
        return;
    }
    if (secret_words_have(words, field->name)) {
        buffer_append_literal(out, SECRET_PLACEHOLDER);
        return;
    }
    secrets_redact(secrets, field->value, &known);
    rest = buffer_bytes(&known);
    while (rest.data != NULL && rest.size > 0) {
        const char *question = memchr(rest.data, '?', rest.size);
        size_t size = question != NULL ? (size_t)(question - rest.data) + 1 : rest.size;
        buffer_append(out, bytes_first(rest, size));
        rest = bytes_after(rest, size);
        for (size = 0; size < rest.size && !ends_url(rest.data[size]);)
            size++;
        secrets_redact_query(words, bytes_first(rest, size), out);
        rest = bytes_after(rest, size);
    }
    out->failed |= known.failed;
    buffer_fini(&known);
}
