/* links: nuthatch-memcached nuthatch-message nuthatch-base */
#include "base/buffer.h"
#include "fuzz/command_log.h"
#include "protocol/memcached/memcached.h"
#include "test.h"

enum { ARGUMENTS = 8 };

struct fixture {
    struct memcached_parser parser;
    struct bytes arguments[ARGUMENTS];
};

static const struct memcached_limits limits = {.line_bytes_max = 64 << 10, .value_bytes_max = 100};

static enum parse parse(void *context, struct bytes input, struct command *command, size_t *consumed,
                        struct bytes *error)
{
    struct fixture *fixture = context;
    return memcached_parse(&fixture->parser, &limits, input, fixture->arguments, ARGUMENTS, command,
                           consumed, error);
}

static void log_input(struct buffer *log, struct bytes input, size_t piece_bytes, bool exact)
{
    struct fixture fixture = {0};
    struct log_parser parser = {.parse = parse, .parser = &fixture};

    log_commands(log, &parser, input, piece_bytes, exact);
    memcached_parser_fini(&fixture.parser);
}

/* Expects what the parser says of `input`, whole and in pieces of one to three bytes. */
static void expect_log(struct bytes input, struct bytes wanted)
{
    for (size_t piece_bytes = 0; piece_bytes <= 3; piece_bytes++) {
        struct buffer log = {0};
        log_input(&log, input, piece_bytes, true);
        EXPECT_TEXT(buffer_bytes(&log), wanted);
        buffer_fini(&log);
    }
}

