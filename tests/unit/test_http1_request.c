/* links: nuthatch-http nuthatch-message nuthatch-base */
#include "base/compiler.h"
#include "protocol/http/http1.h"
#include "test.h"
#include <stdio.h>
#include <stdlib.h>

enum { FIELDS_MAX = 100 };
static const struct http1_limits usual = {
    .line_bytes_max = 16384, .head_bytes_max = 65536, .fields_max = 100};

/* The answer for one request head and all that its borrowed bytes need to stay readable. */
struct parsed {
    enum http1_result result;
    int status;
    size_t consumed;
    size_t seen; /* bytes given when the answer came */
    struct http_request request;
    struct http_field fields[FIELDS_MAX];
    char *copy;
};

/* Parses `wire` as it grows by `step` bytes a call, each time at another place in memory and with other,
 * soiled fields. */
static void parse(struct parsed *parsed, const struct http1_limits *limits, struct bytes wire, size_t step)
{
    struct http1_parser parser = {0};

    *parsed = (struct parsed){.result = HTTP1_MORE};
    for (size_t size = 0; parsed->result == HTTP1_MORE && size < wire.size;) {
        size = wire.size - size < step ? wire.size : size + step;
        free(parsed->copy);
        parsed->copy = malloc(size);
        memcpy(parsed->copy, wire.data, size);
        memset(parsed->fields, 0x55, sizeof parsed->fields);
        memset(&parsed->request, 0, sizeof parsed->request);
        parsed->status = 0;
        parsed->seen = size;
        parsed->result = http1_parse_request(&parser, limits, bytes_of(parsed->copy, size), parsed->fields,
                                             &parsed->request, &parsed->consumed, &parsed->status);
    }
    if (parsed->result == HTTP1_DONE)
        EXPECT_EQ(parser.scanned + parser.line_start + parser.lines, 0);
}

/* 0 for DONE, -1 for MORE, else the status; the same for every step. */
static int status_of(const struct http1_limits *limits, struct bytes wire)
{
    static struct parsed whole, split;
    static const size_t steps[] = {1, 2, 3, 7, 64};
    int answer;

    parse(&whole, limits, wire, wire.size);
    answer = whole.result == HTTP1_DONE ? 0 : whole.result == HTTP1_MORE ? -1 : whole.status;
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        parse(&split, limits, wire, steps[i]);
        EXPECT_EQ(split.result, whole.result);
        if (whole.result == HTTP1_BAD)
            EXPECT_EQ(split.status, whole.status);
        if (whole.result == HTTP1_DONE) {
            EXPECT_EQ(split.consumed, whole.consumed);
            EXPECT_EQ(split.request.fields.count, whole.request.fields.count);
            EXPECT_TEXT(split.request.path, whole.request.path);
            EXPECT_TEXT(split.request.authority, whole.request.authority);
        }
        free(split.copy);
    }
    free(whole.copy);
    return answer;
}

struct status_case {
    struct bytes wire;
    int status;
};

static void check_statuses(const struct status_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int status = status_of(&usual, cases[i].wire);
        if (status != cases[i].status)
            fail_msg("\"%.*s\" gave %d, wanted %d", BYTES_PRINTF(cases[i].wire), status, cases[i].status);
    }
}

#define CHECK_STATUSES(...)                                                                                \
    do {                                                                                                   \
        static const struct status_case cases_[] = {__VA_ARGS__};                                          \
        check_statuses(cases_, COUNT_OF(cases_));                                                          \
    } while (0)

/* A row: a request line; one field line besides Host; whole bytes. */
#define LINE(line, status)                                                                                 \
    {                                                                                                      \
        BYTES_INIT(line "\r\nHost: a\r\n\r\n"), status                                                     \
    }
#define FIELD(line, status)                                                                                \
    {                                                                                                      \
        BYTES_INIT("GET / HTTP/1.1\r\nHost: a\r\n" line "\r\n\r\n"), status                                \
    }
#define HEAD(head, status)                                                                                 \
    {                                                                                                      \
        BYTES_INIT(head), status                                                                           \
    }

