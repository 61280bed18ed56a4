/* links: nuthatch-server */
#include "server/nearest.h"
#include "server/options.h"
#include "test.h"

enum { ARGUMENTS_MAX = 20 };

/* Parses "gateway http://x --threads 2" as a shell would split it. */
static enum err parse(struct options *options, const char *line, struct buffer *message)
{
    char copy[512], *arguments[ARGUMENTS_MAX + 1] = {(char[]){"nuthatch"}}, *rest = copy;
    int count = 1;

    snprintf(copy, sizeof copy, "%s", line);
    for (char *word; count < ARGUMENTS_MAX && (word = strsep(&rest, " ")) != NULL;)
        arguments[count++] = word;
    options_init(options);
    buffer_clear(message);
    return options_parse_arguments(options, count, arguments, message);
}

#define EXPECT_PARSED(options, line, message)                                                              \
    do {                                                                                                   \
        if (parse(options, line, message) != OK)                                                           \
            fail_msg("%s: %.*s", line, BYTES_PRINTF(buffer_bytes(message)));                               \
    } while (0)

TEST(every_default_lies_in_its_own_range_and_reads_back_as_it_is_written)
{
    for (size_t i = 0; i < option_row_count(); i++) {
        const struct option_row *row = option_row(i);
        struct buffer text = {0}, why = {0};
        union {
            struct options server;
            struct role_options role;
        } target = {0};
        if (!option_has_default(row))
            continue;
        option_append_value(&text, row, row->fallback);
        if (option_set(row, &target, buffer_bytes(&text), (struct place){0}, &why) != OK)
            fail_msg("%s: %.*s", row->name, BYTES_PRINTF(buffer_bytes(&why)));
        buffer_fini(&text);
        buffer_fini(&why);
    }
}

TEST(a_password_is_taken_and_wiped_off_the_command_line)
{
    char with_space[] = "secret", with_equals[] = "--requirepass=secret";
    char *lines[][4] = {{(char[]){"nuthatch"}, (char[]){"cache"}, (char[]){"--requirepass"}, with_space},
                        {(char[]){"nuthatch"}, (char[]){"cache"}, with_equals, NULL}};
    struct buffer message = {0};
    struct options options;

    for (int i = 0; i < 2; i++) {
        options_init(&options);
        EXPECT_EQ(options_parse_arguments(&options, i == 0 ? 4 : 3, lines[i], &message), OK);
        assert_string_equal(options.password, "secret");
        options_fini(&options);
    }
    assert_string_equal(with_space, "******");
    assert_string_equal(with_equals, "--requirepass=******");
    EXPECT_EQ(parse(&options, "cache --requirepass=", &message), ERR_SYNTAX);
    options_fini(&options);
    EXPECT_EQ(parse(&options, "cache --protected-mode maybe", &message), ERR_SYNTAX);
    EXPECT_TEXT(buffer_bytes(&message),
                BYTES("nuthatch: --protected-mode: \"maybe\" is not one of the choices; write yes|no\n"));
    options_fini(&options);
    EXPECT_PARSED(&options, "cache --protected-mode no", &message);
    EXPECT_EQ(options.is_protected, ANSWER_NO);
    options_fini(&options);
    buffer_fini(&message);
}

