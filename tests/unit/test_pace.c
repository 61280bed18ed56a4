/* links: nuthatch-base */
#include "base/compiler.h"
#include "base/pace.h"
#include "test.h"

enum { GRACE_MS = 10000, RATE = 100 };

TEST(who_brings_nothing_has_the_grace)
{
    struct pace pace;

    pace_begin(&pace, GRACE_MS, RATE);
    EXPECT_EQ(pace_due_ms(&pace), INT64_MAX); /* nobody waits yet */
    pace_wait(&pace, 5000);
    EXPECT_EQ(pace_due_ms(&pace), 15000);
    pace_wait(&pace, 9000); /* which is no second beginning */
    EXPECT_EQ(pace_due_ms(&pace), 15000);
}

TEST(who_is_slower_than_the_rate_is_too_slow_in_the_end_and_who_is_not_never)
{
    static const struct {
        int64_t every_ms;
        uint64_t bytes;
        bool is_slow;
    } cases[] = {
        {1000, 100, false}, {1000, 99, true}, {9000, 900, false},    {9000, 800, true},
        {1, 1, false},      {11, 1, true},    {500, 1 << 20, false},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t now_ms = 1, end_ms = 3600 * 1000;
        struct pace pace;

        pace_begin(&pace, GRACE_MS, RATE);
        pace_wait(&pace, now_ms);
        while (now_ms < end_ms && pace_due_ms(&pace) > now_ms + cases[i].every_ms) {
            now_ms += cases[i].every_ms;
            pace_note(&pace, now_ms, cases[i].bytes);
        }
        EXPECT_EQ(now_ms < end_ms, cases[i].is_slow);
    }
}

TEST(what_came_quickly_buys_no_more_than_the_grace)
{
    struct pace pace;

    pace_begin(&pace, GRACE_MS, RATE);
    pace_wait(&pace, 1000);
    pace_note(&pace, 1001, UINT64_MAX);
    EXPECT_EQ(pace_due_ms(&pace), 1001 + GRACE_MS);
    pace_note(&pace, 1001, 1);
    EXPECT_EQ(pace_due_ms(&pace), 1001 + GRACE_MS);
}

TEST(time_in_which_nobody_waits_costs_nothing)
{
    struct pace pace;

    pace_begin(&pace, GRACE_MS, RATE);
    pace_wait(&pace, 1000);
    pace_rest(&pace, 4000);
    EXPECT_EQ(pace_due_ms(&pace), INT64_MAX);
    pace_note(&pace, 500000, 100); /* what was under way */
    pace_wait(&pace, 1000000);
    EXPECT_EQ(pace_due_ms(&pace), 1000000 + GRACE_MS - 3000 + 1000);
}

TEST(without_a_rate_nobody_is_too_slow)
{
    struct pace pace;

    pace_begin(&pace, GRACE_MS, 0);
    pace_wait(&pace, 1000);
    EXPECT_EQ(pace_due_ms(&pace), INT64_MAX);
    pace_note(&pace, 1000000000, 1);
    EXPECT_EQ(pace_due_ms(&pace), INT64_MAX);
}

RUN_TESTS(TEST_ROW(who_brings_nothing_has_the_grace),
          TEST_ROW(who_is_slower_than_the_rate_is_too_slow_in_the_end_and_who_is_not_never),
          TEST_ROW(what_came_quickly_buys_no_more_than_the_grace),
          TEST_ROW(time_in_which_nobody_waits_costs_nothing), TEST_ROW(without_a_rate_nobody_is_too_slow))
