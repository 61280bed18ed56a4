/* links: nuthatch-compose */
/* What is JSON, and what a pointer finds in it. */
#include "base/compiler.h"
#include "engine/compose/json_pick.h"
#include "test.h"

TEST(json_is_one_value_and_nothing_else)
{
    static const char *const good[] = {"null",
                                       " true\n",
                                       "false",
                                       "0",
                                       "-0",
                                       "-0.5e+10",
                                       "1E9",
                                       "12345678901234567890123",
                                       "\"\"",
                                       "\"a\\u00e9\\n\\/\"",
                                       "\"\xc3\xa9\"",
                                       "[]",
                                       "[ ]",
                                       "{}",
                                       "{ }",
                                       "[1,2 , [3]]",
                                       "{\"a\":{\"b\":[{}]},\"a\":1}",
                                       "\t[\r\n\"\\\\\"]"};
    static const char *const bad[] = {"",           " ",
                                      "nul",        "nulll",
                                      "True",       "01",
                                      "-",          "1.",
                                      ".5",         "1e",
                                      "+1",         "0x1",
                                      "NaN",        "\"",
                                      "\"\\x\"",    "\"\\u12g4\"",
                                      "\"\n\"",     "\"\xc3\"",
                                      "\"\xff\"",   "[",
                                      "[1",         "[1,",
                                      "[1,]",       "[,1]",
                                      "[1 2]",      "[1}",
                                      "{",          "{1:2}",
                                      "{\"a\"}",    "{\"a\":}",
                                      "{\"a\":1,}", "{\"a\":1]",
                                      "{a:1}",      "1 2",
                                      "{} {}",      "'a'",
                                      "// a\n1",    "\xef\xbb\xbf{}"};

    for (size_t i = 0; i < COUNT_OF(good); i++)
        if (!json_is_whole(bytes_of_text(good[i])))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (json_is_whole(bytes_of_text(bad[i])))
            fail_msg("taken: %s", bad[i]);
    EXPECT(!json_is_whole(BYTES("\"a\0\"")));
    EXPECT(!json_is_whole(BYTES("1\0")));
}

TEST(json_has_a_bound_on_its_depth)
{
    char text[2 * (JSON_DEPTH_MAX + 1)];

    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    EXPECT(json_is_whole(bytes_of(text + 1, (size_t)2 * JSON_DEPTH_MAX)));
    EXPECT(!json_is_whole(bytes_of(text, sizeof text)));
}

TEST(a_pointer_finds_a_value_as_it_is_written)
{
    /* The first are RFC 6901's own, §5. */
    static const char rfc[] = "{ \"foo\": [\"bar\", \"baz\"], \"\": 0, \"a/b\": 1, \"c%d\": 2, \"e^f\": 3,"
                              "  \"g|h\": 4, \"i\\\\j\": 5, \"k\\\"l\": 6, \" \": 7, \"m~n\": 8 }";
    static const struct {
        const char *text, *pointer, *value;
    } cases[] = {
        {rfc, "/foo", "[\"bar\", \"baz\"]"},
        {rfc, "/foo/0", "\"bar\""},
        {rfc, "/", "0"},
        {rfc, "/a~1b", "1"},
        {rfc, "/c%d", "2"},
        {rfc, "/e^f", "3"},
        {rfc, "/g|h", "4"},
        {rfc, "/i\\j", "5"},
        {rfc, "/k\"l", "6"},
        {rfc, "/ ", "7"},
        {rfc, "/m~0n", "8"},
        {" [1.0 , 1e2]\n", "", "[1.0 , 1e2]"},
        {" [1.0 , 1e2]\n", "/0", "1.0"},
        {" [1.0 , 1e2]\n", "/1", "1e2"},
        {"[12345678901234567890123]", "/0", "12345678901234567890123"},
        {"{\"a\":1,\"a\":2}", "/a", "2"},
        {"{\"a\":{\"]}\\\"\":[{\"b\":true}]}}", "/a/]}\"/0/b", "true"},
        {"{\"\\u00e9\":1}", "/\xc3\xa9", "1"},
        {"{\"\xc3\xa9\":1}", "/\xc3\xa9", "1"},
        {"{\"\\ud83d\\ude00\":1}", "/\xf0\x9f\x98\x80", "1"},
        {"{\"a\\u002fb\\t\":1}", "/a~1b\t", "1"},
        {"{\"0\":1}", "/0", "1"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes value;
        EXPECT(json_is_whole(bytes_of_text(cases[i].text)));
        if (!json_pick(bytes_of_text(cases[i].text), bytes_of_text(cases[i].pointer), &value))
            fail_msg("nothing at %s in %s", cases[i].pointer, cases[i].text);
        EXPECT_TEXT(value, bytes_of_text(cases[i].value));
    }
}

TEST(a_pointer_to_what_is_not_there_finds_nothing)
{
    static const struct {
        const char *text, *pointer;
    } cases[] = {{"{\"a\":1}", "/b"},
                 {"{\"a\":1}", "/a/b"},
                 {"[1]", "/1"},
                 {"[1]", "/-"},
                 {"[1]", "/00"},
                 {"[1]", "/+0"},
                 {"[1]", "/"},
                 {"[]", "/0"},
                 {"{}", "/"},
                 {"1", "/0"},
                 {"\"a\"", "/a"},
                 {"{\"ab\":1}", "/a"},
                 {"{\"a\":1}", "/ab"},
                 {"[1]", "/18446744073709551616"},
                 {"{\"\\ud83d\":1}", "/?"}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes value;
        EXPECT(json_is_whole(bytes_of_text(cases[i].text)));
        if (json_pick(bytes_of_text(cases[i].text), bytes_of_text(cases[i].pointer), &value))
            fail_msg("%s in %s", cases[i].pointer, cases[i].text);
    }
}

TEST(what_is_no_pointer_is_refused)
{
    static const char *const bad[] = {"a", "#/a", "/~", "/~2", "/a~", "/\xff"};

    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (json_pointer_is_wrong(bytes_of_text(bad[i])) == NULL)
            fail_msg("%s", bad[i]);
    EXPECT(json_pointer_is_wrong(BYTES("")) == NULL);
    EXPECT(json_pointer_is_wrong(BYTES("/a~0~1b/0")) == NULL);
}

RUN_TESTS(TEST_ROW(json_is_one_value_and_nothing_else), TEST_ROW(json_has_a_bound_on_its_depth),
          TEST_ROW(a_pointer_finds_a_value_as_it_is_written),
          TEST_ROW(a_pointer_to_what_is_not_there_finds_nothing), TEST_ROW(what_is_no_pointer_is_refused))
