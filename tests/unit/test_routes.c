/* links: nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message nuthatch-base */
/* Which route a request takes, and what of a plan goes on in the next. */
#include "base/compiler.h"
#include "engine/gateway/routing/edited_request.h"
#include "engine/gateway/routing/plan.h"
#include "test.h"
#include <stdlib.h>

/* For the specs, whose texts are only read. */
#define TEXT(literal) ((char[]){literal})

TEST(a_path_fits_its_pattern_segment_by_segment)
{
    static const struct {
        const char *pattern, *path;
        bool fits;
    } cases[] = {
        {"/a", "/a", true},         {"/a", "/a/", false},        {"/a", "/A", false},
        {"/a", "/ab", false},       {"/a/", "/a/", true},        {"/a/", "/a", false},
        {"/", "/", true},           {"/", "/a", false},          {"/a/*", "/a/b", true},
        {"/a/*", "/a/", false},     {"/a/*", "/a/b/", false},    {"/a/*", "/a/b/c", false},
        {"/*/c", "/b/c", true},     {"/*/c", "/c", false},       {"/{id}/c", "/b/c", true},
        {"/a/**", "/a", true},      {"/a/**", "/a/", true},      {"/a/**", "/a/b/c", true},
        {"/a/**", "/ab", false},    {"/**", "/", true},          {"/**", "/a//b", true},
        {"/a/*/c", "/a//c", false}, {"/red", "/%72ed", true},    {"/%72ed", "/red", true},
        {"/a/b", "/a%2fb", false},  {"/a%2fb", "/a%2Fb", true},  {"/a/**", "/%61/x", true},
        {"/*", "/a%2Fb", true},     {"/**", "*", false},         {"/**", "", false},
        {"/%5Ba%7d", "/[a}", true}, {"/%7Cb/**", "/|b/c", true}, {"/%5Ba", "/a", false},
        {"/a", "/[a", false},       {"/%5Ba", "/]a", false},     {"/{id}", "/{id}", true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct path_pattern pattern;
        if (path_pattern_parse(&pattern, bytes_of_text(cases[i].pattern)) != NULL ||
            path_pattern_fits(&pattern, bytes_of_text(cases[i].path), NULL) != cases[i].fits)
            fail_msg("%s and %s", cases[i].pattern, cases[i].path);
    }
}

TEST(what_is_no_pattern_is_refused)
{
    static const char *const patterns[] = {
        "",     "a",   "/a*",    "/**/a",     "/{a",  "/a}",  "/{}",      "/{a b}", "/a?b",   "/a#b",
        "/a b", "/..", "/a/./b", "/%2e%2e/a", "/%zz", "/a%2", "/{a}/{a}", "/\x7f",  "/a/***", "/\\"};
    struct path_pattern pattern;
    char many[2 * (PATH_SEGMENTS_MAX + 1) + 1] = "";

    for (size_t i = 0; i < COUNT_OF(patterns); i++)
        if (path_pattern_parse(&pattern, bytes_of_text(patterns[i])) == NULL)
            fail_msg("%s", patterns[i]);
    for (size_t i = 0; i < PATH_SEGMENTS_MAX; i++)
        strcat(many, "/a");
    assert_null(path_pattern_parse(&pattern, bytes_of_text(many)));
    strcat(many, "/a");
    assert_non_null(path_pattern_parse(&pattern, bytes_of_text(many)));
}

TEST(a_prefix_ends_where_a_segment_does)
{
    static const struct {
        const char *path, *prefix, *rest;
    } cases[] = {
        {"/a/b", "/a", "/b"},   {"/a", "/a", ""},   {"/ab", "/a", NULL},    {"/", "/a", NULL},
        {"/%61/b", "/a", "/b"}, {"/a/", "/a", "/"}, {"/a%2fb", "/a", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes rest = BYTES("?");
        bool has = path_has_prefix(bytes_of_text(cases[i].path), bytes_of_text(cases[i].prefix), &rest);
        EXPECT_EQ(has, cases[i].rest != NULL);
        if (has && cases[i].rest != NULL)
            EXPECT_TEXT(rest, bytes_of_text(cases[i].rest));
    }
}

/* A request with at most one field. */
static struct http_request request_of(const char *method, const char *authority, const char *path,
                                      struct http_field *field)
{
    return (struct http_request){.method = http_method_find(bytes_of_text(method)),
                                 .method_name = bytes_of_text(method),
                                 .authority = bytes_of_text(authority),
                                 .path = bytes_of_text(path),
                                 .fields = {field, field->name.size > 0}};
}

TEST(a_route_takes_what_fits_in_every_respect)
{
    char *methods[] = {TEXT("GET"), TEXT("QUERY")};
    struct field_spec fields[] = {{TEXT("X-Kind"), TEXT("a*")}};
    static const struct {
        const char *host, *path;
        bool has_methods, has_fields;
        const char *method, *authority, *name, *value;
        bool fits;
    } cases[] = {
        {NULL, NULL, false, false, "POST", "", "", "", true},
        {"a.example", NULL, false, false, "GET", "a.example", "", "", true},
        {"a.example", NULL, false, false, "GET", "A.Example:8080", "", "", true},
        {"a.example", NULL, false, false, "GET", "a.example.", "", "", true},
        {"a.example", NULL, false, false, "GET", "b.a.example", "", "", false},
        {"a.example", NULL, false, false, "GET", "", "", "", false},
        {"*.example", NULL, false, false, "GET", "b.a.example:1", "", "", true},
        {"*.example", NULL, false, false, "GET", ".example", "", "", false},
        {"*.example", NULL, false, false, "GET", "example", "", "", false},
        {"*.example", NULL, false, false, "GET", "aexample", "", "", false},
        {"[::1]", NULL, false, false, "GET", "[::1]:80", "", "", true},
        {"[::1]", NULL, false, false, "GET", "[::1]", "", "", true},
        {NULL, "/x", false, false, "GET", "a", "", "", true},
        {NULL, "/y", false, false, "GET", "a", "", "", false},
        {NULL, NULL, true, false, "GET", "a", "", "", true},
        {NULL, NULL, true, false, "QUERY", "a", "", "", true},
        {NULL, NULL, true, false, "HEAD", "a", "", "", false},
        {NULL, NULL, true, false, "get", "a", "", "", false},
        {NULL, NULL, false, true, "GET", "a", "x-kind", "abc", true},
        {NULL, NULL, false, true, "GET", "a", "X-Kind", "ba", false},
        {NULL, NULL, false, true, "GET", "a", "X-Kinds", "a", false},
        {NULL, NULL, false, true, "GET", "a", "", "", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct match_spec spec = {.host = (char *)(uintptr_t)cases[i].host,
                                  .path = (char *)(uintptr_t)cases[i].path,
                                  .methods = methods,
                                  .method_count = cases[i].has_methods ? COUNT_OF(methods) : 0,
                                  .fields = fields,
                                  .field_count = cases[i].has_fields ? COUNT_OF(fields) : 0};
        struct http_field field = {.name = bytes_of_text(cases[i].name),
                                   .value = bytes_of_text(cases[i].value)};
        struct http_request request = request_of(cases[i].method, cases[i].authority, "/x", &field);
        struct route_match match;
        EXPECT_EQ(route_match_init(&match, &spec), OK);
        if (route_matches(&match, &request) != cases[i].fits)
            fail_msg("case %zu", i);
        route_match_fini(&match);
    }
}

static struct upstream_spec upstreams[] = {
    {.policy = {.origin_urls = TEXT("http://plain.example")}},
    {.name = TEXT("one"), .policy = {.origin_urls = TEXT("http://one.example"), .connect_timeout_ms = 1}},
    {.name = TEXT("two"), .policy = {.origin_urls = TEXT("http://two.example")}},
};
static struct route_spec routes[] = {
    {.match = {.path = TEXT("/one/**")}, .upstream = TEXT("one"), .policy = {.stale_if_error_ms = 1}},
    {.match = {.path = TEXT("/**")}, .upstream = TEXT("two"), .policy = {.stale_if_error_ms = 2}},
    {.match = {.path = TEXT("/one/never")}, .policy = {.stale_if_error_ms = 3}},
};

TEST(the_first_route_that_fits_has_the_request)
{
    struct http_field none = {.name = BYTES("")};
    struct http_request one = request_of("GET", "a", "/one/never", &none),
                        two = request_of("GET", "a", "/x", &none),
                        star = request_of("OPTIONS", "a", "*", &none);
    struct plan_spec spec = {
        .upstreams = upstreams, .upstream_count = 3, .routes = routes, .route_count = 3};
    struct route_plan *plan;

    EXPECT_EQ(plan_create(&spec, NULL, &plan), OK);
    EXPECT_EQ(plan_route(plan, &one)->policy.stale_if_error_ms, 1);
    assert_string_equal(plan_route(plan, &one)->upstream->name, "one");
    assert_string_equal(plan_route(plan, &two)->upstream->name, "two");
    assert_null(plan_route(plan, &star)->upstream);
    plan_release(plan);

    spec.route_count = 0; /* then all goes to the first upstream */
    EXPECT_EQ(plan_create(&spec, NULL, &plan), OK);
    assert_null(plan_route(plan, &one)->upstream->name);
    assert_non_null(plan_route(plan, &star)->upstream);
    plan_release(plan);
}

TEST(a_path_is_rewritten_by_prefix_or_made_anew)
{
    static const struct {
        const char *pattern, *strip, *prefix, *new, *path, *result;
    } cases[] = {
        {"/repos/**", "/repos", "/v3/repos", NULL, "/repos/a/b", "/v3/repos/a/b"},
        {"/repos/**", "/repos", NULL, NULL, "/repos/a", "/a"},
        {"/repos/**", "/repos", NULL, NULL, "/repos", "/"},
        {"/repos/**", "/repos", NULL, NULL, "/repos/", "/"},
        {"/repos/**", "/repos", "/v3", NULL, "/repos", "/v3"},
        {"/repos/**", "/repos", NULL, NULL, "/%72epos/%72", "/%72"},
        {"/repos/**", NULL, "/v3", NULL, "/repos/", "/v3/repos/"},
        {NULL, NULL, "/v3", NULL, "/", "/v3/"},
        {"/{a}/x/{b}", NULL, NULL, "/y/{b}/{a}", "/1/x/2%2f", "/y/2%2f/1"},
        {"/{a}/**", NULL, NULL, "/y/{a}/**", "/1/x/2", "/y/1/x/2"},
        {"/{a}/**", NULL, NULL, "/y/{a}/**", "/1", "/y/1"},
        {"/{a}/**", NULL, NULL, "/y/{a}/**", "/1/", "/y/1/"},
        {"/**", NULL, NULL, "/**", "/a/b/", "/a/b/"},
        {"/**", NULL, NULL, "/", "/a", "/"},
        {NULL, NULL, NULL, "/same", "/a/b", "/same"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct rewrite_spec spec = {(char *)(uintptr_t)cases[i].strip, (char *)(uintptr_t)cases[i].prefix,
                                    (char *)(uintptr_t)cases[i].new};
        struct path_pattern pattern, *fit = NULL;
        struct path_rewrite rewrite;
        struct buffer out = {0};
        const char *key;

        if (cases[i].pattern != NULL) {
            fit = &pattern;
            assert_null(path_pattern_parse(&pattern, bytes_of_text(cases[i].pattern)));
            EXPECT(path_pattern_fits(&pattern, bytes_of_text(cases[i].path), NULL));
        }
        assert_null(path_rewrite_init(&rewrite, &spec, fit, &key));
        path_rewrite_apply(&rewrite, fit, bytes_of_text(cases[i].path), &out);
        EXPECT_TEXT(buffer_bytes(&out), bytes_of_text(cases[i].result));
        buffer_fini(&out);
    }
}

static struct upstream_spec api = {.policy = {.origin_urls = TEXT("http://api.example/base/")}};

/* A plan of one route, and what it makes of a request. */
struct edit {
    struct route_plan *plan;
    const struct route *route;
    struct edited_request edited;
    struct cache_key key;
};

static void edit_init(struct edit *edit, const struct route_spec *spec, const struct http_request *request)
{
    struct plan_spec plan = {.upstreams = &api, .upstream_count = 1, .routes = spec, .route_count = 1};

    *edit = (struct edit){0};
    EXPECT_EQ(plan_create(&plan, NULL, &edit->plan), OK);
    edit->route = plan_route(edit->plan, request);
    EXPECT(edited_request_make(&edit->edited, edit->route, request));
    EXPECT(route_key(edit->route, &edit->edited.request, &edit->key));
}

static void edit_fini(struct edit *edit)
{
    edited_request_fini(&edit->edited);
    plan_release(edit->plan);
}

/* The fields of a request, as text. */
static void expect_fields(const struct http_request *request, const char *wanted)
{
    struct buffer text = {0};

    for (size_t i = 0; i < request->fields.count; i++)
        buffer_append_format(&text, "%.*s: %.*s\n", BYTES_PRINTF(request->fields.list[i].name),
                             BYTES_PRINTF(request->fields.list[i].value));
    EXPECT_TEXT(buffer_bytes(&text), bytes_of_text(wanted));
    buffer_fini(&text);
}

#define FIELD(name_, value_)                                                                               \
    {                                                                                                      \
        .header = http_header_find(BYTES(name_)), .name = BYTES(name_), .value = BYTES(value_)             \
    }

TEST(the_upstream_sees_the_edited_request_and_the_key_is_of_that)
{
    struct http_field fields[] = {FIELD("Cookie", "a=b"),     FIELD("Accept", "x"),
                                  FIELD("x-api", "client's"), FIELD("Connection", "X-Named, X-Set, close"),
                                  FIELD("X-Named", "y"),      FIELD("authorization", "Bearer client's")};
    char *removed[] = {TEXT("cookie")};
    struct field_spec set[] = {{TEXT("X-Api"), TEXT("1")}, {TEXT("X-Set"), TEXT("2")}};
    struct route_spec spec = {
        .match = {.path = TEXT("/a/**")},
        .rewrite = {.strip_prefix = TEXT("/a"), .prefix = TEXT("/b")},
        .request_fields = {set, 2, removed, 1},
        .credential = {TEXT("Authorization"), TEXT("env TOKEN"), TEXT("Bearer hidden")}};
    struct http_request request = {.method = HTTP_METHOD_GET,
                                   .method_name = BYTES("GET"),
                                   .authority = BYTES("Client.Example"),
                                   .path = BYTES("/a/x"),
                                   .query = BYTES("q"),
                                   .has_query = true,
                                   .fields = {fields, COUNT_OF(fields)}};
    struct http_request *copy;
    struct edit edit;

    edit_init(&edit, &spec, &request);
    EXPECT_TEXT(edit.edited.request.path, BYTES("/b/x"));
    /* The credential is not among them: nothing that is kept may come to hold it. */
    expect_fields(&edit.edited.request, "Accept: x\nX-Api: 1\nX-Set: 2\n");
    EXPECT_TEXT(edit.route->credential.value, BYTES("Bearer hidden"));
    EXPECT_EQ(route_host(edit.route, &request).size, 0);
    EXPECT_EQ(edit.key.text[0], '{');
    EXPECT_TEXT(bytes_after(cache_key_bytes(&edit.key), 19), BYTES("http://api.example/base/b/x?q"));
    assert_null(memmem(edit.key.text, edit.key.size, "hidden", 6));

    copy = http_request_copy(&edit.edited.request);
    edit_fini(&edit);
    EXPECT_TEXT(copy->path, BYTES("/b/x"));
    EXPECT_TEXT(copy->query, BYTES("q"));
    expect_fields(copy, "Accept: x\nX-Api: 1\nX-Set: 2\n");
    free(copy);
}

TEST(requests_to_which_a_route_adds_something_else_have_other_keys)
{
    struct field_spec one[] = {{TEXT("X-Api"), TEXT("1")}}, two[] = {{TEXT("X-Api"), TEXT("2")}};
    struct route_spec specs[] = {
        {.upstream = NULL},
        {.request_fields = {.set = one, .set_count = 1}},
        {.request_fields = {.set = two, .set_count = 1}},
        {.credential = {TEXT("Authorization"), TEXT("env A"), TEXT("x")}},
        {.credential = {TEXT("Authorization"), TEXT("env B"), TEXT("x")}},
        {.credential = {TEXT("X-Key"), TEXT("env B"), TEXT("x")}},
        {.policy = {.host_header = ROUTE_HOST_PASS}},
    };
    struct route_spec rotated = {.credential = {TEXT("Authorization"), TEXT("env A"), TEXT("new")}};
    struct http_field none = {.name = BYTES("")};
    struct http_request request = request_of("GET", "Client.Example", "/x", &none);
    struct edit edits[COUNT_OF(specs)], again;

    for (size_t i = 0; i < COUNT_OF(specs); i++)
        edit_init(&edits[i], &specs[i], &request);
    edit_init(&again, &rotated, &request);
    for (size_t i = 0; i < COUNT_OF(specs); i++)
        for (size_t j = 0; j < i; j++)
            EXPECT(!bytes_equal(cache_key_bytes(&edits[i].key), cache_key_bytes(&edits[j].key)));
    EXPECT_TEXT(cache_key_bytes(&edits[0].key), BYTES("http://api.example/base/x"));
    EXPECT_TEXT(cache_key_bytes(&edits[6].key), BYTES("client.example http://api.example/base/x"));
    EXPECT_TEXT(route_host(edits[6].route, &request), BYTES("Client.Example"));
    /* A credential may be renewed without the answers being lost. */
    EXPECT_TEXT(cache_key_bytes(&again.key), cache_key_bytes(&edits[3].key));
    for (size_t i = 0; i < COUNT_OF(specs); i++)
        edit_fini(&edits[i]);
    edit_fini(&again);
}

TEST(a_response_s_fields_are_edited)
{
    struct field_spec set[] = {{TEXT("X-Frame"), TEXT("deny")}};
    char *removed[] = {TEXT("server"), TEXT("set-cookie")};
    struct field_edit edit;
    struct buffer out = {0};

    EXPECT(field_edit_init(&edit, &(struct field_edit_spec){set, 1, removed, 2}));
    field_edit_rendered(
        &edit, BYTES("Server: x\r\nA: 1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nx-frame: y\r\nB: 2\r\n"),
        &out);
    EXPECT_TEXT(buffer_bytes(&out), BYTES("A: 1\r\nB: 2\r\nX-Frame: deny\r\n"));
    field_edit_fini(&edit);
    buffer_fini(&out);
}

TEST(a_route_to_nowhere_is_refused)
{
    struct route_spec lost = {.upstream = TEXT("three")};
    struct plan_spec spec = {
        .upstreams = upstreams, .upstream_count = 3, .routes = &lost, .route_count = 1};
    struct route_plan *plan;

    EXPECT_EQ(plan_create(&spec, NULL, &plan), ERR_MISSING);
}

TEST(an_upstream_that_did_not_change_goes_on_in_the_next_plan)
{
    struct upstream_spec changed[] = {upstreams[2], upstreams[1], upstreams[0]};
    struct plan_spec spec = {
        .upstreams = upstreams, .upstream_count = 3, .routes = routes, .route_count = 3};
    struct route_plan *before, *after;
    const struct route *route;

    changed[1].policy.connect_timeout_ms = 2;
    EXPECT_EQ(plan_create(&spec, NULL, &before), OK);
    spec.upstreams = changed;
    EXPECT_EQ(plan_create(&spec, before, &after), OK);
    assert_ptr_equal(after->upstreams[0], before->upstreams[2]);
    assert_ptr_not_equal(after->upstreams[1], before->upstreams[1]);
    assert_ptr_equal(after->upstreams[2], before->upstreams[0]);
    EXPECT(plan_has_upstream(after, before->upstreams[0]) &&
           !plan_has_upstream(after, before->upstreams[1]));

    route = route_hold(&before->routes[0]); /* who goes by it still does */
    plan_release(before);
    assert_string_equal(route->upstream->name, "one");
    route_release(route);
    assert_string_equal(after->upstreams[0]->name, "two");
    plan_release(after);
}

RUN_TESTS(TEST_ROW(a_path_fits_its_pattern_segment_by_segment), TEST_ROW(what_is_no_pattern_is_refused),
          TEST_ROW(a_prefix_ends_where_a_segment_does), TEST_ROW(a_route_takes_what_fits_in_every_respect),
          TEST_ROW(the_first_route_that_fits_has_the_request),
          TEST_ROW(a_path_is_rewritten_by_prefix_or_made_anew),
          TEST_ROW(the_upstream_sees_the_edited_request_and_the_key_is_of_that),
          TEST_ROW(requests_to_which_a_route_adds_something_else_have_other_keys),
          TEST_ROW(a_response_s_fields_are_edited), TEST_ROW(a_route_to_nowhere_is_refused),
          TEST_ROW(an_upstream_that_did_not_change_goes_on_in_the_next_plan))
