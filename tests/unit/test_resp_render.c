/* links: nuthatch-resp nuthatch-message nuthatch-base */
#include "base/compiler.h"
#include "protocol/resp/resp.h"
#include "test.h"
#include <math.h>

TEST(every_outcome_is_said_in_both_versions)
{
    static const struct {
        struct outcome outcome;
        struct bytes in_2, in_3;
    } cases[] = {
        {{.kind = OUTCOME_ok}, BYTES_INIT("+OK\r\n"), BYTES_INIT("+OK\r\n")},
        {{.kind = OUTCOME_text, .bytes = BYTES_INIT("PONG")},
         BYTES_INIT("+PONG\r\n"),
         BYTES_INIT("+PONG\r\n")},
        {{.kind = OUTCOME_value, .bytes = BYTES_INIT("a\r\nb")},
         BYTES_INIT("$4\r\na\r\nb\r\n"),
         BYTES_INIT("$4\r\na\r\nb\r\n")},
        {{.kind = OUTCOME_value, .bytes = BYTES_INIT("")},
         BYTES_INIT("$0\r\n\r\n"),
         BYTES_INIT("$0\r\n\r\n")},
        {{.kind = OUTCOME_value}, BYTES_INIT("$0\r\n\r\n"), BYTES_INIT("$0\r\n\r\n")},
        {{.kind = OUTCOME_verbatim, .bytes = BYTES_INIT("hi")},
         BYTES_INIT("$2\r\nhi\r\n"),
         BYTES_INIT("=6\r\ntxt:hi\r\n")},
        {{.kind = OUTCOME_integer, .integer = INT64_MIN},
         BYTES_INIT(":-9223372036854775808\r\n"),
         BYTES_INIT(":-9223372036854775808\r\n")},
        {{.kind = OUTCOME_integer, .integer = 0}, BYTES_INIT(":0\r\n"), BYTES_INIT(":0\r\n")},
        {{.kind = OUTCOME_number, .number = 0.5}, BYTES_INIT("$3\r\n0.5\r\n"), BYTES_INIT(",0.5\r\n")},
        {{.kind = OUTCOME_number, .number = -INFINITY},
         BYTES_INIT("$4\r\n-inf\r\n"),
         BYTES_INIT(",-inf\r\n")},
        {{.kind = OUTCOME_yes}, BYTES_INIT(":1\r\n"), BYTES_INIT("#t\r\n")},
        {{.kind = OUTCOME_no}, BYTES_INIT(":0\r\n"), BYTES_INIT("#f\r\n")},
        {{.kind = OUTCOME_nothing}, BYTES_INIT("$-1\r\n"), BYTES_INIT("_\r\n")},
        {{.kind = OUTCOME_nothing_array}, BYTES_INIT("*-1\r\n"), BYTES_INIT("_\r\n")},
        {{.kind = OUTCOME_array, .count = 0}, BYTES_INIT("*0\r\n"), BYTES_INIT("*0\r\n")},
        {{.kind = OUTCOME_map, .count = 7}, BYTES_INIT("*14\r\n"), BYTES_INIT("%7\r\n")},
        {{.kind = OUTCOME_set, .count = 2}, BYTES_INIT("*2\r\n"), BYTES_INIT("~2\r\n")},
        {{.kind = OUTCOME_push, .count = 2}, BYTES_INIT("*2\r\n"), BYTES_INIT(">2\r\n")},
        {{.kind = OUTCOME_error, .bytes = BYTES_INIT("ERR no")},
         BYTES_INIT("-ERR no\r\n"),
         BYTES_INIT("-ERR no\r\n")},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buffer output = {0};
        resp_render(&output, 2, &cases[i].outcome);
        EXPECT_TEXT(buffer_bytes(&output), cases[i].in_2);
        buffer_clear(&output);
        resp_render(&output, 3, &cases[i].outcome);
        EXPECT_TEXT(buffer_bytes(&output), cases[i].in_3);
        buffer_fini(&output);
    }
}

TEST(a_peers_words_in_an_error_cannot_end_its_line)
{
    struct buffer output = {0};
    resp_render(&output, 2, &(struct outcome){.kind = OUTCOME_error, .bytes = BYTES("ERR 'a\r\n+OK\r\n'")});
    EXPECT_TEXT(buffer_bytes(&output), BYTES("-ERR 'a  +OK  '\r\n"));
    buffer_fini(&output);
}

TEST(no_outcome_leaves_a_client_without_an_answer)
{
#define OUTCOME(name, payload, help) OUTCOME_##name,
    static const enum outcome_kind kinds[] = {
#include "tables/outcomes.def"
    };
#undef OUTCOME
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct buffer output = {0};
        resp_render(&output, 3, &(struct outcome){.kind = kinds[i]});
        EXPECT(output.size >= 3);
        EXPECT_TEXT(bytes_of(output.data + output.size - 2, 2), BYTES("\r\n"));
        buffer_fini(&output);
    }
}

RUN_TESTS(TEST_ROW(every_outcome_is_said_in_both_versions),
          TEST_ROW(a_peers_words_in_an_error_cannot_end_its_line),
          TEST_ROW(no_outcome_leaves_a_client_without_an_answer))
