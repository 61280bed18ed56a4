/* slot.c — from a key to its slot. */
#include "client/valkey/valkey.h"

/* CRC16 with the polynomial 0x1021 (XMODEM), up to eight bytes at a time. A remainder is the sum of those
 * of its bits: so each half of a byte is looked up by itself, in the row for how far it is from the end,
 * and no look has to wait for another. */
#define ROW(a, b, c, d)                                                                                    \
    {                                                                                                      \
        0, a, b, a ^ b, c, c ^ a, c ^ b, c ^ a ^ b, d, d ^ a, d ^ b, d ^ a ^ b, d ^ c, d ^ c ^ a,          \
            d ^ c ^ b, d ^ c ^ a ^ b                                                                       \
    }
static const uint16_t of_half[16][16] = {
    ROW(0x1021, 0x2042, 0x4084, 0x8108), ROW(0x1231, 0x2462, 0x48c4, 0x9188),
    ROW(0x3331, 0x6662, 0xccc4, 0x89a9), ROW(0x0373, 0x06e6, 0x0dcc, 0x1b98),
    ROW(0x3730, 0x6e60, 0xdcc0, 0xa9a1), ROW(0x4363, 0x86c6, 0x1dad, 0x3b5a),
    ROW(0x76b4, 0xed68, 0xcaf1, 0x85c3), ROW(0x1ba7, 0x374e, 0x6e9c, 0xdd38),
    ROW(0xaa51, 0x4483, 0x8906, 0x022d), ROW(0x045a, 0x08b4, 0x1168, 0x22d0),
    ROW(0x45a0, 0x8b40, 0x06a1, 0x0d42), ROW(0x1a84, 0x3508, 0x6a10, 0xd420),
    ROW(0xb861, 0x60e3, 0xc1c6, 0x93ad), ROW(0x377b, 0x6ef6, 0xddec, 0xabf9),
    ROW(0x47d3, 0x8fa6, 0x0f6d, 0x1eda), ROW(0x3db4, 0x7b68, 0xf6d0, 0xfd81),
};
#undef ROW

/* `crc` with the next one to eight bytes. */
static inline uint16_t crc_on(uint16_t crc, const unsigned char *bytes, size_t count)
{
    uint64_t word = 0;

    for (size_t i = 0; i < count; i++)
        word = word << 8 | bytes[i];
    word ^= count == 1 ? crc >> 8 : (uint64_t)crc << 8 * (count - 2);
    crc = count == 1 ? (uint16_t)(crc << 8) : 0;
    for (size_t i = 0; i < 2 * count; i++)
        crc ^= of_half[i][word >> 4 * i & 15];
    return crc;
}

static uint16_t crc16(struct bytes bytes)
{
    const unsigned char *at = (const unsigned char *)bytes.data;
    size_t left = bytes.size;
    uint16_t crc = 0;

    for (; left >= 8; left -= 8, at += 8)
        crc = crc_on(crc, at, 8);
    return left > 0 ? crc_on(crc, at, left) : crc;
}

uint16_t valkey_slot(struct bytes key)
{
    const char *open = key.size > 0 ? memchr(key.data, '{', key.size) : NULL;
    struct bytes tag;
    const char *close;

    if (open == NULL)
        return crc16(key) % VALKEY_SLOT_COUNT;
    tag = bytes_after(key, (size_t)(open + 1 - key.data));
    close = tag.size > 0 ? memchr(tag.data, '}', tag.size) : NULL;
    if (close != NULL && close > tag.data)
        key = bytes_of(tag.data, (size_t)(close - tag.data));
    return crc16(key) % VALKEY_SLOT_COUNT;
}

/* The remainder that `crc` was before two bytes of zeros. */
static uint16_t crc_back(uint16_t crc)
{
    for (int i = 0; i < 16; i++)
        crc = crc & 1 ? (uint16_t)((crc ^ 0x1021) >> 1 | 0x8000) : crc >> 1;
    return crc;
}

static bool is_letter_or_digit(unsigned char byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

void valkey_slot_tag(uint16_t slot, char tag[VALKEY_TAG_BYTES])
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";

    /* Behind any two bytes there is one pair that gives the remainder wanted: of 2,704 attempts at most,
     * four remainders for a slot, some give a pair that can be read (all slots are tested). */
    for (unsigned i = 0; i < 26 * 26 * 4; i++) {
        uint16_t pair;
        tag[0] = letters[i % 26];
        tag[1] = letters[i / 26 % 26];
        pair = crc16(bytes_of(tag, 2)) ^ crc_back((uint16_t)(slot + i / (26 * 26) * VALKEY_SLOT_COUNT));
        tag[2] = (char)(pair >> 8);
        tag[3] = (char)(pair & 0xff);
        if (is_letter_or_digit((unsigned char)tag[2]) && is_letter_or_digit((unsigned char)tag[3]))
            return;
    }
}
