/* links: nuthatch-tier nuthatch-net nuthatch-base */
/* What must not be given, or kept, of the tier: a test for each race that excludes it. What follows in one
 * test follows on the wire, or from one thread. */
#include "client/tier/marks.h"
#include "tier_world.h"

/* Race A: a push on a connection of its own overtakes the reply to what was read before the write. */
TEST(a_push_that_overtakes_the_reply_on_a_connection_of_its_own_poisons_the_read)
{
    struct tier_world *world = tier_world_make(1, NULL);
    struct reader reader;

    client_of(world, 0)->sources[0].has_receiver = true;
    begin(world, 0, &reader, "k", 0);
    push(world, 0, 0, "k");
    reply(world, 0, 0, "PTTL k", number_node(-1));
    reply(world, 0, 0, "GET k", text_node("old"));
    EXPECT_FOUND(reader, "old");
    EXPECT_EQ(reader.found.mark.slot_epoch, 0);
    EXPECT_NEAR(world, 0, "k", "(not near)");
    EXPECT_EQ(counted(world, METRIC_tier_unkept_poisoned), 1);
    tier_world_end(world);
}

static struct tier_world *world_of_order;
static void peek_when_done(struct tier_read *read, const struct tier_found *found)
{
    on_reader_done(read, found);
    EXPECT_NEAR(world_of_order, 0, "k", "v");
}

/* Race B: what was read is put near while the reply is looked at, so a push behind it finds it there. */
TEST(a_push_right_behind_the_reply_drops_what_the_reply_brought)
{
    struct tier_world *world = world_of_order = tier_world_make(1, NULL);
    struct reader reader;

    begin(world, 0, &reader, "k", 0);
    reader.read.done = peek_when_done;
    reply(world, 0, 0, "PTTL k", number_node(-1));
    reply(world, 0, 0, "GET k", text_node("v"));
    EXPECT_FOUND(reader, "v");
    push(world, 0, 0, "k");
    EXPECT_NEAR(world, 0, "k", "(not near)");
    tier_world_end(world);
}

/* Race C: on one connection a push before the reply is of a write that the read has seen. */
TEST(a_push_before_both_replies_leaves_a_read_of_the_same_connection_alone)
{
    struct tier_world *world = tier_world_make(1, NULL);
    struct reader reader;

    begin(world, 0, &reader, "k", 0);
    push(world, 0, 0, "k");
    reply(world, 0, 0, "PTTL k", number_node(-1));
    reply(world, 0, 0, "GET k", text_node("new"));
    EXPECT_NEAR(world, 0, "k", "new");
    tier_world_end(world);
}

TEST(a_push_between_lifetime_and_value_poisons_the_read)
{
    struct tier_world *world = tier_world_make(1, NULL);
    struct reader reader, other, later;

    begin(world, 0, &reader, "k", 0);
    begin(world, 0, &other, "not k", 0);
    reply(world, 0, 0, "PTTL k", number_node(-1));
    push(world, 0, 0, "k"); /* SET k new PX 10 */
    begin(world, 0, &later, "k", 0);
    reply(world, 0, 0, "GET k", text_node("new"));
    EXPECT_FOUND(reader, "new");
    EXPECT(!later.is_done); /* it asks for itself */
    EXPECT_NEAR(world, 0, "k", "(not near)");
    reply(world, 0, 0, "PTTL not k", number_node(-1));
    reply(world, 0, 0, "GET not k", text_node("v"));
    EXPECT_NEAR(world, 0, "not k", "v");
    reply(world, 0, 0, "PTTL k", number_node(10));
    reply(world, 0, 0, "GET k", text_node("new"));
    EXPECT_NEAR(world, 0, "k", "new");
    tier_world_end(world);
}

TEST(a_value_that_contradicts_its_lifetime_is_not_kept)
{
    struct tier_world *world = tier_world_make(1, NULL);
    struct reader reader;

    begin(world, 0, &reader, "k", 0);
    reply(world, 0, 0, "PTTL k", number_node(-2));
    reply(world, 0, 0, "GET k", text_node("v"));
    EXPECT_FOUND(reader, "v");
    EXPECT_NEAR(world, 0, "k", "(not near)");
    begin(world, 0, &reader, "k", 0);
    reply(world, 0, 0, "PTTL k", error_node("LOADING"));
    reply(world, 0, 0, "GET k", null_node());
    EXPECT(!reader.found.is_there);
    EXPECT_NEAR(world, 0, "k", "(not near)");
    tier_world_end(world);
}

