/* links: nuthatch-poll nuthatch-gateway nuthatch-client nuthatch-net nuthatch-store nuthatch-message
 * nuthatch-base */
/* Two gateways that share a tier, and poll the same: one of them asks. */
#include "engine/poll/polls.h"
#include "fake_tier.h"
#include "gateway_world.h"

enum { INTERVAL_MS = 20000, LATEST_MS = INTERVAL_MS + INTERVAL_MS / 10 + 1 };

static char state_url[] = "/state";

struct node {
    struct world *world;
    struct polls *polls; /* null: it does not poll */
};

struct pair {
    struct fake_server *server;
    struct node one, other;
};

static void create(void *argument)
{
    struct node *node = argument;
    struct runner *runner = &node->world->runners[0];

    EXPECT_EQ(polls_create(runner->worker, runner->loop, &runner->counters, &node->polls), OK);
}
static void destroy(void *argument)
{
    struct node *node = argument;
    polls_destroy(node->polls);
    node->polls = NULL;
}
static void begin(struct node *node)
{
    struct poll_spec spec = {
        .url = state_url, .interval_ms_min = INTERVAL_MS, .interval_ms_max = INTERVAL_MS};

    on_worker(&node->world->runners[0], create, node);
    EXPECT_EQ(polls_follow(node->polls, &spec, 1), OK);
    on_worker(&node->world->runners[0], do_nothing, NULL);
}
static void end(struct node *node)
{
    if (node->polls != NULL)
        on_worker(&node->world->runners[0], destroy, node);
}

static struct pair *pair_create(void)
{
    struct pair *pair = calloc(1, sizeof *pair);

    pair->server = fake_server_create();
    pair->one.world = world_create_full(60000, "", NULL, fake_tier_create(pair->server), fake_tier_worker);
    pair->other.world =
        world_create_full(60000, "", pair->one.world, fake_tier_create(pair->server), fake_tier_worker);
    stub_set_state(&pair->one.world->stub, "a");
    return pair;
}

static void pair_destroy(struct pair *pair)
{
    end(&pair->one);
    end(&pair->other);
    world_destroy(pair->other.world);
    world_destroy(pair->one.world);
    fake_server_destroy(pair->server);
    free(pair);
}

static int requests(const struct pair *pair) { return pair->one.world->stub.request_count; }

static void keep_report(void *context, const struct poll_report *report)
{
    *(struct poll_report *)context = *report;
}
static struct poll_report report_of(const struct node *node)
{
    struct poll_report report = {0};

    if (node->polls != NULL)
        polls_report(node->polls, world_now(node->world).mono_ms, keep_report, &report);
    return report;
}

static void turn(struct node *node)
{
    for (int round = 0; round < 2; round++)
        on_worker(&node->world->runners[0], do_nothing, NULL);
}
static void pass(struct pair *pair, int64_t ms)
{
    pair->one.world->forward_ms += ms;
    pair->other.world->forward_ms += ms;
    turn(&pair->one);
    turn(&pair->other);
}

struct wanted {
    struct pair *pair;
    uint64_t polls, seen;
};
static bool has_come_about(void *argument)
{
    const struct wanted *wanted = argument;
    struct poll_report one = report_of(&wanted->pair->one), other = report_of(&wanted->pair->other);
    bool is_asked_for = (wanted->pair->one.polls != NULL && one.due_ms == 0) ||
                        (wanted->pair->other.polls != NULL && other.due_ms == 0);
    return !is_asked_for && one.polls + other.polls >= wanted->polls &&
           one.seen + other.seen >= wanted->seen;
}
static void wait_for(struct pair *pair, uint64_t polls, uint64_t seen)
{
    wait_until_true(has_come_about, &(struct wanted){pair, polls, seen});
    turn(&pair->one);
    turn(&pair->other);
}

/* Whose turn it is. */
static bool is_turn_taken(const struct pair *pair)
{
    bool is_taken = false;

    pthread_mutex_lock(&pair->server->lock);
    for (struct list *node = pair->server->keys.next; node != &pair->server->keys; node = node->next) {
        const struct fake_key *key = CONTAINER_OF(node, struct fake_key, in_tier);
        is_taken |= key->key.size > 2 && memcmp(key->key.data + key->key.size - 2, ":t", 2) == 0;
    }
    pthread_mutex_unlock(&pair->server->lock);
    return is_taken;
}
static bool is_nobodys_turn(void *argument) { return !is_turn_taken(argument); }

