/* slot.c — from a key to its slot. */
#include "client/valkey/valkey.h"

/* CRC16 with the polynomial 0x1021 (XMODEM), four bits at a time. */
static uint16_t crc16(struct bytes bytes)
{
    static const uint16_t of_nibble[16] = {0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
                                           0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef};
    uint16_t crc = 0;

    for (size_t i = 0; i < bytes.size; i++) {
        unsigned char byte = (unsigned char)bytes.data[i];
        crc = (uint16_t)(crc << 4) ^ of_nibble[(crc >> 12) ^ (byte >> 4)];
        crc = (uint16_t)(crc << 4) ^ of_nibble[(crc >> 12) ^ (byte & 15)];
    }
    return crc;
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