TEST(a_value_is_read_with_its_unit_or_refused_and_the_field_keeps_what_it_had)
{
    static const struct {
        const char *option, *text;
        enum err err;
        int64_t after;
    } cases[] = {
        {"threads", "4", OK, 4},
        {"threads", "1024", OK, 1024},
        {"threads", "1025", ERR_RANGE, 7},
        {"threads", "-1", ERR_RANGE, 7},
        {"threads", "4x", ERR_SYNTAX, 7},
        {"threads", "", ERR_SYNTAX, 7},
        {"threads", " 4", ERR_SYNTAX, 7},
        {"threads", "99999999999999999999999", ERR_RANGE, 7},
        {"memory", "1M", OK, 1 << 20},
        {"memory", "1G", OK, 1 << 30},
        {"memory", "1g", OK, 1 << 30},
        {"memory", "2048k", OK, 2 << 20},
        {"memory", "1048576", OK, 1 << 20},
        {"memory", "1048575", ERR_RANGE, 7},
        {"memory", "1T", OK, INT64_C(1) << 40},
        {"memory", "2T", ERR_RANGE, 7},
        {"memory", "9223372036854775807G", ERR_RANGE, 7},
        {"memory", "99999999999999999999", ERR_RANGE, 7},
        {"memory", "1.5G", ERR_SYNTAX, 7},
        {"memory", "G", ERR_SYNTAX, 7},
        {"memory", "-1G", ERR_SYNTAX, 7},
        {"memory", "1 G", ERR_SYNTAX, 7},
        {"memory", "1GB", ERR_SYNTAX, 7},
        {"idle-timeout", "300ms", OK, 300},
        {"idle-timeout", "5s", OK, 5000},
        {"idle-timeout", "2m", OK, 120000},
        {"idle-timeout", "1h", OK, 3600000},
        {"idle-timeout", "1d", OK, 86400000},
        {"idle-timeout", "99ms", ERR_RANGE, 7},
        {"idle-timeout", "0", ERR_RANGE, 7},
        {"idle-timeout", "5", ERR_SYNTAX, 7},
        {"idle-timeout", "5 s", ERR_SYNTAX, 7},
        {"idle-timeout", "1h30m", ERR_SYNTAX, 7},
        {"idle-timeout", "9223372036854775807d", ERR_RANGE, 7},
        {"cache-idle-timeout", "0", OK, 0},
        {"cache-idle-timeout", "0s", OK, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct option_row *row = option_find_key(0, bytes_of_text(cases[i].option));
        struct options options = {0};
        struct buffer why = {0};
        int64_t after = 7;
        memcpy((char *)&options + row->offset, &after, sizeof after);
        if (option_set(row, &options, bytes_of_text(cases[i].text), (struct place){0}, &why) !=
            cases[i].err)
            fail_msg("%s %s: %.*s", cases[i].option, cases[i].text, BYTES_PRINTF(buffer_bytes(&why)));
        memcpy(&after, (char *)&options + row->offset, sizeof after);
        EXPECT_EQ(after, cases[i].after);
        EXPECT((why.size > 0) == (cases[i].err != OK));
        buffer_fini(&why);
    }
}

TEST(the_same_flags_go_with_every_command)
{
    static const char *const lines[] = {
        "cache --threads 3 --memory=1G --loop epoll --log-level debug --drain-timeout 1s",
        "gateway http://a --threads 3 --memory=1G --loop epoll --log-level debug --drain-timeout 1s",
        "mock db.json --threads=3 --memory 1G --loop=epoll --log-level=debug --drain-timeout=1s",
        "demo --threads 3 --memory=1G --loop epoll --log-level debug --drain-timeout 1s",
    };
    struct buffer message = {0};
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        struct options options;
        EXPECT_PARSED(&options, lines[i], &message);
        EXPECT_EQ(options.threads, 3);
        EXPECT_EQ(options.memory_bytes, 1 << 30);
        EXPECT_EQ(options.loop, LOOP_EPOLL);
        EXPECT_EQ(options.log_level, LOG_DEBUG);
        EXPECT_EQ(options.drain_timeout_ms, 1000);
        options_fini(&options);
    }
    buffer_fini(&message);
}

