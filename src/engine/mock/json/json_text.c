#include "json_text.h"
#include <stdio.h>
#include <stdlib.h>

enum err json_text_parse(struct bytes text, json_t **value, struct buffer *message)
{
    json_error_t error;
    json_t *parsed = json_loadb(text.size > 0 ? text.data : "", text.size,
                                JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);

    if (parsed == NULL) {
        if (json_error_code(&error) == json_error_out_of_memory)
            return ERR_NO_MEMORY;
        buffer_append_format(message, "line %d, column %d: ", error.line, error.column);
        for (const char *c = error.text; *c != '\0'; c++) /* it quotes the input: whatever that held */
            buffer_append_byte(message, *c >= ' ' && *c <= '~' ? *c : '?');
        return message->failed ? ERR_NO_MEMORY : ERR_SYNTAX;
    }
    *value = parsed;
    return OK;
}

void json_text_append_string(struct buffer *text, struct bytes string)
{
    size_t done = 0;

    buffer_append_byte(text, '"');
    for (size_t i = 0; i < string.size; i++) {
        unsigned char c = (unsigned char)string.data[i];
        if (c >= ' ' && c != '"' && c != '\\')
            continue;
        buffer_append(text, bytes_of(string.data + done, i - done));
        done = i + 1;
        switch (c) {
        case '"': buffer_append_literal(text, "\\\""); break;
        case '\\': buffer_append_literal(text, "\\\\"); break;
        case '\b': buffer_append_literal(text, "\\b"); break;
        case '\f': buffer_append_literal(text, "\\f"); break;
        case '\n': buffer_append_literal(text, "\\n"); break;
        case '\r': buffer_append_literal(text, "\\r"); break;
        case '\t': buffer_append_literal(text, "\\t"); break;
        default: buffer_append_format(text, "\\u%04x", c);
        }
    }
    buffer_append(text, bytes_after(string, done));
    buffer_append_byte(text, '"');
}

static void append_real(struct buffer *text, double real)
{
    char digits[32];

    for (int precision = 15; precision <= 17; precision++) { /* 17 significant digits always suffice */
        snprintf(digits, sizeof digits, "%.*g", precision, real);
        if (strtod(digits, NULL) == real)
            break;
    }
    buffer_append(text, bytes_of_text(digits));
    if (strpbrk(digits, ".e") == NULL)
        buffer_append_literal(text, ".0");
}

static void append_object(struct buffer *text, const json_t *object)
{
    /* jansson's iterators take a pointer to non-const, but only read. */
    json_t *members = (json_t *)object;
    const char *name;
    json_t *member;
    bool first = true;

    buffer_append_byte(text, '{');
    json_object_foreach(members, name, member)
    {
        if (!first)
            buffer_append_byte(text, ',');
        first = false;
        json_text_append_string(text, bytes_of_text(name));
        buffer_append_byte(text, ':');
        json_text_append(text, member);
    }
    buffer_append_byte(text, '}');
}

static void append_array(struct buffer *text, const json_t *array)
{
    buffer_append_byte(text, '[');
    for (size_t i = 0; i < json_array_size(array); i++) {
        if (i > 0)
            buffer_append_byte(text, ',');
        json_text_append(text, json_array_get(array, i));
    }
    buffer_append_byte(text, ']');
}

void json_text_append(struct buffer *text, const json_t *value)
{
    switch (json_typeof(value)) { /* recursion ends at the parser's bound on nesting */
    case JSON_OBJECT: append_object(text, value); return;
    case JSON_ARRAY: append_array(text, value); return;
    case JSON_STRING:
        json_text_append_string(text, bytes_of(json_string_value(value), json_string_length(value)));
        return;
    case JSON_INTEGER: buffer_append_int64(text, json_integer_value(value)); return;
    case JSON_REAL: append_real(text, json_real_value(value)); return;
    case JSON_TRUE: buffer_append_literal(text, "true"); return;
    case JSON_FALSE: buffer_append_literal(text, "false"); return;
    case JSON_NULL: buffer_append_literal(text, "null"); return;
    }
    UNREACHABLE();
}
