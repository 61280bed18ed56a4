/* links: nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message nuthatch-base */
/* Which of several origins is asked, for how long one that fails is not, and what may be sent again. */
#include "engine/gateway/routing/origin_set.h"
#include "test.h"

static const struct health_policy patient = {
    .failures_max = 3, .out_ms = 1000, .out_ms_max = 8000, .slow_start_ms = 0};

static struct origin_set make_with(const char *text, const struct health_policy *policy)
{
    struct origin_set set;
    EXPECT_EQ(origin_set_init(&set, bytes_of_text(text), policy, NULL), OK);
    return set;
}

static struct origin_set make(const char *text) { return make_with(text, &patient); }

static void fail_times(struct origin_set *set, size_t index, int64_t now_ms, int times)
{
    for (int i = 0; i < times; i++)
        origin_set_note(set, index, now_ms, "failed");
}

/* How many of `count` requests, each over before the next, go to each origin. */
static void spread(struct origin_set *set, int64_t now_ms, int count, int counts[ORIGINS_MAX])
{
    memset(counts, 0, ORIGINS_MAX * sizeof *counts);
    for (int i = 0; i < count; i++) {
        size_t index = origin_set_choose(set, now_ms, 0);
        counts[index]++;
        origin_set_release(set, index);
    }
}

/* ---- what an origin is --------------------------------------------------------------------------- */

TEST(an_origin_is_a_url_and_perhaps_a_weight)
{
    struct origin_set set = make("http://a:1/base/\nHTTPS://b weight=3\nhttp://[::1]:80  weight=1000");

    EXPECT_EQ(set.count, 3);
    EXPECT_TEXT(buffer_bytes(&set.places[0].base_url), BYTES("http://a:1/base"));
    EXPECT_TEXT(set.places[0].authority, BYTES("a:1"));
    EXPECT_EQ(set.places[0].weight, 1);
    EXPECT_TEXT(set.places[1].authority, BYTES("b"));
    EXPECT_EQ(set.places[1].weight, 3);
    EXPECT_TEXT(set.places[2].authority, BYTES("[::1]:80"));
    EXPECT_EQ(set.places[2].weight, 1000);
    origin_set_fini(&set);
}

TEST(what_is_no_origin_is_refused)
{
    static const char *const texts[] = {"",
                                        "a",
                                        "ftp://a",
                                        "http://",
                                        "http:///",
                                        "http://a?b",
                                        "http://a#b",
                                        "http://u:p@a",
                                        "http://a/../b",
                                        "http://:80",
                                        "http://a weight",
                                        "http://a weight=",
                                        "http://a weight=0",
                                        "http://a weight=1001",
                                        "http://a weight=-1",
                                        "http://a weight=1 more",
                                        "http://a\n",
                                        "http://a\n\nhttp://b",
                                        "http://a\nb"};
    struct origin_set set;

    for (size_t i = 0; i < COUNT_OF(texts); i++)
        if (origin_set_init(&set, bytes_of_text(texts[i]), &patient, NULL) != ERR_SYNTAX)
            fail_msg("%s", texts[i]);
}

TEST(there_may_be_sixty_four_origins_and_no_more)
{
    struct buffer text = {0};
    struct origin_set set;
    int counts[ORIGINS_MAX];

    for (int i = 0; i < ORIGINS_MAX; i++)
        buffer_append_format(&text, "%shttp://a:%d", i > 0 ? "\n" : "", i + 1);
    EXPECT_EQ(origin_set_init(&set, buffer_bytes(&text), &patient, NULL), OK);
    spread(&set, 1, 2 * ORIGINS_MAX, counts);
    for (int i = 0; i < ORIGINS_MAX; i++)
        EXPECT_EQ(counts[i], 2);
    origin_set_fini(&set);
    buffer_append_literal(&text, "\nhttp://a:65");
    EXPECT_EQ(origin_set_init(&set, buffer_bytes(&text), &patient, NULL), ERR_SYNTAX);
    buffer_fini(&text);
}

/* ---- which one is asked -------------------------------------------------------------------------- */

TEST(equals_take_turns_by_weight)
{
    struct origin_set set = make("http://a weight=3\nhttp://b\nhttp://c");
    int counts[ORIGINS_MAX];

    spread(&set, 1, 50, counts);
    EXPECT_EQ(counts[0], 30);
    EXPECT_EQ(counts[1], 10);
    EXPECT_EQ(counts[2], 10);
    origin_set_fini(&set);
}

TEST(the_one_with_the_fewest_requests_under_way_for_its_weight_is_asked)
{
    struct origin_set set = make("http://slow\nhttp://b weight=2\nhttp://c");
    int under_way[3] = {0};

    for (int i = 0; i < 400; i++)
        under_way[origin_set_choose(&set, 1, 0)]++;
    EXPECT_EQ(under_way[0], 100);
    EXPECT_EQ(under_way[1], 200);
    EXPECT_EQ(under_way[2], 100);
    /* The first answers nothing: what comes from now on goes to the others. */
    for (int i = 0; i < 200; i++)
        origin_set_release(&set, 1);
    for (int i = 0; i < 100; i++)
        origin_set_release(&set, 2);
    for (int i = 0; i < 100; i++) {
        size_t index = origin_set_choose(&set, 1, 0);
        EXPECT(index != 0);
        origin_set_release(&set, index);
    }
    origin_set_fini(&set);
}