/* Race D: a lost connection takes all that was read through it, and nothing of another. */
TEST(a_lost_connection_takes_all_that_came_through_it)
{
    struct tier_world *world = tier_world_make(2, NULL);
    struct reader reader;

    fetch(world, 0, "k", "v");
    fetch(world, 0, "none", NULL);
    fetch(world, 1, "other", "v");
    flush(world, 0, 0, SOURCE_LOST);
    EXPECT_NEAR(world, 1, "k", "(not near)");
    EXPECT_NEAR(world, 1, "none", "(not near)");
    EXPECT_NEAR(world, 0, "other", "v");
    open_source(world, 0, 0);
    EXPECT_NEAR(world, 0, "k", "(not near)");
    EXPECT_EQ(counted(world, METRIC_tier_flushes_lost), 1);

    /* Asked of the old connection, heard of on the new one. */
    begin(world, 0, &reader, "k", 0);
    reply(world, 0, 0, "PTTL k", number_node(-1));
    flush(world, 0, 0, SOURCE_LOST);
    open_source(world, 0, 0);
    reply(world, 0, 0, "GET k", text_node("v"));
    EXPECT_FOUND(reader, "v");
    EXPECT_NEAR(world, 0, "k", "(not near)");
    EXPECT_EQ(counted(world, METRIC_tier_unkept_moved), 1);
    tier_world_end(world);
}

TEST(a_flush_and_a_change_of_role_take_all_of_their_server)
{
    struct tier_world *world = tier_world_make(1, NULL);

    fetch(world, 0, "k", "v");
    flush(world, 0, 0, SOURCE_FLUSHED_ALL);
    EXPECT_NEAR(world, 0, "k", "(not near)");
    fetch(world, 0, "k", "v");
    flush(world, 0, 0, SOURCE_CHANGED_ROLE);
    EXPECT_NEAR(world, 0, "k", "(not near)");
    EXPECT_EQ(counted(world, METRIC_tier_flushes_asked), 1);
    EXPECT_EQ(counted(world, METRIC_tier_flushes_role), 1);
    tier_world_end(world);
}

static void move_slot_of(struct tier_world *world, unsigned worker, const char *key)
{
    struct valkey *valkey = client_of(world, worker);
    valkey->callbacks->slot_moved(valkey->owner, valkey_slot(bytes_of_text(key)));
}

/* Race E: the old owner says nothing of a slot that has left it, also after the slot has come back. */
TEST(a_slot_that_moves_takes_what_is_near_of_it_also_if_it_comes_back)
{
    struct tier_world *world = tier_world_make(2, NULL);
    struct reader reader;

    fetch(world, 0, "k", "v");
    fetch(world, 0, "in another slot", "v");
    begin(world, 1, &reader, "k", 0);
    move_slot_of(world, 0, "k");
    move_slot_of(world, 0, "k");
    EXPECT_NEAR(world, 0, "k", "(not near)");
    EXPECT_NEAR(world, 0, "in another slot", "v");
    /* Another worker had asked the old owner. */
    reply(world, 1, 0, "PTTL k", number_node(-1));
    reply(world, 1, 0, "GET k", text_node("v"));
    EXPECT_FOUND(reader, "v");
    EXPECT_NEAR(world, 0, "k", "(not near)");
    EXPECT_EQ(counted(world, METRIC_tier_unkept_moved), 1);
    EXPECT_EQ(counted(world, METRIC_tier_slots_moved), 2);
    tier_world_end(world);
}

/* Race F: who imports a slot tells what was read by ASK to nobody later. */
TEST(what_came_by_ask_is_not_kept)
{
    struct tier_world *world = tier_world_make(1, NULL);
    struct reader reader;

    begin(world, 0, &reader, "k", 0);
    reply(world, 0, 0, "PTTL k", number_node(-1));
    reply(world, 0, -1, "GET k", text_node("v"));
    EXPECT_FOUND(reader, "v");
    EXPECT_EQ(reader.found.mark.slot_epoch, 0);
    EXPECT_NEAR(world, 0, "k", "(not near)");
    begin(world, 0, &reader, "k", 0);
    reply(world, 0, -1, "PTTL k", number_node(-1));
    reply(world, 0, 0, "GET k", text_node("v"));
    EXPECT_NEAR(world, 0, "k", "(not near)");
    EXPECT_EQ(counted(world, METRIC_tier_unkept_asked), 2);
    tier_world_end(world);
}

