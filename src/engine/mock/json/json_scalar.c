#include "json_scalar.h"
#include "json_text.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct bytes unescape(struct bytes value, struct buffer *room)
{
    struct buffer message = {0};
    json_t *string;
    size_t begin = room->size;

    if (json_text_parse(value, &string, &message) == OK) { /* rare enough for a real parser */
        if (json_is_string(string))
            buffer_append(room, bytes_of(json_string_value(string), json_string_length(string)));
        json_decref(string);
    }
    buffer_fini(&message);
    return room->size > begin ? bytes_of(room->data + begin, room->size - begin) : bytes_of("", 0);
}

bool scalar_parse_number(struct bytes text, double *number)
{
    char digits[64], *end;

    text = bytes_trim(text);
    if (text.size == 0 || text.size >= sizeof digits)
        return false;
    for (size_t i = 0; i < text.size; i++) /* no "inf", "nan" or "0x" */
        if (strchr("+-.0123456789eE", text.data[i]) == NULL || text.data[i] == '\0')
            return false;
    memcpy(digits, text.data, text.size);
    digits[text.size] = '\0';
    *number = strtod(digits, &end);
    return end == digits + text.size && isfinite(*number);
}

struct scalar scalar_of(struct bytes value, struct buffer *room)
{
    struct scalar scalar = {.kind = SCALAR_NONE, .text = value};

    switch (value.size > 0 ? value.data[0] : '[') {
    case '"':
        scalar.kind = SCALAR_STRING;
        scalar.text = memchr(value.data, '\\', value.size) != NULL
                          ? unescape(value, room)
                          : bytes_of(value.data + 1, value.size >= 2 ? value.size - 2 : 0);
        break;
    case '[':
    case '{': break;
    case 't': scalar.kind = SCALAR_TRUE; break;
    case 'f': scalar.kind = SCALAR_FALSE; break;
    case 'n': scalar.kind = SCALAR_NULL; break;
    default: scalar.kind = scalar_parse_number(value, &scalar.number) ? SCALAR_NUMBER : SCALAR_NONE;
    }
    return scalar;
}

struct scalar scalar_string(struct bytes text)
{
    return (struct scalar){.kind = SCALAR_STRING, .text = text};
}

struct scalar scalar_coerce(struct bytes text)
{
    struct scalar scalar = scalar_string(text);

    if (bytes_equal(text, BYTES("true")))
        scalar.kind = SCALAR_TRUE;
    else if (bytes_equal(text, BYTES("false")))
        scalar.kind = SCALAR_FALSE;
    else if (bytes_equal(text, BYTES("null")))
        scalar.kind = SCALAR_NULL;
    else if (scalar_parse_number(text, &scalar.number))
        scalar.kind = SCALAR_NUMBER;
    return scalar;
}

/* What JavaScript's Number() makes of it; NaN if nothing. */
static double to_number(const struct scalar *scalar)
{
    double number = NAN;

    switch (scalar->kind) {
    case SCALAR_NUMBER: return scalar->number;
    case SCALAR_TRUE: return 1;
    case SCALAR_FALSE:
    case SCALAR_NULL: return 0;
    case SCALAR_STRING:
        if (bytes_trim(scalar->text).size == 0)
            return 0;
        return scalar_parse_number(scalar->text, &number) ? number : NAN;
    case SCALAR_NONE: return NAN;
    }
    UNREACHABLE();
}

bool scalar_compare(const struct scalar *a, const struct scalar *b, int *order)
{
    double x, y;

    if (a->kind == SCALAR_STRING && b->kind == SCALAR_STRING) {
        size_t size = a->text.size < b->text.size ? a->text.size : b->text.size;
        *order = size > 0 ? memcmp(a->text.data, b->text.data, size) : 0;
        if (*order == 0)
            *order = (a->text.size > b->text.size) - (a->text.size < b->text.size);
        return true;
    }
    x = to_number(a);
    y = to_number(b);
    if (isnan(x) || isnan(y))
        return false;
    *order = (x > y) - (x < y);
    return true;
}

void scalar_append_number(struct buffer *out, double number)
{
    char digits[40], *exponent;
    int precision, power;

    if (number == 0) {
        buffer_append_byte(out, '0');
        return;
    }
    if (fabs(number) < 1e15 && number == (double)(int64_t)number) {
        buffer_append_int64(out, (int64_t)number);
        return;
    }
    for (precision = 0; precision < 16; precision++) {
        snprintf(digits, sizeof digits, "%.*e", precision, number);
        if (strtod(digits, NULL) == number)
            break;
    }
    snprintf(digits, sizeof digits, "%.*e", precision, number);
    exponent = strchr(digits, 'e');
    power = atoi(exponent + 1);
    if (power >= 21 || power < -6) { /* ECMA-262, Number::toString */
        *exponent = '\0';
        buffer_append_format(out, "%se%c%d", digits, power < 0 ? '-' : '+', abs(power));
    } else if (precision >= power) {
        buffer_append_format(out, "%.*f", precision - power, number);
    } else { /* the digits that tell it from all others, and zeros */
        for (const char *digit = digits; digit < exponent; digit++)
            if (*digit != '.')
                buffer_append_byte(out, *digit);
        buffer_append_format(out, "%0*d", power - precision, 0);
    }
}

void scalar_append_canonical(struct buffer *out, struct bytes value)
{
    double number;
    bool is_number =
        value.size > 0 && (value.data[0] == '-' || (value.data[0] >= '0' && value.data[0] <= '9'));
    bool is_real = false;

    for (size_t i = 0; is_number && i < value.size; i++)
        is_real |= value.data[i] == '.' || value.data[i] == 'e' || value.data[i] == 'E';
    if (is_real && scalar_parse_number(value, &number))
        scalar_append_number(out, number);
    else
        buffer_append(out, bytes_equal(value, BYTES("-0")) ? BYTES("0") : value);
}
