#include "server/address_range.h"
#include "base/number.h"
#include "server/shown_text.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum { MAPPED_BITS = 96 }; /* before an IPv4 address in IPv6 (RFC 4291 §2.5.5.2) */

/* Into 16 bytes; `first_bit`: where what was written begins in them. */
static bool parse_address(struct bytes text, uint8_t address[16], unsigned *first_bit)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    char terminated[INET6_ADDRSTRLEN];

    if (text.size >= sizeof terminated)
        return false;
    memcpy(terminated, text.data, text.size);
    terminated[text.size] = '\0';
    memcpy(address, mapped, sizeof mapped);
    *first_bit = MAPPED_BITS;
    if (inet_pton(AF_INET, terminated, address + 12) == 1)
        return true;
    *first_bit = 0;
    return inet_pton(AF_INET6, terminated, address) == 1;
}

/* Clears what is behind the bits of the network; true if something was there. */
static bool cut(struct valkey_range *range)
{
    bool was_there = false;

    for (unsigned bit = range->bits; bit < 128; bit++) {
        uint8_t mask = (uint8_t)(0x80 >> bit % 8);
        was_there |= (range->network[bit / 8] & mask) != 0;
        range->network[bit / 8] &= (uint8_t)~mask;
    }
    return was_there;
}

static void append_network(struct buffer *out, const struct valkey_range *range, unsigned first_bit)
{
    char text[INET6_ADDRSTRLEN];

    inet_ntop(first_bit == 0 ? AF_INET6 : AF_INET, range->network + first_bit / 8, text, sizeof text);
    buffer_append_format(out, "%s/%u", text, range->bits - first_bit);
}

bool address_range_parse(struct bytes text, struct valkey_range *range, struct buffer *why)
{
    const char *slash = text.size > 0 ? memchr(text.data, '/', text.size) : NULL;
    size_t size = slash != NULL ? (size_t)(slash - text.data) : text.size;
    struct valkey_range read = {.bits = 128};
    unsigned first_bit;
    uint64_t bits;

    if (!parse_address(bytes_first(text, size), read.network, &first_bit)) {
        buffer_append_format(why, "\"%s\" is no range of addresses; write one like 10.0.0.0/8 or fd00::/8",
                             shown_text(text).text);
        return false;
    }
    if (slash != NULL) {
        if (!uint64_parse(bytes_after(text, size + 1), &bits) || bits > 128 - first_bit) {
            buffer_append_format(why, "\"%s\" has no number of bits from 0 to %u behind its /",
                                 shown_text(text).text, 128 - first_bit);
            return false;
        }
        read.bits = (uint8_t)(first_bit + bits);
    }
    if (cut(&read)) {
        buffer_append_format(why, "\"%s\" is an address inside of its range; write ",
                             shown_text(text).text);
        append_network(why, &read, first_bit);
        buffer_append_literal(why, ", or the address alone");
        return false;
    }
    *range = read;
    return true;
}