static void patient_with_nothing(struct tier_options *options) { options->null_ttl_ms = 50000; }

/* Race G: a slot takes its missing keys along without a word; so they are near no longer than the bound. */
TEST(that_a_key_is_missing_is_near_no_longer_than_the_bound)
{
    struct tier_world *world = tier_world_make(1, NULL);

    fetch(world, 0, "none", NULL);
    pass(world, 499);
    sound(world, 0, 0);
    EXPECT_NEAR(world, 0, "none", "(nothing)");
    pass(world, 1);
    EXPECT_NEAR(world, 0, "none", "(not near)");
    tier_world_end(world);

    world = tier_world_make(1, patient_with_nothing);
    fetch(world, 0, "none", NULL);
    pass(world, 999);
    sound(world, 0, 0);
    EXPECT_NEAR(world, 0, "none", "(nothing)");
    pass(world, 1);
    EXPECT_NEAR(world, 0, "none", "(not near)");
    tier_world_end(world);
}

/* Race H: a server that was cut off, with us on its side, is silent or refuses canaries. */
TEST(what_came_from_a_silent_server_is_given_up_to_the_bound_and_again_once_it_is_heard)
{
    struct tier_world *world = tier_world_make(1, NULL);

    pass(world, 99); /* 100 after the last canary */
    fetch(world, 0, "k", "v");
    pass(world, 900);
    EXPECT_NEAR(world, 0, "k", "v");
    pass(world, 1);
    EXPECT_NEAR(world, 0, "k", "(not near)");
    EXPECT_EQ(counted(world, METRIC_tier_near_doubted), 1);
    sound(world, 0, 0);
    EXPECT_NEAR(world, 0, "k", "v");
    tier_world_end(world);
}

TEST(a_lifetime_counts_from_the_moment_of_asking)
{
    struct tier_world *world = tier_world_make(1, NULL);
    struct reader reader;

    begin(world, 0, &reader, "k", 0);
    pass(world, 40);
    reply(world, 0, 0, "PTTL k", number_node(100));
    reply(world, 0, 0, "GET k", text_node("v"));
    EXPECT_EQ(reader.found.expires_at_ms, world->now_ms + 60);
    pass(world, 59);
    EXPECT_NEAR(world, 0, "k", "v");
    pass(world, 1);
    EXPECT_NEAR(world, 0, "k", "(not near)");

    begin(world, 0, &reader, "k", 0);
    pass(world, 40);
    reply(world, 0, 0, "PTTL k", number_node(40));
    reply(world, 0, 0, "GET k", text_node("v"));
    EXPECT_FOUND(reader, "v");
    EXPECT_NEAR(world, 0, "k", "(not near)");
    EXPECT_EQ(counted(world, METRIC_tier_unkept_short), 1);
    tier_world_end(world);
}

TEST(nothing_is_near_for_longer_than_near_ttl)
{
    struct tier_world *world = tier_world_make(1, NULL);

    fetch(world, 0, "k", "v"); /* that never expires */
    pass(world, 59999);
    sound(world, 0, 0);
    EXPECT_NEAR(world, 0, "k", "v");
    pass(world, 1);
    sound(world, 0, 0);
    EXPECT_NEAR(world, 0, "k", "(not near)");
    tier_world_end(world);
}

/* ---- own writes ---- */

TEST(who_has_heard_of_a_write_does_not_read_what_another_worker_had_asked_for_before)
{
    struct tier_world *world = tier_world_make(2, NULL);
    struct reader before, between;

    fetch(world, 1, "k", "1");
    begin(world, 1, &before, "k", 0);
    tier_forget(world->tier, bytes_of_text("k")); /* SET k 2 is sent … */
    EXPECT_NEAR(world, 0, "k", "(not near)");
    reply(world, 1, 0, "PTTL k", number_node(-1));
    reply(world, 1, 0, "GET k", text_node("1"));
    EXPECT_FOUND(before, "1");
    EXPECT_NEAR(world, 0, "k", "(not near)");
    begin(world, 1, &between, "k", 0);
    tier_forget(world->tier, bytes_of_text("k")); /* … and acknowledged */
    reply(world, 1, 0, "PTTL k", number_node(-1));
    reply(world, 1, 0, "GET k", text_node("1"));
    EXPECT_NEAR(world, 0, "k", "(not near)");
    EXPECT_EQ(counted(world, METRIC_tier_unkept_own_write), 2);
    tier_world_end(world);
}

