/* links: nuthatch-gateway nuthatch-message nuthatch-base */
/* What is said to browsers whose page is of another origin. */
#include "base/compiler.h"
#include "engine/gateway/policy/cors.h"
#include "http_text.h"
#include "test.h"

/* For the policies, whose lists are only read. */
#define TEXT(literal) ((char[]){literal})

TEST(what_no_browser_would_send_is_no_origin)
{
    static const struct {
        const char *item;
        bool is_good;
    } cases[] = {
        {"*", true},
        {"https://a.example", true},
        {"http://localhost:3000", true},
        {"https://*.a.example", true},
        {"https://*.a.example:8443", true},
        {"http://[::1]:8080", true},
        {"capacitor://localhost", true},
        {"https://a.example:443", false},
        {"http://a.example:80", false},
        {"http://a.example:443", true},
        {"https://a.example/", false},
        {"https://a.example/x", false},
        {"https://A.example", false},
        {"https://a.*.example", false},
        {"https://*", false},
        {"https://*.", false},
        {"https://*a.example", false},
        {"*.a.example", false},
        {"a.example", false},
        {"null", false},
        {"https://", false},
        {"://a", false},
        {"https://a.example:", false},
        {"https://a.example:x", false},
        {"https://a.example:123456", false},
        {"https://u@a.example", false},
        {"https://[::1", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if ((cors_origin_is_wrong(bytes_of_text(cases[i].item)) == NULL) != cases[i].is_good)
            fail_msg("%s", cases[i].item);
}

TEST(an_origin_is_allowed_if_it_is_one_of_those_to_the_byte)
{
    static const struct {
        const char *origin;
        bool is_allowed;
    } cases[] = {
        {"https://a.example", true},
        {"https://x.b.example", true},
        {"https://x.y.b.example", true},
        {"http://localhost:3000", true},
        {"https://b.example", false}, /* is not below itself */
        {"https://.b.example", false},
        {"https://xb.example", false},
        {"http://a.example", false},
        {"https://a.example:8443", false},
        {"https://A.example", false},
        {"https://a.example.evil.example", false},
        {"https://evil.example/.b.example", false},
        {"https://evil.example:1.b.example", false},
        {"https://u@x.b.example", false},
        {"https://x.b.example:8443", false},
        {"http://localhost:3001", false},
        {"http://localhost", false},
        {"null", false},
        {"", false},
    };
    struct route_policy policy = {.cors_origins =
                                      TEXT("https://a.example,https://*.b.example,http://localhost:3000")};
    struct route_policy all = {.cors_origins = TEXT("*")};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (cors_allows(&policy, bytes_of_text(cases[i].origin)) != cases[i].is_allowed)
            fail_msg("%s", cases[i].origin);
        EXPECT(cors_allows(&all, bytes_of_text(cases[i].origin)));
    }
}

TEST(options_that_do_not_go_together_are_refused)
{
    struct route_policy cases[] = {
        {.cors_methods = TEXT("PUT")},
        {.cors_credentials = 1},
        {.cors_max_age_ms = 1000},
        {.cors_origins = TEXT("https://a.example,*"), .cors_credentials = 1},
        {.cors_origins = TEXT("https://a.example"), .cors_headers = TEXT("*"), .cors_credentials = 1},
        {.cors_origins = TEXT("https://a.example"), .cors_expose = TEXT("*"), .cors_credentials = 1},
    };
    struct route_policy good[] = {
        {0},
        {.cors_origins = TEXT("*"), .cors_headers = TEXT("*")},
        {.cors_origins = TEXT("https://*.a.example"), .cors_headers = TEXT("X-A"), .cors_credentials = 1},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_non_null(cors_is_wrong(&cases[i]));
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_null(cors_is_wrong(&good[i]));
}

static void expect_lines(const struct route_policy *policy, const char *fields, bool is_preflight,
                         const char *wanted)
{
    struct http_request request = {.method = HTTP_METHOD_GET};
    struct http_text text;
    struct buffer lines = {0};

    http_text_read(&text, fields);
    request.fields = text.fields;
    cors_append(policy, &request, is_preflight, &lines);
    EXPECT_TEXT(buffer_bytes(&lines), bytes_of_text(wanted));
    buffer_fini(&lines);
}

TEST(an_answer_tells_each_page_what_it_may_see)
{
    struct route_policy all = {.cors_origins = TEXT("*"), .cors_expose = TEXT("X-A,X-B")};
    struct route_policy some = {.cors_origins = TEXT("https://a.example"),
                                .cors_methods = TEXT("GET,PUT"),
                                .cors_headers = TEXT("X-A,Content-Type"),
                                .cors_expose = TEXT("X-B"),
                                .cors_credentials = 1,
                                .cors_max_age_ms = 600000};

    expect_lines(&all, "", false,
                 "Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: X-A, X-B\r\n");
    expect_lines(&all, "Origin: null", true,
                 "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: GET, HEAD, POST\r\n");
    expect_lines(&some, "Origin: https://a.example", false,
                 "Vary: Origin\r\nAccess-Control-Allow-Origin: https://a.example\r\n"
                 "Access-Control-Allow-Credentials: true\r\nAccess-Control-Expose-Headers: X-B\r\n");
    expect_lines(&some, "Origin: https://a.example", true,
                 "Vary: Origin\r\nAccess-Control-Allow-Origin: https://a.example\r\n"
                 "Access-Control-Allow-Credentials: true\r\nAccess-Control-Allow-Methods: GET, PUT\r\n"
                 "Access-Control-Allow-Headers: X-A, Content-Type\r\nAccess-Control-Max-Age: 600\r\n");
    expect_lines(&some, "", false, "Vary: Origin\r\n");
    expect_lines(&some, "Origin: https://b.example", false, "Vary: Origin\r\n");
    expect_lines(&some, "Origin: https://b.example", true, "Vary: Origin\r\n");
    expect_lines(&some, "Origin: https://a.example\nOrigin: https://a.example", false, "Vary: Origin\r\n");
}

TEST(a_preflight_is_told_from_other_requests)
{
    static const struct {
        const char *method, *fields;
        bool is_one;
    } cases[] = {
        {"OPTIONS", "Origin: https://a\nAccess-Control-Request-Method: PUT", true},
        {"OPTIONS", "origin: https://a\naccess-control-request-method: FOO", true},
        {"OPTIONS", "Origin: https://a", false},
        {"OPTIONS", "Access-Control-Request-Method: PUT", false},
        {"OPTIONS", "Origin: https://a\nAccess-Control-Request-Method: a b", false},
        {"OPTIONS", "Origin: https://a\nOrigin: https://b\nAccess-Control-Request-Method: PUT", false},
        {"GET", "Origin: https://a\nAccess-Control-Request-Method: PUT", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_request request = {.method_name = bytes_of_text(cases[i].method)};
        struct http_text text;
        struct bytes method;
        http_text_read(&text, cases[i].fields);
        request.fields = text.fields;
        if (cors_is_preflight(&request, &method) != cases[i].is_one)
            fail_msg("%s %s", cases[i].method, cases[i].fields);
    }
    EXPECT(cors_drops(BYTES("access-control-Allow-Origin")));
    EXPECT(!cors_drops(BYTES("Access-Control")));
    EXPECT(!cors_drops(BYTES("Vary")));
}

TEST(a_websocket_tells_pages_only_what_they_may_see)
{
    static const struct {
        const char *origins, *cookies; /* of the route; null: not said */
        int credentials;
        const char *fields;
        bool is_allowed;
    } cases[] = {
        {NULL, NULL, 0, "", true}, /* no browser */
        {NULL, NULL, 0, "Origin: https://us.example:8080", true},
        {NULL, NULL, 0, "Origin: http://US.example:8080", true},
        {NULL, NULL, 0, "Origin: https://us.example", false},
        {NULL, NULL, 0, "Origin: https://us.example:8080.evil.example", false},
        {NULL, NULL, 0, "Origin: us.example:8080", false},
        {NULL, NULL, 0, "Origin: null", false},
        {NULL, NULL, 0, "Origin: ", false},
        {NULL, NULL, 0, "Origin: https://us.example:8080\nOrigin: https://us.example:8080", false},
        {"https://a.example", NULL, 0, "Origin: https://a.example", true},
        {"https://a.example", NULL, 0, "Origin: https://b.example", false},
        {"*", NULL, 0, "Origin: https://b.example\nCookie: who=me", true},
        {"*", "who", 0, "Origin: https://b.example\nCookie: who=me", false},
        {"*", "who", 0, "Origin: https://b.example", true},
        {"https://b.example", "who", 1, "Origin: https://b.example\nCookie: who=me", true},
        {"https://b.example", "who", 0, "Origin: https://us.example:8080\nCookie: who=me", true},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct route_policy policy = {.cors_origins = (char *)(uintptr_t)cases[i].origins,
                                      .key_cookies = (char *)(uintptr_t)cases[i].cookies,
                                      .cors_credentials = cases[i].credentials};
        struct http_request request = {.authority = BYTES("us.example:8080")};
        struct http_text text;
        http_text_read(&text, cases[i].fields);
        request.fields = text.fields;
        if (cors_allows_socket(&policy, &request) != cases[i].is_allowed)
            fail_msg("%s, %s", cases[i].origins != NULL ? cases[i].origins : "none", cases[i].fields);
    }
}

/* Either may say it or not (RFC 6454 §4): browsers do not, who writes Host may. */
TEST(a_page_s_host_is_the_same_with_the_port_that_its_scheme_has_anyway)
{
    static const struct {
        const char *authority, *fields;
        bool is_allowed;
    } cases[] = {
        {"us.example", "Origin: https://us.example", true},
        {"us.example:443", "Origin: https://us.example", true},
        {"us.example", "Origin: https://us.example:443", true},
        {"us.example:80", "Origin: http://us.example", true},
        {"us.example", "Origin: http://US.example:80", true},
        {"[::1]:80", "Origin: http://[::1]", true},
        {"us.example:80", "Origin: https://us.example", false},
        {"us.example:443", "Origin: http://us.example", false},
        {"us.example:8080", "Origin: http://us.example", false},
        {"us.example", "Origin: http://us.example:8080", false},
        {":80", "Origin: http://:80", false},
        {"", "Origin: http://", false},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_request request = {.authority = bytes_of_text(cases[i].authority)};
        struct http_text text;
        http_text_read(&text, cases[i].fields);
        request.fields = text.fields;
        if (cors_allows_socket(&(struct route_policy){0}, &request) != cases[i].is_allowed)
            fail_msg("%s, %s", cases[i].authority, cases[i].fields);
    }
}

RUN_TESTS(TEST_ROW(a_page_s_host_is_the_same_with_the_port_that_its_scheme_has_anyway),
          TEST_ROW(what_no_browser_would_send_is_no_origin),
          TEST_ROW(an_origin_is_allowed_if_it_is_one_of_those_to_the_byte),
          TEST_ROW(options_that_do_not_go_together_are_refused),
          TEST_ROW(an_answer_tells_each_page_what_it_may_see),
          TEST_ROW(a_preflight_is_told_from_other_requests),
          TEST_ROW(a_websocket_tells_pages_only_what_they_may_see))