TEST(a_request_is_taken_apart_and_what_follows_it_is_left)
{
    struct parsed parsed;
    static const char wire[] = "POST /a%20b/c;d?x=1&y=/?z HTTP/1.1\r\nHost: Example.com:8080\r\n"
                               "content-LENGTH: 12\r\nX-Empty:\r\nX-Padded: \t in ner\x80 \t\r\n"
                               "Expect: 100-Continue\r\n\r\nGET /next";

    for (size_t step = 1; step <= sizeof wire; step++) {
        parse(&parsed, &usual, bytes_of(wire, sizeof wire - 1), step);
        EXPECT_EQ(parsed.result, HTTP1_DONE);
        EXPECT_EQ(parsed.consumed, sizeof wire - 1 - strlen("GET /next"));
        EXPECT_EQ(parsed.request.method, HTTP_METHOD_POST);
        EXPECT_TEXT(parsed.request.method_name, BYTES("POST"));
        EXPECT_TEXT(parsed.request.scheme, BYTES(""));
        EXPECT_TEXT(parsed.request.authority, BYTES("Example.com:8080"));
        EXPECT_TEXT(parsed.request.path, BYTES("/a%20b/c;d"));
        EXPECT_TEXT(parsed.request.query, BYTES("x=1&y=/?z"));
        EXPECT(parsed.request.has_query && parsed.request.keep_alive && parsed.request.expects_continue);
        EXPECT_EQ(parsed.request.minor_version, 1);
        EXPECT_EQ(parsed.request.body_bytes, 12);
        EXPECT_EQ(parsed.request.fields.count, 5);
        EXPECT_EQ(parsed.request.fields.list[0].header, HTTP_HEADER_HOST);
        EXPECT_EQ(parsed.request.fields.list[1].header, HTTP_HEADER_CONTENT_LENGTH);
        EXPECT_TEXT(parsed.request.fields.list[1].name, BYTES("content-LENGTH"));
        EXPECT_EQ(parsed.request.fields.list[2].header, HTTP_HEADER_OTHER);
        EXPECT_TEXT(parsed.request.fields.list[2].value, BYTES(""));
        EXPECT_TEXT(parsed.request.fields.list[3].value, BYTES("in ner\x80"));
        free(parsed.copy);
    }
}

