/* links: nuthatch-resp nuthatch-message nuthatch-base */
#include "base/buffer.h"
#include "fuzz/command_log.h"
#include "protocol/resp/resp.h"
#include "test.h"

enum { ARGUMENTS = 16 };

struct fixture {
    struct resp_parser parser;
    struct bytes arguments[ARGUMENTS];
};

static const struct resp_limits limits = {
    .arguments_max = 1048576, .bulk_bytes_max = 512 << 20, .inline_bytes_max = 64 << 10};

static enum parse parse(void *context, struct bytes input, struct command *command, size_t *consumed,
                        struct bytes *error)
{
    struct fixture *fixture = context;
    return resp_parse(&fixture->parser, &limits, input, fixture->arguments, ARGUMENTS, command, consumed,
                      error);
}

static void log_input(struct buffer *log, struct bytes input, size_t piece_bytes, bool exact)
{
    struct fixture fixture = {0};
    struct log_parser parser = {.parse = parse, .parser = &fixture};

    log_commands(log, &parser, input, piece_bytes, exact);
    resp_parser_fini(&fixture.parser);
}

/* Expects what the parser says of `input`, whole and in pieces of one to three bytes. */
static void expect_log(struct bytes input, const char *wanted)
{
    for (size_t piece_bytes = 0; piece_bytes <= 3; piece_bytes++) {
        struct buffer log = {0};
        log_input(&log, input, piece_bytes, true);
        EXPECT_TEXT(buffer_bytes(&log), bytes_of_text(wanted));
        buffer_fini(&log);
    }
}

static void expect_command(struct bytes input, enum command_id id, const char *arguments)
{
    struct buffer wanted = {0};
    buffer_append_format(&wanted, "%d%s\nleft 0\n", (int)id, arguments);
    buffer_append_byte(&wanted, '\0');
    expect_log(input, wanted.data);
    buffer_fini(&wanted);
}

TEST(an_array_of_bulk_strings_is_a_command)
{
    expect_command(BYTES("*1\r\n$4\r\nPING\r\n"), COMMAND_ping, " 4:PING");
    expect_command(BYTES("*2\r\n$3\r\ngEt\r\n$0\r\n\r\n"), COMMAND_get, " 3:gEt 0:");
    expect_command(BYTES("*3\r\n$3\r\nSET\r\n$2\r\n\r\n\r\n$1\r\n\x01\r\n"), COMMAND_set,
                   " 3:SET 2:\r\n 1:\x01");
    expect_command(BYTES("*1\r\n$3\r\nfoo\r\n"), COMMAND_UNKNOWN, " 3:foo");
    expect_command(BYTES("*1\r\n$0\r\n\r\n"), COMMAND_UNKNOWN, " 0:");
}

TEST(an_empty_array_or_line_is_nothing_to_run)
{
    static const struct bytes inputs[] = {BYTES_INIT("*0\r\n"),  BYTES_INIT("*-1\r\n"),
                                          BYTES_INIT("*-2\r\n"), BYTES_INIT("\r\n"),
                                          BYTES_INIT("\n"),      BYTES_INIT("  \r\n")};
    for (size_t i = 0; i < COUNT_OF(inputs); i++)
        expect_command(inputs[i], COMMAND_UNKNOWN, "");
}

