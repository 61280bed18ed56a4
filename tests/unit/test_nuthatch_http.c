/* links: nuthatch-library nuthatch-policy nuthatch-message nuthatch-base */
#include "base/bytes.h"
#include "base/compiler.h"
#include "nuthatch_http.h"
#include "test.h"
#include <stdlib.h>

#define HOUR_MS INT64_C(3600000)
/* 1994-11-06T08:49:37Z, "Sun, 06 Nov 1994 08:49:37 GMT". */
#define WALL_MS INT64_C(784111777000)

static nh_bytes text(const char *of) { return (nh_bytes){of, strlen(of)}; }

/* "Name: value" lines as fields. */
struct lines {
    nh_http_field list[32];
    nh_http_fields fields;
};
static void lines_read(struct lines *lines, const char *of)
{
    lines->fields = (nh_http_fields){.list = lines->list};
    while (*of != '\0') {
        const char *end = strchr(of, '\n'), *colon = strchr(of, ':');
        end = end != NULL ? end : of + strlen(of);
        lines->list[lines->fields.count++] =
            (nh_http_field){{of, (size_t)(colon - of)}, {colon + 1, (size_t)(end - colon - 1)}};
        of = *end == '\n' ? end + 1 : end;
    }
}

static nh_http_ask ask_of(const nh_http_rules *rules, const char *method, const char *fields)
{
    nh_http_ask ask = {.size = sizeof ask};
    struct lines lines;

    lines_read(&lines, fields);
    EXPECT_EQ(nh_http_read_request(rules, text(method), 0, &lines.fields, &ask), NH_OK);
    return ask;
}

static nh_http_kept kept_of(const nh_http_rules *rules, const nh_http_ask *ask, int status,
                            const char *fields)
{
    nh_http_moment moment = {.mono_ms = 1000, .wall_ms = WALL_MS};
    nh_http_kept kept = {.size = sizeof kept};
    struct lines lines;

    lines_read(&lines, fields);
    EXPECT_EQ(nh_http_read_response(rules, ask, status, &lines.fields, moment, moment, &kept), NH_OK);
    return kept;
}

static const nh_http_rules shared = {.size = sizeof shared, .heuristic_ms_max = 24 * HOUR_MS};
static const nh_http_rules private = {
    .size = sizeof private, .is_private = 1, .forwards_all = 1, .heuristic_ms_max = 24 * HOUR_MS};

