/* links: nuthatch-resp nuthatch-message nuthatch-base */
#include "base/compiler.h"
#include "protocol/resp/resp.h"
#include "protocol/resp/resp_reply.h"
#include "test.h"
#include <stdlib.h>

static const struct resp_reply_limits wide = {
    .reply_bytes_max = 512 << 20, .nodes_max = 1 << 20, .depth_max = RESP_DEPTH_MAX};

/* Parses the first reply of `input` in pieces of `piece_bytes`, each in memory of its own. The last piece
 * is kept in `*copy` for the reply to point into. */
static enum parse parse_in_pieces(struct resp_reply_parser *parser, const struct resp_reply_limits *limits,
                                  struct bytes input, size_t piece_bytes, struct resp_reply *reply,
                                  size_t *consumed, struct bytes *error, char **copy)
{
    enum parse parse = PARSE_MORE;

    *copy = NULL;
    for (size_t arrived = 0; parse == PARSE_MORE && arrived < input.size;) {
        arrived = input.size - arrived > piece_bytes ? arrived + piece_bytes : input.size;
        free(*copy);
        *copy = malloc(arrived);
        memcpy(*copy, input.data, arrived);
        parse = resp_reply_parse(parser, limits, bytes_of(*copy, arrived), reply, consumed, error);
    }
    return parse;
}

struct rendering {
    struct reply reply;
    struct buffer text;
    int version;
};

static void say_into(struct reply *reply, const struct outcome *outcome)
{
    struct rendering *rendering = (struct rendering *)reply;
    resp_render(&rendering->text, rendering->version, outcome);
}

static const size_t pieces[] = {SIZE_MAX, 1, 2, 3, 7};

static void expect_said(struct bytes input, struct bytes in_2, struct bytes in_3)
{
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        struct resp_reply_parser parser = {0};
        struct resp_reply reply;
        struct bytes error;
        size_t consumed = 0;
        char *copy;

        EXPECT_EQ(parse_in_pieces(&parser, &wide, input, pieces[i], &reply, &consumed, &error, &copy),
                  PARSE_DONE);
        EXPECT_EQ(consumed, input.size);
        EXPECT_EQ(reply.nodes[0].span, reply.node_count);
        for (int version = 2; version <= 3; version++) {
            struct rendering rendering = {.reply = {.say = say_into}, .version = version};
            resp_reply_say(reply.nodes, &rendering.reply);
            EXPECT_TEXT(buffer_bytes(&rendering.text), version == 2 ? in_2 : in_3);
            buffer_fini(&rendering.text);
        }
        free(copy);
        resp_reply_parser_fini(&parser);
    }
}

