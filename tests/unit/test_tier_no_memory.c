/* test_tier_no_memory.c — each allocation of the near cache fails once: every read ends, once, in a later
 * turn, every watch is told of, and nothing near is older than what the tier has told.
 * links: nuthatch-tier nuthatch-net nuthatch-base -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc */
#include "no_memory.h"
#include "tier_world.h"

enum { ATTEMPTS_MAX = 200, READERS = 5 };

static bool is_of_whom_is_tested(void) { return played_depth == 0; }

/* Answers all that was asked: every key is there, with the same value, and has no expiry. */
static void answer_all(struct tier_world *world)
{
    while (asked_count(world, 0) > 0) {
        const struct asked *asked = CONTAINER_OF(client_of(world, 0)->asked.next, struct asked, in_valkey);
        char words[sizeof asked->words];
        memcpy(words, asked->words, sizeof words);
        reply(world, 0, 0, words, words[0] == 'P' ? number_node(-1) : text_node("value"));
    }
}

static void read_all(struct tier_world *world, struct reader *readers)
{
    static const unsigned flags[READERS] = {TIER_WATCHED, TIER_WATCHED, TIER_FENCED, TIER_HEAD, 0};

    for (int i = 0; i < READERS; i++)
        begin(world, 0, &readers[i], i < READERS - 1 ? "k" : "other", flags[i]);
    answer_all(world);
    pass(world, 1);
    push(world, 0, 0, "k");
    pass(world, 1);
}

TEST(an_allocation_that_fails_costs_one_read_at_most)
{
    struct reader readers[READERS], after;
    unsigned failures = 0;

    for (int n = 0;; n++) {
        struct tier_world *world = tier_world_make(1, NULL);
        int refused_count = 0;
        bool failed;

        EXPECT(n < ATTEMPTS_MAX);
        successes_left = n;
        read_all(world, readers);
        failed = has_failed();
        pass(world, 101); /* those that cannot be told are told now, and who found no memory */
        answer_all(world);
        for (int i = 0; i < READERS; i++) {
            EXPECT(readers[i].is_done);
            EXPECT(readers[i].found.err == OK || readers[i].found.err == ERR_NO_MEMORY);
            refused_count += readers[i].found.err != OK;
            EXPECT_EQ(readers[i].has_changed, i < 2 && readers[i].found.err == OK);
        }
        EXPECT(refused_count <= (failed ? 1 : 0));
        EXPECT_NEAR(world, 0, "k", "(not near)"); /* it was told to have changed */
        begin(world, 0, &after, "k", 0);
        answer_all(world);
        EXPECT_FOUND(after, "value");
        EXPECT_NEAR(world, 0, "k", "value");
        tier_world_end(world);
        failures += failed;
        if (!failed)
            break;
    }
    EXPECT(failures >= READERS);
}

TEST(a_tier_is_made_or_not)
{
    unsigned failures = 0;

    for (int n = 0;; n++) {
        struct tier_world world = {.worker_count = 1};
        nh_options store_options = {.size = sizeof store_options, .memory_bytes = 8 << 20};
        struct tier_options options;
        struct tier *tier;
        enum err err;

        EXPECT(n < ATTEMPTS_MAX);
        EXPECT_EQ(nh_create(&store_options, &world.store), NH_OK);
        options = tier_world_options(&world);
        successes_left = n;
        err = tier_create(&options, &tier);
        if (err == OK)
            tier_destroy(tier);
        nh_destroy(world.store);
        if (!has_failed())
            break;
        EXPECT_EQ(err, ERR_NO_MEMORY);
        failures++;
    }
    EXPECT(failures > 0);
}

RUN_TESTS(TEST_ROW(an_allocation_that_fails_costs_one_read_at_most), TEST_ROW(a_tier_is_made_or_not))
