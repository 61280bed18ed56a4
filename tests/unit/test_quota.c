/* links: nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message nuthatch-base */
/* May a request go to an upstream: each rule alone, and all of them together, on a clock of the test's own.
 */
#include "base/compiler.h"
#include "engine/gateway/quota/quota.h"
#include "http_text.h"
#include "test.h"
#include <stdio.h>

#define HOUR_MS INT64_C(3600000)
enum { START_MS = 1000000 };

/* ---- token buckets ------------------------------------------------------------------------------- */

/* How many go in all of the `length_ms` from `from_ms` on, asked for each millisecond. */
static int64_t take_all(struct token_bucket *bucket, int64_t from_ms, int64_t length_ms)
{
    int64_t taken = 0;

    for (int64_t now_ms = from_ms; now_ms < from_ms + length_ms; now_ms++)
        while (token_bucket_count(bucket, now_ms) >= 1) {
            token_bucket_take(bucket, now_ms);
            taken++;
        }
    return taken;
}

TEST(no_more_than_the_count_go_in_any_period)
{
    static const struct {
        struct rate_spec spec;
        int64_t burst;
    } cases[] = {{{10, 1000}, 0},   {{10, 1000}, 1}, {{10, 1000}, 10}, {{1, 1000}, 0},
                 {{100, 60000}, 0}, {{7, 500}, 3},   {{1000, 1000}, 0}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct token_bucket bucket;
        int64_t period_ms = cases[i].spec.period_ms, first, second;
        token_bucket_init(&bucket, &cases[i].spec, cases[i].burst);
        first = take_all(&bucket, START_MS, period_ms); /* from a full bucket: the most there can be */
        second = take_all(&bucket, START_MS + period_ms, period_ms);
        if (first > cases[i].spec.count || second > cases[i].spec.count)
            fail_msg("case %zu: %lld, %lld", i, (long long)first, (long long)second);
        EXPECT(first >= cases[i].spec.count * 9 / 10); /* and the promise is not kept by idleness */
    }
}

TEST(a_bucket_says_when_there_will_be_enough)
{
    struct token_bucket bucket;

    token_bucket_init(&bucket, &(struct rate_spec){10, 1000}, 2);
    EXPECT_EQ(token_bucket_count(&bucket, START_MS), 2);
    EXPECT_EQ(token_bucket_due_ms(&bucket, START_MS, 2), START_MS);
    token_bucket_take(&bucket, START_MS);
    token_bucket_take(&bucket, START_MS);
    EXPECT_EQ(token_bucket_count(&bucket, START_MS), 0);
    for (int64_t count = 1; count <= 4; count++) {
        int64_t due_ms = token_bucket_due_ms(&bucket, START_MS, count);
        EXPECT(due_ms > START_MS + (count - 1) * 100 && due_ms <= START_MS + count * 120);
        if (count <= 2) {
            EXPECT(token_bucket_count(&bucket, due_ms) >= count);
            EXPECT(token_bucket_count(&bucket, due_ms - 1) < count);
        }
    }
    EXPECT_EQ(token_bucket_count(&bucket, START_MS + HOUR_MS), 2); /* it is no fuller than full, */
    for (int i = 0; i < 5; i++)
        token_bucket_take(&bucket, START_MS + HOUR_MS);
    EXPECT_EQ(token_bucket_count(&bucket, START_MS + HOUR_MS), 0); /* and no emptier than empty */
}

TEST(of_what_is_left_some_is_kept_for_those_who_wait)
{
    EXPECT_EQ(quota_need(QUOTA_INTERACTIVE, 100), 1);
    EXPECT_EQ(quota_need(QUOTA_REVALIDATION, 100), 21);
    EXPECT_EQ(quota_need(QUOTA_PREFETCH, 100), 51);
    for (int class = QUOTA_INTERACTIVE; class <= QUOTA_PREFETCH; class ++) {
        EXPECT_EQ(quota_need((enum quota_class) class, 1), 1); /* even the smallest is for all */
        EXPECT_EQ(quota_need((enum quota_class) class, 0), 1);
    }
    EXPECT(quota_need(QUOTA_PREFETCH, INT64_MAX) > 0);
}

/* ---- concurrency --------------------------------------------------------------------------------- */

/* A round: as many as may be, each answered after `took_ms`. */
static int64_t play_round(struct concurrency *concurrency, int64_t *now_ms, int64_t took_ms)
{
    int64_t count = 0;

    while (concurrency_has_room(concurrency, 1)) {
        concurrency_enter(concurrency);
        count++;
    }
    *now_ms += took_ms;
    for (int64_t i = 0; i < count; i++) {
        concurrency_note(concurrency, *now_ms, took_ms);
        concurrency_has_room(concurrency, count); /* more would like to go */
        concurrency_leave(concurrency);
    }
    return count;
}

TEST(the_limit_of_requests_under_way_follows_how_fast_answers_come)
{
    struct concurrency concurrency;
    int64_t now_ms = START_MS, before;

    concurrency_init(&concurrency, 2, 100);
    before = concurrency_limit(&concurrency);
    EXPECT_EQ(before, 51);
    for (int i = 0; i < 30; i++)
        play_round(&concurrency, &now_ms, 50);
    EXPECT(concurrency_limit(&concurrency) > before + 20); /* it bears more */
    before = concurrency_limit(&concurrency);
    for (int i = 0; i < 4; i++)
        play_round(&concurrency, &now_ms, 400);
    EXPECT(concurrency_limit(&concurrency) < before); /* it does not */
    for (int i = 0; i < 100; i++) {
        now_ms += 1000;
        concurrency_note_failure(&concurrency, now_ms);
    }
    EXPECT_EQ(concurrency_limit(&concurrency), 2);
    for (int i = 0; i < 1000; i++)
        play_round(&concurrency, &now_ms, 50);
    EXPECT(concurrency_limit(&concurrency) > 20 && concurrency_limit(&concurrency) <= 100);
}

