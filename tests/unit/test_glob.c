/* links: nuthatch-base
 * Redis's patterns, with the answers of a Redis 7. */
#include "base/compiler.h"
#include "base/glob.h"
#include "test.h"
#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *pattern, *text;
    bool fits;
} cases[] = {
    {"", "", true},
    {"", "a", false},
    {"*", "", true},
    {"*", "anything", true},
    {"**a", "a", true},
    {"?", "", false},
    {"h?llo", "hello", true},
    {"h?llo", "hllo", false},
    {"h*llo", "heeeello", true},
    {"h*llo", "hll", false},
    {"*a*b*", "xxaxxbxx", true},
    {"*a*b", "xxaxxbxx", false},
    {"h[ae]llo", "hallo", true},
    {"h[ae]llo", "hillo", false},
    {"h[^e]llo", "hallo", true},
    {"h[^e]llo", "hello", false},
    {"h[a-c]llo", "hbllo", true},
    {"h[c-a]llo", "hbllo", true},
    {"h[a-c]llo", "hdllo", false},
    {"h\\*llo", "h*llo", true},
    {"h\\*llo", "hello", false},
    {"[\\]]", "]", true},
    {"[abc", "b", true},
    {"[abc", "d", false},
    {"[", "[", false},
    {"[]", "]", false},
    {"a\\", "a\\", true},
    {"user:[0-9]*", "user:7:name", true},
    {"user:[0-9]*", "user:x", false},
};

TEST(patterns_mean_what_they_mean_to_redis)
{
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (glob_fits(bytes_of_text(cases[i].pattern), bytes_of_text(cases[i].text)) != cases[i].fits) {
            fprintf(stderr, "\"%s\" and \"%s\"\n", cases[i].pattern, cases[i].text);
            EXPECT(false);
        }
}

TEST(case_is_ignored_on_request)
{
    EXPECT(glob_fits_nocase(BYTES("LAZY*"), BYTES("lazyfree-lazy-eviction")));
    EXPECT(glob_fits_nocase(BYTES("[A-C]x"), BYTES("bX")));
    EXPECT(!glob_fits(BYTES("LAZY*"), BYTES("lazyfree")));
}

/* What took a Redis of 2024 down (CVE-2024-31228). */
TEST(a_pattern_of_stars_takes_no_time)
{
    enum { STARS = 100000 };
    char *pattern = malloc(2 * STARS + 1);

    for (size_t i = 0; i < STARS; i++)
        memcpy(pattern + 2 * i, "*?", 2);
    EXPECT(!glob_fits(bytes_of(pattern, 2 * STARS), BYTES("a key of some length")));
    for (size_t i = 0; i < STARS; i++)
        memcpy(pattern + 2 * i, "*[", 2);
    EXPECT(!glob_fits(bytes_of(pattern, 2 * STARS), BYTES("a key of some length")));
    free(pattern);
}

RUN_TESTS(TEST_ROW(patterns_mean_what_they_mean_to_redis), TEST_ROW(case_is_ignored_on_request),
          TEST_ROW(a_pattern_of_stars_takes_no_time))
