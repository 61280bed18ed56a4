/* links: nuthatch-message nuthatch-base */
#include "base/compiler.h"
#include "http_text.h"
#include "message/structured_field.h"
#include "test.h"

static struct structured_member item_of(const char *text)
{
    struct structured_member item;

    if (!structured_is_item(bytes_of_text(text), &item))
        fail_msg("%s is an item", text);
    return item;
}

TEST(a_number_is_an_integer_of_15_digits_or_a_decimal_of_12_and_3)
{
    static const struct {
        const char *text;
        enum structured_type type;
        int64_t number;
    } cases[] = {
        {"0", STRUCTURED_INTEGER, 0},
        {"-0", STRUCTURED_INTEGER, 0},
        {"042", STRUCTURED_INTEGER, 42},
        {"-999999999999999", STRUCTURED_INTEGER, INT64_C(-999999999999999)},
        {"999999999999999", STRUCTURED_INTEGER, INT64_C(999999999999999)},
        {"1.5", STRUCTURED_DECIMAL, 1500},
        {"-0.125", STRUCTURED_DECIMAL, -125},
        {"999999999999.999", STRUCTURED_DECIMAL, INT64_C(999999999999999)},
        {"@1659578233", STRUCTURED_DATE, 1659578233},
        {"@-1", STRUCTURED_DATE, -1},
        {"?1", STRUCTURED_BOOLEAN, 1},
        {"?0", STRUCTURED_BOOLEAN, 0},
        {"  7  ", STRUCTURED_INTEGER, 7},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct structured_member item = item_of(cases[i].text);
        EXPECT_EQ(item.value.type, cases[i].type);
        EXPECT(item.value.number == cases[i].number);
    }
}