TEST(what_holds_nobody_back_does_not_grow)
{
    struct concurrency concurrency;

    concurrency_init(&concurrency, 2, 100);
    for (int i = 0; i < 1000; i++) {
        EXPECT(concurrency_has_room(&concurrency, 1));
        concurrency_enter(&concurrency);
        concurrency_note(&concurrency, START_MS + i, 50);
        concurrency_leave(&concurrency);
    }
    EXPECT_EQ(concurrency_limit(&concurrency), 51);
}

TEST(one_bad_round_counts_once)
{
    struct concurrency concurrency;
    int64_t before;

    concurrency_init(&concurrency, 1, 100);
    for (int i = 0; i < 20; i++)
        concurrency_note(&concurrency, START_MS + i, 500);
    before = concurrency_limit(&concurrency);
    for (int i = 0; i < 50; i++)
        concurrency_note_failure(&concurrency, START_MS + 100);
    EXPECT_EQ(concurrency_limit(&concurrency), before * 7 / 10);
}

TEST(a_limit_may_be_fixed_or_not_be_there)
{
    struct concurrency fixed, none;

    concurrency_init(&fixed, 0, 3);
    concurrency_init(&none, 0, 0);
    for (int i = 0; i < 100; i++) {
        concurrency_note_failure(&fixed, START_MS + i * 1000);
        concurrency_enter(&none);
    }
    EXPECT_EQ(concurrency_limit(&fixed), 3);
    EXPECT(concurrency_has_room(&fixed, 3));
    EXPECT(!concurrency_has_room(&fixed, 4));
    EXPECT(concurrency_has_room(&none, 1));
}

/* ---- the breaker --------------------------------------------------------------------------------- */

static const struct breaker_policy three = {.failures_max = 3, .percent_max = 50, .open_ms = 1000};

static bool may_go(struct breaker *breaker, int64_t now_ms)
{
    bool is_probe;
    return breaker_ask(breaker, now_ms, &is_probe);
}

TEST(failures_in_a_row_open_the_breaker_and_a_probe_decides)
{
    struct breaker breaker = {0};
    int64_t now_ms = START_MS;
    bool is_probe;

    EXPECT(!breaker_note(&breaker, &three, now_ms, false, false));
    EXPECT(!breaker_note(&breaker, &three, now_ms, false, false));
    EXPECT(!breaker_note(&breaker, &three, now_ms, false, true)); /* not in a row any more */
    EXPECT(!breaker_note(&breaker, &three, now_ms, false, false));
    EXPECT(!breaker_note(&breaker, &three, now_ms, false, false));
    EXPECT(may_go(&breaker, now_ms));
    EXPECT(breaker_note(&breaker, &three, now_ms, false, false));
    EXPECT(!may_go(&breaker, now_ms));
    EXPECT_EQ(breaker_due_ms(&breaker, now_ms), now_ms + 1000);
    EXPECT(!may_go(&breaker, now_ms + 999));
    EXPECT(!breaker_note(&breaker, &three, now_ms + 999, false, true)); /* late news changes nothing */
    now_ms += 1000;
    EXPECT(breaker_ask(&breaker, now_ms, &is_probe) && is_probe);
    EXPECT(!may_go(&breaker, now_ms)); /* one */
    breaker_drop_probe(&breaker);      /* its client left */
    EXPECT(breaker_ask(&breaker, now_ms, &is_probe) && is_probe);
    EXPECT(breaker_note(&breaker, &three, now_ms, true, false));
    EXPECT(!may_go(&breaker, now_ms + 1999)); /* twice as long */
    now_ms += 2000;
    EXPECT(breaker_ask(&breaker, now_ms, &is_probe) && is_probe);
    EXPECT(breaker_note(&breaker, &three, now_ms, true, true));
    EXPECT(breaker_ask(&breaker, now_ms, &is_probe) && !is_probe);
    for (int i = 0; i < 3; i++) /* it begins anew */
        breaker_note(&breaker, &three, now_ms, false, false);
    EXPECT_EQ(breaker_due_ms(&breaker, now_ms), now_ms + 1000);
}

TEST(it_is_never_open_for_longer_than_a_minute)
{
    struct breaker breaker = {0};
    int64_t now_ms = START_MS;
    bool is_probe;

    for (int i = 0; i < 3; i++)
        breaker_note(&breaker, &three, now_ms, false, false);
    for (int i = 0; i < 40; i++) {
        EXPECT(breaker_due_ms(&breaker, now_ms) <= now_ms + BREAKER_OPEN_MS_MAX);
        now_ms = breaker_due_ms(&breaker, now_ms);
        EXPECT(breaker_ask(&breaker, now_ms, &is_probe) && is_probe);
        EXPECT(breaker_note(&breaker, &three, now_ms, true, false));
    }
    EXPECT_EQ(breaker_due_ms(&breaker, now_ms), now_ms + BREAKER_OPEN_MS_MAX);
}

TEST(a_large_share_of_failures_opens_it_too)
{
    struct breaker breaker = {0};
    struct breaker_policy policy = {.failures_max = 100, .percent_max = 50, .open_ms = 1000};
    bool has_opened = false;

    for (int i = 0; i < 40 && !has_opened; i++) /* each second two fail and one does not */
        has_opened = breaker_note(&breaker, &policy, START_MS + i / 3 * 1000, false, i % 3 == 2);
    EXPECT(has_opened);
    breaker = (struct breaker){0};
    for (int i = 0; i < 400; i++) /* half of them is not more than half */
        EXPECT(!breaker_note(&breaker, &policy, START_MS + i * 10, false, i % 2 == 0));
    breaker = (struct breaker){0};
    for (int i = 0; i < 90; i++) /* too few at a time to say */
        EXPECT(!breaker_note(&breaker, &policy, START_MS + i * 1000, false, i % 4 == 0));
}

