/* permitted.c — address ranges and classes. */
#include "client/valkey/permitted.h"
#include <netinet/in.h>
#include <string.h>

struct class_row {
    uint8_t network[16];
    uint8_t bits;
    enum address_class class;
};

#define IPV4(a, b, c, d)                                                                                   \
    {                                                                                                      \
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d                                               \
    }

/* The first row that an address is in says its class; in none it is public. */
static const struct class_row rows[] = {
    {IPV4(169, 254, 0, 0), 96 + 16, ADDRESS_NEVER},   /* RFC 3927: link-local, metadata services */
    {IPV4(100, 100, 100, 200), 128, ADDRESS_NEVER},   /* a metadata service */
    {IPV4(168, 63, 129, 16), 128, ADDRESS_NEVER},     /* another */
    {IPV4(0, 0, 0, 0), 96 + 8, ADDRESS_NEVER},        /* RFC 1122: this host */
    {IPV4(224, 0, 0, 0), 96 + 3, ADDRESS_NEVER},      /* RFC 5771: multicast; reserved; broadcast */
    {IPV4(127, 0, 0, 0), 96 + 8, ADDRESS_LOOPBACK},   /* RFC 1122 */
    {IPV4(10, 0, 0, 0), 96 + 8, ADDRESS_PRIVATE},     /* RFC 1918 */
    {IPV4(172, 16, 0, 0), 96 + 12, ADDRESS_PRIVATE},  /* RFC 1918 */
    {IPV4(192, 168, 0, 0), 96 + 16, ADDRESS_PRIVATE}, /* RFC 1918 */
    {IPV4(100, 64, 0, 0), 96 + 10, ADDRESS_PRIVATE},  /* RFC 6598 */
    {IPV4(0, 0, 0, 0), 96, ADDRESS_PUBLIC},           /* all other IPv4 */
    {{[15] = 1}, 128, ADDRESS_LOOPBACK},              /* RFC 4291: ::1 */
    {{0}, 96, ADDRESS_NEVER},                         /* ::, and IPv4 in a form that is long gone */
    {{0xfe, 0x80}, 10, ADDRESS_NEVER},                /* RFC 4291: link-local */
    {{0xfe, 0xc0}, 10, ADDRESS_NEVER},                /* RFC 3879: site-local */
    {{0xff}, 8, ADDRESS_NEVER},                       /* RFC 4291: multicast */
    {{0xfd, 0, 0x0e, 0xc2}, 32, ADDRESS_NEVER},       /* a metadata service */
    {{0xfc}, 7, ADDRESS_PRIVATE},                     /* RFC 4193 */
};

static bool is_within(const uint8_t *address, const uint8_t *network, unsigned bits)
{
    unsigned bytes = bits / 8, left = bits % 8;

    if (memcmp(address, network, bytes) != 0)
        return false;
    return left == 0 || ((address[bytes] ^ network[bytes]) >> (8 - left)) == 0;
}

/* As IPv6; IPv4 as mapped in it, and so is what a translator (RFC 6052) would send to IPv4. */
static bool to_ipv6(const struct sockaddr *address, uint8_t *bytes)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t translated[12] = {0, 0x64, 0xff, 0x9b};

    if (address->sa_family == AF_INET) {
        memcpy(bytes, mapped, sizeof mapped);
        memcpy(bytes + 12, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
        return true;
    }
    if (address->sa_family != AF_INET6)
        return false;
    memcpy(bytes, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
    if (memcmp(bytes, translated, sizeof translated) == 0)
        memcpy(bytes, mapped, sizeof mapped);
    return true;
}

enum address_class address_class_of(const struct sockaddr *address)
{
    uint8_t bytes[16];

    if (!to_ipv6(address, bytes))
        return ADDRESS_NEVER;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (is_within(bytes, rows[i].network, rows[i].bits))
            return rows[i].class;
    return ADDRESS_PUBLIC;
}

bool valkey_permits(const struct valkey_options *options, unsigned classes, const struct sockaddr *address)
{
    uint8_t bytes[16];

    if (options->allowed_count == 0)
        return (address_class_of(address) & classes) != 0;
    if (!to_ipv6(address, bytes))
        return false;
    for (size_t i = 0; i < options->allowed_count; i++)
        if (is_within(bytes, options->allowed[i].network, options->allowed[i].bits))
            return true;
    return false;
}