TEST(what_a_server_says_is_said_again_in_both_versions)
{
    static const struct {
        struct bytes input, in_2, in_3; /* without in_3: it is the input */
    } cases[] = {
        {BYTES_INIT("+OK\r\n"), BYTES_INIT("+OK\r\n"), {0}},
        {BYTES_INIT("+\r\n"), BYTES_INIT("+\r\n"), {0}},
        {BYTES_INIT("-ERR no such key\r\n"), BYTES_INIT("-ERR no such key\r\n"), {0}},
        {BYTES_INIT("!8\r\nERR a\r\nb\r\n"), BYTES_INIT("-ERR a  b\r\n"), BYTES_INIT("-ERR a  b\r\n")},
        {BYTES_INIT(":-9223372036854775808\r\n"), BYTES_INIT(":-9223372036854775808\r\n"), {0}},
        {BYTES_INIT(":9223372036854775807\r\n"), BYTES_INIT(":9223372036854775807\r\n"), {0}},
        {BYTES_INIT("$4\r\na\r\nb\r\n"), BYTES_INIT("$4\r\na\r\nb\r\n"), {0}},
        {BYTES_INIT("$0\r\n\r\n"), BYTES_INIT("$0\r\n\r\n"), {0}},
        {BYTES_INIT("$-1\r\n"), BYTES_INIT("$-1\r\n"), BYTES_INIT("_\r\n")},
        {BYTES_INIT("_\r\n"), BYTES_INIT("$-1\r\n"), {0}},
        {BYTES_INIT("*-1\r\n"), BYTES_INIT("*-1\r\n"), BYTES_INIT("_\r\n")},
        {BYTES_INIT("#t\r\n"), BYTES_INIT(":1\r\n"), {0}},
        {BYTES_INIT("#f\r\n"), BYTES_INIT(":0\r\n"), {0}},
        {BYTES_INIT(",0.10000000000000001\r\n"), BYTES_INIT("$19\r\n0.10000000000000001\r\n"), {0}},
        {BYTES_INIT(",-1.5e+300\r\n"), BYTES_INIT("$9\r\n-1.5e+300\r\n"), {0}},
        {BYTES_INIT(",10\r\n"), BYTES_INIT("$2\r\n10\r\n"), {0}},
        {BYTES_INIT(",-inf\r\n"), BYTES_INIT("$4\r\n-inf\r\n"), {0}},
        {BYTES_INIT(",nan\r\n"), BYTES_INIT("$3\r\nnan\r\n"), {0}},
        {BYTES_INIT(",-nan\r\n"), BYTES_INIT("$4\r\n-nan\r\n"), {0}},
        {BYTES_INIT("(3492890328409238509324850943850943825024385\r\n"),
         BYTES_INIT("$43\r\n3492890328409238509324850943850943825024385\r\n"),
         {0}},
        {BYTES_INIT("=7\r\ntxt:a\nb\r\n"), BYTES_INIT("$3\r\na\nb\r\n"), {0}},
        {BYTES_INIT("=7\r\nmkd:*b*\r\n"), BYTES_INIT("$3\r\n*b*\r\n"), {0}},
        {BYTES_INIT("=4\r\ntxt:\r\n"), BYTES_INIT("$0\r\n\r\n"), {0}},
        {BYTES_INIT("*0\r\n"), BYTES_INIT("*0\r\n"), {0}},
        {BYTES_INIT("*2\r\n:1\r\n*2\r\n$1\r\na\r\n*0\r\n"),
         BYTES_INIT("*2\r\n:1\r\n*2\r\n$1\r\na\r\n*0\r\n"),
         {0}},
        {BYTES_INIT("%2\r\n+a\r\n:1\r\n+b\r\n~1\r\n#t\r\n"),
         BYTES_INIT("*4\r\n+a\r\n:1\r\n+b\r\n*1\r\n:1\r\n"),
         {0}},
        {BYTES_INIT("%0\r\n"), BYTES_INIT("*0\r\n"), {0}},
        {BYTES_INIT("~0\r\n"), BYTES_INIT("*0\r\n"), {0}},
        {BYTES_INIT(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n"),
         BYTES_INIT("*2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n"),
         {0}},
        {BYTES_INIT(">2\r\n+invalidate\r\n_\r\n"), BYTES_INIT("*2\r\n+invalidate\r\n$-1\r\n"), {0}},
        {BYTES_INIT("*2\r\n-ERR in the middle\r\n:1\r\n"),
         BYTES_INIT("*2\r\n-ERR in the middle\r\n:1\r\n"),
         {0}},
        /* attributes: before, inside, of an attribute's own, empty ones */
        {BYTES_INIT("|1\r\n+ttl\r\n:3600\r\n$1\r\nv\r\n"), BYTES_INIT("$1\r\nv\r\n"),
         BYTES_INIT("$1\r\nv\r\n")},
        {BYTES_INIT("*2\r\n|1\r\n+ttl\r\n*2\r\n:1\r\n%1\r\n:1\r\n*0\r\n:5\r\n|0\r\n:6\r\n"),
         BYTES_INIT("*2\r\n:5\r\n:6\r\n"), BYTES_INIT("*2\r\n:5\r\n:6\r\n")},
        {BYTES_INIT("|1\r\n|1\r\n+a\r\n+b\r\n+key\r\n|0\r\n+value\r\n*1\r\n|1\r\n*0\r\n*0\r\n#t\r\n"),
         BYTES_INIT("*1\r\n:1\r\n"), BYTES_INIT("*1\r\n#t\r\n")},
        {BYTES_INIT("|0\r\n>1\r\n+pong\r\n"), BYTES_INIT("*1\r\n+pong\r\n"), BYTES_INIT(">1\r\n+pong\r\n")},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        expect_said(cases[i].input, cases[i].in_2,
                    cases[i].in_3.data != NULL ? cases[i].in_3 : cases[i].input);
}

static const struct resp_reply_limits narrow = {.reply_bytes_max = 100, .nodes_max = 8, .depth_max = 3};

TEST(what_is_no_reply_or_too_large_is_refused_however_it_arrives)
{
    static const struct {
        struct bytes input, error;
    } cases[] = {
        {BYTES_INIT("?\r\n"), BYTES_INIT("a value that begins with '?'")},
        {BYTES_INIT("\r\n"), BYTES_INIT("a value that begins with byte 13")},
        {BYTES_INIT("HTTP/1.1 400 Bad Request\r\n"), BYTES_INIT("a value that begins with 'H'")},
        {BYTES_INIT("\xff\r\n"), BYTES_INIT("a value that begins with byte 255")},
        /* lines */
        {BYTES_INIT("+OK\n"), BYTES_INIT("a line that ends without a carriage return")},
        {BYTES_INIT("+O\rK\r\n"), BYTES_INIT("a line with a carriage return inside")},
        {BYTES_INIT("+OK\r\r\n"), BYTES_INIT("a line with a carriage return inside")},
        {BYTES_INIT("$000000000000000000000000000000000"),
         BYTES_INIT("a line that is too long for its type")},
        /* numbers */
        {BYTES_INIT(":\r\n"), BYTES_INIT("a number that is none, or does not fit in 64 bits")},
        {BYTES_INIT(":1.5\r\n"), BYTES_INIT("a number that is none, or does not fit in 64 bits")},
        {BYTES_INIT(": 1\r\n"), BYTES_INIT("a number that is none, or does not fit in 64 bits")},
        {BYTES_INIT(":9223372036854775808\r\n"),
         BYTES_INIT("a number that is none, or does not fit in 64 bits")},
        {BYTES_INIT(",\r\n"), BYTES_INIT("a number that is none")},
        {BYTES_INIT(",1.\r\n"), BYTES_INIT("a number that is none")},
        {BYTES_INIT(",.5\r\n"), BYTES_INIT("a number that is none")},
        {BYTES_INIT(",1e\r\n"), BYTES_INIT("a number that is none")},
        {BYTES_INIT(",1.5x\r\n"), BYTES_INIT("a number that is none")},
        {BYTES_INIT(",infinity\r\n"), BYTES_INIT("a number that is none")},
        {BYTES_INIT("(\r\n"), BYTES_INIT("a number that is none")},
        {BYTES_INIT("(12a\r\n"), BYTES_INIT("a number that is none")},
        {BYTES_INIT("#1\r\n"), BYTES_INIT("a boolean that is neither true nor false")},
        {BYTES_INIT("_0\r\n"), BYTES_INIT("a null with something in it")},
        /* lengths */
        {BYTES_INIT("$-2\r\n"), BYTES_INIT("a negative length")},
        {BYTES_INIT("!-1\r\n"), BYTES_INIT("a negative length")},
        {BYTES_INIT("=-1\r\n"), BYTES_INIT("a negative length")},
        {BYTES_INIT("$9223372036854775807\r\n"), BYTES_INIT("a reply of more than 100 bytes")},
        {BYTES_INIT("$18446744073709551615\r\n"),
         BYTES_INIT("a number that is none, or does not fit in 64 bits")},
        {BYTES_INIT("$94\r\n"), BYTES_INIT("a reply of more than 100 bytes")},
        {BYTES_INIT("$2\r\nabc\r\n"), BYTES_INIT("a string that is not as long as it says")},
        {BYTES_INIT("$2\r\nab\rc"), BYTES_INIT("a string that is not as long as it says")},
        {BYTES_INIT("=3\r\ntxt\r\n"), BYTES_INIT("a verbatim string without its format")},
        {BYTES_INIT("=5\r\ntxtab\r\n"), BYTES_INIT("a verbatim string without its format")},
        /* counts */
        {BYTES_INIT("*-2\r\n"), BYTES_INIT("a negative count")},
        {BYTES_INIT("%-1\r\n"), BYTES_INIT("a negative count")},
        {BYTES_INIT("~-1\r\n"), BYTES_INIT("a negative count")},
        {BYTES_INIT(">-1\r\n"), BYTES_INIT("a negative count")},
        {BYTES_INIT("|-1\r\n"), BYTES_INIT("a negative count")},
        {BYTES_INIT("*4294967295\r\n"), BYTES_INIT("a reply of more values than it may have")},
        {BYTES_INIT("%9223372036854775807\r\n"), BYTES_INIT("a reply of more values than it may have")},
        {BYTES_INIT("|4611686018427387904\r\n"), BYTES_INIT("a reply of more values than it may have")},
        {BYTES_INIT("%5\r\n"), BYTES_INIT("a reply of more values than it may have")},
        {BYTES_INIT("*8\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n"),
         BYTES_INIT("a reply of too many values")},
        {BYTES_INIT("*1\r\n*1\r\n*1\r\n*0\r\n"), BYTES_INIT("a reply with too many levels")},
        {BYTES_INIT("|1\r\n*1\r\n*1\r\n*1\r\n"), BYTES_INIT("a reply with too many levels")},
        /* streamed types */
        {BYTES_INIT("$?\r\n"), BYTES_INIT("a number that is none, or does not fit in 64 bits")},
        {BYTES_INIT("*?\r\n"), BYTES_INIT("a number that is none, or does not fit in 64 bits")},
        {BYTES_INIT("%?\r\n"), BYTES_INIT("a number that is none, or does not fit in 64 bits")},
        {BYTES_INIT(";4\r\n"), BYTES_INIT("a value that begins with ';'")},
        {BYTES_INIT("*1\r\n.\r\n"), BYTES_INIT("a value that begins with '.'")},
        /* pushes */
        {BYTES_INIT("*2\r\n>1\r\n+a\r\n:1\r\n"), BYTES_INIT("a push inside of a reply")},
        {BYTES_INIT("|1\r\n>1\r\n+a\r\n:1\r\n"), BYTES_INIT("a push inside of a reply")},
        {BYTES_INIT(">0\r\n"), BYTES_INIT("a push without a kind")},
        {BYTES_INIT(">1\r\n:1\r\n"), BYTES_INIT("a push whose kind is no string")},
        {BYTES_INIT(">1\r\n$-1\r\n"), BYTES_INIT("a push whose kind is no string")},
        {BYTES_INIT(">1\r\n*1\r\n+invalidate\r\n"), BYTES_INIT("a push whose kind is no string")},
        /* replies that do not say how long they are */
        {BYTES_INIT("+0123456789012345678901234567890123456789"
                    "01234567890123456789012345678901234567890123456789012345678\r\n"),
         BYTES_INIT("a reply of more than 100 bytes")},
        {BYTES_INIT("|0\r\n|0\r\n|0\r\n|0\r\n|0\r\n|0\r\n|0\r\n|0\r\n|0\r\n|0\r\n|0\r\n|0\r\n|0\r\n|0\r\n"
                    "|0\r\n|0\r\n|0\r\n|0\r\n|0\r\n|0\r\n|0\r\n|0\r\n|0\r\n|0\r\n|0\r\n"),
         BYTES_INIT("a reply of more than 100 bytes")},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (size_t j = 0; j < COUNT_OF(pieces); j++) {
            struct resp_reply_parser parser = {0};
            struct resp_reply reply;
            struct bytes error = {0};
            size_t consumed;
            char *copy;

            EXPECT_EQ(parse_in_pieces(&parser, &narrow, cases[i].input, pieces[j], &reply, &consumed,
                                      &error, &copy),
                      PARSE_FATAL);
            EXPECT_TEXT(error, cases[i].error);
            free(copy);
            resp_reply_parser_fini(&parser);
        }
}

TEST(a_reply_may_be_as_large_as_the_limits_say)
{
    static const struct bytes cases[] = {
        BYTES_INIT("$93\r\n0123456789012345678901234567890123456789"
                   "01234567890123456789012345678901234567890123456789012\r\n"), /* 100 bytes */
        BYTES_INIT("+0123456789012345678901234567890123456789"
                   "012345678901234567890123456789012345678901234567890123456\r\n"),
        BYTES_INIT("*7\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n"), /* 8 nodes */
        BYTES_INIT("*1\r\n*1\r\n*0\r\n"),                               /* 3 levels */
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (size_t j = 0; j < COUNT_OF(pieces); j++) {
            struct resp_reply_parser parser = {0};
            struct resp_reply reply;
            struct bytes error = {0};
            size_t consumed = 0;
            char *copy;

            EXPECT_EQ(
                parse_in_pieces(&parser, &narrow, cases[i], pieces[j], &reply, &consumed, &error, &copy),
                PARSE_DONE);
            EXPECT_EQ(consumed, cases[i].size);
            free(copy);
            resp_reply_parser_fini(&parser);
        }
}

TEST(promised_members_cost_nothing_until_they_come)
{
    static const struct resp_reply_limits huge = {
        .reply_bytes_max = UINT64_MAX, .nodes_max = UINT32_MAX, .depth_max = RESP_DEPTH_MAX};
    static const struct bytes inputs[] = {
        BYTES_INIT("*4294967295\r\n"),
        BYTES_INIT("*4294967295\r\n*4294967295\r\n*4294967295\r\n*4294967295\r\n"),
        BYTES_INIT("$9223372036854775807\r\n"),
        BYTES_INIT("%2147483647\r\n%2147483647\r\n~4294967295\r\n"),
    };
    for (size_t i = 0; i < COUNT_OF(inputs); i++) {
        struct resp_reply_parser parser = {0};
        struct resp_reply reply;
        struct bytes error;
        size_t consumed;

        EXPECT_EQ(resp_reply_parse(&parser, &huge, inputs[i], &reply, &consumed, &error), PARSE_MORE);
        EXPECT(parser.node_capacity <= 16);
        resp_reply_parser_fini(&parser);
    }
}

TEST(replies_behind_each_other_are_parsed_one_by_one_and_raw_is_without_attributes)
{
    static const struct bytes raws[] = {
        BYTES_INIT("*2\r\n:1\r\n$2\r\nab\r\n"),
        BYTES_INIT("+OK\r\n"),
        BYTES_INIT(">1\r\n+invalidate\r\n"),
        BYTES_INIT("$1\r\nv\r\n"),
    };
    struct bytes input = BYTES("*2\r\n:1\r\n$2\r\nab\r\n+OK\r\n>1\r\n+invalidate\r\n"
                               "|1\r\n+ttl\r\n:1\r\n$1\r\nv\r\n$1\r\n");
    struct resp_reply_parser parser = {0};
    struct resp_reply reply;
    struct bytes error;
    size_t consumed;

    for (size_t i = 0; i < COUNT_OF(raws); i++) {
        EXPECT_EQ(resp_reply_parse(&parser, &wide, input, &reply, &consumed, &error), PARSE_DONE);
        EXPECT_TEXT(reply.raw, raws[i]);
        input = bytes_after(input, consumed);
    }
    EXPECT_EQ(resp_reply_parse(&parser, &wide, input, &reply, &consumed, &error), PARSE_MORE);
    resp_reply_parser_fini(&parser);
}

TEST(members_and_siblings_are_found_by_spans)
{
    struct bytes input = BYTES("*3\r\n%1\r\n+a\r\n*2\r\n:1\r\n:2\r\n~0\r\n-MOVED 1 h:1\r\n");
    struct resp_reply_parser parser = {0};
    const struct resp_node *map, *set, *moved;
    struct resp_reply reply;
    struct bytes error;
    size_t consumed;

    EXPECT_EQ(resp_reply_parse(&parser, &wide, input, &reply, &consumed, &error), PARSE_DONE);
    EXPECT_EQ(reply.node_count, 8);
    map = resp_first_member(reply.nodes);
    EXPECT_EQ(map->type, RESP_MAP);
    EXPECT_EQ(map->integer, 1);
    EXPECT_EQ(map->span, 5);
    EXPECT_EQ(resp_next(resp_first_member(map))->integer, 2);
    set = resp_next(map);
    EXPECT_EQ(set->type, RESP_SET);
    moved = resp_next(set);
    EXPECT(resp_is_error(moved, BYTES("MOVED")));
    EXPECT(!resp_is_error(moved, BYTES("MOVE")));
    EXPECT(resp_next(moved) == reply.nodes + reply.node_count);
    resp_reply_parser_fini(&parser);
}

TEST(memory_for_a_large_reply_is_given_back)
{
    struct resp_reply_parser parser = {0};
    struct buffer text = {0};
    struct resp_reply reply;
    struct bytes error;
    size_t consumed;

    buffer_append_literal(&text, "*100000\r\n");
    for (int i = 0; i < 100000; i++)
        buffer_append_literal(&text, "_\r\n");
    EXPECT_EQ(resp_reply_parse(&parser, &wide, buffer_bytes(&text), &reply, &consumed, &error), PARSE_DONE);
    EXPECT_EQ(reply.node_count, 100001);
    EXPECT_EQ(resp_reply_parse(&parser, &wide, BYTES("+OK\r\n"), &reply, &consumed, &error), PARSE_DONE);
    EXPECT(parser.node_capacity <= 16);
    resp_reply_parser_fini(&parser);
    buffer_fini(&text);
}

TEST(a_command_is_rendered_as_an_array_of_bulk_strings)
{
    struct bytes arguments[] = {BYTES("SET"), BYTES("k\r\n"), {0}};
    struct buffer output = {0};

    resp_render_command(&output, arguments, 3);
    resp_render_command(&output, arguments, 1);
    EXPECT_TEXT(buffer_bytes(&output),
                BYTES("*3\r\n$3\r\nSET\r\n$3\r\nk\r\n\r\n$0\r\n\r\n*1\r\n$3\r\nSET\r\n"));
    buffer_fini(&output);
}

RUN_TESTS(TEST_ROW(what_a_server_says_is_said_again_in_both_versions),
          TEST_ROW(what_is_no_reply_or_too_large_is_refused_however_it_arrives),
          TEST_ROW(a_reply_may_be_as_large_as_the_limits_say),
          TEST_ROW(promised_members_cost_nothing_until_they_come),
          TEST_ROW(replies_behind_each_other_are_parsed_one_by_one_and_raw_is_without_attributes),
          TEST_ROW(members_and_siblings_are_found_by_spans),
          TEST_ROW(memory_for_a_large_reply_is_given_back),
          TEST_ROW(a_command_is_rendered_as_an_array_of_bulk_strings))
