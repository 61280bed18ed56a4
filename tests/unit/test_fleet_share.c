/* links: nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message nuthatch-base */
/* The limits that all nodes of a fleet share: nodes and a tier of the test's own, on a clock of its own. */
#include "base/compiler.h"
#include "engine/gateway/quota/fleet_share.h"
#include "test.h"
#include <string.h>

#define HOUR_MS INT64_C(3600000)
enum { START_MS = 1000000, NODES = 3, SENT_MAX = 100000 };

/* A fleet whose nodes send as much as they may. */
struct fleet {
    struct share_limits limits;
    struct fleet_share nodes[NODES];
    struct token_bucket tier;
    bool tier_is_there; /* the bucket, that is */
    bool is_away;
    int64_t now_ms;
    int64_t sent_ms[SENT_MAX]; /* when each was sent */
    size_t sent_count, asked_count;
};

static void fleet_init(struct fleet *fleet, const struct rate_spec *spec, int64_t burst)
{
    *fleet = (struct fleet){.limits = {spec, 1, burst, NODES}, .now_ms = START_MS};
}

/* As the script does. */
static struct share_reply serve(struct fleet *fleet, const struct share_question *question)
{
    struct share_reply reply = {0};
    int64_t has;

    if (!fleet->tier_is_there) {
        share_bucket(&fleet->tier, &fleet->limits, 0);
        fleet->tier.full_us = fleet->now_ms * 1000;
        if (question->is_remembered)
            fleet->tier.full_us += fleet->tier.burst * fleet->tier.interval_us;
        fleet->tier_is_there = true;
    }
    for (int64_t i = 0; i < question->own_count; i++)
        token_bucket_take(&fleet->tier, fleet->now_ms);
    has = token_bucket_count(&fleet->tier, fleet->now_ms);
    reply.count = has < 0 ? 0 : has < question->count ? has : question->count;
    reply.due_ms = token_bucket_due_ms(&fleet->tier, fleet->now_ms, 1) - fleet->now_ms;
    for (int64_t i = 0; i < reply.count; i++)
        token_bucket_take(&fleet->tier, fleet->now_ms);
    has = token_bucket_count(&fleet->tier, fleet->now_ms);
    /* A bucket has room for one at least. NOLINTNEXTLINE(clang-analyzer-core.DivideZero) */
    reply.left_percent = has < 0 ? 0 : has * 100 / fleet->tier.burst;
    return reply;
}

static void ask_tier(struct fleet *fleet, size_t node)
{
    struct fleet_share *share = &fleet->nodes[node];
    struct share_question question = share_question(share, &fleet->limits, fleet->now_ms);
    struct share_reply reply;

    if (question.count == 0)
        return;
    fleet->asked_count++;
    if (fleet->is_away) {
        share_failed(share, &fleet->limits, fleet->now_ms);
        return;
    }
    reply = serve(fleet, &question);
    share_told(share, &fleet->limits, &reply, fleet->now_ms);
}

/* True if the node may send one, and does. */
static bool send(struct fleet *fleet, size_t node, enum quota_class class)
{
    struct fleet_share *share = &fleet->nodes[node];
    int64_t due_ms;
    enum share_verdict verdict = share_look(share, &fleet->limits, class, 0, fleet->now_ms, &due_ms);

    if (verdict == SHARE_ASK) {
        ask_tier(fleet, node);
        verdict = share_look(share, &fleet->limits, class, 0, fleet->now_ms, &due_ms);
    }
    if (verdict != SHARE_GO)
        return false;
    share_take(share, &fleet->limits, fleet->now_ms);
    ask_tier(fleet, node);
    EXPECT(fleet->sent_count < SENT_MAX);
    fleet->sent_ms[fleet->sent_count++] = fleet->now_ms;
    return true;
}

/* All nodes send all that they may, for so long. */
static void play(struct fleet *fleet, int64_t length_ms, int64_t step_ms)
{
    for (int64_t end_ms = fleet->now_ms + length_ms; fleet->now_ms < end_ms; fleet->now_ms += step_ms)
        for (size_t i = 0; i < NODES; i++)
            while (send(fleet, i, QUOTA_INTERACTIVE))
                ;
}

/* No time of the limit's length has more than it says. */
static void expect_kept(const struct fleet *fleet)
{
    const struct rate_spec *spec = fleet->limits.specs;

    for (size_t i = (size_t)spec->count; i < fleet->sent_count; i++)
        if (fleet->sent_ms[i] - fleet->sent_ms[i - (size_t)spec->count] < spec->period_ms)
            fail_msg("%lld in %lld ms, up to the one at %lld ms", (long long)spec->count + 1,
                     (long long)(fleet->sent_ms[i] - fleet->sent_ms[i - (size_t)spec->count]),
                     (long long)(fleet->sent_ms[i] - START_MS));
}

static const struct rate_spec limits[] = {
    {10, 1000}, {100, 1000}, {60, 60000}, {5000, HOUR_MS}, {2, HOUR_MS}};

