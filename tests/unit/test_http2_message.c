/* links: nuthatch-http nuthatch-message nuthatch-base */
#include "base/compiler.h"
#include "protocol/http/http2_guard.h"
#include "protocol/http/http2_message.h"
#include "test.h"

enum { FIELDS_MAX = 8 };

static const struct http1_limits limits = {
    .line_bytes_max = 100, .head_bytes_max = 1000, .fields_max = FIELDS_MAX};

struct line {
    const char *name, *value;
};

/* Makes a request of `lines`, which end with a null name. */
static int request_of(struct http2_block *block, const struct line *lines, bool is_all,
                      struct http_field fields[FIELDS_MAX], struct http_request *request)
{
    http2_block_begin(block);
    for (; lines->name != NULL; lines++)
        http2_block_add(block, &limits, bytes_of_text(lines->name), bytes_of_text(lines->value));
    return http2_block_request(block, &limits, is_all, fields, request);
}

#define GET_A                                                                                              \
    {":method", "GET"}, {":scheme", "https"}, { ":authority", "a" }

TEST(a_request_means_what_it_would_in_http_1)
{
    static const struct line lines[] = {
        GET_A, {":path", "/x[|]?y{1}=\\^`"}, {"accept", "*/*"}, {NULL, NULL}};
    struct http_field fields[FIELDS_MAX];
    struct http2_block block = {0};
    struct http_request request;

    EXPECT_EQ(request_of(&block, lines, true, fields, &request), 0);
    EXPECT_EQ(request.method, HTTP_METHOD_GET);
    EXPECT_TEXT(request.scheme, BYTES("https"));
    EXPECT_TEXT(request.authority, BYTES("a"));
    EXPECT_TEXT(request.path, BYTES("/x[|]"));
    EXPECT(request.has_query);
    EXPECT_TEXT(request.query, BYTES("y{1}=\\^`"));
    EXPECT_EQ(request.body_bytes, HTTP_BODY_NONE);
    EXPECT_EQ(request.minor_version, 1);
    EXPECT_EQ(request.fields.count, 2);
    EXPECT_TEXT(http_fields_find(&request.fields, HTTP_HEADER_HOST)->value, BYTES("a"));
    http2_block_fini(&block);
}