TEST(a_role_command_leaves_that_role_complete)
{
    static const struct {
        const char *line;
        enum role role;
        enum listen_protocol protocol;
        const char *address;
    } cases[] = {
        {"cache", ROLE_CACHE, LISTEN_AUTO, "127.0.0.1:6379"},
        {"cache --listen memcached://0.0.0.0:11211", ROLE_CACHE, LISTEN_MEMCACHED, "0.0.0.0:11211"},
        {"cache --listen=resp://[::1]:0", ROLE_CACHE, LISTEN_RESP, "[::1]:0"},
        {"gateway https://api.example.com/v1", ROLE_GATEWAY, LISTEN_HTTP, "127.0.0.1:8080"},
        {"gateway --listen tcp://localhost:65535 http://[::1]:3000", ROLE_GATEWAY, LISTEN_AUTO,
         "localhost:65535"},
        {"mock -- --db.json", ROLE_MOCK, LISTEN_HTTP, "127.0.0.1:3000"},
    };
    struct buffer message = {0};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct options options;
        EXPECT_PARSED(&options, cases[i].line, &message);
        EXPECT_EQ(options.role_count, 1);
        EXPECT_EQ(options.roles[0].role, cases[i].role);
        EXPECT_EQ(options.roles[0].listens.count, 1);
        EXPECT_EQ(options.roles[0].listens.items[0].protocol, cases[i].protocol);
        assert_string_equal(options.roles[0].listens.items[0].address, cases[i].address);
        EXPECT_EQ(options.connection_buffer_bytes, (64 << 20) + (64 << 10));
        options_fini(&options);
    }
    buffer_fini(&message);
}

TEST(operands_and_role_flags_reach_their_fields)
{
    struct options options;
    struct buffer message = {0};

    EXPECT_PARSED(
        &options,
        "gateway https://a.example --connect-timeout 1s --stale-if-error 1h --origin-connections 5 "
        "--listen tcp://127.0.0.1:0 --listen http://127.0.0.1:0",
        &message);
    assert_string_equal(options.roles[0].upstream_policy.origin_urls, "https://a.example");
    EXPECT_EQ(options.roles[0].upstream_policy.connect_timeout_ms, 1000);
    EXPECT_EQ(options.roles[0].route_policy.stale_if_error_ms, 3600000);
    EXPECT_EQ(options.roles[0].upstream_policy.origin_connections_max, 5);
    EXPECT_EQ(options.roles[0].listens.count, 2);
    options_fini(&options);

    EXPECT_PARSED(&options, "mock some/db.json --latency 300ms --max-age 5s", &message);
    assert_string_equal(options.roles[0].data_path, "some/db.json");
    EXPECT_EQ(options.roles[0].latency_ms, 300);
    EXPECT_EQ(options.roles[0].max_age_ms, 5000);
    options_fini(&options);

    EXPECT_PARSED(&options, "cache --persist one --persist=two/values", &message);
    assert_string_equal(options.persist_path, "two/values");
    options_fini(&options);

    EXPECT_PARSED(&options, "cache --insight 2 --http-token a-token --listen kv+http://127.0.0.1:0",
                  &message);
    EXPECT_EQ(options.insight_spaces, 2);
    assert_string_equal(options.roles[0].http_token, "a-token");
    EXPECT_EQ(options.roles[0].listens.items[0].protocol, LISTEN_KV_HTTP);
    options_fini(&options);

    EXPECT_PARSED(&options, "mock a.json --admin http://127.0.0.1:9190 --admin-token b", &message);
    EXPECT_EQ(options.admin_listens.count, 1);
    assert_string_equal(options.admin_listens.items[0].address, "127.0.0.1:9190");
    assert_string_equal(options.admin_token, "b");
    EXPECT_EQ(options.roles[0].listens.count, 1);
    options_fini(&options);

    EXPECT_PARSED(&options, "demo --once", &message);
    EXPECT_EQ(options.verb, VERB_DEMO);
    EXPECT(options.demo_once);
    EXPECT_EQ(options.role_count, 0);
    options_fini(&options);
    buffer_fini(&message);
}

TEST(help_and_version_are_found_wherever_they_stand)
{
    static const struct {
        const char *line;
        enum verb verb, help_verb;
    } cases[] = {
        {"--help", VERB_HELP, VERB_HELP},
        {"-h", VERB_HELP, VERB_HELP},
        {"--version", VERB_VERSION, VERB_HELP},
        {"cache --help", VERB_HELP, VERB_CACHE},
        {"gateway -h", VERB_HELP, VERB_GATEWAY},
        {"demo --threads 1 --help", VERB_HELP, VERB_DEMO},
        {"mock --version", VERB_VERSION, VERB_HELP},
    };
    struct buffer message = {0};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct options options;
        EXPECT_PARSED(&options, cases[i].line, &message);
        EXPECT_EQ(options.verb, cases[i].verb);
        EXPECT_EQ(options.help_verb, cases[i].help_verb);
        options_fini(&options);
    }
    buffer_fini(&message);
}

