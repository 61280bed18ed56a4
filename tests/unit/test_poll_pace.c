/* links: nuthatch-poll nuthatch-gateway nuthatch-message nuthatch-base */
/* What is polled, and how often. */
#include "engine/poll/poll_pace.h"
#include "engine/poll/poll_spec.h"
#include "test.h"
#include <stdio.h>

static const struct poll_said nothing = {-1, -1, -1};

/* Without a spread. */
static int64_t next(struct poll_pace *pace, enum poll_outcome outcome, const struct poll_said *said)
{
    return poll_pace_next(pace, outcome, said, 0.5);
}

TEST(a_change_halves_the_interval_and_none_makes_it_longer)
{
    struct poll_pace pace = {0};

    poll_pace_bound(&pace, 1000, 10000);
    EXPECT_EQ(next(&pace, POLL_UNCHANGED, &nothing), 1500);
    EXPECT_EQ(next(&pace, POLL_UNCHANGED, &nothing), 2250);
    EXPECT_EQ(next(&pace, POLL_CHANGED, &nothing), 1125);
    EXPECT_EQ(next(&pace, POLL_CHANGED, &nothing), 1000);
    for (int i = 0; i < 20; i++)
        next(&pace, POLL_UNCHANGED, &nothing);
    EXPECT_EQ(next(&pace, POLL_UNCHANGED, &nothing), 10000);
}

TEST(a_fixed_interval_stays_what_it_is)
{
    struct poll_pace pace = {0};
    struct poll_said fresh_for_long = {3600000, -1, -1};

    poll_pace_bound(&pace, 5000, 5000);
    EXPECT_EQ(next(&pace, POLL_CHANGED, &nothing), 5000);
    EXPECT_EQ(next(&pace, POLL_UNCHANGED, &nothing), 5000);
    EXPECT_EQ(next(&pace, POLL_UNCHANGED, &fresh_for_long), 5000);
}

TEST(what_the_origin_says_makes_it_longer_and_never_shorter)
{
    static const struct {
        struct poll_said said;
        int64_t wait_ms;
    } cases[] = {
        {{-1, -1, -1}, 1500},       {{4000, -1, -1}, 4000},   {{90000, -1, -1}, 10000},
        {{10, 10, 10}, 1500},       {{-1, 60000, -1}, 60000}, {{-1, -1, 120000}, 120000},
        {{4000, 6000, 5000}, 6000},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct poll_pace pace = {0};
        poll_pace_bound(&pace, 1000, 10000);
        EXPECT_EQ(next(&pace, POLL_UNCHANGED, &cases[i].said), cases[i].wait_ms);
    }
}

TEST(failures_wait_longer_and_longer_and_one_success_ends_that)
{
    struct poll_pace pace = {0};

    poll_pace_bound(&pace, 1000, 10000);
    EXPECT_EQ(next(&pace, POLL_FAILED, &nothing), 2000);
    EXPECT_EQ(next(&pace, POLL_FAILED, &nothing), 4000);
    for (int i = 0; i < 100; i++)
        next(&pace, POLL_FAILED, &nothing);
    EXPECT_EQ(next(&pace, POLL_FAILED, &nothing), POLL_FAILED_MS_MAX);
    EXPECT_EQ(next(&pace, POLL_UNCHANGED, &nothing), 1500);
}

TEST(waits_are_spread_by_a_tenth)
{
    struct poll_pace pace = {0};

    poll_pace_bound(&pace, 1000, 1000);
    EXPECT_EQ(poll_pace_next(&pace, POLL_UNCHANGED, &nothing, 0), 900);
    EXPECT_EQ(poll_pace_next(&pace, POLL_UNCHANGED, &nothing, 0.999999), 1099);
}

TEST(bounds_may_change_on_the_way)
{
    struct poll_pace pace = {0};

    poll_pace_bound(&pace, 1000, 10000);
    next(&pace, POLL_UNCHANGED, &nothing);
    poll_pace_bound(&pace, 1200, 2000);
    EXPECT_EQ(pace.interval_ms, 1500);
    poll_pace_bound(&pace, 3000, 2000); /* the first is the least in any case */
    EXPECT_EQ(pace.interval_ms, 3000);
}