TEST(a_breaker_may_be_switched_off)
{
    struct breaker breaker = {0};

    for (int i = 0; i < 1000; i++)
        EXPECT(!breaker_note(&breaker, &(struct breaker_policy){.open_ms = 1000}, START_MS, false, false));
    EXPECT(may_go(&breaker, START_MS));
}

/* ---- all together -------------------------------------------------------------------------------- */

struct asker {
    struct quota_ticket ticket;
    int woken_count;
};

static void on_wake(struct quota_ticket *ticket)
{
    CONTAINER_OF(ticket, struct asker, ticket)->woken_count++;
}

static struct asker asker_of(uint64_t credential, enum quota_class class)
{
    return (struct asker){.ticket = {.credential = credential, .path = 7, .class = class, .wake = on_wake}};
}

static int64_t due_ms; /* of the last one who asked */

static enum quota_verdict ask(struct quota *quota, struct asker *asker, int64_t now_ms)
{
    return quota_ask(quota, &asker->ticket, now_ms, &due_ms);
}

static bool answer(struct asker *asker, int64_t now_ms, int status, const char *text)
{
    struct http_text fields;
    bool is_limited;

    http_text_read(&fields, text);
    quota_heed(&asker->ticket, now_ms, now_ms, status, &fields.fields, &is_limited);
    quota_leave(&asker->ticket);
    return is_limited;
}

/* Asks, and is answered if it may go. */
static enum quota_verdict play(struct quota *quota, uint64_t credential, enum quota_class class,
                               int64_t now_ms, int status, const char *text)
{
    struct asker asker = asker_of(credential, class);
    enum quota_verdict verdict = ask(quota, &asker, now_ms);

    if (verdict == QUOTA_GO)
        answer(&asker, now_ms, status, text);
    else
        quota_leave(&asker.ticket);
    return verdict;
}

TEST(who_waits_goes_in_the_order_they_came)
{
    struct quota quota; /* it stays where it is */
    struct asker first = asker_of(1, QUOTA_INTERACTIVE), second = first, third = first, fourth = first;
    int64_t first_ms, second_ms;

    quota_init(&quota,
               &(struct quota_policy){
                   .specs = {{10, 1000}}, .spec_count = 1, .burst = 1, .wait_ms = 300, .learns = true});
    EXPECT_EQ(ask(&quota, &first, START_MS), QUOTA_GO);
    EXPECT_EQ(ask(&quota, &second, START_MS), QUOTA_WAIT);
    first_ms = due_ms;
    EXPECT_EQ(ask(&quota, &third, START_MS), QUOTA_WAIT);
    second_ms = due_ms;
    EXPECT(first_ms > START_MS + 90 && second_ms > first_ms + 90);
    EXPECT_EQ(ask(&quota, &fourth, START_MS + 20), QUOTA_WAIT);
    EXPECT_EQ(ask(&quota, &third, first_ms), QUOTA_WAIT); /* it is not its turn */
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, first_ms, 200, ""), QUOTA_LIMITED); /* too far behind */
    EXPECT(due_ms > START_MS + 400);
    EXPECT_EQ(play(&quota, 1, QUOTA_REVALIDATION, first_ms, 200, ""), QUOTA_LIMITED); /* nor does it push */
    EXPECT_EQ(ask(&quota, &second, first_ms), QUOTA_GO);
    quota_leave(&third.ticket); /* its client has left */
    EXPECT_EQ(ask(&quota, &fourth, second_ms), QUOTA_GO);
    quota_leave(&first.ticket);
    quota_leave(&second.ticket);
    quota_leave(&fourth.ticket);
    EXPECT_EQ(quota.waiting_count, 0);
    EXPECT_EQ(quota.concurrency.under_way, 0);
    quota_fini(&quota);
}

TEST(each_credential_has_its_own)
{
    struct quota quota;

    quota_init(&quota, &(struct quota_policy){.specs = {{2, HOUR_MS}}, .spec_count = 1, .burst = 2});
    for (uint64_t credential = 1; credential <= 3; credential++) {
        EXPECT_EQ(play(&quota, credential, QUOTA_INTERACTIVE, START_MS, 200, ""), QUOTA_GO);
        EXPECT_EQ(play(&quota, credential, QUOTA_INTERACTIVE, START_MS, 200, ""), QUOTA_GO);
        EXPECT_EQ(play(&quota, credential, QUOTA_INTERACTIVE, START_MS, 200, ""), QUOTA_LIMITED);
        EXPECT(due_ms > START_MS + HOUR_MS / 2);
    }
    quota_fini(&quota);
}

/* Whoever makes up credentials gets so many budgets and no more, and drives nobody else's out. */
TEST(made_up_credentials_share_what_is_left)
{
    struct quota quota;
    size_t gone_count = 0;

    quota_init(&quota, &(struct quota_policy){.specs = {{1, HOUR_MS}}, .spec_count = 1});
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS, 200, ""), QUOTA_GO);
    for (uint64_t credential = 2; credential < 5000; credential++)
        gone_count += play(&quota, credential, QUOTA_INTERACTIVE, START_MS, 200, "") == QUOTA_GO;
    EXPECT_EQ(gone_count, QUOTA_SETS * QUOTA_WAYS); /* one of them for all the others */
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS, 200, ""), QUOTA_LIMITED);
    EXPECT_EQ(play(&quota, 6000, QUOTA_INTERACTIVE, START_MS + 2 * HOUR_MS, 200, ""), QUOTA_GO);
    quota_fini(&quota);
}

