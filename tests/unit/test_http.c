/* links: nuthatch-message nuthatch-base */
#include "base/compiler.h"
#include "message/http.h"
#include "test.h"
#include <ctype.h>

TEST(every_header_of_the_table_is_found_in_any_case_and_nothing_near_it)
{
    for (int header = HTTP_HEADER_OTHER + 1; header < HTTP_HEADER_COUNT; header++) {
        struct bytes name = http_header_name((enum http_header)header);
        char text[64];

        EXPECT_EQ(http_header_find(name), header);
        for (size_t i = 0; i < name.size; i++)
            text[i] = (char)toupper((unsigned char)name.data[i]);
        EXPECT_EQ(http_header_find(bytes_of(text, name.size)), header);
        for (size_t i = 0; i < name.size; i++)
            text[i] = (char)tolower((unsigned char)name.data[i]);
        EXPECT_EQ(http_header_find(bytes_of(text, name.size)), header);
        for (size_t i = 0; i < name.size; i++) {
            char before = text[i];
            for (int byte = 0; byte < 256; byte++) {
                bool is_same = tolower(byte) == (unsigned char)before;
                text[i] = (char)byte;
                if (is_same)
                    EXPECT_EQ(http_header_find(bytes_of(text, name.size)), header);
                else /* another row may be one letter away, such as Age and none: never this one */
                    EXPECT(http_header_find(bytes_of(text, name.size)) != (enum http_header)header);
            }
            text[i] = before;
        }
        EXPECT(http_header_find(bytes_first(name, name.size - 1)) != (enum http_header)header);
        text[name.size] = 's';
        EXPECT(http_header_find(bytes_of(text, name.size + 1)) != (enum http_header)header);
    }
    EXPECT_EQ(http_header_find(BYTES("")), HTTP_HEADER_OTHER);
    EXPECT_EQ(http_header_find(BYTES("X")), HTTP_HEADER_OTHER);
    EXPECT_EQ(http_header_find(BYTES("Content-Security-Policy-Report-Only")), HTTP_HEADER_OTHER);
}

TEST(a_header_has_its_kind)
{
    EXPECT_EQ(http_header_kind(HTTP_HEADER_CONNECTION), HTTP_HEADER_HOP_BY_HOP);
    EXPECT_EQ(http_header_kind(HTTP_HEADER_TRANSFER_ENCODING), HTTP_HEADER_HOP_BY_HOP);
    EXPECT_EQ(http_header_kind(HTTP_HEADER_HOST), HTTP_HEADER_END_TO_END);
    EXPECT_EQ(http_header_kind(HTTP_HEADER_X_REWRITE_URL), HTTP_HEADER_END_TO_END);
}

