#include "base/number.h"

static size_t digit_count(uint64_t value)
{
    size_t count = 1;

    for (; value >= 10000; value /= 10000)
        count += 4;
    return count + (value >= 10) + (value >= 100) + (value >= 1000);
}

size_t uint64_format(char *text, uint64_t value)
{
    static const char pairs[] =
        "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
        "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
        "8081828384858687888990919293949596979899";
    size_t size = digit_count(value);
    char *at = text + size;

    for (; value >= 100; value /= 100)
        at = memcpy(at - 2, pairs + value % 100 * 2, 2);
    if (value >= 10)
        memcpy(at - 2, pairs + value * 2, 2);
    else
        at[-1] = (char)('0' + value);
    return size;
}

size_t int64_format(char *text, int64_t value)
{
    if (value >= 0)
        return uint64_format(text, (uint64_t)value);
    text[0] = '-';
    return 1 + uint64_format(text + 1, 0 - (uint64_t)value);
}

bool digits_parse(struct bytes text, uint64_t highest, uint64_t *value)
{
    uint64_t sum = 0;

    if (text.size == 0)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)(unsigned char)text.data[i] - '0';
        if (digit > 9 || sum > (UINT64_MAX - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    if (sum > highest)
        return false;
    *value = sum;
    return true;
}

bool uint64_parse(struct bytes text, uint64_t *value)
{
    if (text.size > 1 && text.data[0] == '0')
        return false;
    return digits_parse(text, UINT64_MAX, value);
}

bool int64_parse(struct bytes text, int64_t *value)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    uint64_t magnitude;

    if (!uint64_parse(negative ? bytes_after(text, 1) : text, &magnitude))
        return false;
    if (magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0) || (negative && magnitude == 0))
        return false;
    *value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

bool thousandths_parse(struct bytes text, uint64_t highest, uint64_t *thousandths)
{
    const char *point = text.size > 0 ? memchr(text.data, '.', text.size) : NULL;
    struct bytes whole = point != NULL ? bytes_first(text, (size_t)(point - text.data)) : text;
    struct bytes decimals = bytes_after(text, point != NULL ? whole.size + 1 : whole.size);
    uint64_t sum, fraction = 0;

    if (!digits_parse(whole, UINT64_MAX / 1000 - 1, &sum) || decimals.size > 3 ||
        (point != NULL && !digits_parse(decimals, 999, &fraction)))
        return false;
    for (size_t i = decimals.size; i < 3; i++)
        fraction *= 10;
    sum = sum * 1000 + fraction;
    if (sum > highest)
        return false;
    *thousandths = sum;
    return true;
}