TEST(what_may_be_kept_depends_on_whose_cache_it_is)
{
    static const struct {
        const char *request, *response;
        int status;
        bool by_all, by_one;
    } cases[] = {
        {"", "Cache-Control: max-age=60", 200, true, true},
        {"", "Cache-Control: no-store", 200, false, false},
        {"", "Cache-Control: private, max-age=60", 200, false, true},
        {"", "Cache-Control: max-age=60\nSet-Cookie: a=b", 200, false, true},
        {"Authorization: Basic x", "Cache-Control: max-age=60", 200, false, true},
        {"Authorization: Basic x", "Cache-Control: public, max-age=60", 200, true, true},
        {"Cookie: a=b", "Cache-Control: max-age=60", 200, false, true},
        {"", "Cache-Control: s-maxage=60", 200, true, false},
        {"", "Cache-Control: max-age=60", 206, false, false},
        {"", "Cache-Control: max-age=60\nVary: *", 200, false, false},
        {"", "Cache-Control: max-age=60", 404, true, true},
        {"", "ETag: \"a\"", 200, true, true},
        {"", "", 200, false, false},
        {"", "Cache-Control: max-age=sixty", 200, false, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (int is_private = 0; is_private < 2; is_private++) {
            const nh_http_rules *rules = is_private ? &private : &shared;
            nh_http_ask ask = ask_of(rules, "GET", cases[i].request);
            nh_http_kept kept = kept_of(rules, &ask, cases[i].status, cases[i].response);
            bool may = (kept.flags & NH_HTTP_KEPT_STORABLE) != 0;
            if (may != (is_private ? cases[i].by_one : cases[i].by_all))
                fail_msg("%s -> %s, private %d: %d", cases[i].request, cases[i].response, is_private, may);
        }
    }
}

TEST(requests_are_read_once)
{
    nh_http_ask ask =
        ask_of(&shared, "GET", "Cache-Control: max-age=5, min-fresh=6, max-stale=7\nRange: bytes=0-1");

    EXPECT_EQ(ask.is_cacheable, 1);
    EXPECT_EQ(ask.flags, NH_HTTP_ASK_RANGE);
    EXPECT_EQ(ask.max_age_seconds, 5);
    EXPECT_EQ(ask.min_fresh_seconds, 6);
    EXPECT_EQ(ask.max_stale_seconds, 7);
    EXPECT_EQ(ask_of(&shared, "HEAD", "").is_cacheable, 1);
    EXPECT_EQ(ask_of(&shared, "POST", "").is_cacheable, 0);
    EXPECT_EQ(ask_of(&shared, "GET", "Cache-Control: no-store").is_cacheable, 0);
    EXPECT_EQ(ask_of(&shared, "GET", "If-Match: \"a\"").is_cacheable, 0);
    EXPECT_EQ(ask_of(&shared, "GET", "Pragma: no-cache").flags, NH_HTTP_ASK_VALIDATION);
    EXPECT_EQ(ask_of(&shared, "GET", "Cache-Control: only-if-cached").flags, NH_HTTP_ASK_ONLY_IF_CACHED);
}

TEST(use_follows_age)
{
    nh_http_rules rules = shared;
    nh_http_ask ask = ask_of(&rules, "GET", ""),
                stale_taker = ask_of(&rules, "GET", "Cache-Control: max-stale=60"),
                reload = ask_of(&rules, "GET", "Cache-Control: no-cache");
    nh_http_kept kept =
        kept_of(&rules, &ask, 200,
                "Cache-Control: max-age=100, stale-while-revalidate=10, stale-if-error=50\nAge: 40");

    EXPECT_EQ(nh_http_age_ms(&kept, 1000), 40000);
    EXPECT_EQ(nh_http_fresh_ms(&kept, 11000), 50000);
    EXPECT_EQ(nh_http_use(&rules, &ask, &kept, 1000 + 59999), NH_HTTP_USE_FRESH);
    EXPECT_EQ(nh_http_use(&rules, &reload, &kept, 1000), NH_HTTP_USE_UNWANTED);
    EXPECT_EQ(nh_http_use(&rules, &ask, &kept, 1000 + 60000), NH_HTTP_USE_REVALIDATE);
    EXPECT_EQ(nh_http_use(&rules, &ask, &kept, 1000 + 70000), NH_HTTP_USE_VALIDATED);
    EXPECT_EQ(nh_http_use(&rules, &stale_taker, &kept, 1000 + 70000), NH_HTTP_USE_STALE);
    EXPECT_EQ(nh_http_may_stand_in(&rules, &ask, &kept, 0, 1000 + 109999), 1);
    EXPECT_EQ(nh_http_may_stand_in(&rules, &ask, &kept, 0, 1000 + 110000), 0);
    EXPECT_EQ(nh_http_may_stand_in(&rules, &reload, &kept, 0, 1000 + 60000), 0);

    kept = kept_of(&rules, &ask, 200, "Cache-Control: max-age=100");
    EXPECT_EQ(nh_http_may_stand_in(&rules, &ask, &kept, 1, 1000 + 100001), 0);
    rules.stale_if_unreachable_ms = 5000;
    EXPECT_EQ(nh_http_may_stand_in(&rules, &ask, &kept, 1, 1000 + 100001), 1);
    EXPECT_EQ(nh_http_may_stand_in(&rules, &ask, &kept, 0, 1000 + 100001), 0);
}

TEST(times_that_cannot_be_are_counted_with_all_the_same)
{
    static const int64_t said[] = {INT64_MIN, INT64_MIN + 1, -1, 0, INT64_MAX - 1, INT64_MAX};
    nh_http_kept kept = {.size = sizeof kept, .status = 200, .lifetime_ms = INT64_MIN, .initial_age_ms = 1};

    EXPECT(nh_http_fresh_ms(&kept, 0) < 0);
    kept = (nh_http_kept){.size = sizeof kept, .lifetime_ms = INT64_MAX, .initial_age_ms = INT64_MIN};
    EXPECT(nh_http_fresh_ms(&kept, 0) > 0);
    kept = (nh_http_kept){.size = sizeof kept, .received_mono_ms = INT64_MIN};
    EXPECT(nh_http_age_ms(&kept, INT64_MAX) > 1000 * HOUR_MS);
    for (size_t i = 0; i < COUNT_OF(said); i++) {
        for (size_t j = 0; j < COUNT_OF(said); j++) {
            int64_t one = said[i], other = said[j];
            nh_http_rules rules = {.size = sizeof rules,
                                   .heuristic_ms_max = one,
                                   .default_ttl_ms = other,
                                   .stale_if_error_ms = one,
                                   .stale_if_unreachable_ms = other,
                                   .stale_while_revalidate_ms = one};
            nh_http_ask ask = {.size = sizeof ask,
                               .is_cacheable = 1,
                               .max_age_seconds = one,
                               .min_fresh_seconds = other,
                               .max_stale_seconds = one,
                               .stale_if_error_seconds = other};
            nh_http_moment then = {.mono_ms = one, .wall_ms = other},
                           now = {.mono_ms = other, .wall_ms = one};
            struct lines lines;
            lines_read(&lines, "Last-Modified: Sun, 06 Nov 1994 07:49:37 GMT\nAge: 9999999999");
            kept = (nh_http_kept){.size = sizeof kept};
            EXPECT_EQ(nh_http_read_response(&rules, &ask, 200, &lines.fields, then, now, &kept), NH_OK);
            nh_http_use(&rules, &ask, &kept, one);
            kept = (nh_http_kept){.size = sizeof kept,
                                  .received_mono_ms = one,
                                  .initial_age_ms = other,
                                  .lifetime_ms = one,
                                  .stale_if_error_ms = other,
                                  .stale_while_revalidate_ms = one};
            nh_http_use(&rules, &ask, &kept, other);
            nh_http_may_stand_in(&rules, &ask, &kept, (int32_t)(i % 2), other);
            nh_http_has(&lines.fields, &lines.fields, one);
        }
    }
}

TEST(a_heuristic_and_its_bound_are_the_caller_s)
{
    nh_http_rules rules = shared;
    nh_http_ask ask = ask_of(&rules, "GET", "");
    const char *fields = "Last-Modified: Sun, 06 Nov 1994 07:49:37 GMT";

    EXPECT_EQ(kept_of(&rules, &ask, 200, fields).lifetime_ms, HOUR_MS / 10);
    rules.heuristic_ms_max = 1000;
    EXPECT_EQ(kept_of(&rules, &ask, 200, fields).lifetime_ms, 1000);
    EXPECT_EQ(kept_of(NULL, &ask, 200, fields).lifetime_ms, 0);
}

TEST(credentials_get_no_more_than_they_may)
{
    nh_http_ask anybody = ask_of(&shared, "GET", ""),
                somebody = ask_of(&shared, "GET", "Authorization: Basic x");
    nh_http_kept kept = kept_of(&shared, &anybody, 200, "Cache-Control: max-age=60");

    EXPECT_EQ(nh_http_use(&shared, &somebody, &kept, 1000), NH_HTTP_USE_NOT);
    EXPECT_EQ(nh_http_use(&private, &somebody, &kept, 1000), NH_HTTP_USE_FRESH);
}

static void expect_variant(const nh_http_rules *rules, const char *names, const char *fields,
                           const char *wanted)
{
    struct lines lines;
    char variant[256];
    size_t size;

    lines_read(&lines, fields);
    EXPECT_EQ(nh_http_variant(rules, text(names), &lines.fields, variant, sizeof variant, &size), NH_OK);
    EXPECT_TEXT(bytes_of(variant, size), bytes_of_text(wanted));
}

TEST(a_variant_is_what_vary_names)
{
    char names[NH_HTTP_VARY_BYTES_MAX];
    struct lines lines;
    size_t size;

    lines_read(&lines, "Vary: B, a\nVary: X-Forwarded-Host");
    EXPECT_EQ(nh_http_vary(&lines.fields, names, sizeof names, &size), NH_OK);
    EXPECT_TEXT(bytes_of(names, size), BYTES("a\nb\nx-forwarded-host\n"));
    EXPECT_EQ(nh_http_vary(&lines.fields, names, 3, &size), NH_TOO_LARGE);
    lines_read(&lines, "Vary: *");
    EXPECT_EQ(nh_http_vary(&lines.fields, names, sizeof names, &size), NH_MISSING);

    expect_variant(&shared, "a\n", "A: 1 ,2", "=1,2\n");
    expect_variant(&shared, "a\n", "", "\n");
    /* The gateway does not pass it on; a client does. */
    expect_variant(&shared, "x-forwarded-host\n", "X-Forwarded-Host: evil", "\n");
    expect_variant(&private, "x-forwarded-host\n", "X-Forwarded-Host: evil", "=evil\n");
    expect_variant(&shared, "accept-encoding\n", "Accept-Encoding: zstd, gzip;q=0.5, dcb", "=gzip, zstd\n");
    expect_variant(&private, "accept-encoding\n", "Accept-Encoding: zstd, dcb", "=zstd,dcb\n");
}

static void expect_kept_fields(const nh_http_rules *rules, const char *fields, const char *wanted)
{
    nh_http_field list[16];
    struct lines lines, expected;
    size_t count = COUNT_OF(list);

    lines_read(&lines, fields);
    lines_read(&expected, wanted);
    EXPECT_EQ(nh_http_keep_fields(rules, &lines.fields, list, &count), NH_OK);
    EXPECT_EQ(count, expected.fields.count);
    for (size_t i = 0; i < count; i++) {
        EXPECT(bytes_equal(bytes_of(list[i].name.data, list[i].name.size),
                           bytes_of(expected.list[i].name.data, expected.list[i].name.size)));
        EXPECT(bytes_equal(bytes_of(list[i].value.data, list[i].value.size),
                           bytes_trim(bytes_of(expected.list[i].value.data, expected.list[i].value.size))));
    }
}

TEST(what_belongs_to_one_answer_is_not_kept)
{
    const char *fields =
        "Content-Type: text/plain\nAge: 5\nConnection: X-Hop\nX-Hop: 1\nSet-Cookie: a=b\n"
        "X-Mine: 1\nCache-Control: private=\"x-mine\", max-age=5\nX-RateLimit-Remaining: 5";

    expect_kept_fields(&shared, fields,
                       "Content-Type: text/plain\nCache-Control: private=\"x-mine\", max-age=5");
    expect_kept_fields(
        &private, fields,
        "Content-Type: text/plain\nSet-Cookie: a=b\nCache-Control: private=\"x-mine\", max-age=5");
}

TEST(a_client_that_has_it_gets_304)
{
    static const struct {
        const char *request;
        int32_t has;
    } cases[] = {
        {"If-None-Match: \"b\", \"a\"", 1},
        {"If-None-Match: W/\"a\"", 1},
        {"If-None-Match: \"b\"\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", 0},
        {"If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", 1},
        {"If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT", 0},
        {"", 0},
    };
    struct lines response;

    lines_read(&response, "ETag: \"a\"\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct lines request;
        lines_read(&request, cases[i].request);
        EXPECT_EQ(nh_http_has(&request.fields, &response.fields, WALL_MS), cases[i].has);
    }
    EXPECT_EQ(nh_http_is_in_304(text("etag")), 1);
    EXPECT_EQ(nh_http_is_in_304(text("Content-Type")), 0);
}

TEST(a_part_is_wanted_of_what_is_kept)
{
    static const struct {
        const char *request;
        uint64_t body_bytes;
        nh_result result;
        size_t count;
        nh_http_part parts[2];
    } cases[] = {
        {"Range: bytes=0-4", 10, NH_OK, 1, {{0, 5}}},
        {"Range: bytes=5-", 10, NH_OK, 1, {{5, 10}}},
        {"Range: bytes=-3", 10, NH_OK, 1, {{7, 10}}},
        {"Range: bytes=0-1,4-5", 10, NH_OK, 2, {{0, 2}, {4, 6}}},
        {"Range: bytes=0-4,2-5", 10, NH_OK, 1, {{0, 6}}},
        {"Range: bytes=10-", 10, NH_RANGE, 0, {{0, 0}}},
        {"Range: bytes=0-", 0, NH_RANGE, 0, {{0, 0}}},
        {"Range: bytes=4-0", 10, NH_MISSING, 0, {{0, 0}}},
        {"Range: lines=0-4", 10, NH_MISSING, 0, {{0, 0}}},
        {"Range: bytes=0-4\nRange: bytes=5-", 10, NH_MISSING, 0, {{0, 0}}},
        {"Accept: a/b", 10, NH_MISSING, 0, {{0, 0}}},
        {"Range: bytes=0-4\nIf-Range: \"1\"", 10, NH_OK, 1, {{0, 5}}},
        {"Range: bytes=0-4\nIf-Range: \"2\"", 10, NH_MISSING, 0, {{0, 0}}},
        {"Range: bytes=0-4\nIf-Range: W/\"1\"", 10, NH_MISSING, 0, {{0, 0}}},
        {"Range: bytes=0-4\nIf-Range: Sun, 06 Nov 1994 08:00:00 GMT", 10, NH_OK, 1, {{0, 5}}},
        {"Range: bytes=0-4\nIf-Range: Sun, 06 Nov 1994 08:00:01 GMT", 10, NH_MISSING, 0, {{0, 0}}},
        {"Range: bytes=0-4", UINT64_C(1) << 63, NH_INVALID, 0, {{0, 0}}},
        {"Range: bytes=9223372036854775806-", INT64_MAX, NH_OK, 1, {{INT64_MAX - 1, INT64_MAX}}},
    };
    struct lines response;

    lines_read(&response, "ETag: \"1\"\nLast-Modified: Sun, 06 Nov 1994 08:00:00 GMT\n"
                          "Date: Sun, 06 Nov 1994 08:49:37 GMT");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct lines request;
        nh_http_part parts[NH_HTTP_PARTS_MAX];
        size_t count = 0;
        lines_read(&request, cases[i].request);
        EXPECT_EQ(
            nh_http_parts(&request.fields, &response.fields, cases[i].body_bytes, WALL_MS, parts, &count),
            cases[i].result);
        EXPECT_EQ(count, cases[i].count);
        for (size_t j = 0; j < count; j++) {
            EXPECT_EQ(parts[j].start, cases[i].parts[j].start);
            EXPECT_EQ(parts[j].end, cases[i].parts[j].end);
        }
    }
}