TEST(fields_of_an_answer_are_read)
{
    struct poll_said said;

    poll_said_read(&said, BYTES("ETag: \"1\"\r\nx-poll-interval: 60\r\nRetry-After: 5\r\n"), 1700000000000);
    EXPECT_EQ(said.poll_interval_ms, 60000);
    EXPECT_EQ(said.retry_after_ms, 5000);
    poll_said_read(&said, BYTES("X-Poll-Interval: soon\r\n"), 1700000000000);
    EXPECT_EQ(said.poll_interval_ms, -1);
    EXPECT_EQ(said.retry_after_ms, -1);
}

/* ---- what is polled ------------------------------------------------------------------------------ */

TEST(a_template_is_one_resource_for_each_item)
{
    char url[] = "https://api.example/users/{id}/posts?n=2";
    char one[] = "1", blank[] = "a b", deep[] = "x/y", *over[] = {one, blank, deep};
    struct poll_spec spec = {.url = url, .over = over, .over_count = 3};
    struct poll_target target;

    EXPECT_EQ(poll_spec_count(&spec), 3);
    EXPECT(poll_target_init(&target, &spec, 0));
    EXPECT_TEXT(target.authority, BYTES("api.example"));
    EXPECT_TEXT(target.path, BYTES("/users/1/posts"));
    EXPECT(target.has_query);
    EXPECT_TEXT(target.query, BYTES("n=2"));
    poll_target_fini(&target);
    EXPECT(!poll_target_init(&target, &spec, 1));
    poll_target_fini(&target);
    EXPECT(poll_target_init(&target, &spec, 2));
    EXPECT_TEXT(target.path, BYTES("/users/x/y/posts"));
    poll_target_fini(&target);
}

TEST(what_cannot_be_polled_is_said_to_be_wrong)
{
    char one[] = "1", two[] = "2", up[] = "../2", *good[] = {one, two}, *bad[] = {one, up};
    static const struct {
        const char *url;
        int over; /* 0: none; 1: good; 2: one of it is bad */
        size_t item;
        bool is_wrong;
    } cases[] = {
        {"/", 0, 0, false},
        {"/a?b=c", 0, 0, false},
        {"http://host/a", 0, 0, false},
        {"/a/{id}", 1, 0, false},
        {"/a?id={id}&n=1", 1, 0, false},
        {"http://{host}.example/", 1, 0, false},
        {"/a/{id}", 2, 1, true},
        {"/a/{id}", 0, 0, true},
        {"/a", 1, 2, true},
        {"/a/{}", 1, 2, true},
        {"/a/{id}/{id}", 1, 2, true},
        {"", 0, 0, true},
        {"a", 0, 0, true},
        {"host/a", 0, 0, true},
        {"http:///a", 0, 0, true},
        {"http://host", 0, 0, true},
        {"/a b", 0, 0, true},
        {"/a#b", 0, 0, true},
        {"/a/../b", 0, 0, true},
        {"http://[::1]:8080/", 0, 0, false},
        {"http://user@host/a", 0, 0, true},
        {"http://ho st/a", 0, 0, true},
        {"http://host\r\nX: y/a", 0, 0, true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char url[64];
        struct poll_spec spec = {
            .url = url, .over = cases[i].over == 2 ? bad : good, .over_count = cases[i].over != 0 ? 2 : 0};
        size_t item;
        snprintf(url, sizeof url, "%s", cases[i].url);
        if ((poll_spec_is_wrong(&spec, &item) != NULL) != cases[i].is_wrong)
            fail_msg("%s", url);
        if (cases[i].is_wrong)
            EXPECT_EQ(item, cases[i].item);
    }
}

RUN_TESTS(TEST_ROW(a_change_halves_the_interval_and_none_makes_it_longer),
          TEST_ROW(a_fixed_interval_stays_what_it_is),
          TEST_ROW(what_the_origin_says_makes_it_longer_and_never_shorter),
          TEST_ROW(failures_wait_longer_and_longer_and_one_success_ends_that),
          TEST_ROW(waits_are_spread_by_a_tenth), TEST_ROW(bounds_may_change_on_the_way),
          TEST_ROW(fields_of_an_answer_are_read), TEST_ROW(a_template_is_one_resource_for_each_item),
          TEST_ROW(what_cannot_be_polled_is_said_to_be_wrong))
