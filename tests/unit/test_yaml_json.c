/* links: nuthatch-mock nuthatch-base */
#include "engine/mock/json/json_text.h"
#include "engine/mock/json/yaml_json.h"
#include "test.h"

struct row {
    const char *yaml, *json;
};

/* The JSON of `yaml`, without the space that keeps values where they were, is `json`. */
static void check(const struct row *row)
{
    struct buffer json = {0}, message = {0}, compact = {0};
    json_t *value = NULL;

    EXPECT_EQ(yaml_json_convert(bytes_of_text(row->yaml), &json, &message), OK);
    EXPECT_EQ(json_text_parse(buffer_bytes(&json), &value, &message), OK);
    json_text_append(&compact, value);
    EXPECT_TEXT(buffer_bytes(&compact), bytes_of_text(row->json));
    json_decref(value);
    buffer_fini(&json);
    buffer_fini(&message);
    buffer_fini(&compact);
}

TEST(what_json_can_say_becomes_json)
{
    static const struct row rows[] = {
        {"posts:\n  - id: 1\n    title: A b\n  - id: two\nempty: []\nprofile: {a: 1, b: [x, 'y']}\n",
         "{\"posts\":[{\"id\":1,\"title\":\"A "
         "b\"},{\"id\":\"two\"}],\"empty\":[],\"profile\":{\"a\":1,\"b\":"
         "[\"x\",\"y\"]}}"},
        {"[~, null, Null, NULL, '', true, False, yes, on, no]",
         "[null,null,null,null,\"\",true,false,\"yes\",\"on\",\"no\"]"},
        {"a:\nb: \"\"", "{\"a\":null,\"b\":\"\"}"},
        {"[1, +2, -3, 007, 0x1F, 0o17, 0x, 1_000, 12:30, 2024-01-01]",
         "[1,2,-3,7,31,15,\"0x\",\"1_000\",\"12:30\",\"2024-01-01\"]"},
        {"[1.5, .5, -.5, 1., 1e3, 1.5E-2, 00.5, ., e3, 1e, +, -]",
         "[1.5,0.5,-0.5,1.0,1000.0,0.015,0.5,\".\",\"e3\",\"1e\",\"+\",\"-\"]"},
        {"200: ok\n'a b': 1\ntrue: 2\n", "{\"200\":\"ok\",\"a b\":1,\"true\":2}"},
        {"a: !!str 1\nb: !!int \"2\"\nc: ! 3\nd: !!seq []\n", "{\"a\":\"1\",\"b\":2,\"c\":\"3\",\"d\":[]}"},
        {"a: |\n  one\n  two\nb: >\n  one\n  two\n", "{\"a\":\"one\\ntwo\\n\",\"b\":\"one two\\n\"}"},
        {"a: &x {n: [1, \"q \\\" \\\\\"]}\nb: *x\nc: [*x, *x]\n",
         "{\"a\":{\"n\":[1,\"q \\\" \\\\\"]},\"b\":{\"n\":[1,\"q \\\" \\\\\"]},\"c\":[{\"n\":[1,\"q \\\" "
         "\\\\\"]},{"
         "\"n\":[1,\"q \\\" \\\\\"]}]}"},
        {"a: &x 1\nb: &x 2\nc: *x\n", "{\"a\":1,\"b\":2,\"c\":2}"},
        {"&k key: 1\nb: *k\n", "{\"key\":1,\"b\":\"key\"}"},
        {"just a text", "\"just a text\""},
        {"--- 1\n...\n", "1"},
        {"\"\\u00fc\\t\\0\"", "\"\xc3\xbc\\t\\u0000\""},
        {"{\"json\": [1, {\"is\": \"yaml\"}]}", "{\"json\":[1,{\"is\":\"yaml\"}]}"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check(&rows[i]);
}

TEST(what_json_cannot_say_is_refused_with_its_place)
{
    static const struct {
        const char *yaml, *message;
    } rows[] = {
        {"", "line 1, column 1: the file is empty"},
        {"# only a remark\n", "line 1, column 1: the file is empty"},
        {"a: 1\n---\nb: 2\n", "line 3, column 1: a second document; a file has one"},
        {"a:\n  b: .nan\n",
         "line 2, column 6: JSON has no number for .nan; put it in quotes to have a text"},
        {"a: 1\n[b]: 2\n", "line 2, column 1: a key must be a text"},
        {"a: !thing x\n", "line 1, column 4: tag !thing means nothing in JSON; write the plain value"},
        {"a: !!int x\n", "line 1, column 4: x is not what its tag says"},
        {"a: *nobody\n", "line 1, column 4: alias *nobody: no anchor of that name comes before it"},
        {"a: &x [1, *x]\n", "line 1, column 11: alias *x stands inside of what it stands for"},
        {"a: &x [1]\n*x : 1\n", "line 2, column 1: alias *x: a key must be a text"},
        {"a: &x [&x 1]\n",
         "line 1, column 8: anchor &x is inside a value of that name; name one of the two otherwise"},
        {"base: &b {a: 1}\nc:\n  <<: *b\n",
         "line 3, column 3: merge keys (<<) are not taken; write the members out"},
        {"a: [1\nb: 2\n",
         "line 2, column 2: not YAML: did not find expected ',' or ']' while parsing a flow "
         "sequence"},
        {"a: \"\xff\"\n", "line 1, column 5: not YAML: invalid leading UTF-8 octet"},
        {"\ta: 1\n",
         "line 1, column 1: not YAML: found character that cannot start any token while scanning "
         "for the next token"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buffer json = {0}, message = {0};
        EXPECT_EQ(yaml_json_convert(bytes_of_text(rows[i].yaml), &json, &message), ERR_SYNTAX);
        EXPECT_TEXT(buffer_bytes(&message), bytes_of_text(rows[i].message));
        buffer_fini(&json);
        buffer_fini(&message);
    }
}

TEST(each_value_is_on_its_line)
{
    struct buffer json = {0}, message = {0};

    EXPECT_EQ(
        yaml_json_convert(BYTES("# birds\n\nbirds:\n- id: 1\n\n  name: jay\n- id: 2\n"), &json, &message),
        OK);
    EXPECT_TEXT(buffer_bytes(&json), BYTES("\n\n{\"birds\":\n[ {\"id\":1,\n\n  \"name\":\"jay\"},\n  "
                                           "{\"id\":2}]}"));
    buffer_fini(&json);
    buffer_fini(&message);
}

TEST(aliases_of_aliases_do_not_grow_without_bound)
{
    struct buffer yaml = {0}, json = {0}, message = {0};

    buffer_append_literal(&yaml, "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for (int i = 1; i < 30; i++) {
        buffer_append_format(&yaml, "a%d: &a%d [", i, i);
        for (int j = 0; j < 9; j++)
            buffer_append_format(&yaml, "%s*a%d", j > 0 ? ", " : "", i - 1);
        buffer_append_literal(&yaml, "]\n");
    }
    EXPECT_EQ(yaml_json_convert(buffer_bytes(&yaml), &json, &message), ERR_SYNTAX);
    EXPECT(json.size <= 2 * YAML_ALIAS_BYTES_MAX);
    EXPECT(strstr(message.data, "aliases stand for more than 16777216 bytes in all") != NULL);
    buffer_fini(&yaml);
    buffer_fini(&json);
    buffer_fini(&message);
}

TEST(anchors_and_nesting_are_bounded)
{
    struct buffer yaml = {0}, json = {0}, message = {0};

    for (int i = 0; i <= YAML_ANCHORS_MAX; i++)
        buffer_append_format(&yaml, "- &a%d 1\n", i);
    EXPECT_EQ(yaml_json_convert(buffer_bytes(&yaml), &json, &message), ERR_SYNTAX);
    EXPECT_TEXT(buffer_bytes(&message), BYTES("line 1001, column 3: more than 1000 anchors"));
    buffer_clear(&yaml);
    buffer_clear(&message);
    for (int i = 0; i < 100000; i++)
        buffer_append_byte(&yaml, '[');
    EXPECT_EQ(yaml_json_convert(buffer_bytes(&yaml), &json, &message), ERR_SYNTAX);
    EXPECT_TEXT(buffer_bytes(&message),
                BYTES("line 1, column 501: deeper than 500 sequences and mappings"));
    buffer_fini(&yaml);
    buffer_fini(&json);
    buffer_fini(&message);
}

TEST(a_file_is_yaml_by_its_name)
{
    EXPECT(yaml_json_is_named(BYTES("db.yaml")) && yaml_json_is_named(BYTES("a/b.YML")));
    EXPECT(!yaml_json_is_named(BYTES("db.json")) && !yaml_json_is_named(BYTES(".yml")));
}

RUN_TESTS(TEST_ROW(what_json_can_say_becomes_json),
          TEST_ROW(what_json_cannot_say_is_refused_with_its_place), TEST_ROW(each_value_is_on_its_line),
          TEST_ROW(aliases_of_aliases_do_not_grow_without_bound), TEST_ROW(anchors_and_nesting_are_bounded),
          TEST_ROW(a_file_is_yaml_by_its_name))