TEST(one_node_asks_for_what_both_poll)
{
    struct pair *pair = pair_create();
    struct poll_report one, other;

    begin(&pair->one);
    begin(&pair->other);
    pass(pair, 5000);
    for (uint64_t round = 1; round <= 8; round++) {
        wait_for(pair, round,
                 (round - 1) / 2); /* a look comes when a turn ends, after half as long again */
        EXPECT_EQ(requests(pair), round);
        stub_set_state(&pair->one.world->stub, round % 2 ? "b" : "a");
        pass(pair, LATEST_MS);
    }
    wait_for(pair, 9, 3);
    one = report_of(&pair->one);
    other = report_of(&pair->other);
    EXPECT(one.polls == 0 || other.polls == 0); /* always the same one */
    EXPECT(one.is_anothers != other.is_anothers);
    EXPECT((one.polls == 0 ? &one : &other)->is_anothers);
    EXPECT_EQ(requests(pair), 9);
    pair_destroy(pair);
}

TEST(what_one_has_brought_is_at_the_other_too)
{
    struct pair *pair = pair_create();

    begin(&pair->one);
    pass(pair, 5000);
    wait_for(pair, 1, 0);
    begin(&pair->other);
    pass(pair, 5000);
    wait_for(pair, 1, 1);
    EXPECT_EQ(report_of(&pair->other).status, 200);
    EXPECT_EQ(report_of(&pair->other).polls, 0);
    EXPECT_EQ(requests(pair), 1);
    pair_destroy(pair);
}

TEST(another_goes_on_within_two_intervals_when_the_one_that_asked_is_gone)
{
    struct pair *pair = pair_create();

    begin(&pair->one);
    pass(pair, 5000);
    wait_for(pair, 1, 0);
    begin(&pair->other);
    pass(pair, 5000);
    wait_for(pair, 1, 1);
    pair->server->silent_script = fleet_script_turn; /* it cannot say farewell */
    end(&pair->one);
    pair->server->silent_script = NULL;
    EXPECT(is_turn_taken(pair));
    for (int64_t passed_ms = 0; passed_ms < 2 * INTERVAL_MS - 5000; passed_ms += 1000)
        pass(pair, 1000);
    wait_for(pair, 1, 0);
    EXPECT_EQ(report_of(&pair->other).polls, 1);
    EXPECT(!report_of(&pair->other).is_anothers);
    EXPECT_EQ(requests(pair), 2);
    pair_destroy(pair);
}

TEST(one_that_stops_leaves_its_turn_to_the_next)
{
    struct pair *pair = pair_create();

    begin(&pair->one);
    pass(pair, 5000);
    wait_for(pair, 1, 0);
    end(&pair->one);
    EXPECT(!is_turn_taken(pair));
    pass(pair, INTERVAL_MS); /* what it brought will not do any more */
    begin(&pair->other);
    pass(pair, 5000);
    wait_for(pair, 1, 0);
    EXPECT_EQ(requests(pair), 2);
    pair_destroy(pair);
}

TEST(one_that_gets_no_answer_leaves_its_turn_and_one_that_gets_a_bad_one_does_not)
{
    struct pair *pair = pair_create();

    stub_set(&pair->one.world->stub, false, true);
    begin(&pair->one);
    pass(pair, 5000);
    wait_for(pair, 1, 0);
    EXPECT_EQ(report_of(&pair->one).failures, 1);
    EXPECT(is_turn_taken(pair));
    stub_stop(&pair->one.world->stub);
    pass(pair, 3 * INTERVAL_MS);
    wait_for(pair, 2, 0);
    EXPECT_EQ(report_of(&pair->one).failures, 2);
    wait_until_true(is_nobodys_turn, pair);
    pair_destroy(pair);
}

TEST(while_the_tier_is_away_each_asks_for_itself)
{
    struct pair *pair = pair_create();

    fake_server_set_away(pair->server, true);
    begin(&pair->one);
    begin(&pair->other);
    pass(pair, 5000);
    wait_for(pair, 2, 0);
    EXPECT_EQ(report_of(&pair->one).polls, 1);
    EXPECT_EQ(report_of(&pair->other).polls, 1);
    fake_server_set_away(pair->server, false);
    pair_destroy(pair);
}

RUN_TESTS(TEST_ROW(one_node_asks_for_what_both_poll), TEST_ROW(what_one_has_brought_is_at_the_other_too),
          TEST_ROW(another_goes_on_within_two_intervals_when_the_one_that_asked_is_gone),
          TEST_ROW(one_that_stops_leaves_its_turn_to_the_next),
          TEST_ROW(one_that_gets_no_answer_leaves_its_turn_and_one_that_gets_a_bad_one_does_not),
          TEST_ROW(while_the_tier_is_away_each_asks_for_itself))
