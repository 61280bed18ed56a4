/* links: nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message nuthatch-base */
/* When a request is sent a second time beside the first, and how often. */
#include "base/compiler.h"
#include "engine/gateway/routing/hedge.h"
#include "test.h"

TEST(what_an_operator_may_write_of_it)
{
    static const struct {
        const char *text;
        bool is_good;
        int64_t after_ms;
    } cases[] = {
        {"no", true, HEDGE_NEVER},
        {"p95", true, HEDGE_P95},
        {"250ms", true, 250},
        {"1s", true, 1000},
        {"60s", true, 60000},
        {"60000ms", true, 60000},
        {"60001ms", false, 0},
        {"61s", false, 0},
        {"0ms", false, 0},
        {"0s", false, 0},
        {"", false, 0},
        {"s", false, 0},
        {"ms", false, 0},
        {"-1s", false, 0},
        {"1.5s", false, 0},
        {"5", false, 0},
        {"p99", false, 0},
        {"5m", false, 0},
        {"99999999999999999999s", false, 0},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t after_ms = 0;
        if (hedge_read(bytes_of_text(cases[i].text), &after_ms) != cases[i].is_good ||
            after_ms != cases[i].after_ms)
            fail_msg("\"%s\": %lld", cases[i].text, (long long)after_ms);
    }
}

TEST(the_time_of_95_in_100_is_found_out)
{
    struct hedge hedge = {0};

    for (int i = 0; i < HEDGE_TIMES_LEAST - 1; i++)
        hedge_note_time(&hedge, 10);
    EXPECT_EQ(hedge_wait_ms(&hedge, HEDGE_P95), -1); /* too few to say */
    EXPECT_EQ(hedge_wait_ms(&hedge, 250), 250);      /* which need not be found out */
    hedge = (struct hedge){0};
    for (int i = 0; i < 1000; i++)
        hedge_note_time(&hedge, i % 100 < 94 ? 20 : 900);
    EXPECT(hedge_wait_ms(&hedge, HEDGE_P95) >= 900 && hedge_wait_ms(&hedge, HEDGE_P95) < 1100);
    hedge = (struct hedge){0};
    for (int i = 0; i < 1000; i++)
        hedge_note_time(&hedge, i % 100 < 96 ? 20 : 900);
    EXPECT(hedge_wait_ms(&hedge, HEDGE_P95) >= 20 && hedge_wait_ms(&hedge, HEDGE_P95) < 25);
    for (int i = 0; i < 20000; i++) /* it has become slower */
        hedge_note_time(&hedge, 400);
    EXPECT(hedge_wait_ms(&hedge, HEDGE_P95) >= 400 && hedge_wait_ms(&hedge, HEDGE_P95) < 500);
    hedge = (struct hedge){0};
    for (int i = 0; i < 100; i++)
        hedge_note_time(&hedge, i % 2 == 0 ? INT64_MAX : -5);
    EXPECT_EQ(hedge_wait_ms(&hedge, HEDGE_P95), HEDGE_MS_MAX);
}

TEST(no_more_than_the_share_are_sent_twice)
{
    for (int64_t percent = 1; percent <= 10; percent++) {
        struct hedge hedge = {0};
        int64_t hedged = 0;

        for (int64_t i = 1; i <= 50000; i++) {
            hedge_note_request(&hedge);
            if (hedge_may(&hedge, percent)) {
                hedge_note_sent(&hedge);
                hedged++;
            }
            if (hedged * 100 > i * percent)
                fail_msg("%lld of %lld", (long long)hedged, (long long)i);
        }
        EXPECT(hedged * 100 > 50000 * percent * 9 / 10);
    }
}

RUN_TESTS(TEST_ROW(what_an_operator_may_write_of_it), TEST_ROW(the_time_of_95_in_100_is_found_out),
          TEST_ROW(no_more_than_the_share_are_sent_twice))