TEST(a_304_freshens_what_is_kept)
{
    struct lines kept, news, expected;
    nh_http_field list[16], conditions[2];
    size_t count = COUNT_OF(list);

    lines_read(&kept, "ETag: \"a\"\nDate: Sun, 06 Nov 1994 08:49:37 GMT\nX-A: 1\nX-B: 1\nX-A: "
                      "2\nContent-Type: text/plain");
    EXPECT_EQ(nh_http_conditions(&kept.fields, conditions, &count), NH_OK);
    EXPECT_EQ(count, 1);
    EXPECT_TEXT(bytes_of(conditions[0].name.data, conditions[0].name.size), BYTES("If-None-Match"));
    EXPECT_TEXT(bytes_of(conditions[0].value.data, conditions[0].value.size), BYTES("\"a\""));

    lines_read(&news, "ETag: W/\"a\"\nX-A: 3\nContent-Length: 0");
    lines_read(&expected, "X-B: 1\nContent-Type: text/plain\nETag: W/\"a\"\nX-A: 3");
    count = COUNT_OF(list);
    EXPECT_EQ(nh_http_freshen(&kept.fields, &news.fields, list, &count), NH_OK);
    EXPECT_EQ(count, expected.fields.count);
    for (size_t i = 0; i < count; i++)
        EXPECT(bytes_equal(bytes_of(list[i].name.data, list[i].name.size),
                           bytes_of(expected.list[i].name.data, expected.list[i].name.size)));
    EXPECT(list[0].name.data == kept.list[3].name.data); /* it is the caller's memory */
    count = 2;
    EXPECT_EQ(nh_http_freshen(&kept.fields, &news.fields, list, &count), NH_TOO_LARGE);
    lines_read(&news, "ETag: \"b\"");
    EXPECT_EQ(nh_http_freshen(&kept.fields, &news.fields, list, &count), NH_CHANGED);
}