TEST(an_inline_command_is_split_by_the_rules_of_redis)
{
    static const struct {
        struct bytes input;
        const char *arguments;
    } cases[] = {
        {BYTES_INIT("SET a b\r\n"), " 3:SET 1:a 1:b"},
        {BYTES_INIT("SET a b\n"), " 3:SET 1:a 1:b"},
        {BYTES_INIT(" \tSET  a\tb \r\n"), " 3:SET 1:a 1:b"},
        {BYTES_INIT("SET \"a b\" 'c d'\r\n"), " 3:SET 3:a b 3:c d"},
        {BYTES_INIT("SET \"\" ''\r\n"), " 3:SET 0: 0:"},
        {BYTES_INIT("SET \"\\x41\\n\\\"\\\\\\q\" 'it\\'s\\n'\r\n"), " 3:SET 5:A\n\"\\q 6:it's\\n"},
        {BYTES_INIT("SET \"\\xzz\" a\"b c\"\r\n"), " 3:SET 3:xzz 4:ab c"},
        {BYTES_INIT("SET a\vb \"x\"\v\r\n"), " 3:SET 3:a\vb 1:x"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        expect_command(cases[i].input, COMMAND_set, cases[i].arguments);
}

TEST(malformed_input_is_fatal_in_redis_words)
{
    static const struct {
        struct bytes input;
        const char *log;
    } cases[] = {
        {BYTES_INIT("*2147483647\r\n"), "fatal ERR Protocol error: invalid multibulk length\n"},
        {BYTES_INIT("*1048577\r\n"), "fatal ERR Protocol error: invalid multibulk length\n"},
        {BYTES_INIT("*99999999999999999999\r\n"), "fatal ERR Protocol error: invalid multibulk length\n"},
        {BYTES_INIT("*a\r\n"), "fatal ERR Protocol error: invalid multibulk length\n"},
        {BYTES_INIT("*\r\n"), "fatal ERR Protocol error: invalid multibulk length\n"},
        {BYTES_INIT("*01\r\n"), "fatal ERR Protocol error: invalid multibulk length\n"},
        {BYTES_INIT("*-0\r\n"), "fatal ERR Protocol error: invalid multibulk length\n"},
        {BYTES_INIT("* 1\r\n"), "fatal ERR Protocol error: invalid multibulk length\n"},
        {BYTES_INIT("*1\r$4\r\nPING\r\n"), "fatal ERR Protocol error: invalid multibulk length\n"},
        {BYTES_INIT("*1\n$4\nPING\n"), "fatal ERR Protocol error: invalid multibulk length\n"},
        {BYTES_INIT("*1\r\n$2147483647\r\n"), "fatal ERR Protocol error: invalid bulk length\n"},
        {BYTES_INIT("*1\r\n$-2\r\n"), "fatal ERR Protocol error: invalid bulk length\n"},
        {BYTES_INIT("*1\r\n$-1\r\n"), "fatal ERR Protocol error: invalid bulk length\n"},
        {BYTES_INIT("*1\r\n$4x\r\nPING\r\n"), "fatal ERR Protocol error: invalid bulk length\n"},
        {BYTES_INIT("*2\r\n$3\r\nGET\r\n:1\r\n"), "fatal ERR Protocol error: expected '$', got ':'\n"},
        {BYTES_INIT("*1\r\n$10\r\n12345678901\r\n"),
         "fatal ERR Protocol error: bulk string does not end in CRLF\n"},
        {BYTES_INIT("SET \"a\r\n"), "fatal ERR Protocol error: unbalanced quotes in request\n"},
        {BYTES_INIT("SET 'a\r\n"), "fatal ERR Protocol error: unbalanced quotes in request\n"},
        {BYTES_INIT("SET \"a\"b\r\n"), "fatal ERR Protocol error: unbalanced quotes in request\n"},
        {BYTES_INIT("GET a\0b\r\n"), "fatal ERR Protocol error: zero byte in inline request\n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        expect_log(cases[i].input, cases[i].log);
}

TEST(what_a_browser_sends_ends_the_connection_without_a_word)
{
    static const struct bytes inputs[] = {
        BYTES_INIT("POST / HTTP/1.1\r\n"), BYTES_INIT("GET / HTTP/1.1\r\n"),
        BYTES_INIT("Host: localhost\r\n"), BYTES_INIT("post\r\n"), BYTES_INIT("PUT /a HTTP/1.0\n")};
    for (size_t i = 0; i < COUNT_OF(inputs); i++)
        expect_log(inputs[i], "fatal \n");
}

TEST(commands_behind_one_another_are_found_one_by_one)
{
    struct buffer wanted = {0};
    buffer_append_format(&wanted, "%d 4:PING\n%d 3:GET 1:k\n%d\n%d 4:ping\nleft 7\n", COMMAND_ping,
                         COMMAND_get, COMMAND_UNKNOWN, COMMAND_ping);
    buffer_append_byte(&wanted, '\0');
    expect_log(BYTES("*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n\r\nping\r\n*1\r\n$4\r"),
               wanted.data);
    buffer_fini(&wanted);
}

TEST(an_inline_line_is_refused_once_it_is_longer_than_the_limit_wherever_its_end_is)
{
    struct buffer input = {0};
    struct buffer log = {0};

    for (size_t i = 0; i < limits.inline_bytes_max; i++)
        buffer_append_byte(&input, 'a');
    log_input(&log, buffer_bytes(&input), 0, false);
    EXPECT_TEXT(buffer_bytes(&log), BYTES("left 65536\n"));
    for (int with_end = 0; with_end < 2; with_end++) {
        buffer_append(&input, with_end ? BYTES("\r\n") : BYTES("a"));
        for (size_t piece_bytes = 0; piece_bytes < 2; piece_bytes++) {
            buffer_clear(&log);
            log_input(&log, buffer_bytes(&input), piece_bytes, false);
            EXPECT_TEXT(buffer_bytes(&log), BYTES("fatal ERR Protocol error: too big inline request\n"));
        }
    }
    buffer_fini(&input);
    buffer_fini(&log);
}

TEST(a_promise_of_a_million_arguments_takes_no_memory_until_they_come)
{
    struct fixture fixture = {0};
    struct command command;
    struct bytes error;
    size_t consumed;

    EXPECT_EQ(parse(&fixture, BYTES("*1048576\r\n$536870912\r\nabc"), &command, &consumed, &error),
              PARSE_MORE);
    EXPECT(fixture.parser.spans == NULL);
    EXPECT(fixture.parser.many == NULL);
    resp_parser_fini(&fixture.parser);
}

/* With a rescan of what is already parsed this would take 10^10 steps. */
TEST(a_command_of_many_arguments_arriving_byte_by_byte_is_parsed_in_linear_time)
{
    enum { COUNT = 100000 };
    struct fixture fixture = {0};
    struct buffer input = {0};
    struct command command;
    struct bytes error;
    size_t consumed = 0;
    enum parse result = PARSE_MORE;

    buffer_append_format(&input, "*%d\r\n$4\r\nMGET\r\n", COUNT);
    for (int i = 1; i < COUNT; i++)
        buffer_append_format(&input, "$6\r\n%06d\r\n", i);
    for (size_t size = 1; size <= input.size; size++) {
        EXPECT_EQ(result, PARSE_MORE);
        result = parse(&fixture, bytes_of(input.data, size), &command, &consumed, &error);
    }
    EXPECT_EQ(result, PARSE_DONE);
    EXPECT_EQ(consumed, input.size);
    EXPECT_EQ(command.id, COMMAND_mget);
    EXPECT_EQ(command.argument_count, COUNT);
    EXPECT_TEXT(command.arguments[COUNT - 1], BYTES("099999"));
    EXPECT(fixture.parser.spans == NULL);
    EXPECT_EQ(parse(&fixture, BYTES(""), &command, &consumed, &error), PARSE_MORE);
    EXPECT(fixture.parser.many == NULL);
    resp_parser_fini(&fixture.parser);
    buffer_fini(&input);
}

TEST(a_finished_command_survives_that_the_input_moves_while_it_arrives)
{
    static const char text[] = "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n";
    for (size_t first = 1; first < sizeof text - 1; first++) {
        struct fixture fixture = {0};
        char early[sizeof text];
        struct command command;
        struct bytes error;
        size_t consumed;

        memcpy(early, text, sizeof text);
        EXPECT_EQ(parse(&fixture, bytes_of(early, first), &command, &consumed, &error), PARSE_MORE);
        memset(early, '!', sizeof early);
        EXPECT_EQ(parse(&fixture, BYTES("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n"), &command,
                        &consumed, &error),
                  PARSE_DONE);
        EXPECT_TEXT(command.arguments[1], BYTES("key"));
        EXPECT_TEXT(command.arguments[2], BYTES("value"));
        resp_parser_fini(&fixture.parser);
    }
}

RUN_TESTS(TEST_ROW(an_array_of_bulk_strings_is_a_command),
          TEST_ROW(an_empty_array_or_line_is_nothing_to_run),
          TEST_ROW(an_inline_command_is_split_by_the_rules_of_redis),
          TEST_ROW(malformed_input_is_fatal_in_redis_words),
          TEST_ROW(what_a_browser_sends_ends_the_connection_without_a_word),
          TEST_ROW(commands_behind_one_another_are_found_one_by_one),
          TEST_ROW(an_inline_line_is_refused_once_it_is_longer_than_the_limit_wherever_its_end_is),
          TEST_ROW(a_promise_of_a_million_arguments_takes_no_memory_until_they_come),
          TEST_ROW(a_command_of_many_arguments_arriving_byte_by_byte_is_parsed_in_linear_time),
          TEST_ROW(a_finished_command_survives_that_the_input_moves_while_it_arrives))