TEST(a_gateway_may_have_several_origins)
{
    static const char *const refused[] = {"http://b weight",   "http://b weight=0", "http://b weight=1001",
                                          "http://b weight=x", "http://b x=1",      "b weight=1"};
    static const char *const words[] = {"nuthatch",  "gateway", "http://a",  "http://b  weight=3",
                                        "--retries", "0",       "http://c/x"};
    char *argv[COUNT_OF(words)];
    struct options options;
    struct buffer message = {0};

    for (size_t i = 0; i < COUNT_OF(words); i++)
        argv[i] = (char *)(uintptr_t)words[i];
    options_init(&options);
    EXPECT_EQ(options_parse_arguments(&options, COUNT_OF(argv), argv, &message), OK);
    assert_string_equal(options.roles[0].upstream_policy.origin_urls,
                        "http://a\nhttp://b  weight=3\nhttp://c/x");
    EXPECT_EQ(options.roles[0].upstream_policy.retries_max, 0);
    options_fini(&options);
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        argv[3] = (char *)(uintptr_t)refused[i];
        options_init(&options);
        EXPECT_EQ(options_parse_arguments(&options, COUNT_OF(argv), argv, &message), ERR_SYNTAX);
        options_fini(&options);
    }
    buffer_fini(&message);
}

TEST(an_upstream_may_have_several_limits)
{
    static const struct {
        const char *line, *said; /* said: null if it is good */
    } cases[] = {
        {"gateway http://a --rate-limit 10/s,5000/h --rate-limit 9/15m --rate-burst 5 --concurrency-max 4",
         NULL},
        {"gateway http://a --concurrency-max 4 --concurrency-min 4", NULL},
        {"gateway http://a --rate-limit 10", "5000/h"},
        {"gateway http://a --rate-limit 0/s", "write a number of requests and a time"},
        {"gateway http://a --rate-limit ,", "does not fit"},
        {"gateway http://a --rate-limit 1/s,2/s,3/s,4/s --rate-limit 5/s", "more than 4 limits"},
        {"gateway http://a --rate-burst 5", "rate-burst is about rate-limit"},
        {"gateway http://a --concurrency-min 4", "concurrency-max that is larger"},
        {"gateway http://a --concurrency-max 3 --concurrency-min 4",
         "concurrency-min is 4, and concurrency-max 3"},
        {"gateway http://a --rate-wait 2m", "1m"},
        {"gateway http://a --breaker-percent 0", "1"},
    };
    struct buffer message = {0};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct options options;
        enum err err = parse(&options, cases[i].line, &message);
        buffer_append_byte(&message, '\0');
        if ((err == OK) != (cases[i].said == NULL) ||
            (err != OK && strstr(message.data, cases[i].said) == NULL))
            fail_msg("%s: %s", cases[i].line, message.data);
        if (i == 0)
            assert_string_equal(options.roles[0].upstream_policy.rate_limits, "10/s,5000/h,9/15m");
        options_fini(&options);
        buffer_clear(&message);
    }
    buffer_fini(&message);
}

