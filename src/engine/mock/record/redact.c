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

static struct bytes secret(const struct secrets *secrets, size_t index)
{
    return bytes_of(secrets->text.data + secrets->values[index].begin, secrets->values[index].size);
}

static bool has(const struct secrets *secrets, struct bytes value)
{
    for (size_t i = 0; i < secrets->count && secrets->text.data != NULL; i++)
        if (bytes_equal(secret(secrets, i), value))
            return true;
    return false;
}

static void add(struct secrets *secrets, struct bytes value)
{
    if (value.size < SECRET_BYTES_MIN || has(secrets, value))
        return;
    if (secrets->count == SECRETS_MAX) {
        secrets->are_too_many = true;
        return;
    }
    secrets->values[secrets->count].begin = secrets->text.size;
    secrets->values[secrets->count].size = value.size;
    buffer_append(&secrets->text, value);
    secrets->count += !secrets->text.failed; /* which the caller looks at */
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

/* Where each secret comes next; null: no more. A secret is looked for again only once its place has been
 * passed, so that the text is gone through once for each, however many there are in it. */
struct places {
    const char *next[SECRETS_MAX];
};

static const char *find(const struct secrets *secrets, size_t index, struct bytes text)
{
    struct bytes value = secret(secrets, index);
    return text.size > 0 ? memmem(text.data, text.size, value.data, value.size) : NULL;
}

/* The first of the secrets in `text`, the longest of those at one place; null if there is none. */
static const char *find_first(const struct secrets *secrets, struct places *places, struct bytes text,
                              size_t *size)
{
    const char *first = NULL;

    for (size_t i = 0; i < secrets->count; i++) {
        if (places->next[i] != NULL && places->next[i] < text.data)
            places->next[i] = find(secrets, i, text);
        if (places->next[i] == NULL ||
            (first != NULL &&
             (places->next[i] > first || (places->next[i] == first && secrets->values[i].size <= *size))))
            continue;
        first = places->next[i];
        *size = secrets->values[i].size;
    }
    return first;
}

bool secrets_redact(const struct secrets *secrets, struct bytes text, struct buffer *out)
{
    struct places places;
    bool had_one = false;
    const char *found;
    size_t size = 0;

    for (size_t i = 0; i < secrets->count; i++)
        places.next[i] = find(secrets, i, text);
    while ((found = find_first(secrets, &places, text, &size)) != NULL) {
        buffer_append(out, bytes_first(text, (size_t)(found - text.data)));
        buffer_append_literal(out, SECRET_PLACEHOLDER);
        text = bytes_after(text, (size_t)(found - text.data) + size);
        had_one = true;
    }
    buffer_append(out, text);
    return had_one;
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

/* Where a parameter's name may begin behind. */
static bool begins_parameter(char c) { return c == '?' || c == '#' || c == '&' || c == ';' || c == ','; }

static bool ends_value(char c)
{
    return c == '&' || c == '#' || c == '>' || c == '"' || c == '\'' || c == ' ' || c == ',' || c == ';';
}

/* The size of the parameter's value at the front of `text`, with the quotes that it may be in. */
static size_t value_size(struct bytes text)
{
    const char *end;
    size_t size = 0;

    if (text.size > 1 && text.data[0] == '"' && (end = memchr(text.data + 1, '"', text.size - 1)) != NULL)
        return (size_t)(end - text.data) + 1;
    while (size < text.size && !ends_value(text.data[size]))
        size++;
    return size;
}

/* The size of "NAME=" at the front of `text`, if what follows is the value of a secret parameter; else 0.
 */
static size_t secret_name_size(const struct secret_words *words, struct bytes text)
{
    size_t blanks = 0, size;

    while (blanks < text.size && text.data[blanks] == ' ')
        blanks++;
    for (size = blanks; size < text.size && text.data[size] != '='; size++)
        if (begins_parameter(text.data[size]) || ends_value(text.data[size]))
            return 0;
    if (size == text.size || !is_secret_parameter(words, bytes_of(text.data + blanks, size - blanks)))
        return 0;
    return size + 1;
}

/* The size of "//user:password" at the front of `text`, if an '@' and a host follow; else 0. */
static size_t user_info_size(struct bytes text)
{
    size_t size = 2, at = 0;

    if (!bytes_start_with(text, BYTES("//")))
        return 0;
    while (size < text.size && text.data[size] != '/' && text.data[size] != '?' && text.data[size] != '#' &&
           text.data[size] != '>' && text.data[size] != '"' && text.data[size] != ' ') {
        if (text.data[size] == '@')
            at = size; /* the last one: a password may have one that should have been escaped */
        size++;
    }
    return at;
}

/* Appends `text` without the values of secret parameters, be they of a query, a fragment or the field
 * itself, and without the user information of URLs. */
static void redact_parameters(const struct secret_words *words, struct bytes text, struct buffer *out)
{
    bool may_begin = true; /* a parameter, here */

    while (text.data != NULL && text.size > 0) {
        size_t name_size = may_begin ? secret_name_size(words, text) : 0, user_size = user_info_size(text);
        if (name_size > 0) {
            buffer_append(out, bytes_first(text, name_size));
            buffer_append_literal(out, SECRET_PLACEHOLDER);
            text = bytes_after(text, name_size);
            text = bytes_after(text, value_size(text));
            may_begin = false;
        } else if (user_size > 0) {
            buffer_append_literal(out, "//" SECRET_PLACEHOLDER);
            text = bytes_after(text, user_size);
            may_begin = false;
        } else {
            may_begin = begins_parameter(text.data[0]);
            buffer_append_byte(out, text.data[0]);
            text = bytes_after(text, 1);
        }
    }
}

void secrets_redact_field(const struct secrets *secrets, const struct secret_words *words,
                          const struct http_field *field, struct buffer *out)
{
    struct buffer known = {0};

    if (field->header == HTTP_HEADER_SET_COOKIE) {
        redact_cookie(field->value, out);
        return;
    }
    if (secret_words_have(words, field->name)) {
        buffer_append_literal(out, SECRET_PLACEHOLDER);
        return;
    }
    secrets_redact(secrets, field->value, &known);
    redact_parameters(words, buffer_bytes(&known), out);
    out->failed |= known.failed;
    buffer_fini(&known);
}
