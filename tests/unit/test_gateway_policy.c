/* links: nuthatch-gateway nuthatch-message nuthatch-base */
#include "base/compiler.h"
#include "engine/gateway/policy/cache_key.h"
#include "engine/gateway/policy/cache_status.h"
#include "engine/gateway/policy/reference.h"
#include "engine/gateway/policy/request_facts.h"
#include "engine/gateway/policy/response_fields.h"
#include "engine/gateway/policy/reuse.h"
#include "engine/gateway/policy/stored_response.h"
#include "engine/gateway/policy/upstream_fields.h"
#include "engine/gateway/policy/validate.h"
#include "engine/gateway/policy/vary.h"
#include "engine/gateway/routing/route.h"
#include "http_text.h"
#include "message/plain_target.h"
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
        {"If-Modified-Since: Tue, 24 Nov 2026 11:00:00 GMT", "Date: Tue, 24 Nov 2026 11:00:00 GMT\r\n",
         true},
        {"If-Modified-Since: Tue, 24 Nov 2026 11:00:00 GMT", "Date: Tue, 24 Nov 2026 11:00:01 GMT\r\n",
         false},
        {"If-Modified-Since: Tue, 24 Nov 2026 11:00:00 GMT",
         "Date: Tue, 24 Nov 2026 11:00:00 GMT\r\nLast-Modified: Tue, 24 Nov 2026 12:00:00 GMT\r\n", false},
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
                         BYTES("Hidden: 1\r\n"), &not_modified.fields);
    for (size_t i = 0; i < merged.count; i++)
        rendered_append(&text, merged.list[i].name, merged.list[i].value);
    EXPECT_TEXT(
        buffer_bytes(&text),
        BYTES("Content-Encoding: gzip\r\nX-Kept: 1\r\nHidden: 1\r\nCache-Control: max-age=9\r\nX-New: 1\r\n"
              "Date: later\r\nx-both: 3\r\nContent-Type: b/b\r\n"));
    free(merged.list);
    buffer_fini(&text);
}

