/* test_permitted.c — which addresses a server of the tier may name.
 * links: nuthatch-valkey */
#include "base/compiler.h"
#include "client/valkey/permitted.h"
#include "test.h"
#include <arpa/inet.h>
#include <netinet/in.h>

static struct sockaddr_storage address_of(const char *text)
{
    struct sockaddr_storage storage = {.ss_family = AF_INET};

    if (inet_pton(AF_INET, text, &((struct sockaddr_in *)&storage)->sin_addr) == 1)
        return storage;
    storage.ss_family = AF_INET6;
    EXPECT_EQ(inet_pton(AF_INET6, text, &((struct sockaddr_in6 *)&storage)->sin6_addr), 1);
    return storage;
}

TEST(every_address_has_a_class_and_metadata_services_have_none)
{
    static const struct {
        const char *address;
        enum address_class class;
    } cases[] = {
        {"127.0.0.1", ADDRESS_LOOPBACK},
        {"127.255.255.254", ADDRESS_LOOPBACK},
        {"::1", ADDRESS_LOOPBACK},
        {"::ffff:127.0.0.1", ADDRESS_LOOPBACK},
        {"10.0.0.1", ADDRESS_PRIVATE},
        {"172.15.255.255", ADDRESS_PUBLIC},
        {"172.16.0.1", ADDRESS_PRIVATE},
        {"172.31.255.255", ADDRESS_PRIVATE},
        {"172.32.0.0", ADDRESS_PUBLIC},
        {"192.168.1.1", ADDRESS_PRIVATE},
        {"192.169.1.1", ADDRESS_PUBLIC},
        {"100.64.0.1", ADDRESS_PRIVATE},
        {"100.128.0.1", ADDRESS_PUBLIC},
        {"fc00::1", ADDRESS_PRIVATE},
        {"fdff::1", ADDRESS_PRIVATE},
        {"8.8.8.8", ADDRESS_PUBLIC},
        {"2001:4860::8", ADDRESS_PUBLIC},
        {"169.254.169.254", ADDRESS_NEVER},
        {"169.254.0.1", ADDRESS_NEVER},
        {"::ffff:169.254.169.254", ADDRESS_NEVER},
        {"64:ff9b::169.254.169.254", ADDRESS_NEVER},
        {"64:ff9b::10.0.0.1", ADDRESS_PRIVATE},
        {"::169.254.169.254", ADDRESS_NEVER},
        {"100.100.100.200", ADDRESS_NEVER},
        {"168.63.129.16", ADDRESS_NEVER},
        {"fd00:ec2::254", ADDRESS_NEVER},
        {"fe80::1", ADDRESS_NEVER},
        {"febf::1", ADDRESS_NEVER},
        {"0.0.0.0", ADDRESS_NEVER},
        {"0.1.2.3", ADDRESS_NEVER},
        {"::", ADDRESS_NEVER},
        {"224.0.0.1", ADDRESS_NEVER},
        {"255.255.255.255", ADDRESS_NEVER},
        {"ff02::1", ADDRESS_NEVER},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct sockaddr_storage address = address_of(cases[i].address);
        if (address_class_of((struct sockaddr *)&address) != cases[i].class)
            fail_msg("%s", cases[i].address);
    }
}

static bool permits(const struct valkey_options *options, unsigned classes, const char *text)
{
    struct sockaddr_storage address = address_of(text);
    return valkey_permits(options, classes, (struct sockaddr *)&address);
}

TEST(without_ranges_what_the_seeds_are_is_permitted)
{
    static const struct valkey_options options = {.allowed_count = 0};

    EXPECT(permits(&options, ADDRESS_LOOPBACK, "127.0.0.1"));
    EXPECT(!permits(&options, ADDRESS_LOOPBACK, "10.0.0.1"));
    EXPECT(permits(&options, ADDRESS_LOOPBACK | ADDRESS_PRIVATE, "10.0.0.1"));
    EXPECT(!permits(&options, ADDRESS_PUBLIC, "127.0.0.1"));
    EXPECT(!permits(&options, 0, "8.8.8.8"));
    EXPECT(!permits(&options, ADDRESS_LOOPBACK | ADDRESS_PRIVATE | ADDRESS_PUBLIC, "169.254.169.254"));
}

TEST(ranges_say_all_that_is_permitted)
{
    struct valkey_options options = {
        .allowed = {{{[10] = 0xff, [11] = 0xff, [12] = 10, [13] = 1}, 96 + 15}, {{0xfd, 7}, 16}},
        .allowed_count = 2};

    EXPECT(permits(&options, 0, "10.0.255.255"));
    EXPECT(permits(&options, 0, "10.1.0.0"));
    EXPECT(!permits(&options, 0, "10.2.0.0"));
    EXPECT(permits(&options, 0, "::ffff:10.1.2.3"));
    EXPECT(permits(&options, 0, "fd07::9"));
    EXPECT(!permits(&options, 0, "fd08::9"));
    EXPECT(!permits(&options, ADDRESS_LOOPBACK, "127.0.0.1"));
    options = (struct valkey_options){.allowed = {{.bits = 0}}, .allowed_count = 1};
    EXPECT(permits(&options, 0, "169.254.169.254")); /* who says all means all */
}

RUN_TESTS(TEST_ROW(every_address_has_a_class_and_metadata_services_have_none),
          TEST_ROW(without_ranges_what_the_seeds_are_is_permitted),
          TEST_ROW(ranges_say_all_that_is_permitted))