TEST(a_second_attempt_goes_to_another_origin_while_there_is_a_good_one)
{
    struct origin_set set = make("http://a\nhttp://b\nhttp://c");

    for (int i = 0; i < 20; i++) {
        EXPECT_EQ(origin_set_choose(&set, 1, 1 | 2), 2);
        EXPECT(origin_set_choose(&set, 1, 1) != 0);
    }
    fail_times(&set, 2, 1, 3);
    EXPECT(origin_set_choose(&set, 1, 1 | 2) != 2); /* one that fails would be no help */
    EXPECT_EQ(origin_set_choose(&set, 1, 1), 1);
    origin_set_fini(&set);
}

/* ---- health -------------------------------------------------------------------------------------- */

TEST(some_failures_in_a_row_take_an_origin_out_for_a_time_that_doubles)
{
    struct origin_set set = make("http://a\nhttp://b");
    int counts[ORIGINS_MAX];
    int64_t now_ms = 1000;

    fail_times(&set, 0, now_ms, 2);
    EXPECT(!origin_set_note(&set, 0, now_ms, NULL)); /* not in a row */
    fail_times(&set, 0, now_ms, 2);
    spread(&set, now_ms, 10, counts);
    EXPECT_EQ(counts[0], 5);
    EXPECT(origin_set_note(&set, 0, now_ms, "failed"));
    for (int64_t out_ms = 1000; out_ms <= 64000; out_ms *= 2) {
        int64_t bounded_ms = out_ms < patient.out_ms_max ? out_ms : patient.out_ms_max;
        spread(&set, now_ms + bounded_ms - 1, 10, counts);
        EXPECT_EQ(counts[0], 0);
        now_ms += bounded_ms;
        spread(&set, now_ms, 10, counts);
        EXPECT(counts[0] > 0);
        EXPECT(origin_set_note(&set, 0, now_ms, "failed"));  /* on trial: once is enough */
        EXPECT(!origin_set_note(&set, 0, now_ms, "failed")); /* it is out already */
    }
    origin_set_fini(&set);
}

TEST(an_origin_that_was_good_for_as_long_as_it_was_out_is_trusted_again)
{
    struct origin_set set = make("http://a\nhttp://b");

    fail_times(&set, 0, 1000, 3); /* out until 2000 */
    origin_set_choose(&set, 2000, 0);
    EXPECT(!origin_set_note(&set, 0, 2999, NULL));
    EXPECT(origin_set_note(&set, 0, 2999, "failed")); /* until 4999 */
    origin_set_choose(&set, 4999, 0);
    EXPECT(!origin_set_note(&set, 0, 6999, NULL));
    fail_times(&set, 0, 7000, 2);
    EXPECT(origin_set_note(&set, 0, 7000, "failed"));
    EXPECT_EQ(set.places[0].health.out_until_mono_ms, 8000);
    origin_set_fini(&set);
}

TEST(if_all_origins_fail_all_are_asked)
{
    struct origin_set set = make("http://a\nhttp://b weight=2");
    int counts[ORIGINS_MAX];

    fail_times(&set, 0, 1000, 3);
    fail_times(&set, 1, 1000, 3);
    spread(&set, 1001, 30, counts);
    EXPECT_EQ(counts[0], 10);
    EXPECT_EQ(counts[1], 20);
    EXPECT(origin_set_choose(&set, 1001, 1) == 1);
    EXPECT(!origin_set_has_hope(&set));
    origin_set_choose(&set, 2001, 0); /* their time is over */
    EXPECT(origin_set_has_hope(&set));
    origin_set_fini(&set);
}

TEST(the_only_origin_is_never_left_out)
{
    struct origin_set set = make("http://a");

    for (int i = 0; i < 100; i++)
        EXPECT(!origin_set_note(&set, 0, 1000, "failed"));
    EXPECT(!set.places[0].health.is_out);
    EXPECT(!origin_set_has_hope(&set));
    EXPECT_EQ(origin_set_choose(&set, 1000, 1), 0);
    origin_set_fini(&set);
}

TEST(who_comes_back_warms_up)
{
    struct health_policy policy = patient;
    struct origin_set set;
    int counts[ORIGINS_MAX];

    policy.slow_start_ms = 10000;
    set = make_with("http://a\nhttp://b", &policy);
    fail_times(&set, 0, 1000, 3);
    origin_set_choose(&set, 2000, 0);
    origin_set_release(&set, 1);
    set.places[1].under_way = 0;
    spread(&set, 2000, 110, counts);
    EXPECT(counts[0] >= 9 && counts[0] <= 11);
    spread(&set, 7000, 150, counts);
    EXPECT(counts[0] >= 49 && counts[0] <= 51);
    spread(&set, 12000, 100, counts);
    EXPECT(counts[0] >= 49 && counts[0] <= 51);
    origin_set_fini(&set);
}