TEST(what_is_wrong_with_a_command_line_is_said_with_what_to_do)
{
    static const struct {
        const char *line, *said;
    } cases[] = {
        {"gatewya", "nuthatch: unknown command gatewya; did you mean gateway? See nuthatch --help\n"},
        {"zzz", "nuthatch: unknown command zzz; see nuthatch --help\n"},
        {"--threads 2",
         "nuthatch: --threads comes too early: first the command, then its options; see nuthatch "
         "--help\n"},
        {"cache --treads 4",
         "nuthatch: unknown option --treads; did you mean --threads? See nuthatch cache --help\n"},
        {"cache --zzzzzz=1", "nuthatch: unknown option --zzzzzz; see nuthatch cache --help\n"},
        {"cache --", ""},
        {"cache -t 4", "nuthatch: unknown option -t; options are whole words, such as --threads\n"},
        {"cache --latency 5s", "nuthatch: --latency is no option of cache; see nuthatch cache --help\n"},
        {"serve x.yaml --latency 5s", "nuthatch: --latency belongs under its role in the file\n"},
        {"cache --threads", "nuthatch: --threads needs a value: --threads NUMBER\n"},
        {"cache --threads --memory 1G", "nuthatch: --threads needs a value: --threads NUMBER\n"},
        {"cache --threads=", "nuthatch: --threads: \"\" does not fit; write a whole number\n"},
        {"cache --threads 2000", "nuthatch: --threads: 2000 is out of range; write 0 to 1024\n"},
        {"cache --memory 1", "nuthatch: --memory: 1 is out of range; write 1M to 1T\n"},
        {"cache --loop io", "nuthatch: --loop: \"io\" is not one of the choices; write auto|uring|epoll\n"},
        {"cache again", "nuthatch: again is one word too many; see nuthatch cache --help\n"},
        {"demo --once=yes", "nuthatch: --once takes no value\n"},
        {"gateway", "nuthatch: gateway needs a URL, such as: nuthatch gateway https://api.example.com\n"},
        {"gateway http://a b",
         "nuthatch: URL: \"b\" is not an origin; write one like https://api.example.com or "
         "http://127.0.0.1:3000/base\n"},
        {"gateway --origin http://a",
         "nuthatch: --origin is written without its name: nuthatch gateway URL\n"},
        {"mock", "nuthatch: mock needs a FILE, such as: nuthatch mock db.json --latency 300ms\n"},
        {"cache --listen tcp://127.0.0.1:7 --listen resp://localhost:7",
         "nuthatch: --listen: localhost:7 is given twice\n"},
        {"cache --listen tcp://[::1]:7 --listen resp://[0:0::1]:7",
         "nuthatch: --listen: [0:0::1]:7 is given twice\n"},
        {"cache --memory 64M --value-max 33M",
         "nuthatch: value-max is more than half of memory; lower the one or raise the other\n"},
        {"cache --connection-buffer 1M", "nuthatch: connection-buffer has no room for the largest value; "
                                         "write at least 67174400, which is value-max "
                                         "and 64k, or 0\n"},
        {"gateway http://a --object-max 65M",
         "nuthatch: object-max is more than value-max; lower the one or raise the other\n"},
    };
    struct buffer message = {0};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct options options;
        EXPECT_EQ(parse(&options, cases[i].line, &message), cases[i].said[0] != '\0' ? ERR_SYNTAX : OK);
        EXPECT_TEXT(buffer_bytes(&message), bytes_of_text(cases[i].said));
        options_fini(&options);
    }
    buffer_fini(&message);
}