TEST(host_stands_in_for_an_authority_that_is_not_there_and_must_be_the_same_as_one_that_is)
{
    static const struct {
        const char *authority, *host;
        int status;
        const char *settled;
    } cases[] = {
        {NULL, "a:80", 0, "a:80"}, {"a", "a", 0, "a"},     {"A", "a:443", 0, "A"}, {"a", "a:80", 400, ""},
        {"a", "b", 400, ""},       {NULL, "u@a", 400, ""}, {NULL, "", 400, ""},    {"", "a", 0, "a"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_field fields[FIELDS_MAX];
        struct http2_block block = {0};
        struct http_request request;

        http2_block_begin(&block);
        http2_block_add(&block, &limits, BYTES(":method"), BYTES("GET"));
        http2_block_add(&block, &limits, BYTES(":scheme"), BYTES("https"));
        http2_block_add(&block, &limits, BYTES(":path"), BYTES("/"));
        if (cases[i].authority != NULL)
            http2_block_add(&block, &limits, BYTES(":authority"), bytes_of_text(cases[i].authority));
        http2_block_add(&block, &limits, BYTES("host"), bytes_of_text(cases[i].host));
        EXPECT_EQ(http2_block_request(&block, &limits, true, fields, &request), cases[i].status);
        if (cases[i].status == 0)
            EXPECT_TEXT(request.authority, bytes_of_text(cases[i].settled));
        http2_block_fini(&block);
    }
}

TEST(lines_of_cookie_become_one_in_their_order)
{
    static const struct line lines[] = {GET_A,           {":path", "/"},    {"cookie", "a=b"}, {"x", "1"},
                                        {"cookie", "c"}, {"cookie", "e=f"}, {NULL, NULL}};
    static const struct line bad[] = {
        GET_A, {":path", "/"}, {"cookie", "a=b"}, {"cookie", "c\n"}, {NULL, NULL}};
    struct http_field fields[FIELDS_MAX];
    struct http2_block block = {0};
    struct http_request request;

    EXPECT_EQ(request_of(&block, lines, true, fields, &request), 0);
    EXPECT_EQ(request.fields.count, 3);
    EXPECT_TEXT(http_fields_find(&request.fields, HTTP_HEADER_COOKIE)->value, BYTES("a=b; c; e=f"));
    EXPECT_EQ(request_of(&block, bad, true, fields, &request), 400);
    http2_block_fini(&block);
}

TEST(a_body_is_as_long_as_its_length_says_or_unknown)
{
    static const struct {
        const char *length;
        bool is_all;
        int status;
        int64_t body_bytes;
    } cases[] = {
        {NULL, true, 0, HTTP_BODY_NONE},
        {NULL, false, 0, HTTP_BODY_UNKNOWN},
        {"5", false, 0, 5},
        {"0", false, 0, 0},
        {"0", true, 0, 0},
        {"5", true, 400, 0},
        {"5x", false, 400, 0},
        {"-1", false, 400, 0},
        {"18446744073709551617", false, 400, 0},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_field fields[FIELDS_MAX];
        struct http2_block block = {0};
        struct http_request request;
        struct line lines[] = {GET_A, {":path", "/"}, {"content-length", cases[i].length}, {NULL, NULL}};

        if (cases[i].length == NULL)
            lines[4].name = NULL;
        EXPECT_EQ(request_of(&block, lines, cases[i].is_all, fields, &request), cases[i].status);
        if (cases[i].status == 0)
            EXPECT_EQ(request.body_bytes, cases[i].body_bytes);
        http2_block_fini(&block);
    }
}

TEST(what_is_beyond_the_limits_is_refused_and_not_kept)
{
    struct http_field fields[FIELDS_MAX];
    struct http2_block block = {0};
    struct http_request request;
    char text[2000];

    memset(text, 'x', sizeof text);
    http2_block_begin(&block);
    http2_block_add(&block, &limits, BYTES(":path"), bytes_of(text, 101));
    EXPECT_EQ(http2_block_request(&block, &limits, true, fields, &request), 414);
    http2_block_begin(&block);
    http2_block_add(&block, &limits, BYTES("x"), bytes_of(text, 100));
    EXPECT_EQ(http2_block_request(&block, &limits, true, fields, &request), 431);
    http2_block_begin(&block);
    for (int i = 0; i < 1000; i++)
        http2_block_add(&block, &limits, BYTES(":x"), bytes_of(text, 60));
    EXPECT_EQ(block.status, 431);
    EXPECT(block.text.size <= limits.head_bytes_max);
    EXPECT(block.list_bytes == 1000 * (2 + 60 + 32));
    http2_block_begin(&block);
    for (int i = 0; i < FIELDS_MAX + 1; i++)
        http2_block_add(&block, &limits, BYTES("x"), BYTES("y"));
    EXPECT_EQ(block.status, 431);
    http2_block_fini(&block);
}

TEST(an_answer_has_the_fields_it_would_have_in_http_1_but_those_of_the_connection)
{
    struct http_field list[] = {{HTTP_HEADER_ETAG, BYTES("ETag"), BYTES("\"a\"")},
                                {HTTP_HEADER_CONNECTION, BYTES("Connection"), BYTES("close")},
                                {HTTP_HEADER_OTHER, BYTES("X"), BYTES("a\nb")}};
    struct http_response response = {
        .status = 207, .body_bytes = 42, .fields = {list, 3}, .rendered = BYTES("A: b\r\nC-D:\r\n")};
    static const struct line wanted[] = {
        {":status", "207"}, {"content-length", "42"}, {"ETag", "\"a\""}, {"A", "b"}, {"C-D", ""}};
    struct http2_fields fields;

    EXPECT(http2_fields_init(&fields, &response, NULL));
    EXPECT_EQ(fields.count, COUNT_OF(wanted));
    for (size_t i = 0; i < fields.count; i++) {
        EXPECT_TEXT(bytes_of(fields.list[i].name, fields.list[i].namelen), bytes_of_text(wanted[i].name));
        EXPECT_TEXT(bytes_of(fields.list[i].value, fields.list[i].valuelen),
                    bytes_of_text(wanted[i].value));
    }
    http2_fields_fini(&fields);

    response = (struct http_response){.status = 304, .body_bytes = 5};
    EXPECT(http2_fields_init(&fields, &response, "Sun, 06 Nov 1994 08:49:37 GMT"));
    EXPECT_EQ(fields.count, 2);
    EXPECT_TEXT(bytes_of(fields.list[1].name, fields.list[1].namelen), BYTES("date"));
    http2_fields_fini(&fields);
}

TEST(an_answer_may_have_any_number_of_fields)
{
    struct buffer lines = {0};
    struct http_response response = {.status = 200, .body_bytes = HTTP_BODY_UNKNOWN};
    struct http2_fields fields;

    for (int i = 0; i < 300; i++)
        buffer_append_format(&lines, "x-%d: %d\r\n", i, i);
    response.rendered = buffer_bytes(&lines);
    EXPECT(http2_fields_init(&fields, &response, NULL));
    EXPECT_EQ(fields.count, 301);
    EXPECT_TEXT(bytes_of(fields.list[300].value, fields.list[300].valuelen), BYTES("299"));
    http2_fields_fini(&fields);
    buffer_fini(&lines);
}

TEST(who_resets_more_than_a_burst_has_to_wait)
{
    struct http2_guard guard = {0};
    int64_t now_ms = 1000;

    for (int i = 0; i < HTTP2_RESETS_AT_ONCE; i++)
        EXPECT(http2_guard_take(&guard, HTTP2_DEED_RESET, now_ms));
    EXPECT(!http2_guard_take(&guard, HTTP2_DEED_RESET, now_ms));
    EXPECT(http2_guard_take(&guard, HTTP2_DEED_CHATTER, now_ms)); /* which has a bucket of its own */
    now_ms += 1000;
    for (int i = 0; i < HTTP2_RESETS_PER_SECOND; i++)
        EXPECT(http2_guard_take(&guard, HTTP2_DEED_RESET, now_ms));
    EXPECT(!http2_guard_take(&guard, HTTP2_DEED_RESET, now_ms));
    now_ms += 3600 * 1000;
    for (int i = 0; i < HTTP2_RESETS_AT_ONCE; i++)
        EXPECT(http2_guard_take(&guard, HTTP2_DEED_RESET, now_ms));
    EXPECT(!http2_guard_take(&guard, HTTP2_DEED_RESET, now_ms));
}

TEST(who_reads_much_may_open_windows_often)
{
    struct http2_guard guard = {0};

    for (int i = 0; i < HTTP2_CHATTER_AT_ONCE; i++)
        EXPECT(http2_guard_take_update(&guard, 1000));
    EXPECT(!http2_guard_take_update(&guard, 1000));
    for (int i = 0; i < 3; i++)
        http2_guard_note_sent(&guard, 1000);
    for (int i = 0; i < 5; i++)
        EXPECT(http2_guard_take_update(&guard, 1000));
    EXPECT(!http2_guard_take_update(&guard, 1000));
}

RUN_TESTS(TEST_ROW(a_request_means_what_it_would_in_http_1),
          TEST_ROW(host_stands_in_for_an_authority_that_is_not_there_and_must_be_the_same_as_one_that_is),
          TEST_ROW(lines_of_cookie_become_one_in_their_order),
          TEST_ROW(a_body_is_as_long_as_its_length_says_or_unknown),
          TEST_ROW(what_is_beyond_the_limits_is_refused_and_not_kept),
          TEST_ROW(an_answer_has_the_fields_it_would_have_in_http_1_but_those_of_the_connection),
          TEST_ROW(an_answer_may_have_any_number_of_fields),
          TEST_ROW(who_resets_more_than_a_burst_has_to_wait),
          TEST_ROW(who_reads_much_may_open_windows_often))
