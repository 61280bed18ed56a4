/* links: nuthatch-kv nuthatch-store nuthatch-message nuthatch-base
 * What a request for a key asks, and whether it may. */
#include "base/compiler.h"
#include "engine/kv/kv_http_request.h"
#include "test.h"

struct name_value {
    const char *name, *value;
};

enum { FIELDS_MAX = 4 };

/* A request with up to FIELDS_MAX fields, the last of them without a name. */
struct made {
    struct http_request request;
    struct http_field fields[FIELDS_MAX];
};

static const struct http_request *make(struct made *made, const char *path, const char *query,
                                       const char *authority, const struct name_value *fields)
{
    *made = (struct made){.request = {.method = HTTP_METHOD_GET,
                                      .authority = bytes_of_text(authority),
                                      .path = bytes_of_text(path),
                                      .query = bytes_of_text(query != NULL ? query : ""),
                                      .has_query = query != NULL}};
    made->request.fields.list = made->fields;
    for (size_t i = 0; fields != NULL && i < FIELDS_MAX && fields[i].name != NULL; i++) {
        struct bytes name = bytes_of_text(fields[i].name);
        made->fields[i] = (struct http_field){http_header_find(name), name, bytes_of_text(fields[i].value)};
        made->request.fields.count++;
    }
    return &made->request;
}

TEST(only_names_of_loopback_are_let_in_on_loopback)
{
    static const struct {
        const char *authority;
        int status;
    } cases[] = {
        {"localhost", 0},
        {"LocalHost:8081", 0},
        {"127.0.0.1", 0},
        {"127.0.0.1:1", 0},
        {"127.255.3.4", 0},
        {"[::1]", 0},
        {"[::1]:8081", 0},
        {"", 0}, /* HTTP/1.0, which no browser speaks */
        {"localhost.", 403},
        {"localhost.evil.test", 403},
        {"127.0.0.1.evil.test", 403},
        {"127.0.0", 403},
        {"127.0.0.1.1", 403},
        {"127.0.0.256", 403},
        {"127.0.0.", 403},
        {"127", 403},
        {"126.0.0.1", 403},
        {"[::2]", 403},
        {"evil.test:80", 403},
        {"::1", 403},
        {"127.0.0.1:80:80", 403},
        {"a:8081", 403},
    };
    struct made made;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct http_request *request = make(&made, "/keys/k", NULL, cases[i].authority, NULL);
        EXPECT_EQ(http_guard(request, BYTES(""), true).status, cases[i].status);
        EXPECT_EQ(http_guard(request, BYTES(""), false).status, 0);
        EXPECT_EQ(http_guard(request, BYTES("t"), true).status, 401);
    }
}

TEST(pages_of_another_origin_are_kept_out_with_and_without_the_token)
{
    static const struct {
        struct name_value fields[FIELDS_MAX];
        int status;
    } cases[] = {
        {{{"Authorization", "Bearer t"}}, 0},
        {{{"Authorization", "Bearer t"}, {"Origin", "http://localhost:1"}}, 0},
        {{{"Authorization", "Bearer t"}, {"Origin", "http://localhost:2"}}, 403},
        {{{"Authorization", "Bearer t"}, {"Origin", "http://localhost"}}, 403},
        {{{"Authorization", "Bearer t"}, {"Origin", "null"}}, 403},
        {{{"Authorization", "Bearer t"}, {"Sec-Fetch-Site", "same-origin"}}, 0},
        {{{"Authorization", "Bearer t"}, {"sec-fetch-site", "cross-site"}}, 403},
        {{{"Authorization", "Bearer t"}, {"Sec-Fetch-Site", "new word"}}, 403},
        {{{"Authorization", "BEARER   t"}}, 0},
        {{{"Authorization", "Bearer tt"}}, 401},
        {{{"Authorization", "Bearer "}}, 401},
        {{{"Authorization", "Bearer u"}}, 401},
        {{{"Authorization", "Basic t"}}, 401},
        {{{"Cookie", "t"}}, 401},
    };
    struct made made;

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        EXPECT_EQ(http_guard(make(&made, "/keys/k", NULL, "localhost:1", cases[i].fields), BYTES("t"), true)
                      .status,
                  cases[i].status);
}

