/* links: nuthatch-server */
#include "server/tier_board.h"
#include "test.h"

static struct tier_node_facts facts_of(const char *address, int64_t age_ms)
{
    struct tier_node_facts facts = {.is_primary = true,
                                    .is_open = true,
                                    .in_flight = 2,
                                    .round_trips = 10,
                                    .p50_us = 5,
                                    .p99_us = 50,
                                    .max_us = 60,
                                    .coherence_age_ms = age_ms,
                                    .slot_count = 100,
                                    .slots = "0-99"};

    snprintf(facts.address, sizeof facts.address, "%s", address);
    return facts;
}

TEST(threads_are_seen_together_as_the_worst_of_them)
{
    struct tier_board *board;
    struct tier_board_node nodes[4];
    struct tier_node_facts one[] = {facts_of("b:1", 10), facts_of("a:1", 20)};
    struct tier_node_facts other[] = {facts_of("a:1", 300)};

    other[0].is_open = false;
    other[0].is_left_alone = true;
    other[0].p50_us = 7;
    EXPECT_EQ(tier_board_create(2, &board), OK);
    EXPECT_EQ(tier_board_read(board, 1000, nodes, 4), 0);
    tier_board_post(board, 0, 1000, one, 2);
    tier_board_post(board, 1, 1000, other, 1);
    EXPECT_EQ(tier_board_read(board, 1500, nodes, 4), 2);
    assert_string_equal(nodes[0].facts.address, "a:1");
    EXPECT_EQ(nodes[0].thread_count, 2);
    EXPECT_EQ(nodes[0].open_count, 1);
    EXPECT_EQ(nodes[0].left_alone_count, 1);
    EXPECT_EQ(nodes[0].facts.coherence_age_ms, 300);
    EXPECT_EQ(nodes[0].facts.in_flight, 4);
    EXPECT_EQ(nodes[0].facts.round_trips, 20);
    EXPECT_EQ(nodes[0].facts.p50_us, 7);
    assert_string_equal(nodes[1].facts.address, "b:1");
    EXPECT_EQ(nodes[1].thread_count, 1);
    EXPECT_EQ(tier_board_read(board, 1500, nodes, 1), 1);
    tier_board_destroy(board);
}

TEST(what_a_thread_knew_grows_old_if_it_says_nothing_more_and_goes_if_it_says_so)
{
    struct tier_board *board;
    struct tier_board_node nodes[4];
    struct tier_node_facts known = facts_of("a:1", 10), unknown = facts_of("b:1", INT64_MAX);

    EXPECT_EQ(tier_board_create(2, &board), OK);
    tier_board_post(board, 0, 1000, &known, 1);
    tier_board_post(board, 1, 1000, &unknown, 1);
    EXPECT_EQ(tier_board_read(board, 11000, nodes, 4), 2);
    EXPECT_EQ(nodes[0].facts.coherence_age_ms, 10010);
    EXPECT_EQ(nodes[1].facts.coherence_age_ms, INT64_MAX);
    tier_board_post(board, 0, 11000, NULL, 0);
    EXPECT_EQ(tier_board_read(board, 11000, nodes, 4), 1);
    tier_board_destroy(board);
}

RUN_TESTS(TEST_ROW(threads_are_seen_together_as_the_worst_of_them),
          TEST_ROW(what_a_thread_knew_grows_old_if_it_says_nothing_more_and_goes_if_it_says_so))