TEST(methods_are_found_by_their_exact_name)
{
    static const struct {
        const char *name;
        enum http_method method;
        bool is_safe;
    } cases[] = {
        {"GET", HTTP_METHOD_GET, true},          {"HEAD", HTTP_METHOD_HEAD, true},
        {"POST", HTTP_METHOD_POST, false},       {"PUT", HTTP_METHOD_PUT, false},
        {"PATCH", HTTP_METHOD_PATCH, false},     {"DELETE", HTTP_METHOD_DELETE, false},
        {"OPTIONS", HTTP_METHOD_OPTIONS, true},  {"TRACE", HTTP_METHOD_TRACE, true},
        {"CONNECT", HTTP_METHOD_CONNECT, false}, {"get", HTTP_METHOD_OTHER, false},
        {"Get", HTTP_METHOD_OTHER, false},       {"GETS", HTTP_METHOD_OTHER, false},
        {"GE", HTTP_METHOD_OTHER, false},        {"", HTTP_METHOD_OTHER, false},
        {"PURGE", HTTP_METHOD_OTHER, false},     {"OPTIONs", HTTP_METHOD_OTHER, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        EXPECT_EQ(http_method_find(bytes_of_text(cases[i].name)), cases[i].method);
        EXPECT_EQ(http_method_is_safe(cases[i].method), cases[i].is_safe);
    }
}

TEST(a_status_has_its_reason)
{
    EXPECT_TEXT(http_status_reason(200), BYTES("OK"));
    EXPECT_TEXT(http_status_reason(404), BYTES("Not Found"));
    EXPECT_TEXT(http_status_reason(511), BYTES("Network Authentication Required"));
    EXPECT_TEXT(http_status_reason(299), BYTES(""));
    EXPECT_TEXT(http_status_reason(-1), BYTES(""));
}

TEST(the_first_field_of_a_name_is_found)
{
    struct http_field list[] = {
        {HTTP_HEADER_OTHER, BYTES("Vary"), BYTES("0")},
        {HTTP_HEADER_VARY, BYTES("Vary"), BYTES("1")},
        {HTTP_HEADER_VARY, BYTES("Vary"), BYTES("2")},
    };
    struct http_fields fields = {list, COUNT_OF(list)};

    EXPECT(http_fields_find(&fields, HTTP_HEADER_VARY) == &list[1]);
    EXPECT(http_fields_find(&fields, HTTP_HEADER_AGE) == NULL);
    EXPECT(http_fields_find(&(struct http_fields){0}, HTTP_HEADER_AGE) == NULL);
}

TEST(a_list_gives_its_elements_and_skips_the_empty_ones)
{
    struct bytes list = BYTES(" ,a, b c\t,,\t d"), element;

    EXPECT(http_list_next(&list, &element));
    EXPECT_TEXT(element, BYTES("a"));
    EXPECT(http_list_next(&list, &element));
    EXPECT_TEXT(element, BYTES("b c"));
    EXPECT(http_list_next(&list, &element));
    EXPECT_TEXT(element, BYTES("d"));
    EXPECT(!http_list_next(&list, &element));
    EXPECT_TEXT(element, BYTES("d"));
    list = BYTES("");
    EXPECT(!http_list_next(&list, &element));
    list = BYTES(" , ");
    EXPECT(!http_list_next(&list, &element));
}

TEST(a_field_that_connection_names_belongs_to_this_hop)
{
    struct http_field list[] = {
        {HTTP_HEADER_CONNECTION, BYTES("Connection"), BYTES("close, X-A")},
        {HTTP_HEADER_OTHER, BYTES("X-C"), BYTES("X-D")},
        {HTTP_HEADER_CONNECTION, BYTES("Connection"), BYTES("x-b")},
    };
    struct http_fields fields = {list, COUNT_OF(list)};

    EXPECT(http_connection_names(&fields, BYTES("x-a")));
    EXPECT(http_connection_names(&fields, BYTES("X-B")));
    EXPECT(!http_connection_names(&fields, BYTES("X-D")));
    EXPECT(!http_connection_names(&fields, BYTES("X")));
}

TEST(a_request_moves_with_the_bytes_it_borrows_from)
{
    char from[] = "GEThttphost/pathqueryNameValue", to[sizeof from];
    struct http_field list[] = {
        {HTTP_HEADER_OTHER, bytes_of(from + 21, 4), bytes_of(from + 25, 5)},
        {HTTP_HEADER_OTHER, bytes_of(from + 21, 4), bytes_of(from + 30, 0)},
        {HTTP_HEADER_OTHER, BYTES("Own"), (struct bytes){0}},
    };
    const char *own = list[2].name.data;
    struct http_request request = {
        .method_name = bytes_of(from, 3),
        .scheme = bytes_of(from + 3, 4),
        .authority = bytes_of(from + 7, 4),
        .path = bytes_of(from + 11, 5),
        .query = bytes_of(from + 16, 5),
        .fields = {list, COUNT_OF(list)},
    };

    memcpy(to, from, sizeof from);
    http_request_rebase(&request, from, strlen(from), to);
    memset(from, 'x', sizeof from);
    EXPECT_TEXT(request.method_name, BYTES("GET"));
    EXPECT_TEXT(request.scheme, BYTES("http"));
    EXPECT_TEXT(request.authority, BYTES("host"));
    EXPECT_TEXT(request.path, BYTES("/path"));
    EXPECT_TEXT(request.query, BYTES("query"));
    EXPECT_TEXT(list[0].name, BYTES("Name"));
    EXPECT_TEXT(list[0].value, BYTES("Value"));
    EXPECT(list[1].value.data == to + 30);
    EXPECT(list[2].name.data == own);
    EXPECT(list[2].value.data == NULL);
}

TEST(tokens_and_values_hold_their_bytes_and_no_others)
{
    static const char tokens[] =
        "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    EXPECT(!http_is_token(BYTES("")));
    EXPECT(http_is_field_value(BYTES("")));
    for (int byte = 0; byte < 256; byte++) {
        bool is_token = byte != 0 && strchr(tokens, byte) != NULL;
        bool is_value = (byte >= 32 || byte == '\t') && byte != 127;
        for (size_t i = 0; i < 19; i++) { /* in each byte of a word, and after the words */
            char text[] = "abcdefghijklmnopqrs";
            text[i] = (char)byte;
            EXPECT_EQ(http_is_token(bytes_of(text, 19)), is_token);
            EXPECT_EQ(http_is_field_value(bytes_of(text, 19)), is_value);
            text[(i + 1) % 19] = '\t';
            EXPECT_EQ(http_is_field_value(bytes_of(text, 19)), is_value);
            text[(i + 1) % 19] = (char)0xff;
            EXPECT_EQ(http_is_field_value(bytes_of(text, 19)), is_value);
        }
    }
}

RUN_TESTS(TEST_ROW(every_header_of_the_table_is_found_in_any_case_and_nothing_near_it),
          TEST_ROW(a_header_has_its_kind), TEST_ROW(methods_are_found_by_their_exact_name),
          TEST_ROW(a_status_has_its_reason), TEST_ROW(the_first_field_of_a_name_is_found),
          TEST_ROW(a_list_gives_its_elements_and_skips_the_empty_ones),
          TEST_ROW(a_field_that_connection_names_belongs_to_this_hop),
          TEST_ROW(a_request_moves_with_the_bytes_it_borrows_from),
          TEST_ROW(tokens_and_values_hold_their_bytes_and_no_others))