TEST(the_strictest_of_several_limits_counts)
{
    struct quota quota;
    int gone_count = 0;

    quota_init(&quota,
               &(struct quota_policy){.specs = {{10, 1000}, {12, HOUR_MS}}, .spec_count = 2, .burst = 10});
    for (int i = 0; i < 100; i++)
        gone_count += play(&quota, 1, QUOTA_INTERACTIVE, START_MS + i * 1000, 200, "") == QUOTA_GO;
    EXPECT_EQ(gone_count, 10); /* what the hour has at once */
    quota_fini(&quota);
}

/* ---- a limit that a fleet shares ------------------------------------------------------------------- */

static struct asker sharer_of(uint64_t credential)
{
    struct asker asker = asker_of(credential, QUOTA_INTERACTIVE);

    asker.ticket.is_shared = true;
    return asker;
}

static struct quota_question question_of(struct quota *quota, struct asker *asker, int64_t now_ms)
{
    struct quota_question question;

    quota_question(quota, &asker->ticket, 2, now_ms, &question);
    return question;
}

/* The tier says when, and is asked for it then: that takes a moment more. */
TEST(who_has_waited_as_long_as_the_tier_said_waits_for_its_answer_too)
{
    struct quota quota;
    struct asker asker = sharer_of(1);

    quota_init(&quota, &(struct quota_policy){.specs = {{10, 60000}}, .spec_count = 1, .wait_ms = 5000});
    EXPECT_EQ(ask(&quota, &asker, START_MS), QUOTA_WAIT);
    EXPECT_EQ(question_of(&quota, &asker, START_MS).share.count, 1);
    quota_share_told(&quota, 1, &(struct share_reply){.due_ms = 3000}, START_MS + 5);
    EXPECT_EQ(ask(&quota, &asker, START_MS + 5), QUOTA_WAIT);
    EXPECT_EQ(due_ms, START_MS + 3005);
    EXPECT_EQ(ask(&quota, &asker, START_MS + 3005), QUOTA_WAIT);
    EXPECT_EQ(question_of(&quota, &asker, START_MS + 3005).share.count, 1);
    quota_share_told(&quota, 1, &(struct share_reply){.count = 1}, START_MS + 3010);
    EXPECT_EQ(ask(&quota, &asker, START_MS + 3010), QUOTA_GO);
    quota_leave(&asker.ticket);
    asker = sharer_of(1); /* a tier that never has anything to say is not waited for for ever */
    EXPECT_EQ(ask(&quota, &asker, START_MS + 3010), QUOTA_WAIT);
    EXPECT(due_ms <= START_MS + 3010 + 6000);
    EXPECT_EQ(ask(&quota, &asker, due_ms), QUOTA_LIMITED);
    quota_fini(&quota);
}

TEST(no_more_wait_for_the_tier_than_for_their_turn)
{
    static struct asker askers[QUOTA_WAITING_MAX + 10];
    struct quota quota;
    size_t waiting_count = 0;

    quota_init(&quota, &(struct quota_policy){.specs = {{10, 60000}}, .spec_count = 1, .wait_ms = 1000});
    for (size_t i = 0; i < COUNT_OF(askers); i++) {
        askers[i] = sharer_of(1);
        waiting_count += ask(&quota, &askers[i], START_MS) == QUOTA_WAIT;
    }
    EXPECT_EQ(waiting_count, QUOTA_WAITING_MAX);
    EXPECT_EQ(ask(&quota, &askers[0], START_MS + 1), QUOTA_WAIT); /* who waits already waits on */
    for (size_t i = 0; i < COUNT_OF(askers); i++)
        quota_leave(&askers[i].ticket);
    quota_fini(&quota);
}

/* Those without a place of their own are not those without a credential. */
TEST(what_the_tier_says_is_for_whom_it_was_asked_for)
{
    struct quota quota;
    struct asker nobody = sharer_of(0), crowd[QUOTA_WAYS];
    struct quota_question question;

    quota_init(&quota, &(struct quota_policy){.specs = {{10, 60000}}, .spec_count = 1});
    EXPECT_EQ(ask(&quota, &nobody, START_MS), QUOTA_WAIT);
    question_of(&quota, &nobody, START_MS);
    for (size_t i = 0; i < QUOTA_WAYS; i++) {
        crowd[i] = sharer_of((i + 1) * QUOTA_SETS); /* the last of which has no place any more */
        EXPECT_EQ(ask(&quota, &crowd[i], START_MS), QUOTA_WAIT);
    }
    question = question_of(&quota, &crowd[QUOTA_WAYS - 1], START_MS);
    EXPECT_EQ(question.share.count, 1);
    quota_share_told(&quota, question.credential, &(struct share_reply){.count = 1}, START_MS + 5);
    EXPECT_EQ(ask(&quota, &nobody, START_MS + 5), QUOTA_WAIT);
    EXPECT_EQ(ask(&quota, &crowd[QUOTA_WAYS - 1], START_MS + 5), QUOTA_GO);
    quota_leave(&nobody.ticket);
    for (size_t i = 0; i < QUOTA_WAYS; i++)
        quota_leave(&crowd[i].ticket);
    quota_fini(&quota);
}

/* ---- what is learnt -------------------------------------------------------------------------------- */

#define REMAINING(remaining)                                                                               \
    "X-RateLimit-Limit: 100\nX-RateLimit-Remaining: " #remaining "\nX-RateLimit-Reset: 60"

