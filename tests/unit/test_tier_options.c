/* links: nuthatch-server */
#include "server/address_range.h"
#include "server/config_show.h"
#include "server/tier_url.h"
#include "test.h"
#include <stdlib.h>
#include <unistd.h>

TEST(a_url_of_the_tier_is_taken_apart)
{
    static const struct {
        const char *text, *user, *password, *seeds;
        bool has_tls;
    } cases[] = {
        {"valkey://10.0.0.1:7000", NULL, NULL, "10.0.0.1 7000 ", false},
        {"redis://a.example", NULL, NULL, "a.example 6379 ", false},
        {"redis://a,b:1,[::1],[fd00::2]:2/0", NULL, NULL, "a 6379 b 1 ::1 6379 fd00::2 2 ", false},
        {"valkeys://u:p@a:1/", "u", "p", "a 1 ", true},
        {"rediss://:p@a:65535", NULL, "p", "a 65535 ", true},
        {"redis://u@a", "u", NULL, "a 6379 ", false},
        {"redis://u%40x:p%3A%2f%25@a", "u@x", "p:/%", "a 6379 ", false},
        {"redis://u:a:b@c@d:1", "u", "a:b@c", "d 1 ", false},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buffer why = {0}, seeds = {0};
        struct tier_url url;

        EXPECT_EQ(tier_url_parse(bytes_of_text(cases[i].text), &url, &why), OK);
        for (size_t j = 0; j < url.seed_count; j++)
            buffer_append_format(&seeds, "%s %d ", url.seeds[j].host, url.seeds[j].port);
        EXPECT_TEXT(buffer_bytes(&seeds), bytes_of_text(cases[i].seeds));
        EXPECT_EQ(url.has_tls, cases[i].has_tls);
        EXPECT_EQ(url.user == NULL, cases[i].user == NULL);
        EXPECT_EQ(url.password == NULL, cases[i].password == NULL);
        if (url.user != NULL && cases[i].user != NULL)
            assert_string_equal(url.user, cases[i].user);
        if (url.password != NULL && cases[i].password != NULL)
            assert_string_equal(url.password, cases[i].password);
        tier_url_fini(&url);
        buffer_fini(&why);
        buffer_fini(&seeds);
    }
}

TEST(what_is_wrong_with_a_url_of_the_tier_is_said_without_its_password)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"a:1", "it begins with neither"},
        {"http://a:1", "it begins with neither"},
        {"redis://", "it names no host"},
        {"redis://u:secret@", "it names no host"},
        {"redis://u:secret@a:0", "\"a:0\" has no port from 1 to 65535"},
        {"redis://u:secret@a:65536", "\"a:65536\" has no port"},
        {"redis://a:", "\"a:\" has no port"},
        {"redis://a,,b", "\"\" is no name and no address"},
        {"redis://a b", "\"a b\" is no name"},
        {"redis://::1", "\"::1\" has several colons"},
        {"redis://[::1", "\"[::1\" has a [ without its ]"},
        {"redis://[::1]x", "\"[::1]x\" has a [ without its ]"},
        {"redis://[secret]:1", "\"[secret]:1\" is no IPv6 address"},
        {"redis://a/1", "the tier's database is 0"},
        {"redis://u:secret/x@a/1", "the tier's database is 0"},
        {"redis://a?x=1", "there is a ? or a #"},
        {"redis://u:secret%@a", "a % in the user or the password"},
        {"redis://u:secret%0@a", "a % in the user or the password"},
        {"redis://u:secret%00@a", "a % in the user or the password"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buffer why = {0};
        struct tier_url url;

        EXPECT_EQ(tier_url_parse(bytes_of_text(cases[i].text), &url, &why), ERR_SYNTAX);
        if (!bytes_start_with(buffer_bytes(&why), bytes_of_text(cases[i].said)))
            fail_msg("%s: %.*s", cases[i].text, BYTES_PRINTF(buffer_bytes(&why)));
        if (strstr(cases[i].text, ":secret") != NULL)
            EXPECT(memmem(why.data, why.size, "secret", 6) == NULL);
        buffer_fini(&why);
    }
}

TEST(a_url_of_the_tier_names_so_many_hosts_and_no_more)
{
    struct buffer text = {0}, why = {0};
    struct tier_url url;

    buffer_append_literal(&text, "redis://h");
    for (int i = 1; i < VALKEY_SEEDS_MAX; i++)
        buffer_append_literal(&text, ",h");
    EXPECT_EQ(tier_url_parse(buffer_bytes(&text), &url, &why), OK);
    EXPECT_EQ(url.seed_count, VALKEY_SEEDS_MAX);
    tier_url_fini(&url);
    buffer_append_literal(&text, ",h");
    EXPECT_EQ(tier_url_parse(buffer_bytes(&text), &url, &why), ERR_SYNTAX);
    buffer_fini(&text);
    buffer_fini(&why);
}

