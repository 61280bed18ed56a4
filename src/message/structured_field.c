/* structured_field.c — the algorithms of RFC 9651 §4.2, each with its number. A `parse_` takes what it has
 * read off the front of `rest`, and is false at the first mistake. */
#include "structured_field.h"
#include "base/number.h"
#include "base/utf8.h"
#include "http_syntax.h"

enum { INTEGER_DIGITS_MAX = 15, DECIMAL_WHOLE_DIGITS_MAX = 12, DECIMAL_FRACTION_DIGITS_MAX = 3 };

static bool begins_with(struct bytes rest, char c) { return rest.size > 0 && rest.data[0] == c; }

static bool take(struct bytes *rest, char c)
{
    if (!begins_with(*rest, c))
        return false;
    *rest = bytes_after(*rest, 1);
    return true;
}

static void skip_spaces(struct bytes *rest)
{
    while (take(rest, ' ')) {
    }
}

static void skip_blanks(struct bytes *rest)
{
    while (take(rest, ' ') || take(rest, '\t')) {
    }
}

static bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
static bool is_alpha(char c) { return is_lower(byte_to_lower(c)); }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* What lies between `start` and the present front. */
static struct bytes taken_since(struct bytes start, struct bytes rest)
{
    return bytes_first(start, start.size - rest.size);
}

/* ---- bare items ---------------------------------------------------------------------------------- */

static size_t digit_count(struct bytes text)
{
    size_t count = 0;

    while (count < text.size && is_digit(text.data[count]))
        count++;
    return count;
}

/* §4.2.4 */
static bool parse_number(struct bytes *rest, struct structured_value *value)
{
    bool is_negative = take(rest, '-');
    size_t whole = digit_count(*rest), fraction;
    uint64_t number = 0, thousandths = 0;

    if (whole == 0 || whole > INTEGER_DIGITS_MAX ||
        !digits_parse(bytes_first(*rest, whole), UINT64_MAX, &number))
        return false;
    *rest = bytes_after(*rest, whole);
    value->type = STRUCTURED_INTEGER;
    if (take(rest, '.')) {
        fraction = digit_count(*rest);
        if (whole > DECIMAL_WHOLE_DIGITS_MAX || fraction == 0 || fraction > DECIMAL_FRACTION_DIGITS_MAX ||
            !digits_parse(bytes_first(*rest, fraction), UINT64_MAX, &thousandths))
            return false;
        *rest = bytes_after(*rest, fraction);
        for (; fraction < DECIMAL_FRACTION_DIGITS_MAX; fraction++)
            thousandths *= 10;
        value->type = STRUCTURED_DECIMAL;
        number = number * 1000 + thousandths;
    }
    value->number = is_negative ? -(int64_t)number : (int64_t)number;
    return true;
}

/* §4.2.5 */
static bool parse_string(struct bytes *rest, struct structured_value *value)
{
    struct bytes start;

    value->type = STRUCTURED_STRING;
    if (!take(rest, '"'))
        return false;
    for (start = *rest; rest->size > 0; *rest = bytes_after(*rest, 1)) {
        char c = rest->data[0];
        if (c == '"') {
            value->text = taken_since(start, *rest);
            return take(rest, '"');
        }
        if (c < ' ' || c > '~')
            return false;
        if (c != '\\')
            continue;
        *rest = bytes_after(*rest, 1);
        if (!begins_with(*rest, '"') && !begins_with(*rest, '\\'))
            return false;
    }
    return false;
}

/* §4.2.6 */
static bool parse_token(struct bytes *rest, struct structured_value *value)
{
    struct bytes start = *rest;

    while (rest->size > 0 &&
           (http_byte_is(rest->data[0], HTTP_BYTE_TOKEN) || rest->data[0] == ':' || rest->data[0] == '/'))
        *rest = bytes_after(*rest, 1);
    value->type = STRUCTURED_TOKEN;
    value->text = taken_since(start, *rest);
    return value->text.size > 0;
}

static bool is_base64(char c) { return is_alpha(c) || is_digit(c) || c == '+' || c == '/'; }

/* §4.2.7; padding may be missing, but not be wrong. */
static bool parse_binary(struct bytes *rest, struct structured_value *value)
{
    struct bytes start;
    size_t padding = 0;

    value->type = STRUCTURED_BINARY;
    if (!take(rest, ':'))
        return false;
    start = *rest;
    while (rest->size > 0 && is_base64(rest->data[0]))
        *rest = bytes_after(*rest, 1);
    while (take(rest, '='))
        padding++;
    value->text = taken_since(start, *rest);
    if (padding > 0 ? padding > 2 || value->text.size % 4 != 0 : value->text.size % 4 == 1)
        return false;
    return take(rest, ':');
}