TEST(what_the_upstream_says_is_left_is_not_overdrawn)
{
    struct quota quota;

    quota_init(&quota, &(struct quota_policy){.learns = true});
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS, 200, REMAINING(2)), QUOTA_GO);
    EXPECT_EQ(play(&quota, 1, QUOTA_REVALIDATION, START_MS, 200, ""), QUOTA_TOLD); /* 20 are kept */
    EXPECT_EQ(play(&quota, 1, QUOTA_PREFETCH, START_MS, 200, ""), QUOTA_TOLD);
    EXPECT_EQ(play(&quota, 2, QUOTA_PREFETCH, START_MS, 200, ""), QUOTA_GO); /* another's is another's */
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS, 200, ""), QUOTA_GO);
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS, 200, ""), QUOTA_GO);
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS, 200, ""), QUOTA_TOLD);
    EXPECT(due_ms >= START_MS + 60000 && due_ms < START_MS + 61000);
    /* The first one after that finds out how much there is; the others wait for its answer. */
    struct asker first = asker_of(1, QUOTA_INTERACTIVE);
    EXPECT_EQ(ask(&quota, &first, START_MS + 61000), QUOTA_GO);
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS + 61000, 200, ""), QUOTA_TOLD);
    answer(&first, START_MS + 61000, 200, REMAINING(99));
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS + 61000, 200, REMAINING(98)), QUOTA_GO);
    EXPECT_EQ(play(&quota, 1, QUOTA_PREFETCH, START_MS + 61000, 200, REMAINING(97)), QUOTA_GO);
    quota_fini(&quota);
}

/* Answers overtake each other, and speak of a moment at which others were under way. */
TEST(news_are_reckoned_with_what_is_under_way)
{
    struct quota quota;
    struct asker askers[3];

    quota_init(&quota, &(struct quota_policy){.learns = true});
    for (size_t i = 0; i < 3; i++) {
        askers[i] = asker_of(1, QUOTA_INTERACTIVE);
        EXPECT_EQ(ask(&quota, &askers[i], START_MS), QUOTA_GO);
    }
    answer(&askers[2], START_MS, 200, REMAINING(3)); /* may or may not know of the other two */
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS, 304, REMAINING(3)), QUOTA_GO);
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS, 304, REMAINING(3)),
              QUOTA_GO);                             /* it cost nothing */
    answer(&askers[0], START_MS, 200, REMAINING(5)); /* old news do not make it more */
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS, 200, ""), QUOTA_GO);
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS, 200, ""), QUOTA_TOLD);
    answer(&askers[1], START_MS, 200, REMAINING(0));
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS, 200, ""), QUOTA_TOLD);
    quota_fini(&quota);
}

TEST(an_answer_that_others_have_overtaken_does_not_make_it_more)
{
    struct quota quota;
    struct asker first = asker_of(1, QUOTA_INTERACTIVE), second = first, third = first;

    quota_init(&quota, &(struct quota_policy){.learns = true});
    EXPECT_EQ(ask(&quota, &first, START_MS), QUOTA_GO);
    EXPECT_EQ(ask(&quota, &second, START_MS), QUOTA_GO);
    answer(&second, START_MS, 200, REMAINING(3));
    EXPECT_EQ(ask(&quota, &third, START_MS), QUOTA_GO);
    /* The third is counted before the first, and heard of behind it. */
    answer(&first, START_MS, 200, REMAINING(1));
    answer(&third, START_MS, 200, REMAINING(2));
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS, 200, ""), QUOTA_GO);
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS, 200, ""), QUOTA_TOLD);
    /* What was said of the time before does not count in the next. */
    first = second = asker_of(1, QUOTA_INTERACTIVE);
    EXPECT_EQ(ask(&quota, &first, START_MS + 61000), QUOTA_GO);
    answer(&first, START_MS + 61000, 200, REMAINING(50));
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS + 61000, 200, REMAINING(49)), QUOTA_GO);
    EXPECT_EQ(play(&quota, 1, QUOTA_PREFETCH, START_MS + 61000, 200, ""), QUOTA_TOLD);
    EXPECT_EQ(play(&quota, 1, QUOTA_REVALIDATION, START_MS + 61000, 200, ""), QUOTA_GO);
    quota_fini(&quota);
}

TEST(after_a_refusal_nobody_asks_until_one_may)
{
    static const struct {
        int status;
        const char *fields;
        int64_t wait_ms;
    } cases[] = {
        {429, "Retry-After: 30", 30000},
        {429, "Retry-After: 30\n" REMAINING(50), 30000}, /* it comes first */
        {403, "Retry-After: 30", 30000},
        {503, "Retry-After: 30", 30000},
        {429, REMAINING(0), 60000},
        {403, REMAINING(0), 60000},
        {429, "", 1000},
        {429, "Retry-After: 999999", 24 * HOUR_MS},
    };
    int64_t again_ms;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct quota quota;

        quota_init(&quota, &(struct quota_policy){.learns = true});
        struct asker asker = asker_of(1, QUOTA_INTERACTIVE);
        EXPECT_EQ(ask(&quota, &asker, START_MS), QUOTA_GO);
        EXPECT(answer(&asker, START_MS, cases[i].status, cases[i].fields));
        EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS + cases[i].wait_ms - 1, 200, ""), QUOTA_TOLD);
        again_ms = due_ms;
        EXPECT(again_ms >= START_MS + cases[i].wait_ms && again_ms <= START_MS + cases[i].wait_ms + 1000);
        EXPECT_EQ(play(&quota, 2, QUOTA_INTERACTIVE, START_MS, 200, ""), QUOTA_GO);
        EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, again_ms, 200, ""), QUOTA_GO);
        quota_fini(&quota);
    }
}