TEST(a_line_is_a_command_and_its_data_block_the_last_argument)
{
    static const struct {
        struct bytes input;
        enum command_id id;
        const char *rest;
    } cases[] = {
        {BYTES_INIT("get k\r\n"), COMMAND_memcached_get, " 3:get 1:k"},
        {BYTES_INIT("  gets   a  b \r\n"), COMMAND_memcached_gets, " 4:gets 1:a 1:b"},
        {BYTES_INIT("get a b c d e f g h i\r\n"), COMMAND_memcached_get,
         " 3:get 1:a 1:b 1:c 1:d 1:e 1:f 1:g 1:h 1:i"},
        {BYTES_INIT("get k noreply\r\n"), COMMAND_memcached_get, " 3:get 1:k 7:noreply"},
        {BYTES_INIT("set k 1 2 3\r\nabc\r\n"), COMMAND_memcached_set, " 3:set 1:k 1:1 1:2 1:3 3:abc"},
        {BYTES_INIT("set k 0 0 0\r\n\r\n"), COMMAND_memcached_set, " 3:set 1:k 1:0 1:0 1:0 0:"},
        {BYTES_INIT("add k 0 0 4\r\n\r\n\r\n\r\n"), COMMAND_memcached_add,
         " 3:add 1:k 1:0 1:0 1:4 4:\r\n\r\n"},
        {BYTES_INIT("set k 0 0 1 noreply\r\nx\r\n"), COMMAND_memcached_set, "q 3:set 1:k 1:0 1:0 1:1 1:x"},
        {BYTES_INIT("cas k 0 0 1 9\r\nx\r\n"), COMMAND_memcached_cas, " 3:cas 1:k 1:0 1:0 1:1 1:9 1:x"},
        {BYTES_INIT("cas k 0 0 1 9 noreply\r\nx\r\n"), COMMAND_memcached_cas,
         "q 3:cas 1:k 1:0 1:0 1:1 1:9 1:x"},
        {BYTES_INIT("delete k noreply\r\n"), COMMAND_memcached_delete, "q 6:delete 1:k"},
        {BYTES_INIT("delete noreply\r\n"), COMMAND_memcached_delete, " 6:delete 7:noreply"},
        {BYTES_INIT("flush_all noreply\r\n"), COMMAND_memcached_flush_all, "q 9:flush_all"},
        {BYTES_INIT("version\r\n"), COMMAND_memcached_version, " 7:version"},
        {BYTES_INIT("set k 0 0 1 word\r\nx\r\n"), COMMAND_memcached_set, " 3:set 1:k 1:0 1:0 1:1 1:x"},
        {BYTES_INIT("touch k 1 word\r\n"), COMMAND_memcached_touch, " 5:touch 1:k 1:1"},
        {BYTES_INIT("verbosity noreply\r\n"), COMMAND_memcached_verbosity, "q 9:verbosity"},
        {BYTES_INIT("gat 1 k noreply\r\n"), COMMAND_memcached_gat, " 3:gat 1:1 1:k 7:noreply"},
        {BYTES_INIT("ms k 1\r\nx\r\n"), COMMAND_memcached_ms, " 2:ms 1:k 1:1 1:x"},
        {BYTES_INIT("ms k +1 T0 q noreply\r\nx\r\n"), COMMAND_memcached_ms,
         " 2:ms 1:k 2:+1 2:T0 1:q 7:noreply 1:x"},
        {BYTES_INIT("mg k v\r\n"), COMMAND_memcached_mg, " 2:mg 1:k 1:v"},
        {BYTES_INIT("me\r\n"), COMMAND_memcached_me, " 2:me"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buffer wanted = {0};
        buffer_append_format(&wanted, "%d%s\nleft 0\n", (int)cases[i].id, cases[i].rest);
        expect_log(cases[i].input, buffer_bytes(&wanted));
        buffer_fini(&wanted);
    }
}

TEST(what_is_refused_leaves_the_connection_in_step)
{
#define KEY_250 KEY_50 KEY_50 KEY_50 KEY_50 KEY_50
#define KEY_50  "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
    static const struct {
        struct bytes input;
        const char *refused; /* null: nothing is said */
    } cases[] = {
        {BYTES_INIT("\r\n"), "ERROR"},
        {BYTES_INIT("\n"), "ERROR"},
        {BYTES_INIT(" \r\n"), "ERROR"},
        {BYTES_INIT("foo\r\n"), "ERROR"},
        {BYTES_INIT("GET k\r\n"), "ERROR"},
        {BYTES_INIT("get\r\n"), "ERROR"},
        {BYTES_INIT("set k\r\n"), "ERROR"},
        {BYTES_INIT("incr k\r\n"), "ERROR"},
        {BYTES_INIT("incr k 1 2 3\r\n"), "ERROR"},
        {BYTES_INIT("ms\r\n"), "ERROR"},
        {BYTES_INIT("ms k\r\n"), "CLIENT_ERROR bad command line format"},
        {BYTES_INIT("ms k -1\r\n"), "CLIENT_ERROR bad command line format"},
        {BYTES_INIT("ms k" KEY_250 " 7\r\nversion\r\n"), "CLIENT_ERROR bad command line format"},
        {BYTES_INIT("ms k 5\r\nhelloXX"), "CLIENT_ERROR bad data chunk"},
        {BYTES_INIT("mg k" KEY_250 "\r\n"), "CLIENT_ERROR bad command line format"},
        {BYTES_INIT("get k" KEY_250 "\r\n"), "CLIENT_ERROR bad command line format"},
        {BYTES_INIT("get a\x01z\r\n"), "CLIENT_ERROR bad command line format"},
        {BYTES_INIT("get a\tz\r\n"), "CLIENT_ERROR bad command line format"},
        {BYTES_INIT("get a\x7fz\r\n"), "CLIENT_ERROR bad command line format"},
        {BYTES_INIT("get a\0z\r\n"), "CLIENT_ERROR bad command line format"},
        {BYTES_INIT("set k 0 0 -1\r\n"), "CLIENT_ERROR bad command line format"},
        {BYTES_INIT("set k 0 0 x\r\n"), "CLIENT_ERROR bad command line format"},
        {BYTES_INIT("set k 0 0 4294967295\r\n"), "CLIENT_ERROR bad command line format"},
        {BYTES_INIT("set k 0 0 18446744073709551615\r\n"), "CLIENT_ERROR bad command line format"},
        {BYTES_INIT("set k" KEY_250 " 0 0 7\r\nversion\r\n"), "CLIENT_ERROR bad command line format"},
        {BYTES_INIT("set a\x01z 0 0 7\r\nversion\r\n"), "CLIENT_ERROR bad command line format"},
        {BYTES_INIT("set k 0 0 5\r\nhelloXX"), "CLIENT_ERROR bad data chunk"},
        {BYTES_INIT("set k 0 0 5 noreply\r\nhelloXX"), NULL},
        {BYTES_INIT("delete k" KEY_250 " noreply\r\n"), NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buffer input = {0}, wanted = {0};
        buffer_append(&input, cases[i].input);
        buffer_append_literal(&input, "version\r\n");
        if (cases[i].refused != NULL)
            buffer_append_format(&wanted, "refused %s\n", cases[i].refused);
        buffer_append_format(&wanted, "%d 7:version\nleft 0\n", COMMAND_memcached_version);
        expect_log(buffer_bytes(&input), buffer_bytes(&wanted));
        buffer_fini(&input);
        buffer_fini(&wanted);
    }
}

TEST(a_data_block_that_is_too_large_is_told_by_its_size_and_dropped)
{
    static const struct {
        struct bytes input;
        enum command_id id;
        const char *rest;
    } cases[] = {
        {BYTES_INIT("set k 0 0 101\r\n"), COMMAND_memcached_set, " 3:set 1:k 1:0 1:0 3:101 101:"},
        {BYTES_INIT("set k 0 0 101 noreply\r\n"), COMMAND_memcached_set, "q 3:set 1:k 1:0 1:0 3:101 101:"},
        {BYTES_INIT("ms k 101 c\r\n"), COMMAND_memcached_ms, " 2:ms 1:k 3:101 1:c 101:"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buffer input = {0}, wanted = {0};
        buffer_append(&input, cases[i].input);
        buffer_append_literal(&input, KEY_50 KEY_50 "k\r\nversion\r\n");
        buffer_append_format(&wanted, "%d%s\n%d 7:version\nleft 0\n", (int)cases[i].id, cases[i].rest,
                             COMMAND_memcached_version);
        expect_log(buffer_bytes(&input), buffer_bytes(&wanted));
        buffer_fini(&input);
        buffer_fini(&wanted);
    }
}

TEST(the_binary_protocol_ends_the_connection_without_a_word)
{
    expect_log(BYTES("\x80\x0b\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), BYTES("fatal \n"));
}

TEST(a_key_of_250_bytes_is_a_key)
{
    struct buffer wanted = {0};
    buffer_append_format(&wanted, "%d 3:get 250:" KEY_250 "\nleft 0\n", COMMAND_memcached_get);
    expect_log(BYTES("get " KEY_250 "\r\n"), buffer_bytes(&wanted));
    buffer_fini(&wanted);
}

TEST(a_data_block_that_is_too_long_is_answered_as_memcached_does)
{
    struct buffer wanted = {0};
    buffer_append_format(&wanted,
                         "refused CLIENT_ERROR bad data chunk\nrefused ERROR\n%d 7:version\nleft 0\n",
                         COMMAND_memcached_version);
    expect_log(BYTES("set k 0 0 5\r\nhelloworld\r\nversion\r\n"), buffer_bytes(&wanted));
    expect_log(BYTES("set k 0 0 5\r\nhello!\r\nversion\r\n"), buffer_bytes(&wanted));
    buffer_fini(&wanted);
}

TEST(a_line_that_ends_in_a_lone_line_feed_ends_the_connection)
{
    expect_log(BYTES("get k\nversion\r\n"), BYTES("fatal CLIENT_ERROR line does not end in CRLF\n"));
    expect_log(BYTES("set k 0 0 5\nhello\r\n"), BYTES("fatal CLIENT_ERROR line does not end in CRLF\n"));
}

TEST(what_a_browser_sends_ends_the_connection_without_a_word)
{
    expect_log(BYTES("POST / HTTP/1.1\r\n"), BYTES("fatal \n"));
    expect_log(BYTES("GET / HTTP/1.1\r\n"), BYTES("fatal \n"));
    expect_log(BYTES("Host: localhost\r\n"), BYTES("fatal \n"));
}

TEST(a_line_without_end_is_cut_at_the_limit_and_each_byte_is_looked_at_once)
{
    struct buffer input = {0}, log = {0};

    buffer_append_literal(&input, "get ");
    for (int i = 0; i < 1000000; i++)
        buffer_append_byte(&input, ' ');
    buffer_append_literal(&input, "k\r\n");
    for (size_t piece_bytes = 0; piece_bytes < 2; piece_bytes++) {
        buffer_clear(&log);
        log_input(&log, buffer_bytes(&input), piece_bytes, false);
        EXPECT_TEXT(buffer_bytes(&log), BYTES("fatal CLIENT_ERROR line too long\n"));
    }
    buffer_fini(&input);
    buffer_fini(&log);
}

TEST(as_many_keys_as_the_line_has_room_for_are_read)
{
    enum { KEYS = 30000 };
    struct fixture fixture = {0};
    struct buffer input = {0};
    struct command command;
    struct bytes error;
    size_t consumed;

    buffer_append_literal(&input, "get");
    for (int i = 0; i < KEYS; i++)
        buffer_append_literal(&input, " k");
    buffer_append_literal(&input, "\r\n");
    EXPECT_EQ(parse(&fixture, buffer_bytes(&input), &command, &consumed, &error), PARSE_DONE);
    EXPECT_EQ(command.argument_count, KEYS + 1);
    EXPECT_TEXT(command.arguments[KEYS], BYTES("k"));
    EXPECT_EQ(consumed, input.size);
    memcached_parser_fini(&fixture.parser);
    buffer_fini(&input);
}

TEST(only_a_lower_case_name_is_a_command_word)
{
    EXPECT(memcached_is_command_word(BYTES("get")));
    EXPECT(memcached_is_command_word(BYTES("flush_all")));
    EXPECT(!memcached_is_command_word(BYTES("GET")));
    EXPECT(!memcached_is_command_word(BYTES("ping")));
    EXPECT(!memcached_is_command_word(BYTES("")));
}

RUN_TESTS(TEST_ROW(a_line_is_a_command_and_its_data_block_the_last_argument),
          TEST_ROW(what_is_refused_leaves_the_connection_in_step),
          TEST_ROW(a_data_block_that_is_too_large_is_told_by_its_size_and_dropped),
          TEST_ROW(the_binary_protocol_ends_the_connection_without_a_word),
          TEST_ROW(a_key_of_250_bytes_is_a_key),
          TEST_ROW(a_data_block_that_is_too_long_is_answered_as_memcached_does),
          TEST_ROW(a_line_that_ends_in_a_lone_line_feed_ends_the_connection),
          TEST_ROW(what_a_browser_sends_ends_the_connection_without_a_word),
          TEST_ROW(a_line_without_end_is_cut_at_the_limit_and_each_byte_is_looked_at_once),
          TEST_ROW(as_many_keys_as_the_line_has_room_for_are_read),
          TEST_ROW(only_a_lower_case_name_is_a_command_word))