TEST(every_form_of_target_goes_to_its_place)
{
    static const struct {
        struct bytes wire;
        enum http_method method;
        const char *scheme, *authority, *path, *query; /* a null query: none */
    } cases[] = {
#define HOST "\r\nHost: h\r\n\r\n"
        {BYTES_INIT("GET / HTTP/1.1" HOST), HTTP_METHOD_GET, "", "h", "/", NULL},
        {BYTES_INIT("GET /? HTTP/1.1" HOST), HTTP_METHOD_GET, "", "h", "/", ""},
        {BYTES_INIT("GET //h2/x HTTP/1.1" HOST), HTTP_METHOD_GET, "", "h", "//h2/x", NULL},
        {BYTES_INIT("get /a:@!$&'()*+,;=-._~ HTTP/1.1" HOST), HTTP_METHOD_OTHER, "", "h",
         "/a:@!$&'()*+,;=-._~", NULL},
        {BYTES_INIT("PURGE /x HTTP/1.0\r\n\r\n"), HTTP_METHOD_OTHER, "", "", "/x", NULL},
        {BYTES_INIT("GET http://h HTTP/1.1" HOST), HTTP_METHOD_GET, "http", "h", "/", NULL},
        {BYTES_INIT("GET http://h?q HTTP/1.1" HOST), HTTP_METHOD_GET, "http", "h", "/", "q"},
        {BYTES_INIT("GET HTTPS://H:443/p HTTP/1.1" HOST), HTTP_METHOD_GET, "HTTPS", "H:443", "/p", NULL},
        {BYTES_INIT("GET http://h:80/p HTTP/1.1" HOST), HTTP_METHOD_GET, "http", "h:80", "/p", NULL},
        {BYTES_INIT("GET http://[::1]:80/p HTTP/1.1\r\nHost: [::1]\r\n\r\n"), HTTP_METHOD_GET, "http",
         "[::1]:80", "/p", NULL},
        {BYTES_INIT("GET http://h/p HTTP/1.0\r\n\r\n"), HTTP_METHOD_GET, "http", "h", "/p", NULL},
        {BYTES_INIT("OPTIONS * HTTP/1.1" HOST), HTTP_METHOD_OPTIONS, "", "h", "*", NULL},
        {BYTES_INIT("OPTIONS http://h HTTP/1.1" HOST), HTTP_METHOD_OPTIONS, "http", "h", "*", NULL},
        {BYTES_INIT("OPTIONS http://h/ HTTP/1.1" HOST), HTTP_METHOD_OPTIONS, "http", "h", "/", NULL},
        {BYTES_INIT("OPTIONS http://h?q HTTP/1.1" HOST), HTTP_METHOD_OPTIONS, "http", "h", "/", "q"},
        {BYTES_INIT("CONNECT h:443 HTTP/1.1\r\nHost: H:443\r\n\r\n"), HTTP_METHOD_CONNECT, "", "h:443", "",
         NULL},
        {BYTES_INIT("\r\nGET /late HTTP/1.1" HOST), HTTP_METHOD_GET, "", "h", "/late", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (size_t step = 1; step <= cases[i].wire.size; step += cases[i].wire.size - 1) {
            struct parsed parsed;
            parse(&parsed, &usual, cases[i].wire, step);
            if (parsed.result != HTTP1_DONE)
                fail_msg("%.*s", BYTES_PRINTF(cases[i].wire));
            EXPECT_EQ(parsed.consumed, cases[i].wire.size);
            EXPECT_EQ(parsed.request.method, cases[i].method);
            EXPECT_TEXT(parsed.request.scheme, bytes_of_text(cases[i].scheme));
            EXPECT_TEXT(parsed.request.authority, bytes_of_text(cases[i].authority));
            EXPECT_TEXT(parsed.request.path, bytes_of_text(cases[i].path));
            EXPECT_EQ(parsed.request.has_query, cases[i].query != NULL);
            EXPECT_TEXT(parsed.request.query, bytes_of_text(cases[i].query != NULL ? cases[i].query : ""));
            free(parsed.copy);
        }
    }
}

TEST(a_malformed_request_line_is_refused)
{
    CHECK_STATUSES(
        LINE("GET / HTTP/1.1", 0), LINE("G!#$%&'*+-.^_`|~9 / HTTP/1.1", 0), LINE("GET  / HTTP/1.1", 400),
        LINE(" GET / HTTP/1.1", 400), LINE("GET\t/ HTTP/1.1", 400), LINE("GET / HTTP/1.1 ", 400),
        LINE("GET /  HTTP/1.1", 400), LINE("GET /", 400), LINE("GET", 400), LINE("GET ", 400),
        LINE("GET HTTP/1.1", 400), LINE("/ HTTP/1.1", 400), LINE("G(T / HTTP/1.1", 400),
        LINE("G\xc3T / HTTP/1.1", 400), LINE("G\0T / HTTP/1.1", 400), LINE("GET / http/1.1", 400),
        LINE("GET / HTTP/1.1x", 400), LINE("GET / HTTP/11", 400), LINE("GET / HTTP/1.", 400),
        LINE("GET / HTTP/1,1", 400), LINE("GET / HTTP/a.1", 400), LINE("GET / HTTP/1.a", 400),
        LINE("GET / HTTP /1.1", 400), LINE("GET / XTTP/1.1", 400), LINE("GET / HTTP/1.10", 400),
        LINE("GET / HTTP/1.2", 505), LINE("GET / HTTP/1.9", 505), LINE("GET / HTTP/2.0", 505),
        LINE("GET / HTTP/0.9", 505), LINE("GET / HTTP/3.1", 505),
        HEAD("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        HEAD("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        HEAD("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400), HEAD("\r\n\r\n", 400), HEAD("\r\n", -1),
        HEAD("", -1), HEAD("GET / HTTP/1.1\r\nHost: a\r\n", -1),
        HEAD("GET / HTTP/1.1\r\nHost: a\r\n\r", -1),
        LINE("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKL / HTTP/1.1", 0),
        LINE("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLM / HTTP/1.1", 501));
}

TEST(a_target_holds_the_bytes_of_a_uri_and_what_browsers_leave_as_it_is)
{
    for (int byte = 0; byte < 256; byte++) {
        static const char good_in_path[] = "!$&'()*+,-./:;=@_~?[]^`{|}"
                                           "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        char wire[] = "GET /a?b_ HTTP/1.1\r\nHost: a\r\n\r\n";
        bool is_good = byte != 0 && strchr(good_in_path, byte) != NULL;

        wire[8] = (char)byte;
        EXPECT_EQ(status_of(&usual, bytes_of(wire, sizeof wire - 1)), is_good || byte == '\\' ? 0 : 400);
        wire[5] = (char)byte; /* in the path */
        wire[8] = 'c';
        EXPECT_EQ(status_of(&usual, bytes_of(wire, sizeof wire - 1)), is_good ? 0 : 400);
    }
    CHECK_STATUSES(
        LINE("GET /%00%fF HTTP/1.1", 0), LINE("GET /% HTTP/1.1", 400), LINE("GET /%4 HTTP/1.1", 400),
        LINE("GET /%4g HTTP/1.1", 400), LINE("GET /%g4 HTTP/1.1", 400), LINE("GET /%%41 HTTP/1.1", 400),
        LINE("GET /?%4 HTTP/1.1", 400), LINE("GET /?%41 HTTP/1.1", 0), LINE("GET /#f HTTP/1.1", 400),
        LINE("GET /?q#f HTTP/1.1", 400), LINE("GET a HTTP/1.1", 400), LINE("GET ?a HTTP/1.1", 400),
        LINE("GET \\ HTTP/1.1", 400), LINE("GET * HTTP/1.1", 400), LINE("OPTIONS *a HTTP/1.1", 400),
        LINE("GET *?q HTTP/1.1", 400), LINE("GET a:80 HTTP/1.1", 400), LINE("CONNECT a HTTP/1.1", 400),
        LINE("CONNECT / HTTP/1.1", 400), LINE("CONNECT http://a/ HTTP/1.1", 400),
        LINE("CONNECT a: HTTP/1.1", 400), LINE("CONNECT a:65536 HTTP/1.1", 400),
        LINE("CONNECT a:80 HTTP/1.1", 400), LINE("GET ftp://a/ HTTP/1.1", 400),
        LINE("GET http:/a/ HTTP/1.1", 400), LINE("GET http:a HTTP/1.1", 400),
        LINE("GET http:///p HTTP/1.1", 400), LINE("GET http:// HTTP/1.1", 400),
        LINE("GET http://?q HTTP/1.1", 400), LINE("GET http://u@a/ HTTP/1.1", 400),
        LINE("GET http://a#f HTTP/1.1", 400), LINE("GET http://a\\@b/ HTTP/1.1", 400),
        LINE("GET http://a/p^ HTTP/1.1", 0), LINE("GET http://a^/p HTTP/1.1", 400),
        LINE("GET http://a\\b/ HTTP/1.1", 400), LINE("GET http://{a}/ HTTP/1.1", 400),
        LINE("GET http://[::1/ HTTP/1.1", 400));
}

TEST(host_is_one_valid_host_and_equals_the_targets_authority)
{
#define GET     "GET / HTTP/1.1\r\n"
#define GET_OLD "GET / HTTP/1.0\r\n"
    CHECK_STATUSES(
        HEAD(GET "Host: a\r\n\r\n", 0), HEAD(GET "\r\n", 400), HEAD(GET "Host:\r\n\r\n", 400),
        HEAD(GET "Host: a\r\nHost: a\r\n\r\n", 400), HEAD(GET "Host: a\r\nhOST: b\r\n\r\n", 400),
        HEAD(GET_OLD "\r\n", 0), HEAD(GET_OLD "Host: a\r\n\r\n", 0), HEAD(GET_OLD "Host:\r\n\r\n", 0),
        HEAD(GET_OLD "Host: a\r\nHost: a\r\n\r\n", 400), HEAD(GET_OLD "Host: a b\r\n\r\n", 400),
        HEAD(GET "Host: a:0\r\n\r\n", 0), HEAD(GET "Host: a:65535\r\n\r\n", 0),
        HEAD(GET "Host: a:65536\r\n\r\n", 400), HEAD(GET "Host: a:\r\n\r\n", 400),
        HEAD(GET "Host: :80\r\n\r\n", 400), HEAD(GET "Host: a:b\r\n\r\n", 400),
        HEAD(GET "Host: a:+1\r\n\r\n", 400), HEAD(GET "Host: a:1:2\r\n\r\n", 400),
        HEAD(GET "Host: a/b\r\n\r\n", 400), HEAD(GET "Host: a?b\r\n\r\n", 400),
        HEAD(GET "Host: a#b\r\n\r\n", 400), HEAD(GET "Host: a@b\r\n\r\n", 400),
        HEAD(GET "Host: a b\r\n\r\n", 400), HEAD(GET "Host: a, b\r\n\r\n", 400),
        HEAD(GET "Host: http://a\r\n\r\n", 400), HEAD(GET "Host: a\xc3\xa4\r\n\r\n", 400),
        HEAD(GET "Host: a%41\r\n\r\n", 0), HEAD(GET "Host: a%4\r\n\r\n", 400),
        HEAD(GET "Host: a%\r\n\r\n", 400), HEAD(GET "Host: 127.0.0.1:80\r\n\r\n", 0),
        HEAD(GET "Host: [::1]\r\n\r\n", 0), HEAD(GET "Host: [2001:db8::ffff:1.2.3.4]:8080\r\n\r\n", 0),
        HEAD(GET "Host: [::1\r\n\r\n", 400), HEAD(GET "Host: []\r\n\r\n", 400),
        HEAD(GET "Host: [::1]80\r\n\r\n", 400), HEAD(GET "Host: [::1]:\r\n\r\n", 400),
        HEAD(GET "Host: [a]\r\n\r\n", 400), HEAD(GET "Host: [fe80::1%25eth0]\r\n\r\n", 400),
        HEAD(GET "Host: ::1\r\n\r\n", 400),
        HEAD(GET "Host: [::1111111111111111111111111111111111111111111111111111]\r\n\r\n", 400),
        LINE("GET http://a/ HTTP/1.1", 0), LINE("GET http://A:80/ HTTP/1.1", 0),
        LINE("GET https://a:443/ HTTP/1.1", 0), LINE("GET http://b/ HTTP/1.1", 400),
        LINE("GET http://a:443/ HTTP/1.1", 400), LINE("GET https://a:80/ HTTP/1.1", 400),
        LINE("GET http://a.b/ HTTP/1.1", 400), LINE("GET http://a HTTP/1.0", 0),
        LINE("GET http://b HTTP/1.0", 400), HEAD("GET http://a/ HTTP/1.1\r\nHost: a:80\r\n\r\n", 0),
        HEAD("GET http://a/ HTTP/1.1\r\nHost: a:81\r\n\r\n", 400),
        HEAD("GET http://a/ HTTP/1.1\r\n\r\n", 400), HEAD("GET http://a/ HTTP/1.0\r\n\r\n", 0),
        HEAD("GET http://a b/ HTTP/1.0\r\n\r\n", 400), HEAD("GET http://a:b/ HTTP/1.0\r\n\r\n", 400));
}

TEST(a_malformed_field_line_is_refused)
{
    CHECK_STATUSES(
        FIELD("X: a\tb \x80\xff", 0), FIELD("X:", 0), FIELD("X:a", 0), FIELD("X : a", 400),
        FIELD("X\t: a", 400), FIELD(": a", 400), FIELD("X", 400), FIELD("X a", 400), FIELD(" X: a", 400),
        FIELD("X: a\r\n b", 400), FIELD("X: a\r\n\tb", 400), FIELD("X: a\r\n ", 400),
        FIELD("X\x80: a", 400), FIELD("X\xc3\xa4: a", 400), FIELD("X\0: a", 400), FIELD("X(: a", 400),
        FIELD("X: a\0b", 400), FIELD("X: a\rb", 400), FIELD("X: a\nb", 400), FIELD("X\r: a", 400),
        FIELD("X\n: a", 400), FIELD("X: a\r", 400), FIELD("X: a\nY: b", 400), FIELD("X: \x01", 400),
        FIELD("X: 0123456789abcdef\x7f", 400), FIELD("X: 01234567\x1f 89abcdef", 400),
        FIELD("X: 0123456789\tabcdef", 0), HEAD("GET /\n", 400), HEAD("GET / HTTP/1.1\n", 400),
        HEAD("GET / HTTP/1.1\rHost: a\r\n\r\n", 400), HEAD("GET / HTTP/1.1\r\nHost: a\n", 400),
        HEAD("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400), HEAD("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
        HEAD("GET / HTTP/1.1\r\nHost: a\r\n\n", 400), HEAD("GET / HTTP/1.1\r\nHost: a\r\n\rX", -1),
        HEAD("GET / HTTP/1.1\r\nHost: a\r\n\rX\r\n\r\n", 400));
    for (int byte = 0; byte < 256; byte++) {
        char wire[] = "GET / HTTP/1.1\r\nHost: a\r\nX_Y: 0123456789_1234567_\r\n\r\n";
        bool is_control = (byte < 32 && byte != '\t') || byte == 127;
        static const char tokens[] =
            "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        static const size_t in_value[] = {30, 40, 48};

        for (size_t i = 0; i < COUNT_OF(in_value); i++) {
            char before = wire[in_value[i]];
            wire[in_value[i]] = (char)byte;
            EXPECT_EQ(status_of(&usual, bytes_of(wire, sizeof wire - 1)), is_control ? 400 : 0);
            wire[in_value[i]] = before;
        }
        wire[26] = (char)byte; /* in the name; ':' there only moves its end */
        EXPECT_EQ(status_of(&usual, bytes_of(wire, sizeof wire - 1)),
                  byte == ':' || (byte != 0 && strchr(tokens, byte) != NULL) ? 0 : 400);
    }
}

TEST(a_request_whose_framing_is_open_to_doubt_is_refused)
{
#define OLD(line) "GET / HTTP/1.0\r\nHost: a\r\n" line "\r\n\r\n"
    CHECK_STATUSES(FIELD("Content-Length: 5", 0), FIELD("Content-Length: 9223372036854775807", 0),
                   FIELD("Content-Length: 9223372036854775808", 400),
                   FIELD("Content-Length: 18446744073709551617", 400), FIELD("Content-Length:", 400),
                   FIELD("Content-Length: +5", 400), FIELD("Content-Length: -5", 400),
                   FIELD("Content-Length: 0x5", 400), FIELD("Content-Length: 5,5", 400),
                   FIELD("Content-Length: 5, 5", 400), FIELD("Content-Length: 5_0", 400),
                   FIELD("Content-Length: 5 0", 400), FIELD("Content-Length: 5;", 400),
                   FIELD("Content-Length: \x0b"
                         "5",
                         400),
                   FIELD("Content-Length: 5\r\nContent-Length: 6", 400),
                   FIELD("Content-Length: 5\r\nContent-Length: 5", 400),
                   FIELD("Content-Length: 5\r\ncontent-length: 5", 400), FIELD("Content-Length : 5", 400),
                   FIELD("Content-Length: 5\r\nTransfer-Encoding: chunked", 400),
                   FIELD("Transfer-Encoding: chunked\r\nContent-Length: 5", 400),
                   FIELD("Transfer-Encoding: chunked\r\nContent-Length: 0", 400),
                   FIELD("Transfer-Encoding: chunked", 0), FIELD("Transfer-Encoding: Chunked", 0),
                   FIELD("Transfer-Encoding: ,chunked", 400), FIELD("Transfer-Encoding: chunked,", 400),
                   FIELD("Transfer-Encoding: chunked, chunked", 400),
                   FIELD("Transfer-Encoding: xchunked", 400), FIELD("Transfer-Encoding: chunkedx", 400),
                   FIELD("Transfer-Encoding: \x0b"
                         "chunked",
                         400),
                   FIELD("Transfer-Encoding: \"chunked\"", 400),
                   FIELD("Transfer-Encoding: chunked;q=1", 400), FIELD("Transfer-Encoding: identity", 400),
                   FIELD("Transfer-Encoding: identity, chunked", 400),
                   FIELD("Transfer-Encoding: gzip", 400), FIELD("Transfer-Encoding: chunked, gzip", 400),
                   FIELD("Transfer-Encoding:", 400), FIELD("Transfer-Encoding: gzip, chunked", 501),
                   FIELD("Transfer-Encoding: gzip ,\tdeflate,Chunked", 501),
                   FIELD("Transfer-Encoding: gzip, chunked, chunked", 400),
                   FIELD("Transfer-Encoding: gzip,, chunked", 400),
                   FIELD("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400),
                   FIELD("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", 400),
                   FIELD("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", 400),
                   FIELD("Transfer_Encoding: chunked", 0), FIELD("Transfer-Encoding : chunked", 400),
                   FIELD("Transfer-Encoding\0: chunked", 400), HEAD(OLD("Transfer-Encoding: chunked"), 400),
                   HEAD(OLD("Transfer-Encoding: gzip, chunked"), 400), HEAD(OLD("Content-Length: 5"), 0));
}

TEST(a_connection_option_may_not_name_a_field_that_others_rely_on)
{
    CHECK_STATUSES(
        FIELD("Connection: close", 0), FIELD("Connection: keep-alive, te, Upgrade, trailer, X-Own", 0),
        FIELD("Connection: ,close,,", 0), FIELD("Connection:", 0), FIELD("Connection: Proxy-Connection", 0),
        FIELD("Connection: Host", 400), FIELD("Connection: Content-Length", 400),
        FIELD("Connection: Transfer-Encoding", 400), FIELD("Connection: Cache-Control", 400),
        FIELD("Connection: Authorization", 400), FIELD("Connection: Cookie", 400),
        FIELD("Connection: Age", 400), FIELD("Connection: Vary", 400), FIELD("Connection: Date", 400),
        FIELD("Connection: close, X-FORWARDED-FOR", 400),
        FIELD("Connection: close\r\nConnection: host", 400), FIELD("Connection: close;", 400),
        FIELD("Connection: a b", 400), FIELD("Connection: \"close\"", 400));
}

TEST(the_client_says_whether_the_connection_goes_on)
{
    static const struct {
        int minor_version;
        const char *fields;
        bool keep_alive;
    } cases[] = {
        {1, "", true},
        {1, "Connection: close\r\n", false},
        {1, "Connection: Close\r\n", false},
        {1, "Connection: keep-alive, close\r\n", false},
        {1, "Connection: x\r\nConnection: close\r\n", false},
        {1, "Connection: closed\r\n", true},
        {0, "", false},
        {0, "Connection: Keep-Alive\r\n", true},
        {0, "Connection: keep-alive\r\nConnection: close\r\n", false},
        {0, "Proxy-Connection: keep-alive\r\n", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct parsed parsed;
        char wire[200];
        int size = snprintf(wire, sizeof wire, "GET / HTTP/1.%d\r\nHost: a\r\n%s\r\n",
                            cases[i].minor_version, cases[i].fields);
        parse(&parsed, &usual, bytes_of(wire, (size_t)size), 5);
        EXPECT_EQ(parsed.result, HTTP1_DONE);
        EXPECT_EQ(parsed.request.minor_version, cases[i].minor_version);
        EXPECT_EQ(parsed.request.keep_alive, cases[i].keep_alive);
        free(parsed.copy);
    }
}

TEST(only_100_continue_is_expected_and_only_with_a_body)
{
    static const struct {
        int minor_version;
        const char *fields;
        int status;
        bool expects_continue;
    } cases[] = {
        {1, "Expect: 100-continue\r\nContent-Length: 5\r\n", 0, true},
        {1, "Expect: 100-CONTINUE\r\nTransfer-Encoding: chunked\r\n", 0, true},
        {1, "Expect: 100-continue\r\nContent-Length: 0\r\n", 0, false},
        {1, "Expect: 100-continue\r\n", 0, false},
        {0, "Expect: 100-continue\r\nContent-Length: 5\r\n", 0, false},
        {1, "Content-Length: 5\r\n", 0, false},
        {1, "Expect: y 100-continue\r\nContent-Length: 5\r\n", 417, false},
        {1, "Expect: 100-continue, 100-continue\r\nContent-Length: 5\r\n", 417, false},
        {1, "Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 5\r\n", 417, false},
        {1, "Expect: 100-continue\r\nExpect: x\r\n", 417, false},
        {1, "Expect:\r\n", 417, false},
        {1, "Expect: 100-continue;a\r\n", 417, false},
        {1, "Expect: 200-ok\r\n", 417, false},
        {1, "Expect: x\r\nContent-Length: x\r\n", 400, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct parsed parsed;
        char wire[200];
        int size = snprintf(wire, sizeof wire, "PUT / HTTP/1.%d\r\nHost: a\r\n%s\r\n",
                            cases[i].minor_version, cases[i].fields);
        EXPECT_EQ(status_of(&usual, bytes_of(wire, (size_t)size)), cases[i].status);
        parse(&parsed, &usual, bytes_of(wire, (size_t)size), 5);
        if (parsed.result == HTTP1_DONE)
            EXPECT_EQ(parsed.request.expects_continue, cases[i].expects_continue);
        free(parsed.copy);
    }
}

static const struct http1_limits small = {.line_bytes_max = 20, .head_bytes_max = 160, .fields_max = 3};

TEST(a_limit_holds_to_the_byte_however_the_bytes_come)
{
    static const struct status_case cases[] = {
        HEAD("GET /23456789012345678901 HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        HEAD("GET /2345678901234567890 HTTP/1.1\r\nHost: a\r\n\r\n", 0),
        HEAD("GET / HTTP/1.1\r\nHost: 78901234567890\r\n\r\n", 0),
        HEAD("GET / HTTP/1.1\r\nHost: 789012345678901\r\n\r\n", 431),
        HEAD("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nX: 2\r\n\r\n", 0),
        HEAD("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nX: 2\r\nX: 3\r\n\r\n", 431),
        /* whichever is wrong first in the order of the bytes */
        HEAD("GET / HTTP/1.1\r\nHost: a\r\n: 1\r\nX: 2\r\nX: 3\r\n\r\n", 400),
        HEAD("GET / HTTP/1.1\r\nHost: a\r\nX: 0123456789012345678\n: 1\r\n", 431),
        HEAD("GET / HTTP/9.9\r\nHost: 789012345678901\r\n\r\n", 505),
        HEAD("GET / HTTP/1.1\r\nHost: 789012345678901", -1),
        HEAD("GET / HTTP/1.1\r\nHost: 7890123456789012", 431),
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int status = status_of(&small, cases[i].wire);
        if (status != cases[i].status)
            fail_msg("\"%.*s\" gave %d, wanted %d", BYTES_PRINTF(cases[i].wire), status, cases[i].status);
    }
    for (size_t head_bytes = 1; head_bytes < 40; head_bytes++) {
        struct http1_limits limits = {
            .line_bytes_max = 100, .head_bytes_max = (uint32_t)head_bytes, .fields_max = 9};
        struct bytes wire = BYTES("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        EXPECT_EQ(status_of(&limits, wire), head_bytes < wire.size ? 431 : 0);
    }
}

/* `count` times `piece` after `start`; to be freed. */
static struct bytes repeated(const char *start, const char *piece, size_t count, const char *end)
{
    size_t size = strlen(start) + count * strlen(piece) + strlen(end);
    char *data = malloc(size + 1), *at = data;

    at = stpcpy(at, start);
    for (size_t i = 0; i < count; i++)
        at = stpcpy(at, piece);
    strcpy(at, end);
    return bytes_of(data, size);
}

TEST(too_much_is_refused_before_it_has_all_arrived)
{
    static const struct {
        const char *start, *piece;
        size_t count;
        const char *end;
        int status;
        size_t seen_most; /* when it comes byte by byte */
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n", "X: y\r\n", 99, "\r\n", 0, SIZE_MAX},
        {"GET / HTTP/1.1\r\nHost: a\r\n", "X: y\r\n", 100, "\r\n", 431, 700},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: ", "y", 65 << 10, "\r\n\r\n", 431, 17000},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: ", "y", 16381, "\r\n\r\n", 0, SIZE_MAX},
        {"GET / HTTP/1.1\r\nHost: a\r\nX: ", "y", 16382, "\r\n\r\n", 431, 17000},
        {"GET / HTTP/1.1\r\nHost: a\r\n", "X: 01234567890123456789012345678901234567890123456789\r\n",
         1 << 14, "\r\n", 431, 65537},
        {"GET / HTTP/1.1\r\nHost: a\r\n",
         "X: "
         "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456"
         "7890123"
         "4567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"
         "1234567890"
         "1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567"
         "8901234567"
         "8901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234"
         "5678901234"
         "5678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901"
         "2345678901"
         "2345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678"
         "9012345678"
         "9012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345"
         "6789012345\r\n",
         1 << 10, "\r\n", 431, 65537},
        {"GET /", "y", 64 << 10, " HTTP/1.1\r\nHost: a\r\n\r\n", 414, 17000},
        {"GET /", "y", 16383, " HTTP/1.1\r\nHost: a\r\n\r\n", 0, SIZE_MAX},
        {"GET /", "y", 16384, " HTTP/1.1\r\nHost: a\r\n\r\n", 414, SIZE_MAX},
        {"", "y", 64 << 10, " / HTTP/1.1\r\nHost: a\r\n\r\n", 414, 17000},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes wire = repeated(cases[i].start, cases[i].piece, cases[i].count, cases[i].end);
        struct http_field fields[FIELDS_MAX];
        struct http_request request;
        struct http1_parser parser = {0}, whole = {0};
        size_t consumed, size = 0;
        enum http1_result result = HTTP1_MORE;
        int status = 0;

        while (result == HTTP1_MORE && size < wire.size)
            result = http1_parse_request(&parser, &usual, bytes_first(wire, ++size), fields, &request,
                                         &consumed, &status);
        EXPECT_EQ(result == HTTP1_DONE ? 0 : status, cases[i].status);
        EXPECT(size <= cases[i].seen_most);
        result = http1_parse_request(&whole, &usual, wire, fields, &request, &consumed, &status);
        EXPECT_EQ(result == HTTP1_DONE ? 0 : status, cases[i].status);
        free((void *)wire.data);
    }
}

TEST(what_cannot_become_a_request_is_refused_at_its_first_line)
{
    static const struct bytes starts[] = {
        BYTES_INIT("*1\r\n"),
        BYTES_INIT("\x16\x03\x01\n"),
        BYTES_INIT("GET /\n"),
        BYTES_INIT("set a 0 0 1\r\n"),
        BYTES_INIT("GET / HTTP/1.1\r\nHost a\r\n"),
        BYTES_INIT("GET / HTTP/1.1\r\nHost: a\n"),
    };
    for (size_t i = 0; i < COUNT_OF(starts); i++)
        EXPECT_EQ(status_of(&usual, starts[i]), 400);
}

TEST(pipelined_requests_are_parsed_one_after_another)
{
    struct bytes wire = BYTES("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: b\r\n\r\n\r\n"
                              "GET /3 HTTP/1.1\r\nHost: c\r\n\r\n");
    static const char *const paths[] = {"/1", "/2", "/3"};
    struct http1_parser parser = {0};
    struct http_field fields[FIELDS_MAX];

    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        struct http_request request;
        size_t consumed;
        int status;
        EXPECT_EQ(http1_parse_request(&parser, &usual, wire, fields, &request, &consumed, &status),
                  HTTP1_DONE);
        EXPECT_TEXT(request.path, bytes_of_text(paths[i]));
        wire = bytes_after(wire, consumed);
    }
    EXPECT_EQ(wire.size, 0);
}

RUN_TESTS(TEST_ROW(a_request_is_taken_apart_and_what_follows_it_is_left),
          TEST_ROW(every_form_of_target_goes_to_its_place), TEST_ROW(a_malformed_request_line_is_refused),
          TEST_ROW(a_target_holds_the_bytes_of_a_uri_and_what_browsers_leave_as_it_is),
          TEST_ROW(host_is_one_valid_host_and_equals_the_targets_authority),
          TEST_ROW(a_malformed_field_line_is_refused),
          TEST_ROW(a_request_whose_framing_is_open_to_doubt_is_refused),
          TEST_ROW(a_connection_option_may_not_name_a_field_that_others_rely_on),
          TEST_ROW(the_client_says_whether_the_connection_goes_on),
          TEST_ROW(only_100_continue_is_expected_and_only_with_a_body),
          TEST_ROW(a_limit_holds_to_the_byte_however_the_bytes_come),
          TEST_ROW(too_much_is_refused_before_it_has_all_arrived),
          TEST_ROW(what_cannot_become_a_request_is_refused_at_its_first_line),
          TEST_ROW(pipelined_requests_are_parsed_one_after_another))
