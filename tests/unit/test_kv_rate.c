/* links: nuthatch-kv nuthatch-resp nuthatch-store nuthatch-message nuthatch-base
 * Rate limits to the millisecond, on a clock that the test moves, and with several workers at once. */
#include "kv_talk.h"
#include <pthread.h>
#include <stdlib.h>

enum { LANES = 4 };

struct fixture {
    struct talk talk;
    nh_store *store;
    struct kv_hub *hub;
};

static void setup(struct fixture *fixture)
{
    nh_options options = {.size = sizeof options, .memory_bytes = 8 << 20, .hash_seed = 1};

    EXPECT_EQ(nh_create(&options, &fixture->store), NH_OK);
    EXPECT_EQ(kv_hub_create(1, NULL, NULL, &fixture->hub), OK);
    talk_init(&fixture->talk, fixture->store, fixture->hub, 0);
}

static void teardown(struct fixture *fixture)
{
    buffer_fini(&fixture->talk.output);
    nh_destroy(fixture->store);
    kv_hub_destroy(fixture->hub);
}

/* After `pass_ms`, `says` is answered so. */
struct step {
    int64_t pass_ms;
    const char *says;
    int64_t allowed, remaining, retry_after_ms, reset_ms;
};

static void play(const struct step *steps, size_t count)
{
    struct fixture fixture;

    setup(&fixture);
    for (size_t i = 0; i < count; i++) {
        talk_pass(&fixture.talk, steps[i].pass_ms);
        talk_ask(&fixture.talk, steps[i].says);
        if (talk_number(&fixture.talk, "allowed") != steps[i].allowed ||
            talk_number(&fixture.talk, "remaining") != steps[i].remaining ||
            talk_number(&fixture.talk, "retry_after_ms") != steps[i].retry_after_ms ||
            talk_number(&fixture.talk, "reset_ms") != steps[i].reset_ms)
            fail_msg("step %zu, \"%s\": %.*s", i, steps[i].says,
                     BYTES_PRINTF(buffer_bytes(&fixture.talk.output)));
    }
    teardown(&fixture);
}

TEST(a_bucket_gives_its_capacity_at_once_and_then_what_is_refilled)
{
    static const struct step steps[] = {
        {0, "nh.rate k tokenbucket 3 2", 1, 2, 0, 500},
        {0, "nh.rate k tokenbucket 3 2", 1, 1, 0, 1000},
        {0, "nh.rate k tokenbucket 3 2", 1, 0, 0, 1500},
        {0, "nh.rate k tokenbucket 3 2", 0, 0, 500, 1500},
        {499, "nh.rate k tokenbucket 3 2", 0, 0, 1, 1001},
        {1, "nh.rate k tokenbucket 3 2", 1, 0, 0, 1500},
        {1500, "nh.rate k tokenbucket 3 2 3", 1, 0, 0, 1500},
        {0, "nh.rate k tokenbucket 3 2 4", 0, 0, -1, 1500},
        {600, "nh.rate k tokenbucket 3 2 0", 1, 1, 0, 900},
        {0, "nh.rate k tokenbucket 3 2 2", 0, 1, 400, 900},
        {100000, "nh.rate k tokenbucket 3 2 0", 1, 3, 0, 0},
        {0, "nh.rate k tokenbucket 3 2 1000000000", 0, 3, -1, 0},
    };
    play(steps, COUNT_OF(steps));
}

TEST(a_refill_may_be_slower_than_one_a_second_and_faster_than_one_a_millisecond)
{
    static const struct step slow[] = {
        {0, "nh.rate k tokenbucket 1 0.25", 1, 0, 0, 4000},
        {3999, "nh.rate k tokenbucket 1 0.25", 0, 0, 1, 1},
        {1, "nh.rate k tokenbucket 1 0.25", 1, 0, 0, 4000},
    };
    static const struct step fast[] = {
        {0, "nh.rate k tokenbucket 10 4000 10", 1, 0, 0, 3},
        {0, "nh.rate k tokenbucket 10 4000", 0, 0, 1, 3},
        {1, "nh.rate k tokenbucket 10 4000 4", 1, 0, 0, 3},
        {0, "nh.rate k tokenbucket 10 4000", 0, 0, 1, 3},
    };
    play(slow, COUNT_OF(slow));
    play(fast, COUNT_OF(fast));
}