/* §4.2.8 */
static bool parse_boolean(struct bytes *rest, struct structured_value *value)
{
    value->type = STRUCTURED_BOOLEAN;
    value->number = rest->size > 1 && rest->data[1] == '1';
    return take(rest, '?') && (take(rest, '0') || take(rest, '1'));
}

/* §4.2.9 */
static bool parse_date(struct bytes *rest, struct structured_value *value)
{
    if (!take(rest, '@') || !parse_number(rest, value) || value->type != STRUCTURED_INTEGER)
        return false;
    value->type = STRUCTURED_DATE;
    return true;
}

static int hex_digit(char c) { return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

/* §4.2.10 */
static bool parse_display(struct bytes *rest, struct structured_value *value)
{
    struct utf8 utf8 = {0, 0, 0};
    struct bytes start;

    value->type = STRUCTURED_DISPLAY;
    if (!take(rest, '%') || !take(rest, '"'))
        return false;
    for (start = *rest; rest->size > 0; *rest = bytes_after(*rest, 1)) {
        char c = rest->data[0];
        if (c == '"') {
            value->text = taken_since(start, *rest);
            return utf8.left == 0 && take(rest, '"');
        }
        if (c < ' ' || c > '~')
            return false;
        if (c == '%') {
            int high = rest->size > 2 ? hex_digit(rest->data[1]) : -1;
            int low = rest->size > 2 ? hex_digit(rest->data[2]) : -1;
            if (high < 0 || low < 0 || !utf8_take(&utf8, (uint8_t)(high * 16 + low)))
                return false;
            *rest = bytes_after(*rest, 2);
        } else if (!utf8_take(&utf8, (uint8_t)c)) {
            return false;
        }
    }
    return false;
}

/* §4.2.3.1 */
static bool parse_bare_item(struct bytes *rest, struct structured_value *value)
{
    char c;

    *value = (struct structured_value){.type = STRUCTURED_TOKEN};
    if (rest->size == 0)
        return false;
    c = rest->data[0];
    if (c == '-' || is_digit(c))
        return parse_number(rest, value);
    if (is_alpha(c) || c == '*')
        return parse_token(rest, value);
    switch (c) { /* the default: nothing else begins an item */
    case '"': return parse_string(rest, value);
    case ':': return parse_binary(rest, value);
    case '?': return parse_boolean(rest, value);
    case '@': return parse_date(rest, value);
    case '%': return parse_display(rest, value);
    default: return false;
    }
}

/* ---- members ------------------------------------------------------------------------------------- */

static const struct structured_value is_there = {.type = STRUCTURED_BOOLEAN, .number = 1};

/* §4.2.3.3 */
static bool parse_key(struct bytes *rest, struct bytes *key)
{
    struct bytes start = *rest;

    if (rest->size == 0 || (!is_lower(rest->data[0]) && rest->data[0] != '*'))
        return false;
    while (rest->size > 0 &&
           (is_lower(rest->data[0]) || is_digit(rest->data[0]) || memchr("_-.*", rest->data[0], 4) != NULL))
        *rest = bytes_after(*rest, 1);
    *key = taken_since(start, *rest);
    return true;
}

/* One of §4.2.3.2, its semicolon included. */
static bool parse_parameter(struct bytes *rest, struct structured_member *parameter)
{
    *parameter = (struct structured_member){.value = is_there};
    if (!take(rest, ';'))
        return false;
    skip_spaces(rest);
    if (!parse_key(rest, &parameter->key))
        return false;
    return !take(rest, '=') || parse_bare_item(rest, &parameter->value);
}

/* §4.2.3.2 */
static bool parse_parameters(struct bytes *rest, struct bytes *parameters)
{
    struct structured_member ignored;
    struct bytes start = *rest;

    while (begins_with(*rest, ';'))
        if (!parse_parameter(rest, &ignored))
            return false;
    *parameters = taken_since(start, *rest);
    return true;
}

/* §4.2.3 */
static bool parse_item(struct bytes *rest, struct structured_member *item)
{
    return parse_bare_item(rest, &item->value) && parse_parameters(rest, &item->parameters);
}

/* §4.2.1.2 */
static bool parse_inner_list(struct bytes *rest, struct structured_member *member)
{
    struct structured_member ignored = {0};
    struct bytes start;

    if (!take(rest, '('))
        return false;
    start = *rest;
    for (;;) {
        skip_spaces(rest);
        if (begins_with(*rest, ')')) {
            member->value =
                (struct structured_value){.type = STRUCTURED_INNER_LIST, .text = taken_since(start, *rest)};
            return take(rest, ')') && parse_parameters(rest, &member->parameters);
        }
        if (!parse_item(rest, &ignored) || (!begins_with(*rest, ' ') && !begins_with(*rest, ')')))
            return false;
    }
}

/* §4.2.1.1 */
static bool parse_item_or_inner_list(struct bytes *rest, struct structured_member *member)
{
    return begins_with(*rest, '(') ? parse_inner_list(rest, member) : parse_item(rest, member);
}

/* Between two members of a list or dictionary: a comma with something behind it, or the end. */
static bool parse_separator(struct bytes *rest)
{
    skip_blanks(rest);
    if (rest->size == 0)
        return true;
    if (!take(rest, ','))
        return false;
    skip_blanks(rest);
    return rest->size > 0;
}

/* §4.2.1, a step of it */
static bool parse_list_member(struct bytes *rest, struct structured_member *member)
{
    *member = (struct structured_member){0};
    return parse_item_or_inner_list(rest, member) && parse_separator(rest);
}

/* §4.2.2, a step of it */
static bool parse_dictionary_member(struct bytes *rest, struct structured_member *member)
{
    *member = (struct structured_member){.value = is_there};
    if (!parse_key(rest, &member->key))
        return false;
    if (take(rest, '=') ? !parse_item_or_inner_list(rest, member)
                        : !parse_parameters(rest, &member->parameters))
        return false;
    return parse_separator(rest);
}

/* ---- what others call ---------------------------------------------------------------------------- */

void structured_join(struct buffer *text, const struct http_fields *fields, struct bytes name)
{
    bool is_first = true;

    for (size_t i = 0; i < fields->count; i++) {
        if (!bytes_equal_nocase(fields->list[i].name, name))
            continue;
        if (!is_first)
            buffer_append_literal(text, ", ");
        buffer_append(text, fields->list[i].value);
        is_first = false;
    }
}

bool structured_is_list(struct bytes text)
{
    struct structured_member ignored;

    skip_spaces(&text);
    while (text.size > 0)
        if (!parse_list_member(&text, &ignored))
            return false;
    return true;
}

bool structured_is_dictionary(struct bytes text)
{
    struct structured_member ignored;

    skip_spaces(&text);
    while (text.size > 0)
        if (!parse_dictionary_member(&text, &ignored))
            return false;
    return true;
}

bool structured_is_item(struct bytes text, struct structured_member *item)
{
    *item = (struct structured_member){0};
    skip_spaces(&text);
    if (!parse_item(&text, item))
        return false;
    skip_spaces(&text);
    return text.size == 0;
}

/* Has `parse` take one member, or leaves the text as it is. */
static bool take_member(struct bytes *rest, struct structured_member *member,
                        bool (*parse)(struct bytes *rest, struct structured_member *member))
{
    struct bytes text = *rest;
    bool is_at_end;

    skip_spaces(&text);
    is_at_end = text.size == 0;
    if (!is_at_end && !parse(&text, member))
        return false;
    *rest = text;
    return !is_at_end;
}

bool structured_list_next(struct bytes *rest, struct structured_member *member)
{
    return take_member(rest, member, parse_list_member);
}

bool structured_dictionary_next(struct bytes *rest, struct structured_member *member)
{
    return take_member(rest, member, parse_dictionary_member);
}

bool structured_inner_next(struct bytes *rest, struct structured_member *item)
{
    *item = (struct structured_member){0};
    return take_member(rest, item, parse_item);
}

bool structured_parameter_next(struct bytes *rest, struct structured_member *parameter)
{
    return take_member(rest, parameter, parse_parameter);
}

bool structured_dictionary_find(struct bytes dictionary, struct bytes key, struct structured_member *member)
{
    struct structured_member candidate;
    bool is_found = false;

    while (structured_dictionary_next(&dictionary, &candidate)) {
        if (!bytes_equal(candidate.key, key))
            continue;
        *member = candidate;
        is_found = true;
    }
    return is_found;
}

void structured_append_string(struct buffer *out, struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '\\' && i + 1 < text.size)
            i++;
        buffer_append_byte(out, text.data[i]);
    }
}
