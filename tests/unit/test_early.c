/* links: nuthatch-gateway nuthatch-base */
/* When a fresh answer is fetched anew: dice that can be thrown again. */
#include "base/random_source.h"
#include "engine/gateway/policy/early.h"
#include "test.h"

enum { LIFETIME_MS = 10000, TRIALS = 2000 };

/* Plays the last half of one lifetime with a request every `every_ms`; how long before its end the fetch
 * begins, or -1 if none does. Once begun, nobody else begins one. */
static int64_t early_ms(struct random_source *random, int64_t every_ms, int64_t cost_ms,
                        int64_t beta_percent)
{
    for (int64_t fresh_ms = LIFETIME_MS / 2; fresh_ms > 0; fresh_ms -= every_ms)
        if (is_early_enough(fresh_ms, LIFETIME_MS, cost_ms, beta_percent, random_unit(random)))
            return fresh_ms;
    return -1;
}

struct tally {
    int begun_count, in_time_count; /* of TRIALS lifetimes; the latter had the answer before the end */
    int64_t early_ms_sum;
};

static struct tally play(int64_t every_ms, int64_t cost_ms, int64_t beta_percent)
{
    struct random_source random = random_source_of(7, 0, 0);
    struct tally tally = {0};

    for (int i = 0; i < TRIALS; i++) {
        int64_t early = early_ms(&random, every_ms, cost_ms, beta_percent);
        tally.begun_count += early >= 0;
        tally.in_time_count += early >= cost_ms;
        tally.early_ms_sum += early >= 0 ? early : 0;
    }
    return tally;
}

TEST(of_many_requests_one_has_it_fetched_before_its_end_nearly_always)
{
    struct tally tally = play(1, 100, 100); /* 1000 a second */

    EXPECT_EQ(tally.begun_count, TRIALS);
    EXPECT(tally.in_time_count > TRIALS * 99 / 100);
    EXPECT(tally.early_ms_sum / TRIALS < 1000); /* and not much before */
}

TEST(what_is_hardly_asked_for_is_mostly_left_to_get_stale)
{
    struct tally tally = play(2500, 100, 100);

    EXPECT(tally.begun_count < TRIALS / 100);
}

TEST(a_fetch_that_takes_longer_begins_earlier)
{
    struct tally slow = play(10, 500, 100), fast = play(10, 50, 100);

    EXPECT(slow.early_ms_sum / slow.begun_count > 3 * (fast.early_ms_sum / fast.begun_count));
}

TEST(more_beta_begins_earlier)
{
    struct tally more = play(10, 100, 400), less = play(10, 100, 100);

    EXPECT(more.early_ms_sum / more.begun_count > 2 * (less.early_ms_sum / less.begun_count));
}

TEST(the_dice_are_held_to_the_rule)
{
    static const struct {
        int64_t fresh_ms, cost_ms, beta_percent;
        double random;
        bool is_early;
    } cases[] = {
        {100, 100, 100, 0.64, true},  /* -ln(0.36) = 1.02 */
        {100, 100, 100, 0.63, false}, /* -ln(0.37) = 0.99 */
        {200, 100, 200, 0.64, true},     {200, 100, 200, 0.63, false},
        {100, 0, 100, 0.64, true}, /* what is not known is EARLY_COST_UNKNOWN_MS */
        {100, 0, 100, 0.63, false},      {5001, 1000000, 100, 0.999999, false}, /* the first half */
        {5000, 1000000, 100, 0.1, true}, {0, 100, 100, 0.999999, false},        /* it is stale */
        {1, 100, 100, 0, false},         {3701, 100, 100, 0.9999999999999999, false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (is_early_enough(cases[i].fresh_ms, LIFETIME_MS, cases[i].cost_ms, cases[i].beta_percent,
                            cases[i].random) != cases[i].is_early)
            fail_msg("case %zu", i);
}

RUN_TESTS(TEST_ROW(of_many_requests_one_has_it_fetched_before_its_end_nearly_always),
          TEST_ROW(what_is_hardly_asked_for_is_mostly_left_to_get_stale),
          TEST_ROW(a_fetch_that_takes_longer_begins_earlier), TEST_ROW(more_beta_begins_earlier),
          TEST_ROW(the_dice_are_held_to_the_rule))