TEST(an_item_of_text_is_told_with_what_stands_between_its_marks)
{
    static const struct {
        const char *text;
        enum structured_type type;
        const char *inside;
    } cases[] = {
        {"\"\"", STRUCTURED_STRING, ""},
        {"\"a b\"", STRUCTURED_STRING, "a b"},
        {"\"a\\\"b\\\\\"", STRUCTURED_STRING, "a\\\"b\\\\"},
        {"a", STRUCTURED_TOKEN, "a"},
        {"*", STRUCTURED_TOKEN, "*"},
        {"text/html:x", STRUCTURED_TOKEN, "text/html:x"},
        {"A~|`b", STRUCTURED_TOKEN, "A~|`b"},
        {"::", STRUCTURED_BINARY, ""},
        {":aGVsbG8=:", STRUCTURED_BINARY, "aGVsbG8="},
        {":aGVsbG8:", STRUCTURED_BINARY, "aGVsbG8"},
        {":/+Ah:", STRUCTURED_BINARY, "/+Ah"},
        {"%\"f%c3%bc%c3%bc\"", STRUCTURED_DISPLAY, "f%c3%bc%c3%bc"},
        {"%\"%f0%9f%98%80\"", STRUCTURED_DISPLAY, "%f0%9f%98%80"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct structured_member item = item_of(cases[i].text);
        EXPECT_EQ(item.value.type, cases[i].type);
        EXPECT_TEXT(item.value.text, bytes_of_text(cases[i].inside));
    }
}

TEST(what_is_no_item_is_refused)
{
    static const char *const cases[] = {
        "",
        " ",
        "-",
        "--1",
        "- 1",
        "+1",
        "1.",
        ".1",
        "1.1234",
        "1.2.3",
        "1a",
        "1 2",
        "1,2",
        "1000000000000000",
        "1234567890123.0",
        "\"",
        "\"a",
        "a\"",
        "\"\\a\"",
        "\"\\",
        "\"\t\"",
        "\"\x7f\"",
        "\"\xc3\xbc\"",
        "'a'",
        "?",
        "?2",
        "?true",
        ":",
        ":a:",
        ":a=:",
        ":ab=:",
        ":=:",
        ":ab===:",
        ":a-b_:",
        ":aGVsbG8=",
        ":aGVs bG8=:",
        "@",
        "@1.5",
        "@a",
        "%",
        "%a",
        "%\"",
        "%\"%\"",
        "%\"%C3%BC\"",
        "%\"%c3\"",
        "%\"%c3%28\"",
        "%\"%ed%a0%80\"",
        "%\"%c0%80\"",
        "%\"%f5%80%80%80\"",
        "%\"\n\"",
        "(1)",
        "a;",
        "a;A",
        "a;b=",
        "a;b =1",
        "a ;b",
        "a;b= 1",
        "a;;b",
        "\xe4",
        "[1]",
        "{}",
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct structured_member item;
        if (structured_is_item(bytes_of_text(cases[i]), &item))
            fail_msg("%s is no item", cases[i]);
    }
}

TEST(a_list_is_items_and_inner_lists_between_commas)
{
    static const struct {
        const char *text;
        int count; /* -1: it is none */
    } cases[] = {
        {"", 0},       {"  ", 0},      {"1", 1},         {"a,b", 2},         {"a ,\tb , c", 3},
        {"a, ", -1},   {"a,", -1},     {",a", -1},       {"a,,b", -1},       {"a b", -1},
        {"\ta", -1},   {"()", 1},      {"(a b);x", 1},   {"( a  b ), c", 2}, {"(a", -1},
        {"(a,b)", -1}, {"(a\tb)", -1}, {"(a\"b\")", -1}, {"((a))", -1},      {"a, B;c=(1)", -1},
        {"a=1", -1},   {"\"a\"  ", 1}, {"a\t", 1},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes rest = bytes_of_text(cases[i].text);
        struct structured_member member;
        int count = 0;
        if (structured_is_list(rest) != (cases[i].count >= 0))
            fail_msg("case %zu: %s", i, cases[i].text);
        if (cases[i].count < 0)
            continue;
        while (structured_list_next(&rest, &member))
            count++;
        EXPECT_EQ(count, cases[i].count);
        EXPECT_EQ(rest.size, 0);
    }
}

TEST(an_inner_list_and_its_parameters_are_taken_apart)
{
    struct bytes rest = BYTES("x, ( \"a\";q=1   b );l=5;m"), inner, parameters;
    struct structured_member member, item, parameter;

    EXPECT(structured_list_next(&rest, &member));
    EXPECT(structured_list_next(&rest, &member));
    EXPECT_EQ(member.value.type, STRUCTURED_INNER_LIST);
    inner = member.value.text;
    EXPECT(structured_inner_next(&inner, &item));
    EXPECT_TEXT(item.value.text, BYTES("a"));
    EXPECT_TEXT(item.parameters, BYTES(";q=1"));
    EXPECT(structured_inner_next(&inner, &item));
    EXPECT_TEXT(item.value.text, BYTES("b"));
    EXPECT(!structured_inner_next(&inner, &item));
    parameters = member.parameters;
    EXPECT(structured_parameter_next(&parameters, &parameter));
    EXPECT_TEXT(parameter.key, BYTES("l"));
    EXPECT(parameter.value.number == 5);
    EXPECT(structured_parameter_next(&parameters, &parameter));
    EXPECT_TEXT(parameter.key, BYTES("m"));
    EXPECT_EQ(parameter.value.type, STRUCTURED_BOOLEAN);
    EXPECT(parameter.value.number == 1);
    EXPECT(!structured_parameter_next(&parameters, &parameter));
    EXPECT(!structured_list_next(&rest, &member));
}

TEST(a_dictionary_is_keys_with_and_without_values_and_the_last_of_a_key_counts)
{
    static const struct {
        const char *text;
        bool is_good;
    } cases[] = {
        {"", true},
        {"a", true},
        {"a=1", true},
        {"a=1, b, c=(x y);z", true},
        {"a;x=1", true},
        {"*a_-.*1=1", true},
        {"A=1", false},
        {"1=a", false},
        {"-a=1", false},
        {"a=", false},
        {"a =1", false},
        {"a= 1", false},
        {"a=1,", false},
        {"a=1,,b", false},
        {"a=1 b=2", false},
        {"max-age=10, no-store", true},
        {"max-age=10; x", true},
        {"max-age=\"10", false},
        {"a=1\tb", false},
        {"\"a\"=1", false},
    };
    struct structured_member member;
    const struct bytes text = BYTES("max-age=1, no-store, max-age=20;x, b=?0");

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (structured_is_dictionary(bytes_of_text(cases[i].text)) != cases[i].is_good)
            fail_msg("case %zu: %s", i, cases[i].text);
    EXPECT(structured_dictionary_find(text, BYTES("max-age"), &member));
    EXPECT(member.value.number == 20);
    EXPECT_TEXT(member.parameters, BYTES(";x"));
    EXPECT(structured_dictionary_find(text, BYTES("no-store"), &member));
    EXPECT(member.value.type == STRUCTURED_BOOLEAN && member.value.number == 1);
    EXPECT(structured_dictionary_find(text, BYTES("b"), &member));
    EXPECT(member.value.number == 0);
    EXPECT(!structured_dictionary_find(text, BYTES("max-ag"), &member));
}

TEST(lines_of_one_name_are_one_value_and_an_empty_one_of_several_spoils_it)
{
    static const struct {
        const char *fields, *joined;
        bool is_list;
    } cases[] = {
        {"", "", true},
        {"X: 1", "", true},
        {"Group: a", "a", true},
        {"group: a\nX: 1\nGROUP: \"b\", c", "a, \"b\", c", true},
        {"Group: a\nGroup:", "a, ", false},
        {"Group:\nGroup: a", ", a", false},
        {"Group:", "", true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buffer joined = {0};
        struct http_text fields;
        http_text_read(&fields, cases[i].fields);
        structured_join(&joined, &fields.fields, BYTES("Group"));
        EXPECT_TEXT(buffer_bytes(&joined), bytes_of_text(cases[i].joined));
        EXPECT_EQ(structured_is_list(buffer_bytes(&joined)), cases[i].is_list);
        buffer_fini(&joined);
    }
}

TEST(a_strings_escapes_go_when_it_is_copied)
{
    struct buffer text = {0};

    structured_append_string(&text, item_of("\"a\\\"b\\\\c\"").value.text);
    EXPECT_TEXT(buffer_bytes(&text), BYTES("a\"b\\c"));
    buffer_fini(&text);
}

RUN_TESTS(TEST_ROW(a_number_is_an_integer_of_15_digits_or_a_decimal_of_12_and_3),
          TEST_ROW(an_item_of_text_is_told_with_what_stands_between_its_marks),
          TEST_ROW(what_is_no_item_is_refused), TEST_ROW(a_list_is_items_and_inner_lists_between_commas),
          TEST_ROW(an_inner_list_and_its_parameters_are_taken_apart),
          TEST_ROW(a_dictionary_is_keys_with_and_without_values_and_the_last_of_a_key_counts),
          TEST_ROW(lines_of_one_name_are_one_value_and_an_empty_one_of_several_spoils_it),
          TEST_ROW(a_strings_escapes_go_when_it_is_copied))