TEST(a_name_is_decoded_and_a_broken_one_is_refused)
{
    static const struct {
        const char *path, *query;
        int status;
        struct bytes name;
        uint32_t space;
    } cases[] = {
        {"/keys/k", NULL, 0, BYTES_INIT("k"), 0},
        {"/keys/a/b//", "", 0, BYTES_INIT("a/b//"), 0},
        {"/keys/%61%2F%00%fF", "db=15", 0, BYTES_INIT("a/\0\xff"), 15},
        {"/keys/+", "db=007", 0, BYTES_INIT("+"), 7},
        {"/keys/%", NULL, 400, BYTES_INIT(""), 0},
        {"/keys/a%4", NULL, 400, BYTES_INIT(""), 0},
        {"/keys/%g0", NULL, 400, BYTES_INIT(""), 0},
        {"/keys/", NULL, 400, BYTES_INIT(""), 0},
        {"/keys", NULL, 404, BYTES_INIT(""), 0},
        {"*", NULL, 404, BYTES_INIT(""), 0},
        {"/key/k", NULL, 404, BYTES_INIT(""), 0},
        {"/keys/k", "db=16", 400, BYTES_INIT(""), 0},
        {"/keys/k", "db=", 400, BYTES_INIT(""), 0},
        {"/keys/k", "x", 400, BYTES_INIT(""), 0},
        {"/keys/k", "db=99999999999999999999", 400, BYTES_INIT(""), 0},
    };
    struct made made;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buffer name = {0};
        uint32_t space = 0;

        EXPECT_EQ(
            kv_http_read_key(make(&made, cases[i].path, cases[i].query, "", NULL), &name, &space).status,
            cases[i].status);
        if (cases[i].status == 0) {
            EXPECT_TEXT(buffer_bytes(&name), cases[i].name);
            EXPECT_EQ(space, cases[i].space);
        }
        buffer_fini(&name);
    }
}

TEST(the_time_to_live_is_seconds_with_decimals)
{
    static const struct {
        struct name_value fields[FIELDS_MAX];
        int status;
        int64_t ttl_ms;
        uint32_t flags;
    } cases[] = {
        {{{0}}, 0, 0, 0},
        {{{"Nuthatch-TTL", "60"}, {"Nuthatch-Flags", "4294967295"}}, 0, 60000, UINT32_MAX},
        {{{"nuthatch-ttl", "0.001"}}, 0, 1, 0},
        {{{"Nuthatch-TTL", "1.5"}, {"Cache-Control", "max-age=9"}}, 0, 1500, 0},
        {{{"Cache-Control", "no-transform, Max-Age=9"}}, 0, 9000, 0},
        {{{"Cache-Control", "no-transform"}, {"Cache-Control", "max-age=9"}}, 0, 9000, 0},
        {{{"Cache-Control", "s-maxage=9"}}, 0, 0, 0},
        {{{"Cache-Control", "max-age=0"}}, 400, 0, 0},
        {{{"Cache-Control", "max-age="}}, 400, 0, 0},
        {{{"Nuthatch-TTL", "0.000"}}, 400, 0, 0},
        {{{"Nuthatch-TTL", "1."}}, 400, 0, 0},
        {{{"Nuthatch-TTL", "-1"}}, 400, 0, 0},
        {{{"Nuthatch-TTL", "99999999999999"}}, 400, 0, 0},
        {{{"Nuthatch-Flags", "4294967296"}}, 400, 0, 0},
        {{{"Nuthatch-Flags", "-1"}}, 400, 0, 0},
        {{{"Content-Range", "bytes 0-1/3"}}, 400, 0, 0},
    };
    struct made made;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        nh_put_options options = {.size = sizeof options};

        EXPECT_EQ(kv_http_read_put(make(&made, "/keys/k", NULL, "", cases[i].fields), &options).status,
                  cases[i].status);
        if (cases[i].status == 0) {
            EXPECT_EQ(options.ttl_ms, cases[i].ttl_ms);
            EXPECT_EQ(options.flags, cases[i].flags);
        }
    }
}