TEST(a_range_of_addresses_is_taken_apart_or_refused)
{
    static const struct {
        const char *text;
        int bits;         /* -1: refused */
        const char *said; /* a part of it */
        uint8_t network[16];
    } cases[] = {
        {"10.0.0.0/8", 104, NULL, {[10] = 0xff, [11] = 0xff, [12] = 10}},
        {"0.0.0.0/0", 96, NULL, {[10] = 0xff, [11] = 0xff}},
        {"192.0.2.7", 128, NULL, {[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = 7}},
        {"fd00::/8", 8, NULL, {[0] = 0xfd}},
        {"::/0", 0, NULL, {0}},
        {"10.0.0.1/8", -1, "write 10.0.0.0/8, or the address alone", {0}},
        {"fd00::1/8", -1, "write fd00::/8, or", {0}},
        {"10.0.0.0/33", -1, "0 to 32", {0}},
        {"fd00::/129", -1, "0 to 128", {0}},
        {"10.0.0.0/", -1, "0 to 32", {0}},
        {"10.0.0/8", -1, "is no range", {0}},
        {"", -1, "is no range", {0}},
        {"localhost", -1, "is no range", {0}},
        {"1111:2222:3333:4444:5555:6666:7777:8888:9999:0000/1", -1, "is no range", {0}},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct valkey_range range = {.bits = 77};
        struct buffer why = {0};

        EXPECT_EQ(address_range_parse(bytes_of_text(cases[i].text), &range, &why), cases[i].bits >= 0);
        if (cases[i].bits >= 0) {
            EXPECT_EQ(range.bits, cases[i].bits);
            assert_memory_equal(range.network, cases[i].network, 16);
        } else {
            EXPECT_EQ(range.bits, 77);
            EXPECT(memmem(why.data, why.size, cases[i].said, strlen(cases[i].said)) != NULL);
        }
        buffer_fini(&why);
    }
}

/* ---- the command line ---------------------------------------------------------------------------- */

static enum err parse(struct options *options, char *url, const char *flag, const char *value,
                      struct buffer *message)
{
    char *words[] = {(char[]){"nuthatch"},    (char[]){"cache"},       (char[]){"--tier"}, url,
                     (char *)(uintptr_t)flag, (char *)(uintptr_t)value};

    options_init(options);
    buffer_clear(message);
    return options_parse_arguments(options, flag == NULL ? 4 : value == NULL ? 5 : 6, words, message);
}

TEST(the_password_in_a_url_of_the_tier_is_wiped_off_the_command_line)
{
    char url[] = "redis://user:secret@host:1";
    struct options options;
    struct buffer message = {0};

    EXPECT_EQ(parse(&options, url, NULL, NULL, &message), OK);
    assert_string_equal(url, "redis://user:******@host:1");
    assert_string_equal(options.tier_url, "redis://user:secret@host:1");
    options_fini(&options);
    buffer_fini(&message);
}

TEST(options_of_the_tier_that_do_not_go_together_are_refused)
{
    static const struct {
        const char *url, *flag, *value, *said;
    } cases[] = {
        {"redis://u:p@a", "--tier-user", "v", "tier names a user too"},
        {"redis://u:p@a", "--tier-password-file", "f", "tier has a password in it too"},
        {"redis://a", "--tier-ca", "f", "write valkeys:// or rediss://"},
        {"rediss://a", "--tier-cert", "f", "tier-cert and tier-key go together"},
        {"redis://a", "--null-ttl", "2s", "null-ttl is more than max-staleness"},
        {"redis://a", "--max-staleness", "49ms", "out of range"},
        {"redis://a", "--tier-resp", "4", "write auto|2|3"},
        {"redis://a", "--tier-allow", "10.1.0.0/8", "write 10.0.0.0/8"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char url[64];
        struct options options;
        struct buffer message = {0};

        snprintf(url, sizeof url, "%s", cases[i].url);
        EXPECT_EQ(parse(&options, url, cases[i].flag, cases[i].value, &message), ERR_SYNTAX);
        if (memmem(message.data, message.size, cases[i].said, strlen(cases[i].said)) == NULL)
            fail_msg("%s: %.*s", cases[i].flag, BYTES_PRINTF(buffer_bytes(&message)));
        options_fini(&options);
        buffer_fini(&message);
    }
}

/* ---- the file ------------------------------------------------------------------------------------ */

static enum err read_yaml(struct options *options, const char *text, struct buffer *message)
{
    options_init(options);
    buffer_clear(message);
    return options_read_yaml(options, "f", bytes_of_text(text), message);
}

TEST(a_file_names_the_tier_alone_or_with_its_options)
{
    struct options options;
    struct buffer message = {0};

    EXPECT_EQ(read_yaml(&options, "cache:\ntier: redis://a:1,b:2\n", &message), OK);
    assert_string_equal(options.tier_url, "redis://a:1,b:2");
    EXPECT_EQ(options.tier_staleness_ms_max, 1000);
    options_fini(&options);
    EXPECT_EQ(read_yaml(&options,
                        "cache:\ntier:\n  servers: rediss://a:1\n  max-staleness: 200ms\n  user: u\n"
                        "  resp: 2\n  allow: [10.0.0.0/8, '::1']\n  replicas: yes\n  in-flight: 100\n",
                        &message),
              OK);
    assert_string_equal(options.tier_url, "rediss://a:1");
    EXPECT_EQ(options.tier_staleness_ms_max, 200);
    assert_string_equal(options.tier_user, "u");
    EXPECT_EQ(options.tier_resp, VALKEY_RESP_2);
    EXPECT_EQ(options.tier_allowed.count, 2);
    EXPECT_EQ(options.tier_reads_from_replicas, ANSWER_YES);
    EXPECT_EQ(options.tier_in_flight_max, 100);
    options_fini(&options);
    buffer_fini(&message);
}

TEST(what_is_wrong_with_the_tier_in_a_file_is_said_with_its_place)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"cache:\ntier: a\n", "f:2:7: tier: it begins with neither"},
        {"cache:\ntier:\n", "f:2:6: tier has no value"},
        {"cache:\ntier: [redis://a]\n", "f:2:7: tier is where its hosts are"},
        {"cache:\ntier: {resp: 2}\n", "f:2:7: tier has no `servers`"},
        {"cache:\ntier:\n  servers: redis://a\n  usr: u\n", "f:4:3: unknown key usr; did you mean user?"},
        {"cache:\ntier:\n  servers: redis://a\n  tier-user: u\n", "f:4:3: tier-user is called user here"},
        {"cache:\ntier:\n  servers: redis://a\n  memory: 1G\n", "f:4:3: memory belongs at the top"},
        {"cache:\ntier:\n  servers: redis://a\n  resp: 2\n  resp: 3\n", "f:5:3: resp is there twice"},
        {"cache:\ntier:\n  servers: redis://a\n  resp: 5\n", "f:4:9: resp: \"5\" is not one of"},
        {"cache:\ntier:\n  servers: redis://a\n  timeout:\n",
         "f:4:11: timeout has no value; write timeout: TIME"},
        {"cache:\ntier: redis://a\ntier: redis://b\n", "f:3:1: tier is there twice"},
        {"cache:\nmax-staleness: 1s\n", "f:2:1: max-staleness belongs under tier, as max-staleness"},
        {"cache:\ntier-user: u\n", "f:2:1: tier-user belongs under tier, as user"},
        {"cache:\n  tier-user: u\n", "f:2:3: tier-user belongs under tier, as user"},
        {"mock:\n  data: db.json\ntier: redis://a\n", "f:3:7: tier is for caches and gateways"},
        {"cache:\ntier:\n  servers: redis://a\n  null-ttl: 2s\n",
         "f:4:13: null-ttl is more than max-staleness"},
        {"cache:\nteir: redis://a\n", "f:2:1: unknown key teir; did you mean tier?"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct options options;
        struct buffer message = {0};

        EXPECT_EQ(read_yaml(&options, cases[i].text, &message), ERR_SYNTAX);
        if (!bytes_start_with(buffer_bytes(&message), bytes_of_text(cases[i].said)))
            fail_msg("%s: %.*s", cases[i].text, BYTES_PRINTF(buffer_bytes(&message)));
        options_fini(&options);
        buffer_fini(&message);
    }
}

