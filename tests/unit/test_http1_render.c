/* links: nuthatch-http nuthatch-message nuthatch-base */
#include "base/compiler.h"
#include "protocol/http/http1.h"
#include "test.h"

static void expect_head(const struct http_response *response, const struct http1_response_framing *framing,
                        const char *wanted)
{
    struct buffer output = {0};

    buffer_append_literal(&output, "before|");
    http1_render_response_head(&output, response, framing);
    EXPECT(!output.failed);
    EXPECT_TEXT(bytes_after(buffer_bytes(&output), 7), bytes_of_text(wanted));
    buffer_fini(&output);
}

TEST(a_head_says_how_long_the_body_is_and_whether_the_connection_goes_on)
{
    static const struct {
        int status;
        int64_t body_bytes;
        struct http1_response_framing framing;
        const char *wanted;
    } cases[] = {
        {200, 5, {.minor_version = 1, .keep_alive = true}, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"},
        {200, 0, {.minor_version = 1, .keep_alive = true}, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
        {404,
         INT64_MAX,
         {.minor_version = 1},
         "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 9223372036854775807\r\n\r\n"},
        {200,
         5,
         {.minor_version = 0, .keep_alive = true},
         "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n"},
        {200,
         HTTP_BODY_UNKNOWN,
         {.minor_version = 1, .keep_alive = true, .chunked = true},
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {200, HTTP_BODY_UNKNOWN, {.minor_version = 0}, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"},
        {204,
         0,
         {.minor_version = 1, .keep_alive = true, .no_content_length = true},
         "HTTP/1.1 204 No Content\r\n\r\n"},
        {304,
         9,
         {.minor_version = 1, .keep_alive = true, .no_content_length = true, .chunked = true},
         "HTTP/1.1 304 Not Modified\r\n\r\n"},
        {100,
         0,
         {.minor_version = 1, .keep_alive = true, .no_content_length = true},
         "HTTP/1.1 100 Continue\r\n\r\n"},
        {299, 1, {.minor_version = 1, .keep_alive = true}, "HTTP/1.1 299 \r\nContent-Length: 1\r\n\r\n"},
        {999, 1, {.minor_version = 1, .keep_alive = true}, "HTTP/1.1 999 \r\nContent-Length: 1\r\n\r\n"},
        {200,
         1,
         {.minor_version = 1,
          .keep_alive = true,
          .add_date = true,
          .date = "Sun, 06 Nov 1994 08:49:37 GMT"},
         "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_response response = {.status = cases[i].status, .body_bytes = cases[i].body_bytes};
        expect_head(&response, &cases[i].framing, cases[i].wanted);
    }
}

TEST(fields_come_in_their_order_and_without_those_of_another_hop)
{
    struct http_field list[] = {
        {HTTP_HEADER_CONTENT_TYPE, BYTES("content-type"), BYTES("application/json")},
        {HTTP_HEADER_CONNECTION, BYTES("Connection"), BYTES("close")},
        {HTTP_HEADER_SET_COOKIE, BYTES("Set-Cookie"), BYTES("a=1")},
        {HTTP_HEADER_TRANSFER_ENCODING, BYTES("Transfer-Encoding"), BYTES("chunked")},
        {HTTP_HEADER_SET_COOKIE, BYTES("Set-Cookie"), BYTES("b=2")},
        {HTTP_HEADER_CONTENT_LENGTH, BYTES("Content-Length"), BYTES("7")},
        {HTTP_HEADER_OTHER, BYTES("X-Empty"), {0}},
    };
    struct http_response response = {.status = 200,
                                     .body_bytes = 2,
                                     .fields = {list, COUNT_OF(list)},
                                     .rendered = BYTES("Age: 3\r\nCache-Status: n; hit\r\n")};
    struct http1_response_framing framing = {.minor_version = 1, .keep_alive = true};

    expect_head(
        &response, &framing,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\ncontent-type: application/json\r\nSet-Cookie: a=1\r\n"
        "Set-Cookie: b=2\r\nX-Empty: \r\nAge: 3\r\nCache-Status: n; hit\r\n\r\n");
}

TEST(a_field_that_would_split_the_response_is_left_out)
{
    struct http_field list[] = {
        {HTTP_HEADER_OTHER, BYTES("Location"), BYTES("/a\r\nSet-Cookie: b")},
        {HTTP_HEADER_OTHER, BYTES("X\r\nY"), BYTES("a")},
        {HTTP_HEADER_OTHER, BYTES(""), BYTES("a")},
        {HTTP_HEADER_OTHER, BYTES("X: a"), BYTES("a")},
        {HTTP_HEADER_OTHER, BYTES("X"), BYTES("a\nb")},
        {HTTP_HEADER_OTHER, BYTES("X"), BYTES("a\0b")},
        {HTTP_HEADER_OTHER, BYTES("Good"), BYTES("a\tb \x80")},
    };
    struct http_response response = {.status = 200, .body_bytes = 0, .fields = {list, COUNT_OF(list)}};
    struct http1_response_framing framing = {.minor_version = 1, .keep_alive = true};

    expect_head(&response, &framing, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nGood: a\tb \x80\r\n\r\n");
}

TEST(a_chunk_is_its_size_in_hexadecimal_and_its_data)
{
    static char zeros[4096];
    struct buffer output = {0};

    http1_render_chunk(&output, BYTES("x"));
    http1_render_chunk(&output, BYTES("0123456789abcdef"));
    http1_render_last_chunk(&output);
    EXPECT_TEXT(buffer_bytes(&output), BYTES("1\r\nx\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"));
    buffer_clear(&output);
    http1_render_chunk(&output, bytes_of(zeros, 4095));
    EXPECT(bytes_start_with(buffer_bytes(&output), BYTES("fff\r\n")));
    EXPECT_EQ(output.size, 5 + 4095 + 2);
    buffer_fini(&output);
}

RUN_TESTS(TEST_ROW(a_head_says_how_long_the_body_is_and_whether_the_connection_goes_on),
          TEST_ROW(fields_come_in_their_order_and_without_those_of_another_hop),
          TEST_ROW(a_field_that_would_split_the_response_is_left_out),
          TEST_ROW(a_chunk_is_its_size_in_hexadecimal_and_its_data))