TEST(who_has_heard_of_a_write_does_not_wait_for_what_was_asked_before)
{
    struct tier_world *world = tier_world_make(1, NULL);
    struct reader before, after;

    begin(world, 0, &before, "k", 0);
    tier_forget(world->tier, bytes_of_text("k"));
    begin(world, 0, &after, "k", 0);
    reply(world, 0, 0, "PTTL k", number_node(-1));
    reply(world, 0, 0, "GET k", text_node("1"));
    EXPECT(before.is_done && !after.is_done);
    reply(world, 0, 0, "PTTL k", number_node(-1));
    reply(world, 0, 0, "GET k", text_node("2"));
    EXPECT_FOUND(after, "2");
    EXPECT_NEAR(world, 0, "k", "2");
    tier_world_end(world);
}

TEST(a_write_takes_what_is_near_of_the_key_in_every_space)
{
    struct tier_world *world = tier_world_make(1, NULL);
    struct reader reader = {.read = {.done = on_reader_done}};
    nh_key elsewhere = {"k", 1, 700};
    nh_value value;

    fetch(world, 0, "k", "v");
    tier_read(world->workers[0], &reader.read, elsewhere, 0, 0, 0);
    reply(world, 0, 0, "PTTL k", number_node(-1));
    reply(world, 0, 0, "GET k", text_node("v"));
    EXPECT_EQ(tier_peek(world->workers[0], world->now_ms, elsewhere, &value), TIER_NEAR_VALUE);
    nh_release(world->store, &value);
    tier_forget(world->tier, bytes_of_text("k"));
    EXPECT_NEAR(world, 0, "k", "(not near)");
    EXPECT_EQ(tier_peek(world->workers[0], world->now_ms, elsewhere, &value), TIER_NOT_NEAR);
    tier_world_end(world);
}

TEST(forgetting_everything_takes_all_that_is_near_and_all_that_was_asked)
{
    struct tier_world *world = tier_world_make(2, NULL);
    struct reader before, after;

    fetch(world, 0, "k", "v");
    fetch(world, 1, "l", NULL);
    begin(world, 1, &before, "k", 0);
    tier_forget_all(world->tier);
    begin(world, 1, &after, "k", 0);
    EXPECT_NEAR(world, 0, "k", "(not near)");
    EXPECT_NEAR(world, 0, "l", "(not near)");
    reply(world, 1, 0, "PTTL k", number_node(-1));
    reply(world, 1, 0, "GET k", text_node("v"));
    EXPECT(before.is_done && !after.is_done);
    EXPECT_NEAR(world, 0, "k", "(not near)");
    reply(world, 1, 0, "PTTL k", number_node(-2));
    reply(world, 1, 0, "GET k", null_node());
    EXPECT_NEAR(world, 0, "k", "(nothing)");
    tier_world_end(world);
}

/* ---- marks ---- */

TEST(a_generation_that_has_come_round_brings_nothing_back)
{
    struct tier_world *world = tier_world_make(1, NULL);
    uint32_t generation = client_of(world, 0)->sources[0].generation;

    fetch(world, 0, "k", "v");
    do
        flush(world, 0, 0, SOURCE_FLUSHED_ALL);
    while (((client_of(world, 0)->sources[0].generation ^ generation) & GENERATION_MASK) != 0);
    EXPECT_NEAR(world, 0, "k", "(not near)");
    tier_world_end(world);
}

TEST(an_epoch_at_its_end_makes_no_mark_and_stays_there)
{
    struct marks *marks = marks_create(1000, UINT32_MAX - 1);
    struct tier_mark mark;

    atomic_store(&marks->sources[7].generation, 3);
    atomic_store(&marks->sources[7].coherent_ms, 5000);
    mark = mark_make(7, 3, marks_epoch(marks, 9));
    EXPECT(marks_hold(marks, mark, 9, 5000));
    EXPECT(!marks_hold(marks, (struct tier_mark){0}, 9, 5000));
    marks_move_slot(marks, 9);
    EXPECT(!marks_hold(marks, mark, 9, 5000));
    EXPECT_EQ(mark_make(7, 3, marks_epoch(marks, 9)).slot_epoch, 0);
    marks_move_slot(marks, 9);
    EXPECT_EQ(marks_epoch(marks, 9), UINT32_MAX);
    EXPECT_EQ(marks_epoch(marks, 10), UINT32_MAX - 1);
    marks_destroy(marks);
}