TEST(a_window_forgets_the_one_before_bit_by_bit)
{
    static const struct step steps[] = {
        {0, "nh.rate k window 10 1000 10", 1, 0, 0, 2000},
        {0, "nh.rate k window 10 1000", 0, 0, 1100, 2000},
        {999, "nh.rate k window 10 1000", 0, 0, 101, 1001},
        {1, "nh.rate k window 10 1000", 0, 0, 100, 1000}, /* all ten weigh still */
        {99, "nh.rate k window 10 1000", 0, 0, 1, 901},
        {1, "nh.rate k window 10 1000", 1, 0, 0, 1900},
        {400, "nh.rate k window 10 1000 0", 1, 4, 0, 1500},
        {0, "nh.rate k window 10 1000 5", 0, 4, 100, 1500},
        {100, "nh.rate k window 10 1000 5", 1, 0, 0, 1400},
        {0, "nh.rate k window 10 1000 11", 0, 0, -1, 1400},
        {1400, "nh.rate k window 10 1000 0", 1, 10, 0, 0},
    };
    play(steps, COUNT_OF(steps));
}

TEST(another_limit_or_window_does_not_give_a_fresh_start)
{
    static const struct step steps[] = {
        {0, "nh.rate k window 10 1000 10", 1, 0, 0, 2000},
        {0, "nh.rate k window 10 5000", 0, 0, 5500, 5000 + 5000},
        {0, "nh.rate k window 5 1000", 0, 0, 1600, 2000},
        {0, "nh.rate b tokenbucket 10 1 10", 1, 0, 0, 10000},
        {0, "nh.rate b tokenbucket 5 1", 0, 0, 6000, 10000},
    };
    play(steps, COUNT_OF(steps));
}

