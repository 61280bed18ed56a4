/* percent.h — percent-encoding of URIs, RFC 3986 §2.1. */
#pragma once
#include "base/bytes.h"

static inline int percent_digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = byte_to_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Takes the byte that `text` says at `*at`, which is below its size, and moves `*at` behind it. False, with
 * nothing moved, for a '%' without two hexadecimal digits. */
static inline bool percent_take(struct bytes text, size_t *at, char *byte)
{
    int high, low;

    *byte = text.data[*at];
    if (*byte != '%') {
        *at += 1;
        return true;
    }
    if (text.size - *at < 3)
        return false;
    high = percent_digit_value(text.data[*at + 1]);
    low = percent_digit_value(text.data[*at + 2]);
    if (high < 0 || low < 0)
        return false;
    *byte = (char)(high << 4 | low);
    *at += 3;
    return true;
}