TEST(a_mark_of_the_last_connection_and_the_last_generation_is_told_from_what_is_missing)
{
    struct marks *marks = marks_create(1000, 1);
    struct tier_mark mark = mark_make(VALKEY_SOURCES_MAX - 1, UINT32_MAX, 1);

    EXPECT_EQ(mark.source >> 31, 0); /* the bit that says that a key is missing */
    atomic_store(&marks->sources[VALKEY_SOURCES_MAX - 1].generation, UINT32_MAX);
    atomic_store(&marks->sources[VALKEY_SOURCES_MAX - 1].coherent_ms, 5000);
    EXPECT(marks_hold(marks, mark, 0, 5000));
    EXPECT_EQ(marks_source_age_ms(marks, mark.source, 5400), 400);
    EXPECT_EQ(marks_source_age_ms(marks, mark.source, 4000), 0);
    atomic_store(&marks->sources[VALKEY_SOURCES_MAX - 1].generation, 0);
    EXPECT_EQ(marks_source_age_ms(marks, mark.source, 5400), INT64_MAX);
    marks_destroy(marks);
}

TEST(what_an_earlier_process_left_in_the_store_is_not_near)
{
    struct tier_world *world = tier_world_make(1, NULL), *next = tier_world_make(1, NULL);
    nh_put_options options = {.size = sizeof options};
    nh_store *store = next->store;
    nh_value value;

    fetch(world, 0, "k", "v");
    EXPECT_EQ(nh_peek(world->store, world->now_ms, near_key("k"), &value), NH_OK);
    options.flags = value.flags;
    options.note = *value.note;
    nh_release(world->store, &value);
    EXPECT_EQ(nh_put(store, next->now_ms, near_key("k"), (nh_bytes){"v", 1}, &options, NULL), NH_OK);
    EXPECT_NEAR(next, 0, "k", "(not near)");
    EXPECT_EQ(nh_put(store, next->now_ms, near_key("k"), (nh_bytes){"v", 1}, NULL, NULL), NH_OK);
    EXPECT_NEAR(next, 0, "k", "(not near)");
    tier_world_end(world);
    tier_world_end(next);
}

RUN_TESTS(TEST_ROW(a_push_that_overtakes_the_reply_on_a_connection_of_its_own_poisons_the_read),
          TEST_ROW(a_push_right_behind_the_reply_drops_what_the_reply_brought),
          TEST_ROW(a_push_before_both_replies_leaves_a_read_of_the_same_connection_alone),
          TEST_ROW(a_push_between_lifetime_and_value_poisons_the_read),
          TEST_ROW(a_value_that_contradicts_its_lifetime_is_not_kept),
          TEST_ROW(a_lost_connection_takes_all_that_came_through_it),
          TEST_ROW(a_flush_and_a_change_of_role_take_all_of_their_server),
          TEST_ROW(a_slot_that_moves_takes_what_is_near_of_it_also_if_it_comes_back),
          TEST_ROW(what_came_by_ask_is_not_kept),
          TEST_ROW(that_a_key_is_missing_is_near_no_longer_than_the_bound),
          TEST_ROW(what_came_from_a_silent_server_is_given_up_to_the_bound_and_again_once_it_is_heard),
          TEST_ROW(a_lifetime_counts_from_the_moment_of_asking),
          TEST_ROW(nothing_is_near_for_longer_than_near_ttl),
          TEST_ROW(who_has_heard_of_a_write_does_not_read_what_another_worker_had_asked_for_before),
          TEST_ROW(who_has_heard_of_a_write_does_not_wait_for_what_was_asked_before),
          TEST_ROW(a_write_takes_what_is_near_of_the_key_in_every_space),
          TEST_ROW(forgetting_everything_takes_all_that_is_near_and_all_that_was_asked),
          TEST_ROW(a_generation_that_has_come_round_brings_nothing_back),
          TEST_ROW(an_epoch_at_its_end_makes_no_mark_and_stays_there),
          TEST_ROW(a_mark_of_the_last_connection_and_the_last_generation_is_told_from_what_is_missing),
          TEST_ROW(what_an_earlier_process_left_in_the_store_is_not_near))
