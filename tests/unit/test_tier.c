/* links: nuthatch-tier nuthatch-net nuthatch-base */
/* What is near of the tier, and when it is not given: each race by name, and what reads share. */
#include "tier_world.h"

TEST(what_was_read_is_near_to_every_worker)
{
    struct tier_world *world = tier_world_make(2, NULL);

    EXPECT_NEAR(world, 0, "k", "(not near)");
    fetch(world, 0, "k", "v");
    fetch(world, 1, "none", NULL);
    EXPECT_NEAR(world, 0, "k", "v");
    EXPECT_NEAR(world, 1, "k", "v");
    EXPECT_NEAR(world, 0, "none", "(nothing)");
    EXPECT_EQ(counted(world, METRIC_tier_near_hits), 2);
    EXPECT_EQ(counted(world, METRIC_tier_near_nothing), 1);
    EXPECT_EQ(counted(world, METRIC_tier_near_misses), 1);
    EXPECT_EQ(counted(world, METRIC_tier_kept), 2);
    tier_world_end(world);
}

TEST(what_is_told_to_have_changed_is_near_no_more)
{
    struct tier_world *world = tier_world_make(2, NULL);

    fetch(world, 0, "k", "v");
    push(world, 0, 0, "k");
    EXPECT_NEAR(world, 1, "k", "(not near)");
    push(world, 0, 0, "k");
    EXPECT_EQ(counted(world, METRIC_tier_invalidations_useful), 1);
    EXPECT_EQ(counted(world, METRIC_tier_invalidations_useless), 1);
    tier_world_end(world);
}

RUN_TESTS(TEST_ROW(what_was_read_is_near_to_every_worker),
          TEST_ROW(what_is_told_to_have_changed_is_near_no_more))