TEST(only_listeners_and_origins_that_can_be_meant_are_taken)
{
    static const struct {
        const char *line;
        enum err err;
    } cases[] = {
        {"cache --listen tcp://127.0.0.1:0", OK},
        {"cache --listen tcp://[::]:6379", OK},
        {"cache --listen tcp://my-host.example:6379", OK},
        {"cache --listen tcp://127.0.0.1:0 --listen tcp://127.0.0.1:0", OK},
        {"cache --listen 127.0.0.1:6379", ERR_SYNTAX},
        {"cache --listen http://127.0.0.1:6379", ERR_SYNTAX},
        {"cache --listen kv+http://127.0.0.1:8081", OK},
        {"cache --listen kv+http://127.9.9.9:8081 --listen kv+http://[::1]:0", OK},
        {"cache --listen kv+http://0.0.0.0:8081", ERR_SYNTAX},
        {"cache --listen kv+http://[::]:8081", ERR_SYNTAX},
        {"cache --listen kv+http://127.0.0.1:0 --listen kv+http://10.0.0.1:0", ERR_SYNTAX},
        {"cache --listen kv+http://0.0.0.0:8081 --http-token a", OK},
        {"cache --listen kv+http://a.name:8081", OK}, /* until it is looked up */
        {"gateway http://a --listen kv+http://127.0.0.1:1", ERR_SYNTAX},
        {"cache --http-token ~!", OK},
        {"cache --admin http://127.0.0.1:1 --admin http+unix:///run/a", OK},
        {"gateway http://a --purge-method yes", ERR_SYNTAX},
        {"gateway http://a --purge-method yes --admin-token a", OK},
        {"cache --admin https://127.0.0.1:1 --tls-cert a --tls-key b", OK},
        {"cache --admin https://127.0.0.1:1", ERR_SYNTAX}, /* nor a key */
        {"cache --admin tcp://127.0.0.1:1", ERR_SYNTAX},
        {"cache --admin kv+http://127.0.0.1:1", ERR_SYNTAX},
        {"cache --admin 127.0.0.1:1", ERR_SYNTAX},
        {"cache --admin http://0.0.0.0:1", ERR_SYNTAX},
        {"cache --admin http://[::]:1", ERR_SYNTAX},
        {"cache --admin http://0.0.0.0:1 --admin-token a", OK},
        {"cache --listen tcp://127.0.0.1:1 --admin http://127.0.0.1:1", ERR_SYNTAX},
        {"cache --admin http://127.0.0.1:1 --admin http://localhost:1", ERR_SYNTAX},
        {"cache --http-token=", ERR_SYNTAX},
        {"cache --http-token \x7f", ERR_SYNTAX},
        {"cache --insight 9", ERR_SYNTAX},
        {"cache --listen udp://127.0.0.1:6379", ERR_SYNTAX},
        {"cache --listen TCP://127.0.0.1:6379", ERR_SYNTAX},
        {"cache --listen tcp://127.0.0.1", ERR_SYNTAX},
        {"cache --listen tcp://127.0.0.1:", ERR_SYNTAX},
        {"cache --listen tcp://127.0.0.1:65536", ERR_SYNTAX},
        {"cache --listen tcp://127.0.0.1:-1", ERR_SYNTAX},
        {"cache --listen tcp://:6379", ERR_SYNTAX},
        {"cache --listen tcp://::1:6379", ERR_SYNTAX},
        {"cache --listen tcp://[::1:6379", ERR_SYNTAX},
        {"cache --listen tcp://[]:6379", ERR_SYNTAX},
        {"cache --listen tcp://[zz]:6379", ERR_SYNTAX},
        {"cache --listen tcp://a/b:6379", ERR_SYNTAX},
        {"cache --listen tcp://127.0.0.1:6379/", ERR_SYNTAX},
        {"cache --listen unix:///a", OK},
        {"cache --listen resp+unix:///a/b.sock?mode=660", OK},
        {"cache --listen memcached+unix:///a?mode=0000", OK},
        {"gateway http://a --listen http+unix:///a", OK},
        {"cache --listen http+unix:///a", ERR_SYNTAX},
        {"cache --listen unix://a", ERR_SYNTAX},
        {"cache --listen unix:///", ERR_SYNTAX},
        {"cache --listen unix:///a?mode=0888", ERR_SYNTAX},
        {"cache --listen unix:///a?mode=1777", ERR_SYNTAX},
        {"cache --listen unix:///a?mode=", ERR_SYNTAX},
        {"cache --listen unix:///a?owner=me", ERR_SYNTAX},
        {"cache --listen unix:///a --listen resp+unix:///a", ERR_SYNTAX},
        {"gateway http://a --listen resp://127.0.0.1:1", ERR_SYNTAX},
        {"gateway http://a --listen memcached://127.0.0.1:1", ERR_SYNTAX},
        {"gateway http://a.example:80/base", OK},
        {"gateway https://[::1]", OK},
        {"gateway ftp://a", ERR_SYNTAX},
        {"gateway http://user:password@a", ERR_SYNTAX},
        {"gateway a.example", ERR_SYNTAX},
        {"gateway http://", ERR_SYNTAX},
        {"gateway http:///path", ERR_SYNTAX},
        {"gateway http://:80", ERR_SYNTAX},
        {"gateway http://a?query", ERR_SYNTAX},
        {"gateway http://a#fragment", ERR_SYNTAX},
        {"gateway http://a\tb", ERR_SYNTAX},
    };
    struct buffer message = {0};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct options options;
        if (parse(&options, cases[i].line, &message) != cases[i].err)
            fail_msg("%s: %.*s", cases[i].line, BYTES_PRINTF(buffer_bytes(&message)));
        EXPECT((message.size > 0) == (cases[i].err != OK));
        options_fini(&options);
    }
    buffer_fini(&message);
}