/* Whatever an upstream says, it is asked again within a day. */
TEST(no_word_of_an_upstream_locks_out_for_longer_than_a_day)
{
    static const char *const words[] = {
        "X-RateLimit-Limit: 0\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 31536000",
        "X-RateLimit-Limit: 0\nX-RateLimit-Remaining: 0\nX-RateLimit-Reset: 99999999999999",
        "X-RateLimit-Remaining: 0\nX-RateLimit-Reset: 9223372036854775807",
        "X-RateLimit-Limit: 9223372036854775807\nX-RateLimit-Remaining: 0",
        "X-RateLimit-Limit: -1\nX-RateLimit-Remaining: -5\nX-RateLimit-Reset: -9223372036854775808",
        "RateLimit-Policy: \"a\";q=0;w=31536000\nRateLimit: \"a\";r=0;t=999999999999999",
        "RateLimit: \"a\";r=0;t=2678400",
        "Retry-After: 9223372036854775807",
        "Retry-After: 999999999999999",
        "Retry-After: Fri, 31 Dec 9999 23:59:59 GMT",
        "X-Shopify-Shop-Api-Call-Limit: 9223372036854775807/1",
        "X-RateLimit-Remaining: 0\nX-RateLimit-Reset-After: 1e308",
    };
    static const int statuses[] = {200, 403, 429, 503};

    for (size_t i = 0; i < COUNT_OF(words); i++)
        for (size_t j = 0; j < COUNT_OF(statuses); j++) {
            struct quota quota;
            quota_init(&quota, &(struct quota_policy){.learns = true});
            EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS, statuses[j], words[i]), QUOTA_GO);
            if (play(&quota, 1, QUOTA_INTERACTIVE, START_MS, 200, "") != QUOTA_GO)
                EXPECT(due_ms > START_MS && due_ms <= START_MS + LEARNT_WAIT_HOURS_MAX * HOUR_MS);
            if (play(&quota, 1, QUOTA_PREFETCH, START_MS + LEARNT_WAIT_HOURS_MAX * HOUR_MS, 200, "") !=
                QUOTA_GO)
                fail_msg("%d, \"%s\"", statuses[j], words[i]);
            quota_fini(&quota);
        }
}

/* What is remembered is within bounds, and what does not come again makes room. */
TEST(an_upstream_that_names_ever_new_limits_fills_no_memory_and_forgets_no_refusal)
{
    struct quota quota;
    char text[4096];

    quota_init(&quota, &(struct quota_policy){.learns = true});
    for (int i = 0; i < 10000; i++) {
        size_t size = (size_t)snprintf(text, sizeof text, "X-RateLimit-Resource: pool%d\nRateLimit: ", i);
        for (int j = 0; j < 40; j++)
            size += (size_t)snprintf(text + size, sizeof text - size, "%s\"p%d-%d\";r=%d;t=60",
                                     j > 0 ? ", " : "", i, j, 5 + j);
        EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS + i, 200, text), QUOTA_GO);
    }
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS + 10000, 429, "Retry-After: 600"), QUOTA_GO);
    for (int i = 0; i < 100; i++)
        EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS + 10001, 200, text), QUOTA_TOLD);
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS + 10000 + 600000, 200, ""), QUOTA_GO);
    quota_fini(&quota);
}

TEST(a_403_for_another_reason_is_no_refusal)
{
    struct quota quota;

    quota_init(&quota, &(struct quota_policy){.learns = true});
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS, 403, REMAINING(50)), QUOTA_GO);
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS, 200, ""), QUOTA_GO);
    quota_fini(&quota);
}

TEST(refusals_that_say_nothing_are_waited_out_longer_and_longer)
{
    struct quota quota;
    int64_t now_ms = START_MS, waits_ms[10];

    quota_init(&quota, &(struct quota_policy){.learns = true});
    for (int i = 0; i < 10; i++) {
        EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, now_ms, 429, ""), QUOTA_GO);
        EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, now_ms, 429, ""), QUOTA_TOLD);
        waits_ms[i] = due_ms - now_ms;
        now_ms = due_ms;
    }
    EXPECT_EQ(waits_ms[0], 1000);
    EXPECT_EQ(waits_ms[3], 8000);
    EXPECT_EQ(waits_ms[9], 60000);
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, now_ms, 200, ""), QUOTA_GO);
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, now_ms, 429, ""), QUOTA_GO);
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, now_ms, 200, ""), QUOTA_TOLD);
    EXPECT_EQ(due_ms - now_ms, 1000);
    quota_fini(&quota);
}

/* GitHub has one budget for its search, and one for all else. */
TEST(a_budget_that_is_named_holds_for_the_paths_that_use_it)
{
    struct quota quota;
    struct asker search = asker_of(1, QUOTA_INTERACTIVE);

    quota_init(&quota, &(struct quota_policy){.learns = true});
    search.ticket.path = 8;
    EXPECT_EQ(ask(&quota, &search, START_MS), QUOTA_GO);
    answer(&search, START_MS, 429, REMAINING(0) "\nX-RateLimit-Resource: search");
    EXPECT_EQ(
        play(&quota, 1, QUOTA_INTERACTIVE, START_MS, 200, REMAINING(50) "\nX-RateLimit-Resource: core"),
        QUOTA_GO);
    search = asker_of(1, QUOTA_INTERACTIVE);
    search.ticket.path = 8;
    EXPECT_EQ(ask(&quota, &search, START_MS), QUOTA_TOLD);
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS, 200, ""), QUOTA_GO);
    quota_fini(&quota);
}

TEST(what_is_not_to_be_learnt_is_not)
{
    struct quota quota;

    quota_init(&quota, &(struct quota_policy){.learns = false});
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS, 429, "Retry-After: 30\n" REMAINING(0)),
              QUOTA_GO);
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS, 200, ""), QUOTA_GO);
    quota_fini(&quota);
}

TEST(what_is_learnt_permits_no_more_than_the_operator)
{
    struct quota quota;

    quota_init(&quota, &(struct quota_policy){.specs = {{1, HOUR_MS}}, .spec_count = 1, .learns = true});
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS, 200, REMAINING(99)), QUOTA_GO);
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS, 200, ""), QUOTA_LIMITED);
    quota_fini(&quota);
}