TEST(what_is_shown_of_the_tier_can_be_read_again_and_has_no_password)
{
    struct buffer message = {0}, shown = {0};
    struct config_shown config;
    struct options options;

    EXPECT_EQ(read_yaml(&options, "cache:\ntier: {servers: 'redis://u:secret@a:1', resp: 3}\n", &message),
              OK);
    EXPECT_EQ(config_shown_init(&config, &options), OK);
    EXPECT_EQ(config_shown_append(&config, &shown), OK);
    buffer_append_byte(&shown, '\0');
    EXPECT(strstr(shown.data, "secret") == NULL);
    EXPECT(strstr(shown.data, "\"redis://u:***@a:1\"") != NULL);
    config_shown_fini(&config);
    options_fini(&options);
    EXPECT_EQ(read_yaml(&options, shown.data, &message), OK);
    EXPECT_EQ(options.tier_resp, VALKEY_RESP_3);
    options_fini(&options);
    buffer_fini(&shown);
    buffer_fini(&message);
}

RUN_TESTS(TEST_ROW(a_url_of_the_tier_is_taken_apart),
          TEST_ROW(what_is_wrong_with_a_url_of_the_tier_is_said_without_its_password),
          TEST_ROW(a_url_of_the_tier_names_so_many_hosts_and_no_more),
          TEST_ROW(a_range_of_addresses_is_taken_apart_or_refused),
          TEST_ROW(the_password_in_a_url_of_the_tier_is_wiped_off_the_command_line),
          TEST_ROW(options_of_the_tier_that_do_not_go_together_are_refused),
          TEST_ROW(a_file_names_the_tier_alone_or_with_its_options),
          TEST_ROW(what_is_wrong_with_the_tier_in_a_file_is_said_with_its_place),
          TEST_ROW(what_is_shown_of_the_tier_can_be_read_again_and_has_no_password))