TEST(what_is_no_rate_is_refused)
{
    static const struct {
        const char *says, *wanted;
    } lines[] = {
        {"nh.rate k window 1", "-ERR wrong number of arguments for 'nh.rate' command\r\n"},
        {"nh.rate k window 1 1 1 1", "-ERR syntax error\r\n"},
        {"nh.rate k fixed 1 1", "-ERR syntax error\r\n"},
        {"nh.rate k window 0 1", "-ERR the limit must be 1 to 1000000000\r\n"},
        {"nh.rate k window 1 x", "-ERR the window must be 1 to 2592000000\r\n"},
        {"nh.rate k window 1 1 -1", "-ERR the cost must be 0 to 1000000000\r\n"},
        {"nh.rate k tokenbucket x 1", "-ERR the capacity must be 1 to 1000000000\r\n"},
        {"nh.rate k tokenbucket 1 0",
         "-ERR the refill per second must be 0.001 to 1000000, with at most three decimals\r\n"},
        {"nh.rate k tokenbucket 1 0.0001",
         "-ERR the refill per second must be 0.001 to 1000000, with at most three decimals\r\n"},
        {"nh.rate k tokenbucket 1000000 0.001", "-ERR the bucket would take more than 30 days to fill\r\n"},
        {"set s 1", "+OK\r\n"},
        {"nh.rate s window 1 1", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
        {"nh.rate s tokenbucket 1 1",
         "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
        {"set s 'bucket 0'", "+OK\r\n"},
        {"nh.rate s tokenbucket 1 1",
         "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
        {"set s 'window 1 1' ex 1", "+OK\r\n"},
        {"nh.rate s window 1 1", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
        {"set s 'window 1 1 1 ' ex 1", "+OK\r\n"},
        {"nh.rate s window 1 1", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
    };
    struct fixture fixture;

    setup(&fixture);
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        EXPECT_TEXT(talk_ask(&fixture.talk, lines[i].says), bytes_of_text(lines[i].wanted));
    teardown(&fixture);
}

TEST(an_expiry_that_somebody_else_gave_the_state_overflows_nothing)
{
    struct fixture fixture;

    setup(&fixture);
    talk_ask(&fixture.talk, "nh.rate b tokenbucket 5 1");
    talk_ask(&fixture.talk, "nh.rate w window 5 1000");
    EXPECT_TEXT(talk_ask(&fixture.talk, "pexpire b 9000000000000000000"), BYTES(":1\r\n"));
    EXPECT_TEXT(talk_ask(&fixture.talk, "pexpire w 9000000000000000000"), BYTES(":1\r\n"));
    talk_ask(&fixture.talk, "nh.rate b tokenbucket 5 1");
    EXPECT_EQ(talk_number(&fixture.talk, "allowed"), 0);
    talk_ask(&fixture.talk, "nh.rate w window 5 1000");
    EXPECT_EQ(talk_number(&fixture.talk, "allowed"), 1);
    EXPECT_EQ(talk_number(&fixture.talk, "remaining"), 3);
    teardown(&fixture);
}

TEST(a_state_is_gone_once_it_means_nothing)
{
    struct fixture fixture;

    setup(&fixture);
    talk_ask(&fixture.talk, "nh.rate b tokenbucket 5 10 5");
    talk_ask(&fixture.talk, "nh.rate w window 5 250 1");
    EXPECT_TEXT(talk_ask(&fixture.talk, "pttl b"), BYTES(":500\r\n"));
    EXPECT_TEXT(talk_ask(&fixture.talk, "pttl w"), BYTES(":500\r\n"));
    talk_pass(&fixture.talk, 500);
    EXPECT_TEXT(talk_ask(&fixture.talk, "exists b w"), BYTES(":0\r\n"));
    teardown(&fixture);
}

/* ---- at once ----------------------------------------------------------------------------------- */

struct asker {
    struct talk talk;
    pthread_t thread;
    const char *says;
    int64_t step_every; /* asks until its clock moves on by a millisecond; 0: it stands still */
    int64_t ask_count, allowed_count;
};

static void *ask_again_and_again(void *argument)
{
    struct asker *asker = argument;

    for (int64_t i = 1; i <= asker->ask_count; i++) {
        talk_ask(&asker->talk, asker->says);
        asker->allowed_count += talk_number(&asker->talk, "allowed") == 1;
        if (asker->step_every != 0 && i % asker->step_every == 0)
            talk_pass(&asker->talk, 1);
    }
    return NULL;
}

/* How many of all workers' requests may pass. */
static int64_t ask_from_all(const char *says, int64_t ask_count, int64_t step_every)
{
    struct asker askers[LANES];
    struct kv_hub *hub;
    nh_store *store;
    int64_t allowed_count = 0;

    EXPECT_EQ(nh_create(NULL, &store), NH_OK);
    EXPECT_EQ(kv_hub_create(LANES, NULL, NULL, &hub), OK);
    for (unsigned i = 0; i < LANES; i++) {
        askers[i] = (struct asker){.says = says, .ask_count = ask_count, .step_every = step_every};
        talk_init(&askers[i].talk, store, hub, i);
    }
    for (unsigned i = 0; i < LANES; i++)
        EXPECT_EQ(pthread_create(&askers[i].thread, NULL, ask_again_and_again, &askers[i]), 0);
    for (unsigned i = 0; i < LANES; i++) {
        pthread_join(askers[i].thread, NULL);
        allowed_count += askers[i].allowed_count;
        buffer_fini(&askers[i].talk.output);
    }
    nh_destroy(store);
    kv_hub_destroy(hub);
    return allowed_count;
}

TEST(many_at_once_get_exactly_the_limit_and_never_more)
{
    EXPECT_EQ(ask_from_all("nh.rate k tokenbucket 1000 1", 2000, 0), 1000);
    EXPECT_EQ(ask_from_all("nh.rate k window 1000 60000", 2000, 0), 1000);
    EXPECT_EQ(ask_from_all("nh.rate k window 1000 60000 7", 500, 0), 1000 / 7);
}

/* Each worker's clock goes its own pace: 0 to 200 ms. */
TEST(clocks_that_are_apart_do_not_let_more_pass_than_was_refilled)
{
    int64_t allowed_count = ask_from_all("nh.rate k tokenbucket 100 500", 4000, 20);

    EXPECT(allowed_count >= 100);
    EXPECT(allowed_count <= 100 + 200 / 2);
}

RUN_TESTS(TEST_ROW(a_bucket_gives_its_capacity_at_once_and_then_what_is_refilled),
          TEST_ROW(a_refill_may_be_slower_than_one_a_second_and_faster_than_one_a_millisecond),
          TEST_ROW(a_window_forgets_the_one_before_bit_by_bit),
          TEST_ROW(another_limit_or_window_does_not_give_a_fresh_start),
          TEST_ROW(what_is_no_rate_is_refused),
          TEST_ROW(an_expiry_that_somebody_else_gave_the_state_overflows_nothing),
          TEST_ROW(a_state_is_gone_once_it_means_nothing),
          TEST_ROW(many_at_once_get_exactly_the_limit_and_never_more),
          TEST_ROW(clocks_that_are_apart_do_not_let_more_pass_than_was_refilled))