TEST(who_waits_for_room_is_woken_when_there_is)
{
    struct quota quota;
    struct asker first = asker_of(1, QUOTA_INTERACTIVE), second = asker_of(2, QUOTA_INTERACTIVE),
                 third = asker_of(3, QUOTA_INTERACTIVE);

    quota_init(&quota, &(struct quota_policy){.wait_ms = 500, .concurrency_most = 1});
    EXPECT_EQ(ask(&quota, &first, START_MS), QUOTA_GO);
    EXPECT_EQ(ask(&quota, &second, START_MS), QUOTA_WAIT);
    EXPECT_EQ(due_ms, START_MS + 500);
    EXPECT_EQ(ask(&quota, &third, START_MS + 100), QUOTA_WAIT);
    EXPECT_EQ(play(&quota, 4, QUOTA_REVALIDATION, START_MS, 200, ""), QUOTA_BUSY);
    answer(&first, START_MS + 200, 200, "");
    EXPECT(second.woken_count > 0);
    EXPECT_EQ(third.woken_count, 0);
    EXPECT_EQ(ask(&quota, &third, START_MS + 200), QUOTA_WAIT); /* not before its turn */
    EXPECT_EQ(ask(&quota, &second, START_MS + 200), QUOTA_GO);
    EXPECT_EQ(ask(&quota, &third, START_MS + 600), QUOTA_BUSY); /* it has waited as long as it may */
    quota_leave(&second.ticket);
    EXPECT_EQ(quota.waiting_count, 0);
    quota_fini(&quota);
}

/* One who waits for a limit of its own does not keep the room from others. */
TEST(who_waits_for_a_token_does_not_hold_up_who_waits_for_room)
{
    struct quota quota;
    struct asker first = asker_of(1, QUOTA_INTERACTIVE), limited = asker_of(1, QUOTA_INTERACTIVE),
                 other = asker_of(2, QUOTA_INTERACTIVE);

    quota_init(&quota, &(struct quota_policy){
                           .specs = {{2, 1000}}, .spec_count = 1, .wait_ms = 1000, .concurrency_most = 1});
    EXPECT_EQ(ask(&quota, &first, START_MS), QUOTA_GO);
    EXPECT_EQ(ask(&quota, &limited, START_MS), QUOTA_WAIT);
    EXPECT_EQ(ask(&quota, &other, START_MS), QUOTA_WAIT);
    quota_leave(&first.ticket);
    EXPECT_EQ(other.woken_count, 1);
    EXPECT_EQ(ask(&quota, &other, START_MS + 1), QUOTA_GO);
    quota_leave(&other.ticket);
    quota_leave(&limited.ticket);
    quota_fini(&quota);
}

TEST(an_upstream_that_fails_is_left_alone_and_tried_with_one_request)
{
    struct quota quota;
    struct asker probe = asker_of(1, QUOTA_REVALIDATION);

    quota_init(&quota, &(struct quota_policy){.wait_ms = 1000, .breaker = three});
    for (int i = 0; i < 3; i++)
        EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS, 502, ""), QUOTA_GO);
    EXPECT_EQ(play(&quota, 2, QUOTA_INTERACTIVE, START_MS, 200, ""), QUOTA_OPEN); /* at once, no waiting */
    EXPECT_EQ(due_ms, START_MS + 1000);
    EXPECT_EQ(ask(&quota, &probe, START_MS + 1000), QUOTA_GO);
    EXPECT_EQ(play(&quota, 2, QUOTA_INTERACTIVE, START_MS + 1000, 200, ""), QUOTA_OPEN);
    quota_fail(&probe.ticket, START_MS + 1500); /* nothing came of it */
    quota_leave(&probe.ticket);
    EXPECT_EQ(play(&quota, 2, QUOTA_INTERACTIVE, START_MS + 3000, 200, ""), QUOTA_OPEN);
    EXPECT_EQ(play(&quota, 2, QUOTA_INTERACTIVE, START_MS + 3500, 404, ""), QUOTA_GO);
    EXPECT_EQ(play(&quota, 2, QUOTA_INTERACTIVE, START_MS + 3500, 200, ""), QUOTA_GO);
    quota_fini(&quota);
}

TEST(a_request_that_is_sent_again_counts_again)
{
    struct quota quota;
    struct asker asker = asker_of(1, QUOTA_INTERACTIVE);

    quota_init(&quota, &(struct quota_policy){
                           .specs = {{2, HOUR_MS}}, .spec_count = 1, .burst = 2, .breaker = three});
    EXPECT_EQ(ask(&quota, &asker, START_MS), QUOTA_GO);
    quota_fail(&asker.ticket, START_MS);
    EXPECT(quota_ask_again(&asker.ticket, true, START_MS));
    quota_fail(&asker.ticket, START_MS);
    EXPECT(!quota_ask_again(&asker.ticket, true, START_MS));
    quota_leave(&asker.ticket);
    quota_leave(&asker.ticket); /* once more does nothing */
    EXPECT_EQ(quota.concurrency.under_way, 0);
    quota_fini(&quota);
}