/* Workers' moments are not quite the same. */
TEST(a_worker_whose_moment_is_earlier_may_choose_one_that_has_just_come_back)
{
    struct origin_set set = make("http://a\nhttp://b");
    int counts[ORIGINS_MAX];

    fail_times(&set, 1, 1000, 3);
    spread(&set, 2000, 2, counts);
    EXPECT_EQ(counts[1], 1); /* it is back */
    spread(&set, 1999, 2, counts);
    EXPECT_EQ(counts[1], 1);
    origin_set_fini(&set);
}

TEST(two_failed_checks_take_an_origin_out_until_two_have_passed)
{
    struct health_policy policy = patient;
    struct origin_set set;

    policy.checks_to_fail = policy.checks_to_pass = 2;
    set = make_with("http://a\nhttp://b", &policy);
    EXPECT(!origin_set_note_check(&set, 0, 1000, "failed"));
    EXPECT(!origin_set_note_check(&set, 0, 1000, NULL));
    EXPECT(!origin_set_note_check(&set, 0, 1000, "failed"));
    EXPECT(origin_set_note_check(&set, 0, 1000, "failed"));
    EXPECT_EQ(origin_set_choose(&set, 1000000, 0), 1); /* no time brings it back */
    EXPECT(!origin_set_note(&set, 0, 1000000, NULL));
    origin_set_note_check(&set, 0, 1000000, NULL);
    EXPECT(set.places[0].health.is_out);
    origin_set_note_check(&set, 0, 1000000, NULL);
    EXPECT(!set.places[0].health.is_out);
    EXPECT_EQ(origin_set_choose(&set, 1000000, 0), 0);
    /* What requests took out, checks may bring back. */
    fail_times(&set, 1, 1000000, 3);
    origin_set_note_check(&set, 1, 1000000, NULL);
    EXPECT(set.places[1].health.is_out);
    origin_set_note_check(&set, 1, 1000000, NULL);
    EXPECT(!set.places[1].health.is_out);
    origin_set_fini(&set);
}

/* ---- retries ------------------------------------------------------------------------------------- */

TEST(a_few_retries_a_second_are_always_allowed_and_a_tenth_of_many)
{
    struct retry_budget budget = {0};
    int64_t now_ms = 5000;
    int taken = 0;

    for (int i = 0; i < 10; i++)
        taken += retry_budget_take(&budget, now_ms);
    EXPECT_EQ(taken, 3);
    now_ms += 1000;
    for (int i = 0; i < 10; i++)
        taken += retry_budget_take(&budget, now_ms);
    EXPECT_EQ(taken, 6);
    now_ms += 20000;
    for (int i = 0; i < 1000; i++)
        retry_budget_note(&budget, now_ms);
    taken = 0;
    for (int i = 0; i < 1000; i++)
        taken += retry_budget_take(&budget, now_ms);
    EXPECT_EQ(taken, 100);
    now_ms += 9000; /* they still count: only the few are left */
    taken = 0;
    for (int i = 0; i < 1000; i++)
        taken += retry_budget_take(&budget, now_ms);
    EXPECT_EQ(taken, 3);
    now_ms += 1000; /* and now they do not */
    for (int i = 0; i < 100; i++)
        retry_budget_note(&budget, now_ms);
    taken = 0;
    for (int i = 0; i < 100; i++)
        taken += retry_budget_take(&budget, now_ms);
    EXPECT_EQ(taken, 7); /* and three of the second before */
}

RUN_TESTS(TEST_ROW(an_origin_is_a_url_and_perhaps_a_weight), TEST_ROW(what_is_no_origin_is_refused),
          TEST_ROW(there_may_be_sixty_four_origins_and_no_more), TEST_ROW(equals_take_turns_by_weight),
          TEST_ROW(the_one_with_the_fewest_requests_under_way_for_its_weight_is_asked),
          TEST_ROW(a_second_attempt_goes_to_another_origin_while_there_is_a_good_one),
          TEST_ROW(some_failures_in_a_row_take_an_origin_out_for_a_time_that_doubles),
          TEST_ROW(an_origin_that_was_good_for_as_long_as_it_was_out_is_trusted_again),
          TEST_ROW(if_all_origins_fail_all_are_asked), TEST_ROW(the_only_origin_is_never_left_out),
          TEST_ROW(who_comes_back_warms_up),
          TEST_ROW(a_worker_whose_moment_is_earlier_may_choose_one_that_has_just_come_back),
          TEST_ROW(two_failed_checks_take_an_origin_out_until_two_have_passed),
          TEST_ROW(a_few_retries_a_second_are_always_allowed_and_a_tenth_of_many))
