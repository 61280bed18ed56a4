/* links: nuthatch-mock nuthatch-base */
#include "engine/mock/json/json_plain.h"
#include "engine/mock/json/json_text.h"
#include "test.h"

/* What values made of `json` are written as; nothing if it is not JSON. */
static struct buffer written(struct bytes json)
{
    struct buffer text = {0}, message = {0};
    json_t *value = NULL;

    if (json_text_parse(json, &value, &message) == OK)
        json_text_append(&text, value);
    json_decref(value);
    buffer_fini(&message);
    return text;
}

TEST(plain_objects_are_what_their_values_are_written_as)
{
    static const char *const rows[] = {
        "{}",
        " { } ",
        "{\"a\":1}",
        "\r\n{ \"a\" : 1 ,\t\"b\":\"x y\" }\n",
        "{\"a\":[],\"b\":[ 1 , [2,{}] ],\"c\":{\"a\":{\"a\":null}},\"d\":true,\"e\":false}",
        "{\"a\":0,\"b\":-1,\"c\":999999999999999999,\"d\":-999999999999999999}",
        "{\"\":\"\",\"\xc3\xa9\":\"\xf0\x9f\x90\xa6\x7f\"}",
        "{\"a\":{\"id\":1}}", /* not at the top */
        "{ \"a\" : 1, \"id\" : [ \"x\", 2 ] , \"b\":null}",
        "{\"id\":1}",
        "[]",
        "1",
        "",
        "{\"a\":\"\\n\"}",
        "{\"\\u0069d\":1}",
        "{\"a\":1.0}",
        "{\"a\":1e2}",
        "{\"a\":-0}",
        "{\"a\":01}",
        "{\"a\":1000000000000000000}",
        "{\"a\":1,\"a\":2}",
        "{\"b\":{\"a\":1,\"c\":2,\"a\":2}}",
        "{\"a\":1,}",
        "{\"a\":1",
        "{\"a\":1}}",
        "{\"a\":1}x",
        "{\"a\":}",
        "{\"a\" 1}",
        "{a:1}",
        "{,}",
        "{\"a\":[1,]}",
        "{\"a\":[}",
        "{\"a\":tru}",
        "{\"a\":truey}",
        "{\"a\":-}",
        "{\"a\":+1}",
        "{\"a\":\"\xc3\"}",
        "{\"a\":\"\xed\xa0\x80\"}",
        "{\"a\":\"\xc0\x80\"}",
        "{\"a\":\"\t\"}",
        "{\"a",
        "\xef\xbb\xbf{}",
        "{\"a\":[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]}", /* too deep to be plain */
    };
    enum { PLAIN_COUNT = 10 }; /* the first of them */
    struct bytes id;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer plain = {0}, expected = written(bytes_of_text(rows[i]));
        buffer_append_literal(&plain, "before");
        EXPECT_EQ(json_plain_append(&plain, bytes_of_text(rows[i]), BYTES("id"), &id), i < PLAIN_COUNT);
        if (i < PLAIN_COUNT)
            EXPECT_TEXT(bytes_after(buffer_bytes(&plain), 6), buffer_bytes(&expected));
        else
            EXPECT_TEXT(buffer_bytes(&plain), BYTES("before"));
        buffer_fini(&plain);
        buffer_fini(&expected);
    }
}

TEST(the_member_that_is_asked_for_is_found_as_it_is_written)
{
    static const struct {
        const char *json, *value;
    } rows[] = {
        {"{\"id\" : 12, \"a\":1}", "12"},
        {"{\"a\":{\"id\":1},\"id\":\"x y\"}", "\"x y\""},
        {"{\"a\":1, \"id\": [1, {\"id\":2}] }", "[1,{\"id\":2}]"},
        {"{\"ID\":1,\"idx\":2,\"i\":3}", ""},
        {"{}", ""},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buffer plain = {0};
        struct bytes value;
        EXPECT(json_plain_append(&plain, bytes_of_text(rows[i].json), BYTES("id"), &value));
        EXPECT_TEXT(value, bytes_of_text(rows[i].value));
        buffer_fini(&plain);
    }
}

TEST(an_object_that_is_cut_short_is_not_plain)
{
    struct bytes whole = BYTES("{\"a\":[1,\"b\xc3\xa9\",{\"c\":null}],\"d\":-12}");

    for (size_t size = 0; size < whole.size; size++) {
        char *copy = size > 0 ? malloc(size) : NULL; /* so that the sanitizer sees what is read behind it */
        struct buffer plain = {0};
        struct bytes id;
        if (size > 0)
            memcpy(copy, whole.data, size);
        EXPECT(!json_plain_append(&plain, bytes_of(copy, size), BYTES("id"), &id));
        buffer_fini(&plain);
        free(copy);
    }
}

TEST(an_object_of_many_names_is_plain_up_to_a_bound_of_those_that_are_open)
{
    for (int count = 40; count <= 60; count++) {
        struct buffer json = {0}, plain = {0};
        struct bytes id;
        buffer_append_literal(&json, "{\"first\":{\"x\":1,\"y\":2}");
        for (int i = 1; i < count; i++)
            buffer_append_format(&json, ",\"name%d\":%d", i, i);
        buffer_append_byte(&json, '}');
        EXPECT_EQ(json_plain_append(&plain, buffer_bytes(&json), BYTES("id"), &id), count <= 48);
        if (count <= 48)
            EXPECT_TEXT(buffer_bytes(&plain), buffer_bytes(&json));
        buffer_fini(&json);
        buffer_fini(&plain);
    }
}

TEST(a_byte_that_ends_a_text_or_makes_it_another_is_seen_wherever_it_is)
{
    for (int c = 0; c < 256; c++)
        for (size_t at = 0; at < 20; at++) {
            char json[] = "{\"a\":\"01234567890123456789\"}";
            struct buffer plain = {0}, expected;
            struct bytes value;
            json[6 + at] = (char)c;
            expected = written(bytes_of_text(json));
            EXPECT_EQ(json_plain_append(&plain, bytes_of(json, sizeof json - 1), BYTES("a"), &value),
                      c >= ' ' && c < 0x80 && c != '"' && c != '\\');
            if (plain.size > 0) {
                EXPECT_TEXT(buffer_bytes(&plain), buffer_bytes(&expected));
                EXPECT_TEXT(value, bytes_of(json + 5, sizeof json - 1 - 6));
            }
            buffer_fini(&plain);
            buffer_fini(&expected);
        }
}

RUN_TESTS(TEST_ROW(a_byte_that_ends_a_text_or_makes_it_another_is_seen_wherever_it_is),
          TEST_ROW(plain_objects_are_what_their_values_are_written_as),
          TEST_ROW(the_member_that_is_asked_for_is_found_as_it_is_written),
          TEST_ROW(an_object_that_is_cut_short_is_not_plain),
          TEST_ROW(an_object_of_many_names_is_plain_up_to_a_bound_of_those_that_are_open))