TEST(a_request_that_did_not_come_to_the_upstream_is_sent_again_by_the_same_turn)
{
    struct quota quota;
    struct asker asker = asker_of(1, QUOTA_INTERACTIVE);

    quota_init(&quota,
               &(struct quota_policy){
                   .specs = {{1, HOUR_MS}}, .spec_count = 1, .burst = 1, .learns = true, .breaker = three});
    EXPECT_EQ(ask(&quota, &asker, START_MS), QUOTA_GO);
    quota_fail(&asker.ticket, START_MS);
    EXPECT(quota_ask_again(&asker.ticket, false, START_MS));
    EXPECT_EQ(quota.concurrency.under_way, 1);
    quota_fail(&asker.ticket, START_MS);
    EXPECT(quota_ask_again(&asker.ticket, false, START_MS)); /* as often as that is so */
    EXPECT(!quota_ask_again(&asker.ticket, true, START_MS));
    quota_leave(&asker.ticket);
    EXPECT_EQ(quota.concurrency.under_way, 0);
    EXPECT_EQ(ask(&quota, &asker, START_MS + HOUR_MS + 1000), QUOTA_GO);
    quota_fail(&asker.ticket, START_MS + HOUR_MS + 1000); /* the third: the upstream is left alone */
    EXPECT(!quota_ask_again(&asker.ticket, false, START_MS + HOUR_MS + 1000));
    quota_leave(&asker.ticket);
    quota_fini(&quota);
}

TEST(it_is_told_how_an_upstream_stands)
{
    struct quota quota;
    struct asker asker = asker_of(1, QUOTA_INTERACTIVE);
    struct quota_facts facts;

    quota_init(&quota, &(struct quota_policy){.specs = {{10, HOUR_MS}},
                                              .spec_count = 1,
                                              .burst = 5,
                                              .learns = true,
                                              .concurrency_most = 8,
                                              .breaker = three});
    quota_read(&quota, START_MS, &facts);
    EXPECT_EQ(facts.credentials, 0);
    EXPECT_EQ(facts.tokens, -1);
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS, 200, REMAINING(42)), QUOTA_GO);
    EXPECT_EQ(play(&quota, 1, QUOTA_INTERACTIVE, START_MS, 429, "Retry-After: 30"), QUOTA_GO);
    EXPECT_EQ(play(&quota, 2, QUOTA_INTERACTIVE, START_MS, 200, ""), QUOTA_GO);
    asker.ticket.credential = 2;
    EXPECT_EQ(ask(&quota, &asker, START_MS), QUOTA_GO);
    quota_read(&quota, START_MS + 1000, &facts);
    EXPECT_EQ(facts.credentials, 2);
    EXPECT_EQ(facts.tokens, 3);
    EXPECT_EQ(facts.tokens_max, 5);
    EXPECT_EQ(facts.left, 41);
    EXPECT_EQ(facts.limit, 100);
    EXPECT_EQ(facts.told_ms, 29000);
    EXPECT_EQ(facts.under_way, 1);
    EXPECT_EQ(facts.concurrency_limit, 8);
    EXPECT_EQ(facts.breaker, BREAKER_CLOSED);
    quota_leave(&asker.ticket);
    for (int i = 0; i < 3; i++)
        play(&quota, 3, QUOTA_INTERACTIVE, START_MS, 504, "");
    quota_read(&quota, START_MS, &facts);
    EXPECT_EQ(facts.breaker, BREAKER_OPEN);
    EXPECT_EQ(facts.open_ms, 1000);
    quota_fini(&quota);
}

RUN_TESTS(TEST_ROW(no_more_than_the_count_go_in_any_period),
          TEST_ROW(a_bucket_says_when_there_will_be_enough),
          TEST_ROW(of_what_is_left_some_is_kept_for_those_who_wait),
          TEST_ROW(the_limit_of_requests_under_way_follows_how_fast_answers_come),
          TEST_ROW(what_holds_nobody_back_does_not_grow), TEST_ROW(one_bad_round_counts_once),
          TEST_ROW(a_limit_may_be_fixed_or_not_be_there),
          TEST_ROW(failures_in_a_row_open_the_breaker_and_a_probe_decides),
          TEST_ROW(it_is_never_open_for_longer_than_a_minute),
          TEST_ROW(a_large_share_of_failures_opens_it_too), TEST_ROW(a_breaker_may_be_switched_off),
          TEST_ROW(who_waits_goes_in_the_order_they_came), TEST_ROW(each_credential_has_its_own),
          TEST_ROW(made_up_credentials_share_what_is_left),
          TEST_ROW(the_strictest_of_several_limits_counts),
          TEST_ROW(who_has_waited_as_long_as_the_tier_said_waits_for_its_answer_too),
          TEST_ROW(no_more_wait_for_the_tier_than_for_their_turn),
          TEST_ROW(what_the_tier_says_is_for_whom_it_was_asked_for),
          TEST_ROW(what_the_upstream_says_is_left_is_not_overdrawn),
          TEST_ROW(news_are_reckoned_with_what_is_under_way),
          TEST_ROW(an_answer_that_others_have_overtaken_does_not_make_it_more),
          TEST_ROW(after_a_refusal_nobody_asks_until_one_may),
          TEST_ROW(no_word_of_an_upstream_locks_out_for_longer_than_a_day),
          TEST_ROW(an_upstream_that_names_ever_new_limits_fills_no_memory_and_forgets_no_refusal),
          TEST_ROW(a_403_for_another_reason_is_no_refusal),
          TEST_ROW(refusals_that_say_nothing_are_waited_out_longer_and_longer),
          TEST_ROW(a_budget_that_is_named_holds_for_the_paths_that_use_it),
          TEST_ROW(what_is_not_to_be_learnt_is_not),
          TEST_ROW(what_is_learnt_permits_no_more_than_the_operator),
          TEST_ROW(who_waits_for_room_is_woken_when_there_is),
          TEST_ROW(who_waits_for_a_token_does_not_hold_up_who_waits_for_room),
          TEST_ROW(an_upstream_that_fails_is_left_alone_and_tried_with_one_request),
          TEST_ROW(a_request_that_is_sent_again_counts_again),
          TEST_ROW(a_request_that_did_not_come_to_the_upstream_is_sent_again_by_the_same_turn),
          TEST_ROW(it_is_told_how_an_upstream_stands))