TEST(conditions_name_versions)
{
    static const struct {
        struct name_value fields[FIELDS_MAX];
        enum kv_http_condition when_at_5, when_missing;
    } cases[] = {
        {{{0}}, KV_HTTP_HOLDS, KV_HTTP_HOLDS},
        {{{"If-Match", "*"}}, KV_HTTP_HOLDS, KV_HTTP_FAILED},
        {{{"If-Match", "\"5\""}}, KV_HTTP_HOLDS, KV_HTTP_FAILED},
        {{{"If-Match", "\"4\" , \"5\""}}, KV_HTTP_HOLDS, KV_HTTP_FAILED},
        {{{"If-Match", "\"4\""}, {"If-Match", "\"5\""}}, KV_HTTP_HOLDS, KV_HTTP_FAILED},
        {{{"If-Match", "W/\"5\""}}, KV_HTTP_FAILED, KV_HTTP_FAILED},
        {{{"If-Match", "\"05\""}}, KV_HTTP_FAILED, KV_HTTP_FAILED},
        {{{"If-Match", "5"}}, KV_HTTP_FAILED, KV_HTTP_FAILED},
        {{{"If-Match", ""}}, KV_HTTP_FAILED, KV_HTTP_FAILED},
        {{{"If-Match", "\"0\""}}, KV_HTTP_FAILED, KV_HTTP_FAILED},
        {{{"If-None-Match", "*"}}, KV_HTTP_NOT_MODIFIED, KV_HTTP_HOLDS},
        {{{"If-None-Match", "W/\"5\""}}, KV_HTTP_NOT_MODIFIED, KV_HTTP_HOLDS},
        {{{"If-None-Match", "\"4\""}}, KV_HTTP_HOLDS, KV_HTTP_HOLDS},
        {{{"If-None-Match", "\"0\""}}, KV_HTTP_HOLDS, KV_HTTP_HOLDS},
        {{{"If-Match", "\"4\""}, {"If-None-Match", "\"5\""}}, KV_HTTP_FAILED, KV_HTTP_FAILED},
    };
    struct made made;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct http_fields *fields = &make(&made, "/keys/k", NULL, "", cases[i].fields)->fields;
        EXPECT_EQ(kv_http_check(fields, true, 5), cases[i].when_at_5);
        EXPECT_EQ(kv_http_check(fields, false, 0), cases[i].when_missing);
    }
}

TEST(a_range_is_cut_to_the_value_and_a_strange_one_is_none)
{
    static const struct {
        const char *range, *if_range;
        uint64_t first, end;
        bool is_part, is_outside;
    } cases[] = {
        {"bytes=0-0", NULL, 0, 1, true, false},
        {"bytes=2-", NULL, 2, 10, true, false},
        {"bytes=-3", NULL, 7, 10, true, false},
        {"bytes=-30", NULL, 0, 10, true, false},
        {"bytes=9-18446744073709551614", NULL, 9, 10, true, false},
        {"bytes=10-", NULL, 10, 10, false, true},
        {"bytes=-0", NULL, 10, 10, false, true},
        {"bytes=3-2", NULL, 0, 10, false, false},
        {"bytes=0-1,3-4", NULL, 0, 10, false, false},
        {"bytes=-", NULL, 0, 10, false, false},
        {"bytes=0-1,2-4", NULL, 0, 5, true, false},
        {"bytes=99999999999999999999-", NULL, 0, 0, false, true},
        {"lines=0-1", NULL, 0, 10, false, false},
        {"bytes=0-0", "\"5\"", 0, 1, true, false},
        {"bytes=0-0", "\"6\"", 0, 10, false, false},
        {"bytes=0-0", "W/\"5\"", 0, 10, false, false},
    };
    struct made made;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct name_value fields[] = {{"Range", cases[i].range},
                                      {cases[i].if_range != NULL ? "If-Range" : NULL, cases[i].if_range},
                                      {0}};
        struct kv_http_range range =
            kv_http_read_range(&make(&made, "/keys/k", NULL, "", fields)->fields, 10, 5);
        EXPECT_EQ(range.is_part, cases[i].is_part);
        EXPECT_EQ(range.is_outside, cases[i].is_outside);
        if (!range.is_outside) {
            EXPECT_EQ(range.first, cases[i].first);
            EXPECT_EQ(range.end, cases[i].end);
        }
    }
}

RUN_TESTS(TEST_ROW(only_names_of_loopback_are_let_in_on_loopback),
          TEST_ROW(pages_of_another_origin_are_kept_out_with_and_without_the_token),
          TEST_ROW(a_name_is_decoded_and_a_broken_one_is_refused),
          TEST_ROW(the_time_to_live_is_seconds_with_decimals), TEST_ROW(conditions_name_versions),
          TEST_ROW(a_range_is_cut_to_the_value_and_a_strange_one_is_none))
