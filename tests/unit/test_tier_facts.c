/* links: nuthatch-tier nuthatch-net nuthatch-base */
/* What is told of the tier's servers: how long they take, and whether they are coherent. */
#include "client/tier/round_trips.h"
#include "tier_world.h"

TEST(percentiles_are_bounds_that_are_a_quarter_too_high_at_most)
{
    struct round_trips *trips = calloc(1, sizeof *trips);

    EXPECT_EQ(round_trips_percentile_us(trips, 50), 0);
    for (uint64_t us = 1; us <= 1000; us++)
        round_trips_note(trips, us);
    EXPECT_EQ(trips->count, 1000);
    EXPECT_EQ(trips->max_us, 1000);
    for (unsigned percent = 1; percent <= 100; percent++) {
        uint32_t bound_us = round_trips_percentile_us(trips, percent), exact_us = percent * 10;
        EXPECT(bound_us >= exact_us && bound_us <= exact_us + exact_us / 4);
    }
    EXPECT_EQ(round_trips_percentile_us(trips, 100), 1000);
    free(trips);
}

TEST(every_time_has_a_bucket)
{
    static const uint64_t times_us[] = {0, 1, 3, 4, 5, 7, 8, UINT32_MAX - 1, UINT32_MAX, UINT64_MAX};

    for (size_t i = 0; i < COUNT_OF(times_us); i++) {
        struct round_trips *trips = calloc(1, sizeof *trips);
        round_trips_note(trips, times_us[i]);
        EXPECT_EQ(round_trips_percentile_us(trips, 1),
                  times_us[i] < UINT32_MAX ? (uint32_t)times_us[i] : UINT32_MAX);
        free(trips);
    }
}

TEST(what_is_long_past_counts_ever_less)
{
    struct round_trips *trips = calloc(1, sizeof *trips);

    for (int i = 0; i < 1000000; i++)
        round_trips_note(trips, 9000);
    for (int i = 0; i < 200000; i++)
        round_trips_note(trips, 100);
    EXPECT_EQ(trips->count, 1200000);
    EXPECT(round_trips_percentile_us(trips, 90) < 200);
    free(trips);
}

TEST(servers_are_told_of_with_what_was_measured)
{
    struct tier_world *world = tier_world_make(2, NULL);
    struct tier_node_facts nodes[SOURCES_OF_ONE];

    fetch(world, 1, "k", "v");
    fetch(world, 1, "l", "v");
    flush(world, 1, 3, SOURCE_LOST);
    world->now_ms += 40;
    pass(world, 0);
    EXPECT_EQ(tier_worker_facts(world->workers[1], nodes, 1), SOURCES_OF_ONE);
    EXPECT_EQ(tier_worker_facts(world->workers[1], nodes, SOURCES_OF_ONE), SOURCES_OF_ONE);
    EXPECT_TEXT(bytes_of_text(nodes[0].address), BYTES("10.0.0.1:6379"));
    EXPECT_TEXT(bytes_of_text(nodes[1].address), BYTES("[::1]:7000"));
    EXPECT(nodes[0].is_primary && nodes[0].is_open && !nodes[0].is_left_alone);
    EXPECT_EQ(nodes[0].slot_count, 8192);
    EXPECT_EQ(nodes[0].coherence_age_ms, 41);
    EXPECT_EQ(nodes[0].round_trips, 2);
    EXPECT(nodes[0].p50_us <= nodes[0].p99_us && nodes[0].p99_us <= nodes[0].max_us);
    EXPECT_EQ(nodes[1].round_trips, 0);
    EXPECT_EQ(nodes[1].in_flight, 1);
    EXPECT(!nodes[2].is_open && !nodes[2].is_primary); /* it is not connected to */
    EXPECT_EQ(nodes[2].coherence_age_ms, INT64_MAX);
    EXPECT(!nodes[3].is_open && nodes[3].is_left_alone);
    EXPECT_EQ(nodes[3].coherence_age_ms, INT64_MAX);
    tier_world_end(world);
}

static struct log *log_of_world;
static void with_log(struct tier_options *options) { options->log = log_of_world; }

TEST(that_a_server_has_become_silent_is_said_once)
{
    char text[2048] = {0};
    FILE *stream = fmemopen(text, sizeof text, "w");
    struct tier_world *world;

    log_of_world = log_create(stream, LOG_INFO, &clock_system);
    world = tier_world_make(1, with_log);
    for (int i = 0; i < 12; i++) { /* six seconds, of which the first server is heard for two */
        pass(world, 500);
        if (i < 4)
            sound(world, 0, 0);
        sound(world, 0, 1);
        sound(world, 0, 3);
    }
    fflush(stream);
    EXPECT(strstr(text, "tier: 10.0.0.1 port 6379 has confirmed nothing for 2000 ms") != NULL);
    EXPECT(strstr(strstr(text, "confirmed") + 1, "confirmed") == NULL);
    tier_world_end(world);
    log_destroy(log_of_world);
    fclose(stream);
}

RUN_TESTS(TEST_ROW(percentiles_are_bounds_that_are_a_quarter_too_high_at_most),
          TEST_ROW(every_time_has_a_bucket), TEST_ROW(what_is_long_past_counts_ever_less),
          TEST_ROW(servers_are_told_of_with_what_was_measured),
          TEST_ROW(that_a_server_has_become_silent_is_said_once))