TEST(a_304_with_another_validator_validates_nothing)
{
    static const struct {
        const char *etag, *modified, *fields;
        bool is_valid;
    } cases[] = {
        {"\"a\"", "", "", true},
        {"\"a\"", "", "ETag: \"a\"", true},
        {"\"a\"", "", "ETag: \"b\"", false},
        {"\"a\"", "", "ETag: W/\"a\"", true},
        {"\"a\"", "", "ETag: W/\"b\"", false},
        {"W/\"a\"", "", "ETag: \"a\"", true},
        {"", "", "ETag: \"b\"", true},
        {"", "Tue, 24 Nov 2026 11:00:00 GMT", "", true},
        {"", "Tue, 24 Nov 2026 11:00:00 GMT", "Last-Modified: Tue, 24 Nov 2026 11:00:00 GMT", true},
        {"", "Tue, 24 Nov 2026 11:00:00 GMT", "Last-Modified: Tue, 24 Nov 2026 10:00:00 GMT", false},
        {"\"a\"", "Tue, 24 Nov 2026 11:00:00 GMT", "Last-Modified: Tue, 24 Nov 2026 10:00:00 GMT", false},
        {"\"a\"", "Tue, 24 Nov 2026 11:00:00 GMT",
         "ETag: \"a\"\nLast-Modified: Tue, 24 Nov 2026 12:00:00 GMT", true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct stored_response stored = {.etag = bytes_of_text(cases[i].etag),
                                         .last_modified = bytes_of_text(cases[i].modified)};
        struct http_text fields;
        http_text_read(&fields, cases[i].fields);
        if (is_validated_by(&stored, &fields.fields) != cases[i].is_valid)
            fail_msg("%s, %s: %s", cases[i].etag, cases[i].modified, cases[i].fields);
    }
}

static const struct route_policy plain = {.heuristic_ms_max = 86400000,
                                          .stale_if_unreachable_ms = 86400000};

TEST(each_field_goes_to_whom_it_is_for)
{
    static const struct {
        const char *fields, *kept, *hidden, *sent;
    } cases[] = {
        {"date: d\nB: 1\na: 2\nB: 3\nAge: x", "date: d\r\nB: 1\r\na: 2\r\nB: 3\r\n", "",
         "date: d\r\nB: 1\r\na: 2\r\nB: 3\r\nAge: x\r\n"},
        {"Set-Cookie: a\nX: 1\nDate: d", "X: 1\r\nDate: d\r\n", "", "Set-Cookie: a\r\nX: 1\r\nDate: d\r\n"},
        {"Date: d\nNuthatch-Cache-Control: a", "Date: d\r\n", "Nuthatch-Cache-Control: a\r\n",
         "Date: d\r\n"},
        {"Date: d\nCDN-Cache-Control: a", "Date: d\r\nCDN-Cache-Control: a\r\n", "",
         "Date: d\r\nCDN-Cache-Control: a\r\n"},
        {"Date: d\nA: 1\nb: 2\nC: 3\nCache-Control: max-age=1, private=\"a, B\"",
         "Date: d\r\nC: 3\r\nCache-Control: max-age=1, private=\"a, B\"\r\n", "",
         "Date: d\r\nA: 1\r\nb: 2\r\nC: 3\r\nCache-Control: max-age=1, private=\"a, B\"\r\n"},
        {"Date: d\nA: 1\nC: 3\nCache-Control: no-cache=A\nCache-Control: private=c",
         "Date: d\r\nCache-Control: no-cache=A\r\nCache-Control: private=c\r\n", "",
         "Date: d\r\nA: 1\r\nC: 3\r\nCache-Control: no-cache=A\r\nCache-Control: private=c\r\n"},
        {"X: 1", "X: 1\r\nDate: Tue, 24 Nov 2026 12:00:00 GMT\r\n", "",
         "X: 1\r\nDate: Tue, 24 Nov 2026 12:00:00 GMT\r\n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct response_fields rendered = {0};
        struct cache_directives directives;
        struct http_text fields;

        http_text_read(&fields, cases[i].fields);
        directives = directives_of(&fields.fields);
        response_fields_render(&rendered, &fields.fields, &directives, &plain,
                               (struct now){.wall_ms = INT64_C(1795521600000)}, true);
        EXPECT_TEXT(buffer_bytes(&rendered.kept), bytes_of_text(cases[i].kept));
        EXPECT_TEXT(buffer_bytes(&rendered.hidden), bytes_of_text(cases[i].hidden));
        EXPECT_TEXT(buffer_bytes(&rendered.sent), bytes_of_text(cases[i].sent));
        response_fields_fini(&rendered);
    }
}

TEST(a_cookie_is_kept_where_the_route_says_so_and_an_age_never)
{
    struct route_policy stores = {.stores_set_cookie = 1};
    struct cache_directives directives = {0};
    struct response_fields rendered = {0};
    struct http_text fields;

    http_text_read(&fields, "Date: d\nSet-Cookie: a\nAge: 5");
    response_fields_render(&rendered, &fields.fields, &directives, &stores, (struct now){0}, false);
    EXPECT_TEXT(buffer_bytes(&rendered.kept), BYTES("Date: d\r\nSet-Cookie: a\r\n"));
    EXPECT_TEXT(buffer_bytes(&rendered.sent), BYTES("Date: d\r\nSet-Cookie: a\r\n"));
    response_fields_fini(&rendered);
}

TEST(what_is_stored_is_used_as_far_as_both_sides_allow)
{
    enum { FRESH = USE_FRESH, STALE = USE_STALE, UNWANTED = USE_UNWANTED, NONE = USE_NONE };
    static const struct {
        const char *request, *response;
        int64_t age_s;
        int use;
        bool accepts_stale, on_error, unreachable;
    } cases[] = {
        {"", "max-age=60", 59, FRESH, false, true, true},
        {"", "max-age=60", 60, STALE, false, false, true},
        {"", "max-age=60", 60 + 86399, STALE, false, false, true},
        {"", "max-age=60", 60 + 86400, STALE, false, false, false},
        {"", "max-age=60, stale-if-error=9", 68, STALE, false, true, true},
        {"", "max-age=60, stale-if-error=9", 69, STALE, false, false, false},
        {"", "max-age=60, must-revalidate", 61, STALE, false, false, false},
        {"", "max-age=60, proxy-revalidate", 61, STALE, false, false, false},
        {"", "s-maxage=60", 61, STALE, false, false, false},
        {"", "max-age=60, no-cache", 1, STALE, false, false, false},
        {"", "max-age=60, no-cache=\"x\"", 1, FRESH, false, true, true},
        /* what clients ask for */
        {"Cache-Control: max-age=30", "max-age=60", 30, FRESH, false, true, true},
        {"Cache-Control: max-age=30", "max-age=60", 31, UNWANTED, false, true, true},
        {"Cache-Control: max-age=x", "max-age=60", 31, FRESH, false, true, true},
        {"Cache-Control: max-age=0", "max-age=60", 0, UNWANTED, false, false, false},
        {"Cache-Control: no-cache", "max-age=60", 0, UNWANTED, false, false, false},
        {"Cache-Control: min-fresh=10", "max-age=60", 50, FRESH, false, true, true},
        {"Cache-Control: min-fresh=10", "max-age=60", 51, UNWANTED, false, true, true},
        {"Cache-Control: max-stale", "max-age=60", 1000000, STALE, true, false, false},
        {"Cache-Control: max-stale=10", "max-age=60", 70, STALE, true, false, true},
        {"Cache-Control: max-stale=10", "max-age=60", 71, STALE, false, false, true},
        {"Cache-Control: max-stale=x", "max-age=60", 61, STALE, false, false, true},
        {"Cache-Control: max-stale=10, max-stale=20", "max-age=60", 61, STALE, false, false, true},
        {"Cache-Control: max-stale", "max-age=60, must-revalidate", 61, STALE, false, false, false},
        {"Cache-Control: max-stale", "max-age=60, proxy-revalidate", 61, STALE, false, false, false},
        {"Cache-Control: max-stale", "s-maxage=60", 61, STALE, false, false, false},
        {"Cache-Control: max-stale", "max-age=60, no-cache", 61, STALE, false, false, false},
        {"Cache-Control: max-stale, no-cache", "max-age=60", 61, STALE, false, false, false},
        {"Cache-Control: max-stale, max-age=60", "max-age=60", 70, STALE, false, false, true},
        {"Cache-Control: stale-if-error=9", "max-age=60", 68, STALE, false, true, true},
        {"Cache-Control: stale-if-error=9", "max-age=60", 69, STALE, false, false, true},
        {"Cache-Control: stale-if-error=9", "max-age=60, must-revalidate", 61, STALE, false, false, false},
        {"Cache-Control: stale-if-error=9", "s-maxage=60", 61, STALE, false, false, false},
        {"Cache-Control: nonsense=\"1\", something", "max-age=60", 30, FRESH, false, true, true},
        {"Pragma: foo", "max-age=60", 30, FRESH, false, true, true},
        {"Pragma: foo, no-cache", "max-age=60", 30, UNWANTED, false, false, false},
        /* credentials */
        {"Authorization: x", "max-age=60", 30, NONE, false, false, false},
        {"Authorization: x", "max-age=60, must-revalidate", 30, FRESH, false, true, true},
        {"Authorization: x", "max-age=60, public", 30, FRESH, false, true, true},
        {"Authorization: x", "s-maxage=60", 30, FRESH, false, true, true},
        {"Cookie: x", "max-age=60", 30, FRESH, false, true, true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_field control = {HTTP_HEADER_CACHE_CONTROL, BYTES("Cache-Control"),
                                     bytes_of_text(cases[i].response)};
        struct http_request request = {.method = HTTP_METHOD_GET, .path = BYTES("/")};
        struct response_facts response_facts = response_facts_of(200, &(struct http_fields){&control, 1},
                                                                 (struct now){0}, (struct now){0}, &plain);
        struct stored_response stored = stored_response_of(&response_facts, (struct now){0}, BYTES(""));
        int64_t now_ms = cases[i].age_s * 1000;
        struct request_facts facts;
        struct http_text fields;
        enum use use;

        http_text_read(&fields, cases[i].request);
        request.fields = fields.fields;
        facts = request_facts_of(&request, &plain);
        use = use_of(&plain, &facts, &stored, now_ms);
        if ((int)use != cases[i].use ||
            (use == USE_STALE && accepts_stale(&facts, &stored, now_ms) != cases[i].accepts_stale) ||
            may_serve_on(FAILURE_ERROR, &plain, &facts, &stored, now_ms) != cases[i].on_error ||
            may_serve_on(FAILURE_UNREACHABLE, &plain, &facts, &stored, now_ms) != cases[i].unreachable)
            fail_msg("%s; %s; %d", cases[i].request, cases[i].response, (int)cases[i].age_s);
    }
}

TEST(a_reload_of_what_is_immutable_is_answered_where_the_route_says_so)
{
    struct route_policy honours = {.honours_immutable = 1};
    struct http_field field = {HTTP_HEADER_CACHE_CONTROL, BYTES("Cache-Control"), BYTES("no-cache")};
    struct http_request request = {.method = HTTP_METHOD_GET, .path = BYTES("/"), .fields = {&field, 1}};
    struct request_facts facts = request_facts_of(&request, &plain);
    struct stored_response stored = {.lifetime_ms = 60000, .flags = STORED_IMMUTABLE};

    EXPECT_EQ(use_of(&plain, &facts, &stored, 30000), USE_UNWANTED);
    EXPECT_EQ(use_of(&honours, &facts, &stored, 30000), USE_FRESH);
    EXPECT_EQ(use_of(&honours, &facts, &stored, 60000), USE_STALE);
    stored.flags = 0;
    EXPECT_EQ(use_of(&honours, &facts, &stored, 30000), USE_UNWANTED);
}

TEST(a_route_lets_stale_answers_stand_in_where_the_response_does_not_say)
{
    struct route_policy generous = {
        .stale_if_error_ms = 100000, .stale_if_unreachable_ms = 50000, .stale_while_revalidate_ms = 20000};
    struct request_facts facts = {.max_age_seconds = -1};
    struct stored_response stored = {
        .lifetime_ms = 60000, .stale_if_error_ms = -1, .stale_while_revalidate_ms = -1};

    EXPECT(may_serve_while_revalidating(&generous, &facts, &stored, 79999));
    EXPECT(!may_serve_while_revalidating(&generous, &facts, &stored, 80000));
    EXPECT(!may_serve_while_revalidating(&plain, &facts, &stored, 60000));
    /* Whoever stands in for an error stands in for none at all, too. */
    EXPECT(may_serve_on(FAILURE_ERROR, &generous, &facts, &stored, 159999));
    EXPECT(may_serve_on(FAILURE_UNREACHABLE, &generous, &facts, &stored, 159999));
    EXPECT_EQ(stored_keep_ms(&stored, &generous), 160000);
    stored.stale_if_error_ms = stored.stale_while_revalidate_ms = 0;
    EXPECT(!may_serve_while_revalidating(&generous, &facts, &stored, 60000));
    EXPECT(!may_serve_on(FAILURE_ERROR, &generous, &facts, &stored, 60000));
    EXPECT(!may_serve_on(FAILURE_UNREACHABLE, &generous, &facts, &stored, 60000));
    EXPECT_EQ(stored_keep_ms(&stored, &generous), 60000);
}

TEST(a_reference_leads_to_a_resource_of_the_same_origin_or_nowhere)
{
    static const struct {
        const char *base_url, *path, *text;
        const char *target; /* path and query; null: nowhere */
    } cases[] = {
        {"http://o:1", "/a/b", "/c", "/c"},
        {"http://o:1", "/a/b", "/c?x=1", "/c?x=1"},
        {"http://o:1", "/a/b", "/c?", "/c?"},
        {"http://o:1", "/a/b", "/c#frag?x", "/c"},
        {"http://o:1", "/a/b", "c", "/a/c"},
        {"http://o:1", "/a/b", "./c", "/a/c"},
        {"http://o:1", "/a/b", "../c", "/c"},
        {"http://o:1", "/a/b", "../../../c/.", "/c/"},
        {"http://o:1", "/a/b", "..", "/"},
        {"http://o:1", "/a/b/", "c", "/a/b/c"},
        {"http://o:1", "/a/b", "?x", "/a/b?x"},
        {"http://o:1", "/a/b", "", "/a/b"},
        {"http://o:1", "/a/b", "/x/../y/./z", "/y/z"},
        {"http://o:1", "/a", "http://o:1/c?d", "/c?d"},
        {"http://o:1", "/a", "HTTP://O:1/c", "/c"},
        {"http://o:1", "/a", "http://o:1", "/"},
        {"http://o:1", "/a", "http://o:1?x", "/?x"},
        {"http://o:1", "/a", "//o:1/c", "/c"},
        {"http://o", "/a", "http://o:80/c", "/c"},
        {"https://o:443", "/a", "https://o/c", "/c"},
        {"http://o:1/base", "/a", "/base/c", "/c"},
        {"http://o:1/base", "/a/b", "c", "/a/c"},
        {"http://o:1/base", "/a/b", "http://o:1/base/c", "/c"},
        {"http://o:1", "/a", "/b:c", "/b:c"},
        {"http://o:1", "/a/b", "./b:c", "/a/b:c"},
        /* elsewhere */
        {"http://o:1", "/a", "http://o:2/c", NULL},
        {"http://o:1", "/a", "http://other/c", NULL},
        {"http://o:1", "/a", "https://o:1/c", NULL},
        {"http://o:443", "/a", "https://o/c", NULL},
        {"http://o:1", "/a", "//other/c", NULL},
        {"http://o:1", "/a", "http://o:1@other/c", NULL},
        {"http://o:1", "/a", "ftp://o:1/c", NULL},
        {"http://o:1", "/a", "mailto:o", NULL},
        {"http://o:1", "/a", "b:c", NULL},
        {"http://o:1", "/a", "http:/c", NULL},
        {"http://o:1/base", "/a", "/c", NULL},
        {"http://o:1/base", "/a", "/based/c", NULL},
        {"http://o:1/base", "/a", "../c", NULL},
        {"http://o:1/base", "/a", "/bas?e/c", NULL}, /* the query is no part of the base */
        {"http://o:1/base", "/a", "/base?/c", NULL},
        /* nothing that a client could ask for */
        {"http://o:1", "/a", "/c d", NULL},
        {"http://o:1", "/a", "/c/%2e%2e/d", NULL},
        {"http://o:1", "/a", "/c\\..\\d", NULL},
        {"http://o:1", "/a", "/c?\xc3\xa4", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct reference reference;
        struct buffer target = {0};
        bool is_there = reference_resolve(&reference, bytes_of_text(cases[i].base_url),
                                          bytes_of_text(cases[i].path), bytes_of_text(cases[i].text));

        if (is_there) {
            buffer_append(&target, reference.path);
            if (reference.has_query)
                buffer_append_byte(&target, '?');
            buffer_append(&target, reference.query);
        }
        if (is_there != (cases[i].target != NULL) ||
            (is_there &&
             (target.data == NULL || !bytes_equal(buffer_bytes(&target), bytes_of_text(cases[i].target)))))
            fail_msg("%s%s: %s: %.*s", cases[i].base_url, cases[i].path, cases[i].text,
                     BYTES_PRINTF(buffer_bytes(&target)));
        buffer_fini(&target);
        reference_fini(&reference);
    }
}

static void encode_example(struct buffer *value)
{
    struct response_facts facts = {.status = 203, .freshness = {.lifetime_ms = 60000, .initial_age_ms = 7}};
    struct now received = {.mono_ms = 1000, .wall_ms = 2000};
    struct stored_response response = stored_response_of(
        &facts, received, BYTES("X: y\r\nETag: \"a\"\r\nLast-Modified: Tue, 24 Nov 2026 11:00:00 GMT\r\n"));

    response.hidden = BYTES("H: h\r\n");
    response.reason = BYTES("Well");
    stored_response_encode(value, 42, &response);
    EXPECT_EQ(value->size, stored_response_bytes(&response));
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
    EXPECT_TEXT(response.hidden, BYTES("H: h\r\n"));
    EXPECT_TEXT(response.reason, BYTES("Well"));
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
        {HTTP_METHOD_GET, "/", "Pragma: no-cache\nCache-Control: foo", 0, PLAN_CACHE, 0, false},
        {HTTP_METHOD_GET, "/", "Pragma: foo", 0, PLAN_CACHE, 0, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_text fields;
        struct http_request request = {.method = cases[i].method,
                                       .path = bytes_of_text(cases[i].path),
                                       .body_bytes = cases[i].body_bytes};
        struct request_facts facts;

        http_text_read(&fields, cases[i].fields);
        request.fields = fields.fields;
        facts = request_facts_of(&request, &plain);
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
          TEST_ROW(a_304_with_another_validator_validates_nothing),
          TEST_ROW(each_field_goes_to_whom_it_is_for),
          TEST_ROW(a_cookie_is_kept_where_the_route_says_so_and_an_age_never),
          TEST_ROW(what_is_stored_is_used_as_far_as_both_sides_allow),
          TEST_ROW(a_reload_of_what_is_immutable_is_answered_where_the_route_says_so),
          TEST_ROW(a_route_lets_stale_answers_stand_in_where_the_response_does_not_say),
          TEST_ROW(a_reference_leads_to_a_resource_of_the_same_origin_or_nowhere),
          TEST_ROW(a_response_survives_the_way_to_the_store_and_back),
          TEST_ROW(bytes_that_we_did_not_write_are_no_response), TEST_ROW(the_key_is_the_url_byte_for_byte),
          TEST_ROW(a_url_too_long_for_a_key_is_not_cached),
          TEST_ROW(what_a_request_says_about_caching_is_heard),
          TEST_ROW(cache_status_says_how_the_answer_was_come_by))
