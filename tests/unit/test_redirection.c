/* test_redirection.c — what servers say of where to ask.
 * links: nuthatch-valkey */
#include "base/compiler.h"
#include "client/valkey/redirection.h"
#include "test.h"

TEST(errors_that_say_where_or_when_to_ask_are_read_and_others_left)
{
    static const struct {
        const char *error;
        enum redirection_kind kind;
        uint16_t slot;
        const char *host;
        uint16_t port;
    } cases[] = {
        {"MOVED 3999 127.0.0.1:6381", REDIRECTION_MOVED, 3999, "127.0.0.1", 6381},
        {"ASK 16383 10.0.0.7:65535", REDIRECTION_ASK, 16383, "10.0.0.7", 65535},
        {"MOVED 0 :6380", REDIRECTION_MOVED, 0, "asked.example", 6380},
        {"MOVED 1 ::1:6380", REDIRECTION_MOVED, 1, "::1", 6380},
        {"MOVED 1 [2001:db8::7]:6380", REDIRECTION_MOVED, 1, "2001:db8::7", 6380},
        {"MOVED 1 fe80::1%eth0:6380", REDIRECTION_MOVED, 1, "fe80::1%eth0", 6380},
        {"MOVED 1 node-1.cache.example.com:6380", REDIRECTION_MOVED, 1, "node-1.cache.example.com", 6380},
        {"MOVED 1 ?:6380", REDIRECTION_MOVED, 1, "", 6380},
        {"MOVED 1 127.0.0.1:6380 and more", REDIRECTION_MOVED, 1, "127.0.0.1", 6380},
        {"MOVED 16384 127.0.0.1:6380", REDIRECTION_UNREADABLE, 0, "", 0},
        {"MOVED -1 127.0.0.1:6380", REDIRECTION_UNREADABLE, 0, "", 0},
        {"MOVED 99999999999999999999 127.0.0.1:6380", REDIRECTION_UNREADABLE, 0, "", 0},
        {"MOVED 1 127.0.0.1:0", REDIRECTION_UNREADABLE, 0, "", 0},
        {"MOVED 1 127.0.0.1:65536", REDIRECTION_UNREADABLE, 0, "", 0},
        {"MOVED 1 127.0.0.1:", REDIRECTION_UNREADABLE, 0, "", 0},
        {"MOVED 1 127.0.0.1", REDIRECTION_UNREADABLE, 0, "", 0},
        {"MOVED 1  127.0.0.1:6380", REDIRECTION_UNREADABLE, 0, "", 0},
        {"MOVED 1 a/b:6380", REDIRECTION_UNREADABLE, 0, "", 0},
        {"MOVED 1 a\r\nb:6380", REDIRECTION_UNREADABLE, 0, "", 0},
        {"MOVED 1 []:6380", REDIRECTION_UNREADABLE, 0, "", 0},
        {"MOVED 1", REDIRECTION_UNREADABLE, 0, "", 0},
        {"MOVED", REDIRECTION_UNREADABLE, 0, "", 0},
        {"ASK ", REDIRECTION_UNREADABLE, 0, "", 0},
        {"TRYAGAIN Multiple keys request during rehashing of slot", REDIRECTION_TRYAGAIN, 0, "", 0},
        {"CLUSTERDOWN Hash slot not served", REDIRECTION_CLUSTERDOWN, 0, "", 0},
        {"LOADING Redis is loading the dataset in memory", REDIRECTION_LOADING, 0, "", 0},
        {"MASTERDOWN Link with MASTER is down", REDIRECTION_MASTERDOWN, 0, "", 0},
        {"READONLY You can't write against a read only replica.", REDIRECTION_READONLY, 0, "", 0},
        {"ERR MOVED 1 127.0.0.1:6380", REDIRECTION_NONE, 0, "", 0},
        {"MOVEDX 1 127.0.0.1:6380", REDIRECTION_NONE, 0, "", 0},
        {"moved 1 127.0.0.1:6380", REDIRECTION_NONE, 0, "", 0},
        {"", REDIRECTION_NONE, 0, "", 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct redirection redirection = redirection_read(bytes_of_text(cases[i].error), "asked.example");
        if (redirection.kind != cases[i].kind || redirection.slot != cases[i].slot ||
            redirection.address.port != cases[i].port ||
            strcmp(redirection.address.host, cases[i].host) != 0)
            fail_msg("%s: %d, %u, \"%s\", %u", cases[i].error, redirection.kind, redirection.slot,
                     redirection.address.host, redirection.address.port);
    }
}

TEST(a_host_is_as_long_as_a_name_may_be)
{
    char text[VALKEY_HOST_BYTES_MAX + 2], host[VALKEY_HOST_BYTES_MAX + 1];

    memset(text, 'a', sizeof text);
    EXPECT(redirection_read_host(bytes_of(text, VALKEY_HOST_BYTES_MAX), host));
    EXPECT_EQ(strlen(host), VALKEY_HOST_BYTES_MAX);
    EXPECT(!redirection_read_host(bytes_of(text, VALKEY_HOST_BYTES_MAX + 1), host));
    EXPECT_EQ(host[0], '\0');
    EXPECT(!redirection_read_host(bytes_of("a\0b", 3), host));
}

RUN_TESTS(TEST_ROW(errors_that_say_where_or_when_to_ask_are_read_and_others_left),
          TEST_ROW(a_host_is_as_long_as_a_name_may_be))
