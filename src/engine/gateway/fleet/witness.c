#include "witness.h"
#include "message/http_syntax.h"

void witness_write(struct buffer *text, const struct witness *witness)
{
    char kind = 0;

    switch (witness->kind) {
    case WITNESS_NONE: return;
    case WITNESS_NOT_SHAREABLE: buffer_append_byte(text, 'n'); return;
    case WITNESS_ANSWER: kind = 'r'; break;
    case WITNESS_VARIANTS: kind = 'v'; break;
    }
    buffer_append_format(text, "%c%016llx%c", kind, (unsigned long long)witness->number,
                         witness->is_soft ? 's' : '-');
    buffer_append(text, witness->names);
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_number(struct bytes digits, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < digits.size; i++) {
        int digit = digit_of(digits.data[i]);
        if (digit < 0)
            return false;
        *number = *number << 4 | (unsigned)digit;
    }
    return *number != 0;
}

/* Each in lower case and with a '\n' behind it. */
static bool are_names(struct bytes names)
{
    bool is_inside = false;

    for (size_t i = 0; i < names.size; i++) {
        char c = names.data[i];
        if (c == '\n' ? !is_inside : !http_byte_is(c, HTTP_BYTE_TOKEN) || byte_to_lower(c) != c)
            return false;
        is_inside = c != '\n';
    }
    return names.size > 0 && names.size <= WITNESS_NAMES_MAX && !is_inside;
}

bool witness_read(struct witness *witness, struct bytes text)
{
    enum { NUMBER_AT = 1, SOFT_AT = 17, NAMES_AT = 18 };
    bool has_names;

    *witness = (struct witness){0};
    if (bytes_equal(text, BYTES("n"))) {
        witness->kind = WITNESS_NOT_SHAREABLE;
        return true;
    }
    if (text.size < NAMES_AT || (text.data[0] != 'r' && text.data[0] != 'v') ||
        (text.data[SOFT_AT] != '-' && text.data[SOFT_AT] != 's') ||
        !read_number(bytes_of(text.data + NUMBER_AT, SOFT_AT - NUMBER_AT), &witness->number))
        return false;
    witness->is_soft = text.data[SOFT_AT] == 's';
    witness->names = bytes_after(text, NAMES_AT);
    has_names = text.data[0] == 'v';
    witness->kind = has_names ? WITNESS_VARIANTS : WITNESS_ANSWER;
    return has_names ? are_names(witness->names) : witness->names.size == 0;
}
