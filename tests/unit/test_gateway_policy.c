/* links: nuthatch-gateway nuthatch-message nuthatch-base */
#include "base/compiler.h"
#include "engine/gateway/cache_key.h"
#include "engine/gateway/cache_status.h"
#include "engine/gateway/request_facts.h"
#include "engine/gateway/stored_response.h"
#include "engine/gateway/upstream_fields.h"
#include "engine/gateway/validate.h"
#include "engine/gateway/vary.h"
#include "http_text.h"
#include "test.h"
#include <stdlib.h>

TEST(vary_is_a_list_over_all_lines_and_a_star_anywhere_forbids_reuse)
{
    static const struct {
        const char *fields;
        bool is_usable;
        const char *names;
    } cases[] = {
        {"", true, ""},
        {"Vary: Accept", true, "accept\n"},
        {"Vary: b, A , ,a", true, "a\nb\n"},
        {"Vary: b\nVary: A", true, "a\nb\n"},
        {"Vary: *", false, ""},
        {"Vary: Accept, *", false, ""},
        {"Vary: Accept\nVary: *", false, ""},
        {"Vary: a b", false, ""},
        {"Vary: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", false, ""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_text fields;
        struct vary vary;
        http_text_read(&fields, cases[i].fields);
        EXPECT_EQ(vary_of(&fields.fields, &vary), cases[i].is_usable);
        EXPECT_TEXT(bytes_of(vary.text, vary.size), bytes_of_text(cases[i].names));
    }
}

TEST(two_requests_are_one_variant_only_if_the_named_fields_agree)
{
    static const struct {
        const char *names, *one, *other;
        bool is_same;
    } cases[] = {
        {"accept\n", "Accept: a", "Accept: a", true},
        {"accept\n", "Accept: a", "accept:   a  ", true},
        {"accept\n", "Accept: a, b", "Accept: a ,b", true},
        {"accept\n", "Accept: a, b", "Accept: a\nAccept: b", true},
        {"accept\n", "Accept: a", "Accept: A", false},
        {"accept\n", "Accept: a", "", false},
        {"accept\n", "Accept: ", "", false},
        {"accept\n", "X: 1", "X: 2", true},
        {"a\nb\n", "A: 1\nB: 2", "A: 1, B: 2", false},
        {"a\nb\n", "A: 1", "B: 1", false},
        {"x-forwarded-host\n", "X-Forwarded-Host: a", "X-Forwarded-Host: b", true}, /* never sent on */
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_text one, other;
        char left[256], right[256];
        size_t left_size, right_size;

        http_text_read(&one, cases[i].one);
        http_text_read(&other, cases[i].other);
        EXPECT(vary_values(bytes_of_text(cases[i].names), &one.fields, left, sizeof left, &left_size));
        EXPECT(vary_values(bytes_of_text(cases[i].names), &other.fields, right, sizeof right, &right_size));
        if (bytes_equal(bytes_of(left, left_size), bytes_of(right, right_size)) != cases[i].is_same)
            fail_msg("%s against %s", cases[i].one, cases[i].other);
    }
}

TEST(values_that_do_not_fit_are_no_variant)
{
    struct http_text fields;
    size_t wanted, size;
    char text[64];

    http_text_read(&fields, "A: 1,2\nA: 3\nB: 4");
    EXPECT(vary_values(BYTES("a\nb\nc\n"), &fields.fields, text, sizeof text, &wanted));
    EXPECT_TEXT(bytes_of(text, wanted), BYTES("=1,2,3\n=4\n\n"));
    for (size_t capacity = 0; capacity < wanted; capacity++) {
        char *exact = malloc(capacity + 1);
        EXPECT(!vary_values(BYTES("a\nb\nc\n"), &fields.fields, exact, capacity, &size));
        free(exact);
    }
}

TEST(a_target_that_could_be_read_in_two_ways_is_refused)
{
    static const struct {
        const char *path, *query;
        bool is_plain;
    } cases[] = {
        {"/", "", true},
        {"/a/b;c=1", "a=1;b=2&a=%26%3d", true},
        {"/.well-known/x", "", true},
        {"/a.../b..c/..d", "", true},
        {"/account%00.css", "", true},
        {"/group%2Fproject", "../x=/./", true},
        {"//a", "", true},
        {"/static/../account", "", false},
        {"/..", "", false},
        {"/.", "", false},
        {"/a/./b", "", false},
        {"/a/%2e/b", "", false},
        {"/a/%2E./b", "", false},
        {"/a/..%2fb", "", false},
        {"/account%2f..%2fstatic/x.js", "", false},
        {"/a/..\\b", "", false},
        {"/a%5C..", "", false},
        {"/a%5c..%5cb", "", false},
        {"/a#b", "", false},
        {"/a", "b#c", false},
        {"/a b", "", false},
        {"/\xc3\xa4", "", false},
        {"/a", "\xc3", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (target_is_plain(bytes_of_text(cases[i].path), bytes_of_text(cases[i].query)) !=
            cases[i].is_plain)
            fail_msg("%s?%s", cases[i].path, cases[i].query);
}

TEST(a_byte_that_is_not_visible_is_seen_wherever_it_stands)
{
    for (size_t size = 1; size < 20; size++)
        for (size_t at = 0; at < size; at++)
            for (int byte = 0; byte < 256; byte++) {
                bool is_visible = byte > ' ' && byte < 0x7f && byte != '#';
                char text[20];
                memset(text, 'a', sizeof text);
                text[at] = (char)byte;
                if (target_is_plain(BYTES("/"), bytes_of(text, size)) != is_visible ||
                    target_is_plain(bytes_of(text, size), BYTES("")) !=
                        (is_visible && byte != '?' && !(size == 1 && byte == '.')))
                    fail_msg("byte %d at %zu of %zu", byte, at, size);
            }
}

TEST(nothing_goes_upstream_that_could_steer_the_origin_past_the_key)
{
    struct http_text fields;
    struct upstream_fields upstream;
    struct buffer text = {0};

    http_text_read(&fields, "Host: a\nAccept: x\nX-Forwarded-Host: evil\nX-Original-URL: /evil\n"
                            "X-Rewrite-URL: /evil\nX-HTTP-Method-Override: PUT\nForwarded: for=evil\n"
                            "X-Forwarded-For: evil\nX-Forwarded-Proto: evil\nConnection: close, X-Private\n"
                            "X-Private: evil\nKeep-Alive: 5\nTE: trailers\nUpgrade: h2c\nX-Ordinary: kept\n"
                            "If-None-Match: \"a\"\nRange: bytes=0-1\nProxy-Authorization: evil\nEmpty:");
    for (int with_preconditions = 0; with_preconditions < 2; with_preconditions++) {
        buffer_clear(&text);
        struct upstream_wish wish = {.with_preconditions = with_preconditions != 0};
        EXPECT(upstream_fields_init(&upstream, &fields.fields, &wish));
        for (size_t i = 0; i < upstream.fields.count; i++)
            rendered_append(&text, upstream.fields.list[i].name, upstream.fields.list[i].value);
        EXPECT_TEXT(buffer_bytes(&text),
                    with_preconditions
                        ? BYTES("Accept: x\r\nX-Ordinary: kept\r\nIf-None-Match: \"a\"\r\nRange: "
                                "bytes=0-1\r\nEmpty: \r\n")
                        : BYTES("Accept: x\r\nX-Ordinary: kept\r\nEmpty: \r\n"));
        upstream_fields_fini(&upstream);
    }
    buffer_fini(&text);
}

TEST(clients_that_take_the_same_codings_are_one_to_the_origin_and_in_the_key)
{
    static const struct {
        const char *request, *upstream, *in_key;
    } cases[] = {
        {"Accept: x\nAccept-Encoding: gzip;q=0.5, deflate\nAccept-Encoding: br",
         "Accept: x\r\nAccept-Encoding: br, gzip\r\n", "=br, gzip\n"},
        {"accept-encoding:  br , gzip ", "accept-encoding: br, gzip\r\n", "=br, gzip\n"},
        {"Accept-Encoding: deflate", "Accept-Encoding: identity\r\n", "=identity\n"},
        {"Accept-Encoding:", "Accept-Encoding: identity\r\n", "=identity\n"},
        {"Accept: x", "Accept: x\r\n", "\n"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_text fields;
        struct upstream_fields upstream;
        struct buffer text = {0};
        char values[128];
        size_t size;

        http_text_read(&fields, cases[i].request);
        EXPECT(
            upstream_fields_init(&upstream, &fields.fields, &(struct upstream_wish){.is_for_all = true}));
        for (size_t j = 0; j < upstream.fields.count; j++)
            rendered_append(&text, upstream.fields.list[j].name, upstream.fields.list[j].value);
        EXPECT_TEXT(buffer_bytes(&text), bytes_of_text(cases[i].upstream));
        EXPECT(vary_values(BYTES("accept-encoding\n"), &fields.fields, values, sizeof values, &size));
        EXPECT_TEXT(bytes_of(values, size), bytes_of_text(cases[i].in_key));
        upstream_fields_fini(&upstream);
        buffer_fini(&text);
    }
}

TEST(the_client_has_it_if_one_of_its_etags_is_ours)
{
    static const struct {
        const char *request, *response;
        bool has_it;
    } cases[] = {
        {"If-None-Match: \"a\"", "ETag: \"a\"\r\n", true},
        {"If-None-Match: W/\"a\"", "ETag: \"a\"\r\n", true},
        {"If-None-Match: \"a\"", "ETag: W/\"a\"\r\n", true},
        {"If-None-Match: \"b\"", "ETag: \"a\"\r\n", false},
        {"If-None-Match: \"b\", \"a\"", "ETag: \"a\"\r\n", true},
        {"If-None-Match: \"b,\", \"a\"", "ETag: \"b,\"\r\n", true},
        {"If-None-Match: \"b\"\nIf-None-Match: \"a\"", "ETag: \"a\"\r\n", true},
        {"If-None-Match: *", "ETag: \"a\"\r\n", true},
        {"If-None-Match: *", "X: y\r\n", true},
        {"If-None-Match: a", "ETag: a\r\n", false}, /* no entity tag */
        {"If-None-Match: \"a", "ETag: \"a\"\r\n", false},
        {"If-None-Match: \"\"", "X: y\r\n", false},
        {"If-None-Match: W/", "ETag: \"a\"\r\n", false},
        {"If-Modified-Since: Tue, 24 Nov 2026 11:00:00 GMT",
         "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT\r\n", true},
        {"If-Modified-Since: Tue, 24 Nov 2026 11:00:01 GMT",
         "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT\r\n", true},
        {"If-Modified-Since: Tue, 24 Nov 2026 10:59:59 GMT",
         "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT\r\n", false},
        {"If-Modified-Since: today", "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT\r\n", false},
        {"If-Modified-Since: Tue, 24 Nov 2026 11:00:00 GMT", "X: y\r\n", false},
        /* If-None-Match counts alone */
        {"If-None-Match: \"b\"\nIf-Modified-Since: Tue, 24 Nov 2026 11:00:00 GMT",
         "ETag: \"a\"\r\nLast-Modified: Tue, 24 Nov 2026 11:00:00 GMT\r\n", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_text request;
        http_text_read(&request, cases[i].request);
        if (client_has_it(&request.fields, bytes_of_text(cases[i].response), INT64_C(1795521600000)) !=
            cases[i].has_it)
            fail_msg("%s against %s", cases[i].request, cases[i].response);
    }
}

TEST(a_304_freshens_what_it_says_and_leaves_the_body_s_form_alone)
{
    struct http_text not_modified;
    struct http_fields merged;
    struct buffer text = {0};

    http_text_read(&not_modified, "Cache-Control: max-age=9\nX-New: 1\nContent-Length: 0\n"
                                  "Content-Encoding: br\nDate: later\nx-both: 3\nContent-Type: b/b");
    merged =
        freshened_fields(BYTES("Cache-Control: max-age=1\r\nContent-Type: a/a\r\nContent-Encoding: gzip\r\n"
                               "Date: early\r\nX-Both: 1\r\nX-Both: 2\r\nX-Kept: 1\r\n"),
                         &not_modified.fields);
    for (size_t i = 0; i < merged.count; i++)
        rendered_append(&text, merged.list[i].name, merged.list[i].value);
    EXPECT_TEXT(buffer_bytes(&text),
                BYTES("Content-Encoding: gzip\r\nX-Kept: 1\r\nCache-Control: max-age=9\r\nX-New: 1\r\n"
                      "Date: later\r\nx-both: 3\r\nContent-Type: b/b\r\n"));
    free(merged.list);
    buffer_fini(&text);
}

TEST(a_304_with_another_strong_etag_validates_nothing)
{
    static const struct {
        const char *stored, *fields;
        bool is_valid;
    } cases[] = {
        {"\"a\"", "", true},
        {"\"a\"", "ETag: \"a\"", true},
        {"\"a\"", "ETag: \"b\"", false},
        {"W/\"a\"", "ETag: \"a\"", true},
        {"", "ETag: \"b\"", true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct stored_response stored = {.etag = bytes_of_text(cases[i].stored)};
        struct http_text fields;
        http_text_read(&fields, cases[i].fields);
        EXPECT_EQ(is_validated_by(&stored, &fields.fields), cases[i].is_valid);
    }
}

static void encode_example(struct buffer *value)
{
    struct response_facts facts = {.status = 203, .freshness = {.lifetime_ms = 60000, .initial_age_ms = 7}};
    struct now received = {.mono_ms = 1000, .wall_ms = 2000};
    struct stored_response response = stored_response_of(
        &facts, received, BYTES("X: y\r\nETag: \"a\"\r\nLast-Modified: Tue, 24 Nov 2026 11:00:00 GMT\r\n"));

    stored_response_encode(value, 42, &response);
    buffer_append_literal(value, "the body");
}

TEST(a_response_survives_the_way_to_the_store_and_back)
{
    struct buffer value = {0};
    struct stored_response response;

    encode_example(&value);
    EXPECT(stored_response_decode(buffer_bytes(&value), value.size, 42, &response));
    EXPECT_EQ(response.status, 203);
    EXPECT_EQ(response.lifetime_ms, 60000);
    EXPECT_EQ(stored_age_ms(&response, 1500), 507);
    EXPECT_TEXT(response.etag, BYTES("\"a\""));
    EXPECT_TEXT(response.last_modified, BYTES("Tue, 24 Nov 2026 11:00:00 GMT"));
    EXPECT_TEXT(response.body, BYTES("the body"));
    buffer_fini(&value);
}

TEST(bytes_that_we_did_not_write_are_no_response)
{
    struct buffer value = {0};
    struct stored_response response;
    struct stored_variants variants;
    struct stored_note note;
    size_t sealed;

    encode_example(&value);
    sealed = value.size - sizeof "the body" + 1;
    EXPECT(!stored_response_decode(buffer_bytes(&value), value.size, 43, &response));
    EXPECT(!stored_variants_decode(buffer_bytes(&value), 42, &variants));
    EXPECT(!stored_note_decode(buffer_bytes(&value), 42, &note));
    for (size_t i = 0; i < sealed; i++) {
        for (int bit = 0; bit < 8; bit++) {
            value.data[i] ^= (char)(1 << bit);
            EXPECT(!stored_response_decode(buffer_bytes(&value), value.size, 42, &response));
            value.data[i] ^= (char)(1 << bit);
        }
    }
    for (size_t size = 0; size < sealed; size++) {
        char *exact = malloc(size + 1);
        memcpy(exact, value.data, size);
        EXPECT(!stored_response_decode(bytes_of(exact, size), size, 42, &response));
        EXPECT(!stored_variants_decode(bytes_of(exact, size), 42, &variants));
        EXPECT(!stored_note_decode(bytes_of(exact, size), 42, &note));
        free(exact);
    }
    buffer_fini(&value);
}

TEST(the_key_is_the_url_byte_for_byte)
{
    struct http_request request = {.path = BYTES("/a%2fb;c"), .query = BYTES("x=1;y"), .has_query = true};
    struct cache_key key;

    EXPECT(cache_key_init(&key, BYTES("http://o:1"), &request));
    EXPECT_TEXT(cache_key_bytes(&key), BYTES("http://o:1/a%2fb;c?x=1;y"));
    request.query = BYTES("");
    EXPECT(cache_key_init(&key, BYTES("http://o:1"), &request));
    EXPECT_TEXT(cache_key_bytes(&key), BYTES("http://o:1/a%2fb;c?"));
    request.has_query = false;
    EXPECT(cache_key_init(&key, BYTES("http://o:1"), &request));
    EXPECT_TEXT(cache_key_bytes(&key), BYTES("http://o:1/a%2fb;c"));
    cache_key_mark(&key);
    EXPECT_TEXT(cache_key_bytes(&key), BYTES("http://o:1/a%2fb;c\n!"));
    cache_key_unmark(&key);
    EXPECT_TEXT(cache_key_bytes(&key), BYTES("http://o:1/a%2fb;c"));
}

TEST(a_url_too_long_for_a_key_is_not_cached)
{
    static char path[CACHE_KEY_PRIMARY_MAX + 1];
    struct http_request request = {.path = {path, CACHE_KEY_PRIMARY_MAX - 10}};
    static struct cache_key key;

    memset(path, '/', sizeof path);
    EXPECT(cache_key_init(&key, BYTES("http://o:1"), &request));
    request.path.size++;
    EXPECT(!cache_key_init(&key, BYTES("http://o:1"), &request));
}

TEST(what_a_request_says_about_caching_is_heard)
{
    static const struct {
        enum http_method method;
        const char *path, *fields;
        int64_t body_bytes;
        enum plan plan;
        int status;
        bool wants_validation;
    } cases[] = {
        {HTTP_METHOD_GET, "/", "", 0, PLAN_CACHE, 0, false},
        {HTTP_METHOD_HEAD, "/", "", 0, PLAN_CACHE, 0, false},
        {HTTP_METHOD_POST, "/", "", 5, PLAN_PASS, 0, false},
        {HTTP_METHOD_OTHER, "/", "", 0, PLAN_PASS, 0, false},
        {HTTP_METHOD_OPTIONS, "/", "", 0, PLAN_PASS, 0, false},
        {HTTP_METHOD_OPTIONS, "*", "", 0, PLAN_ANSWER, 204, false},
        {HTTP_METHOD_CONNECT, "", "", 0, PLAN_ANSWER, 405, false},
        {HTTP_METHOD_GET, "/", "", 5, PLAN_ANSWER, 400, false},
        {HTTP_METHOD_GET, "/", "", HTTP_BODY_UNKNOWN, PLAN_ANSWER, 400, false},
        {HTTP_METHOD_GET, "/../a", "", 0, PLAN_ANSWER, 400, false},
        {HTTP_METHOD_POST, "/../a", "", 0, PLAN_ANSWER, 400, false},
        {HTTP_METHOD_GET, "/", "Range: bytes=0-1", 0, PLAN_CACHE, 0, false},
        {HTTP_METHOD_GET, "/", "If-Match: \"a\"", 0, PLAN_PASS, 0, false},
        {HTTP_METHOD_GET, "/", "Cache-Control: no-store", 0, PLAN_PASS, 0, false},
        {HTTP_METHOD_GET, "/", "Cache-Control: no-cache", 0, PLAN_CACHE, 0, true},
        {HTTP_METHOD_GET, "/", "Cache-Control: max-age=0", 0, PLAN_CACHE, 0, true},
        {HTTP_METHOD_GET, "/", "Cache-Control: max-age=5", 0, PLAN_CACHE, 0, false},
        {HTTP_METHOD_GET, "/", "Pragma: no-cache", 0, PLAN_CACHE, 0, true},
        {HTTP_METHOD_GET, "/", "Pragma: no-cache\nCache-Control: max-age=5", 0, PLAN_CACHE, 0, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_text fields;
        struct http_request request = {.method = cases[i].method,
                                       .path = bytes_of_text(cases[i].path),
                                       .body_bytes = cases[i].body_bytes};
        struct request_facts facts;

        http_text_read(&fields, cases[i].fields);
        request.fields = fields.fields;
        facts = request_facts_of(&request);
        if (facts.plan != cases[i].plan || facts.status != cases[i].status ||
            facts.wants_validation != cases[i].wants_validation)
            fail_msg("case %zu", i);
    }
}

TEST(cache_status_says_how_the_answer_was_come_by)
{
    static const struct {
        struct cache_status status;
        const char *text;
    } cases[] = {
        {{.reason = FORWARD_NONE, .has_ttl = true, .ttl_seconds = 59}, "nuthatch; hit; ttl=59"},
        {{.reason = FORWARD_URI_MISS, .origin_status = 200, .stored = true},
         "nuthatch; fwd=uri-miss; fwd-status=200; stored"},
        {{.reason = FORWARD_URI_MISS, .origin_status = 200, .collapsed = true},
         "nuthatch; fwd=uri-miss; fwd-status=200; collapsed"},
        {{.reason = FORWARD_STALE,
          .origin_status = 503,
          .has_ttl = true,
          .ttl_seconds = -7,
          .detail = "why"},
         "nuthatch; fwd=stale; fwd-status=503; ttl=-7; detail=why"},
        {{.reason = FORWARD_REFUSED, .detail = "only-if-cached"}, "nuthatch; detail=only-if-cached"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[CACHE_STATUS_BYTES_MAX];
        size_t size = cache_status_format(text, &cases[i].status);
        EXPECT_TEXT(bytes_of(text, size), bytes_of_text(cases[i].text));
    }
}

RUN_TESTS(TEST_ROW(vary_is_a_list_over_all_lines_and_a_star_anywhere_forbids_reuse),
          TEST_ROW(two_requests_are_one_variant_only_if_the_named_fields_agree),
          TEST_ROW(values_that_do_not_fit_are_no_variant),
          TEST_ROW(a_target_that_could_be_read_in_two_ways_is_refused),
          TEST_ROW(a_byte_that_is_not_visible_is_seen_wherever_it_stands),
          TEST_ROW(nothing_goes_upstream_that_could_steer_the_origin_past_the_key),
          TEST_ROW(clients_that_take_the_same_codings_are_one_to_the_origin_and_in_the_key),
          TEST_ROW(the_client_has_it_if_one_of_its_etags_is_ours),
          TEST_ROW(a_304_freshens_what_it_says_and_leaves_the_body_s_form_alone),
          TEST_ROW(a_304_with_another_strong_etag_validates_nothing),
          TEST_ROW(a_response_survives_the_way_to_the_store_and_back),
          TEST_ROW(bytes_that_we_did_not_write_are_no_response), TEST_ROW(the_key_is_the_url_byte_for_byte),
          TEST_ROW(a_url_too_long_for_a_key_is_not_cached),
          TEST_ROW(what_a_request_says_about_caching_is_heard),
          TEST_ROW(cache_status_says_how_the_answer_was_come_by))
