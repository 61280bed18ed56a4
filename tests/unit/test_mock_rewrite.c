/* links: nuthatch-mock nuthatch-message nuthatch-base */
#include "base/compiler.h"
#include "engine/mock/files/rewrite.h"
#include "test.h"

static struct rewrite *rules_of(const char *json)
{
    struct buffer message = {0};
    struct rewrite *rewrite = NULL;

    EXPECT_EQ(rewrite_create(bytes_of_text(json), &rewrite, &message), OK);
    EXPECT_EQ(message.size, 0);
    return rewrite;
}

static void check(const struct rewrite *rewrite, const char *asked, const char *wanted)
{
    struct bytes url = bytes_of_text(asked);
    const char *question = strchr(asked, '?');
    struct http_request request = {.method = HTTP_METHOD_GET, .path = url, .has_query = question != NULL};
    struct buffer target = {0};

    if (question != NULL) {
        request.path = bytes_first(url, (size_t)(question - asked));
        request.query = bytes_after(url, request.path.size + 1);
    }
    EXPECT_EQ(rewrite_apply(rewrite, &request, &target), wanted != NULL);
    EXPECT_TEXT(buffer_bytes(&target), bytes_of_text(wanted != NULL ? wanted : ""));
    buffer_fini(&target);
}

TEST(rules_put_other_targets_in_place)
{
    static const struct {
        const char *rules, *asked, *wanted;
    } rows[] = {
        {"{\"/api/*\": \"/$1\"}", "/api/posts/1", "/posts/1"},
        {"{\"/api/*\": \"/$1\"}", "/api/", "/"},
        {"{\"/api/*\": \"/$1\"}", "/api", NULL},
        {"{\"/api/*\": \"/$1\"}", "/apiposts", NULL},
        {"{\"/api/*\": \"/$1\"}", "/api/posts?views=1&b", "/posts?views=1&b"},
        {"{\"/api/*\": \"/$1\"}", "/api//evil.example", NULL},
        {"{\"/posts/:category\": \"/posts?category=:category\"}", "/posts/a%20b", "/posts?category=a%20b"},
        {"{\"/posts/:category\": \"/posts?category=:category\"}", "/posts/a?x=1", "/posts?category=a&x=1"},
        {"{\"/posts/:category\": \"/posts?category=:category\"}", "/posts/a/", "/posts?category=a"},
        {"{\"/posts/:category\": \"/posts?category=:category\"}", "/posts/a/b", NULL},
        {"{\"/posts/:category\": \"/posts?category=:category\"}", "/posts/", NULL},
        {"{\"/:resource/:id/show\": \"/:resource/:id\"}", "/posts/7/show", "/posts/7"},
        {"{\"/articles\\\\?id=:id\": \"/posts/:id\"}", "/articles?id=7", "/posts/7"},
        {"{\"/articles?id=:id\": \"/posts/:id\"}", "/articles?id=7", "/posts/7"},
        {"{\"/articles?id=:id\": \"/posts/:id\"}", "/articles?id=7&x=1", NULL},
        {"{\"/articles?id=:id\": \"/posts/:id\"}", "/articles", NULL},
        {"{\"/a/*/b/*\": \"/$2/$1\"}", "/a/1/b/2", "/2/1"},
        {"{\"/a/:x.:y\": \"/:y/:x\"}", "/a/one.json", "/json/one"},
        {"{\"/a/*\": \"/b/$1\", \"/b/*\": \"/c/$1\"}", "/a/1", "/c/1"},
        {"{\"/a\": \"/b:\"}", "/a", "/b:"},
        {"{}", "/a", NULL},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct rewrite *rewrite = rules_of(rows[i].rules);
        check(rewrite, rows[i].asked, rows[i].wanted);
        rewrite_destroy(rewrite);
    }
}

TEST(rules_that_mean_nothing_are_refused)
{
    static const struct {
        const char *rules, *message;
    } rows[] = {
        {"[]", "it must be an object of at most 1000 rules, such as {\"/api/*\": \"/$1\"}"},
        {"{\"api\": \"/\"}", "rule \"api\" must begin with /"},
        {"{\"/a\": 1}", "rule \"/a\" must lead to a text"},
        {"{\"/a\": \"b\"}", "rule \"/a\" must lead to a path that begins with /"},
        {"{\"/a\": \"/b c\"}", "rule \"/a\" leads to a path with a byte that has to be percent-encoded"},
        {"{\"/a/:b\": \"/:c\"}", "rule \"/a/:b\" leads to a :name that is not in it"},
        {"{\"/a/*\": \"/$2\"}", "rule \"/a/*\" leads to a $ number that no name or star stands for"},
        {"{\"/*****************\": \"/\"}", "rule \"/*****************\" has more than 16 names and stars"},
        {"{\"/a\": \"/b\", \"/a\": \"/c\"}", "line 1, column 17: duplicate object key near '\"/a\"'"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buffer message = {0};
        struct rewrite *rewrite = NULL;
        EXPECT_EQ(rewrite_create(bytes_of_text(rows[i].rules), &rewrite, &message), ERR_SYNTAX);
        EXPECT_TEXT(buffer_bytes(&message), bytes_of_text(rows[i].message));
        buffer_fini(&message);
    }
}

TEST(a_pattern_of_many_stars_and_a_long_path_end_soon)
{
    struct rewrite *rewrite = rules_of("{\"/*a*a*a*a*a*a*a*a*b\": \"/\"}");
    char path[4096];

    memset(path, 'a', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    check(rewrite, path, NULL);
    rewrite_destroy(rewrite);
}

RUN_TESTS(TEST_ROW(rules_put_other_targets_in_place), TEST_ROW(rules_that_mean_nothing_are_refused),
          TEST_ROW(a_pattern_of_many_stars_and_a_long_path_end_soon))