TEST(all_nodes_together_send_no_more_than_the_limit_and_not_much_less)
{
    static struct fleet fleet;

    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        fleet_init(&fleet, &limits[i], 1);
        play(&fleet, 5 * limits[i].period_ms, limits[i].period_ms / limits[i].count / 5);
        expect_kept(&fleet);
        if (fleet.sent_count < (size_t)limits[i].count * 5 * 7 / 10)
            fail_msg("limit %zu: %zu sent", i, fleet.sent_count);
    }
}

TEST(when_the_tier_goes_and_comes_back_the_limit_is_kept_all_the_same)
{
    static struct fleet fleet;

    for (size_t i = 0; i < COUNT_OF(limits); i++)
        for (int is_lost = 0; is_lost <= 1; is_lost++) {
            int64_t period_ms = limits[i].period_ms, step_ms = period_ms / 1000 > 0 ? period_ms / 1000 : 1;
            size_t before;
            fleet_init(&fleet, &limits[i], 0);
            play(&fleet, period_ms * 3 / 10, step_ms);
            fleet.is_away = true;
            before = fleet.sent_count;
            play(&fleet, period_ms * 3, step_ms);
            if (limits[i].count >= NODES && fleet.sent_count - before < (size_t)limits[i].count / 2)
                fail_msg("limit %zu: %zu sent without the tier", i, fleet.sent_count - before);
            fleet.is_away = false;
            fleet.tier_is_there &= is_lost == 0; /* it began anew */
            fleet.now_ms += SHARE_RETRY_MS;
            play(&fleet, period_ms * 3, step_ms);
            expect_kept(&fleet);
        }
}

TEST(a_node_that_was_never_told_takes_itself_for_one_of_many)
{
    static struct fleet fleet;

    fleet_init(&fleet, &(struct rate_spec){100, 60000}, 0);
    fleet.is_away = true;
    fleet.limits.node_count = 0;
    play(&fleet, 60000, 100);
    EXPECT(fleet.sent_count > 0 && fleet.sent_count <= NODES * 100 / SHARE_NODES_UNKNOWN);
}

TEST(what_nobody_waits_for_leaves_some_to_others)
{
    static struct fleet fleet;

    fleet_init(&fleet, &(struct rate_spec){100, HOUR_MS}, 100);
    while (send(&fleet, 0, QUOTA_PREFETCH))
        ;
    EXPECT(fleet.sent_count >= 20 && fleet.sent_count <= 55);
    while (send(&fleet, 1, QUOTA_REVALIDATION))
        ;
    EXPECT(fleet.sent_count >= 60 && fleet.sent_count <= 85);
    while (send(&fleet, 0, QUOTA_INTERACTIVE) || send(&fleet, 1, QUOTA_INTERACTIVE))
        ;
    EXPECT(fleet.sent_count >= 98);
    expect_kept(&fleet);
}

TEST(the_tier_is_asked_seldom)
{
    static struct fleet fleet;

    fleet_init(&fleet, &(struct rate_spec){10000, 60000}, 0);
    for (int i = 0; i < 5000; i++) { /* 100 a second, at one node */
        fleet.now_ms += 10;
        EXPECT(send(&fleet, 0, QUOTA_INTERACTIVE));
    }
    EXPECT(fleet.asked_count < 500);
}

/* What was sent without the tier is being told to it, and meanwhile turns out not to have counted. */
TEST(what_did_not_count_after_all_is_not_told_twice)
{
    static struct fleet fleet;
    struct fleet_share *share = &fleet.nodes[0];
    struct share_question question;

    fleet_init(&fleet, &(struct rate_spec){1000, 60000}, 0);
    fleet.is_away = true;
    ask_tier(&fleet, 0);
    fleet.now_ms += SHARE_RETRY_MS;
    for (int i = 0; i < 3; i++)
        share_take(share, &fleet.limits, fleet.now_ms);
    question = share_question(share, &fleet.limits, fleet.now_ms);
    EXPECT_EQ(question.own_count, 3);
    for (int i = 0; i < 3; i++)
        share_give(share, &fleet.limits, fleet.now_ms);
    share_told(share, &fleet.limits, &(struct share_reply){.count = 0, .due_ms = 1}, fleet.now_ms);
    EXPECT_EQ(share->own_count, 0);
}

TEST(a_reply_is_one_number)
{
    struct share_reply reply;

    EXPECT(share_reply_read(&reply, (INT64_C(17) * 16777216 + 1234) * 128 + 56));
    EXPECT_EQ(reply.count, 17);
    EXPECT_EQ(reply.due_ms, 1234);
    EXPECT_EQ(reply.left_percent, 56);
    EXPECT(!share_reply_read(&reply, -1));
    EXPECT(!share_reply_read(&reply, 127));
    EXPECT(!share_reply_read(&reply, INT64_MAX));
}

RUN_TESTS(TEST_ROW(all_nodes_together_send_no_more_than_the_limit_and_not_much_less),
          TEST_ROW(when_the_tier_goes_and_comes_back_the_limit_is_kept_all_the_same),
          TEST_ROW(a_node_that_was_never_told_takes_itself_for_one_of_many),
          TEST_ROW(what_nobody_waits_for_leaves_some_to_others), TEST_ROW(the_tier_is_asked_seldom),
          TEST_ROW(what_did_not_count_after_all_is_not_told_twice), TEST_ROW(a_reply_is_one_number))