TEST(unsafe_methods_invalidate_what_their_answers_name)
{
    char resolved[32];
    size_t size;

    EXPECT_EQ(nh_http_invalidates(text("POST"), 201), 1);
    EXPECT_EQ(nh_http_invalidates(text("SOMETHING"), 302), 1);
    EXPECT_EQ(nh_http_invalidates(text("DELETE"), 404), 0);
    EXPECT_EQ(nh_http_invalidates(text("GET"), 200), 0);

    EXPECT_EQ(nh_http_resolve(text("https://a.example"), text("/x/y"), text("z?q=1"), resolved,
                              sizeof resolved, &size),
              NH_OK);
    EXPECT_TEXT(bytes_of(resolved, size), BYTES("/x/z?q=1"));
    EXPECT_EQ(nh_http_resolve(text("https://a.example"), text("/x"), text("https://b.example/z"), resolved,
                              sizeof resolved, &size),
              NH_MISSING);
    EXPECT_EQ(nh_http_resolve(text("https://a.example"), text("/x"), text("/long"), resolved, 3, &size),
              NH_TOO_LARGE);
}

TEST(what_no_caller_should_pass_is_refused)
{
    nh_http_ask ask = {.size = sizeof ask}, small = {.size = 4};
    nh_http_field *many = calloc(NH_HTTP_FIELDS_MAX + 1, sizeof *many);
    nh_http_fields fields = {many, NH_HTTP_FIELDS_MAX + 1};
    struct lines lines;

    for (size_t i = 0; i < fields.count; i++)
        many[i] = (nh_http_field){text("X"), text("")};
    EXPECT_EQ(nh_http_read_request(&shared, text("GET"), 0, &fields, &ask), NH_TOO_LARGE);
    fields.count--;
    EXPECT_EQ(nh_http_read_request(&shared, text("GET"), 0, &fields, &ask), NH_OK);
    EXPECT_EQ(nh_http_read_request(&shared, text("GET"), 0, &fields, &small), NH_INVALID);
    EXPECT_EQ(nh_http_read_request(&shared, text("G T"), 0, &fields, &ask), NH_INVALID);
    EXPECT_EQ(nh_http_read_request(&shared, text("GET"), 0, NULL, &ask), NH_INVALID);
    lines_read(&lines, "X Y: 1");
    EXPECT_EQ(nh_http_read_request(&shared, text("GET"), 0, &lines.fields, &ask), NH_INVALID);
    lines_read(&lines, "X: a\rb");
    EXPECT_EQ(nh_http_read_request(&shared, text("GET"), 0, &lines.fields, &ask), NH_INVALID);
    EXPECT_EQ(nh_http_read_request(&shared, (nh_bytes){NULL, 3}, 0, &fields, &ask), NH_INVALID);
    many[0] = (nh_http_field){{NULL, 1}, text("")};
    EXPECT_EQ(nh_http_read_request(&shared, text("GET"), 0, &fields, &ask), NH_INVALID);
    many[0] = (nh_http_field){text("X"), {NULL, 1}};
    EXPECT_EQ(nh_http_read_request(&shared, text("GET"), 0, &fields, &ask), NH_INVALID);
    free(many);
}

RUN_TESTS(TEST_ROW(what_may_be_kept_depends_on_whose_cache_it_is), TEST_ROW(requests_are_read_once),
          TEST_ROW(use_follows_age), TEST_ROW(times_that_cannot_be_are_counted_with_all_the_same),
          TEST_ROW(a_heuristic_and_its_bound_are_the_caller_s),
          TEST_ROW(credentials_get_no_more_than_they_may), TEST_ROW(a_variant_is_what_vary_names),
          TEST_ROW(what_belongs_to_one_answer_is_not_kept), TEST_ROW(a_client_that_has_it_gets_304),
          TEST_ROW(a_part_is_wanted_of_what_is_kept), TEST_ROW(a_304_freshens_what_is_kept),
          TEST_ROW(unsafe_methods_invalidate_what_their_answers_name),
          TEST_ROW(what_no_caller_should_pass_is_refused))