TEST(a_limit_that_nobody_set_follows_the_one_it_hangs_on)
{
    struct options options;
    struct buffer message = {0};

    EXPECT_PARSED(&options, "gateway http://a --memory 16M", &message);
    EXPECT_EQ(options.value_bytes_max, 8 << 20);
    EXPECT_EQ(options.connection_buffer_bytes, (8 << 20) + (64 << 10));
    EXPECT_EQ(options.roles[0].route_policy.object_bytes_max, 8 << 20);
    options_fini(&options);
    buffer_fini(&message);
}

TEST(what_a_stranger_wrote_is_shown_short_and_without_control_bytes)
{
    char longest[200];
    memset(longest, 'a', sizeof longest);
    assert_string_equal(shown_text(BYTES("a\033[31m\nb\177")).text, "a?[31m?b?");
    EXPECT_EQ(strlen(shown_text(bytes_of(longest, sizeof longest)).text), 60);
    EXPECT_EQ(strlen(shown_text(bytes_of(longest, 60)).text), 60);
    assert_string_equal(shown_text(bytes_of(longest, 61)).text + 57, "...");
    assert_string_equal(shown_text((struct bytes){0}).text, "");
}

TEST(a_name_is_suggested_only_if_it_is_near)
{
    static const struct {
        const char *wanted, *name;
    } cases[] = {
        {"treads", "threads"},
        {"theards", "threads"},
        {"THREADS", "threads"},
        {"thread", "threads"},
        {"memry", "memory"},
        {"mmeory", "memory"},
        {"x", NULL},
        {"", NULL},
        {"loop-kind", NULL},
        {"listens", "listen"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct nearest nearest = {.wanted = bytes_of_text(cases[i].wanted)};
        nearest_consider(&nearest, "threads");
        nearest_consider(&nearest, "memory");
        nearest_consider(&nearest, "listen");
        if (cases[i].name == NULL)
            assert_null(nearest.name);
        else
            assert_string_equal(nearest.name, cases[i].name);
    }
}

RUN_TESTS(TEST_ROW(a_password_is_taken_and_wiped_off_the_command_line),
          TEST_ROW(every_default_lies_in_its_own_range_and_reads_back_as_it_is_written),
          TEST_ROW(a_value_is_read_with_its_unit_or_refused_and_the_field_keeps_what_it_had),
          TEST_ROW(the_same_flags_go_with_every_command),
          TEST_ROW(a_role_command_leaves_that_role_complete),
          TEST_ROW(operands_and_role_flags_reach_their_fields),
          TEST_ROW(help_and_version_are_found_wherever_they_stand),
          TEST_ROW(a_gateway_may_have_several_origins), TEST_ROW(an_upstream_may_have_several_limits),
          TEST_ROW(what_is_wrong_with_a_command_line_is_said_with_what_to_do),
          TEST_ROW(only_listeners_and_origins_that_can_be_meant_are_taken),
          TEST_ROW(a_limit_that_nobody_set_follows_the_one_it_hangs_on),
          TEST_ROW(what_a_stranger_wrote_is_shown_short_and_without_control_bytes),
          TEST_ROW(a_name_is_suggested_only_if_it_is_near))
