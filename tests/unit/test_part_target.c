/* links: nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message nuthatch-base */
/* What the parts of a composed answer ask for. */
#include "base/compiler.h"
#include "engine/gateway/routing/part_target.h"
#include "test.h"

static struct path_pattern pattern_of(const char *text)
{
    struct path_pattern pattern;

    EXPECT(path_pattern_parse(&pattern, bytes_of_text(text)) == NULL);
    return pattern;
}

TEST(a_target_is_filled_in_from_path_and_query)
{
    static const struct {
        const char *target, *path, *query, *wanted;
    } cases[] = {
        {"/users/{id}", "/o/7/x", "", "/users/7?"},
        {"/a-{id}.json", "/o/7/x", "", "/a-7.json?"},
        {"/{sort}/{id}?by={id}", "/o/7/x", "", "/x/7?by=7"},
        {"/u/{id}", "/o/a%2Fb:c@/x", "", "/u/a%2Fb:c@?"},
        {"/u?id={id}", "/o/a%2fb&c=d+e%/x", "", "/u?id=a%2Fb%26c%3Dd%2Be%25"},
        {"/u?n={query.n}&m=1", "/o/7/x", "n=5", "/u?n=5&m=1"},
        {"/u?n={query.n}&m=1", "/o/7/x", "", "/u?m=1"},
        {"/u?n={query.n}", "/o/7/x", "m=5&n=", "/u?n="},
        {"/u?n={query.n}", "/o/7/x", "n=1&n=2", "/u?n=1"},
        {"/u?q={query.q}", "/o/7/x", "q=a+b%26c", "/u?q=a+b%26c"},
        {"/u?q={query.a[b]}", "/o/7/x", "a%5Bb%5D=1", "/u?q=1"},
        {"/u?q=x{query.a}y{query.b}&z", "/o/7/x", "a=1", "/u?z"},
        {"/u?q=x{query.a}y{query.b}&z", "/o/7/x", "a=1&b=2", "/u?q=x1y2&z"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct path_pattern pattern = pattern_of("/o/{id}/{sort}");
        struct buffer path = {0}, query = {0};
        struct path_captures captures;
        EXPECT(part_target_is_wrong(bytes_of_text(cases[i].target), &pattern) == NULL);
        EXPECT(path_pattern_fits(&pattern, bytes_of_text(cases[i].path), &captures));
        EXPECT(part_target_fill(bytes_of_text(cases[i].target), &pattern, &captures,
                                bytes_of_text(cases[i].query), &path, &query));
        buffer_append_byte(&path, '?');
        buffer_append(&path, buffer_bytes(&query));
        EXPECT_TEXT(buffer_bytes(&path), bytes_of_text(cases[i].wanted));
        buffer_fini(&path);
        buffer_fini(&query);
    }
}

static bool may_be_asked_for(const char *target, const char *path_text)
{
    struct path_pattern pattern = pattern_of("/o/{id}");
    struct buffer path = {0}, query = {0};
    struct path_captures captures;
    bool is_good;

    EXPECT(part_target_is_wrong(bytes_of_text(target), &pattern) == NULL);
    EXPECT(path_pattern_fits(&pattern, bytes_of_text(path_text), &captures));
    is_good =
        part_target_fill(bytes_of_text(target), &pattern, &captures, (struct bytes){0}, &path, &query);
    buffer_fini(&path);
    buffer_fini(&query);
    return is_good;
}

TEST(nobody_is_led_elsewhere_by_dots)
{
    EXPECT(may_be_asked_for("/a/{id}/b", "/o/c.d"));
    EXPECT(may_be_asked_for("/a/x{id}/b", "/o/..")); /* a segment x.. */
    EXPECT(!may_be_asked_for("/a/{id}/b", "/o/.."));
    EXPECT(!may_be_asked_for("/a/{id}/b", "/o/%2e%2E"));
    EXPECT(!may_be_asked_for("/a/.{id}/b", "/o/."));
}

TEST(what_is_asked_for_has_a_bound)
{
    static char path[PART_ASKED_BYTES_MAX];

    memset(path, 'a', sizeof path - 1);
    memcpy(path, "/o/", 3);
    EXPECT(may_be_asked_for("/{id}", path));
    EXPECT(!may_be_asked_for("/{id}?a={id}&b={id}", path));
    EXPECT(!may_be_asked_for("/{id}{id}{id}{id}", path));
}

TEST(what_is_no_target_is_refused)
{
    static const char *const bad[] = {
        "",         "users",    "http://a/b", "/{x}",       "/{id",          "/id}",
        "/{}",      "/{i{d}",   "/{id}?a={",  "/{id}?a=}",  "/a#b",          "/a b",
        "/a%2",     "/../a",    "/a/%2e/b",   "/{query.a}", "/a?b={query.}", "/a?b={query.a&c}",
        "/a?b={x}", "/\xc3\xa9"};
    struct path_pattern pattern = pattern_of("/o/{id}");
    char text[PART_TARGET_BYTES_MAX + 1] = "/";

    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (part_target_is_wrong(bytes_of_text(bad[i]), &pattern) == NULL)
            fail_msg("%s", bad[i]);
    memset(text + 1, 'a', sizeof text - 2);
    EXPECT(part_target_is_wrong(bytes_of_text(text), &pattern) != NULL);
}

TEST(it_is_known_which_paths_a_target_may_have)
{
    struct path_pattern pattern = pattern_of("/o/{id}");

    EXPECT(part_target_fits(BYTES("/o/{id}?a=b"), &pattern));
    EXPECT(part_target_fits(BYTES("/o/7"), &pattern));
    EXPECT(!part_target_fits(BYTES("/o/{id}/a"), &pattern));
    EXPECT(!part_target_fits(BYTES("/{id}/7"), &pattern));
}

RUN_TESTS(TEST_ROW(a_target_is_filled_in_from_path_and_query), TEST_ROW(nobody_is_led_elsewhere_by_dots),
          TEST_ROW(what_is_asked_for_has_a_bound), TEST_ROW(what_is_no_target_is_refused),
          TEST_ROW(it_is_known_which_paths_a_target_may_have))
