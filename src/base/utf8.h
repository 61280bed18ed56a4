/* utf8.h — UTF-8 (RFC 3629), a byte at a time. */
#pragma once
#include "base/bytes.h"
#include <stdbool.h>
#include <stdint.h>

/* Follows UTF-8 (RFC 3629 §4) byte by byte: how many bytes of the character are still to come, and where
 * the next must lie. A zeroed struct is the beginning of a character. */
struct utf8 {
    unsigned left;
    uint8_t low, high;
};

/* False if `byte` cannot come here. Text is whole characters once `left` is 0. */
static inline bool utf8_take(struct utf8 *utf8, uint8_t byte)
{
    if (utf8->left > 0) {
        bool is_good = byte >= utf8->low && byte <= utf8->high;
        *utf8 = (struct utf8){utf8->left - 1, 0x80, 0xbf};
        return is_good;
    }
    *utf8 = (struct utf8){byte < 0x80   ? 0
                          : byte < 0xe0 ? 1
                          : byte < 0xf0 ? 2
                                        : 3,
                          byte == 0xe0   ? 0xa0
                          : byte == 0xf0 ? 0x90
                                         : 0x80,
                          byte == 0xed   ? 0x9f
                          : byte == 0xf4 ? 0x8f
                                         : 0xbf};
    return byte < 0x80 || (byte >= 0xc2 && byte <= 0xf4);
}

/* True if `text` is whole characters. */
static inline bool utf8_is_whole(struct bytes text)
{
    struct utf8 utf8 = {0};

    for (size_t i = 0; i < text.size; i++)
        if (!utf8_take(&utf8, (uint8_t)text.data[i]))
            return false;
    return utf8.left == 0;
}
