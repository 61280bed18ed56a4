/* links: nuthatch-tier nuthatch-net nuthatch-base */
/* Reads that want to hear when what they found does not hold any more; engines that listen. */
#include "tier_world.h"

/* Begins and ends a watched read that finds `value` for `ttl_ms` through source `number`. */
static void watch(struct tier_world *world, struct reader *reader, const char *key, const char *value,
                  int64_t ttl_ms, int number)
{
    char words[64];

    begin(world, 0, reader, key, TIER_WATCHED | TIER_UNKEPT);
    snprintf(words, sizeof words, "PTTL %s", key);
    reply(world, 0, number, words, number_node(value != NULL ? ttl_ms : -2));
    snprintf(words, sizeof words, "GET %s", key);
    reply(world, 0, number, words, value != NULL ? text_node(value) : null_node());
    EXPECT(reader->is_done && !reader->has_changed);
}

TEST(who_watches_a_key_is_told_once_that_it_has_changed)
{
    struct tier_world *world = tier_world_make(1, NULL);
    struct reader reader, second, missing;

    watch(world, &reader, "k", "v", -1, 0);
    watch(world, &second, "k", "v", -1, 0);
    watch(world, &missing, "none", NULL, 0, 0);
    push(world, 0, 0, "j");
    EXPECT(!reader.has_changed && !second.has_changed);
    push(world, 0, 0, "k");
    EXPECT(reader.has_changed && second.has_changed && !missing.has_changed);
    push(world, 0, 0, "k"); /* EXPECTed by the reader to be no second time */
    push(world, 0, 0, "none");
    EXPECT(missing.has_changed);
    tier_world_end(world);
}

TEST(who_has_ended_a_watch_is_told_nothing)
{
    struct tier_world *world = tier_world_make(1, NULL);
    struct reader reader, under_way;

    watch(world, &reader, "k", "v", -1, 0);
    tier_read_end(world->workers[0], &reader.read);
    begin(world, 0, &under_way, "k", TIER_WATCHED | TIER_UNKEPT);
    tier_read_end(world->workers[0], &under_way.read);
    EXPECT_EQ(asked_count(world, 0), 0);
    push(world, 0, 0, "k");
    EXPECT(!reader.has_changed && !under_way.is_done);
    tier_world_end(world);
}

TEST(a_flush_a_loss_and_a_slot_that_moves_tell_those_whom_they_concern)
{
    struct tier_world *world = tier_world_make(1, NULL);
    struct valkey *valkey = client_of(world, 0);
    struct reader flushed, lost, moved, all, untouched;

    watch(world, &flushed, "a", "v", -1, 0);
    watch(world, &lost, "b", "v", -1, 1);
    watch(world, &moved, "c", "v", -1, 2);
    watch(world, &untouched, "d", "v", -1, 3);
    flush(world, 0, 0, SOURCE_FLUSHED_ALL);
    flush(world, 0, 1, SOURCE_LOST);
    valkey->callbacks->slot_moved(valkey->owner, valkey_slot(BYTES("c")));
    EXPECT(!flushed.has_changed); /* not from inside what may be a call of the reader's own */
    pass(world, 20);
    EXPECT(flushed.has_changed && lost.has_changed && moved.has_changed && !untouched.has_changed);
    watch(world, &all, "e", "v", -1, 3);
    tier_forget_all(world->tier);
    pass(world, 100);
    EXPECT(all.has_changed && untouched.has_changed);
    tier_world_end(world);
}

TEST(who_watches_through_a_silent_server_is_told_so_behind_the_bound)
{
    struct tier_world *world = tier_world_make(1, NULL);
    struct reader reader;

    watch(world, &reader, "k", "v", -1, 0);
    pass(world, 900);
    pass(world, 60);
    EXPECT(!reader.has_changed);
    pass(world, 60);
    pass(world, 60);
    EXPECT(reader.has_changed);
    tier_world_end(world);
}

TEST(who_watches_is_told_when_the_lifetime_is_over)
{
    struct tier_world *world = tier_world_make(1, NULL);
    struct reader reader;

    watch(world, &reader, "k", "v", 300, 0);
    pass(world, 299);
    EXPECT(!reader.has_changed);
    pass(world, 100);
    EXPECT(reader.has_changed);
    tier_world_end(world);
}

TEST(what_cannot_be_watched_is_told_to_have_changed_after_a_while)
{
    struct tier_world *world = tier_world_make(1, NULL);
    struct reader asked, overtaken;

    watch(world, &asked, "k", "v", -1, -1); /* it came by ASK */
    EXPECT_EQ(asked.found.mark.slot_epoch, 0);
    client_of(world, 0)->sources[1].has_receiver = true;
    begin(world, 0, &overtaken, "l", TIER_WATCHED | TIER_UNKEPT);
    push(world, 0, 1, "l");
    reply(world, 0, 1, "PTTL l", number_node(-1));
    reply(world, 0, 1, "GET l", text_node("v"));
    pass(world, 60);
    EXPECT(!asked.has_changed && !overtaken.has_changed);
    pass(world, 100);
    pass(world, 60);
    EXPECT(asked.has_changed && overtaken.has_changed);
    tier_world_end(world);
}

TEST(a_push_between_lifetime_and_value_leaves_the_watch_of_the_new_value)
{
    struct tier_world *world = tier_world_make(1, NULL);
    struct reader reader;

    begin(world, 0, &reader, "k", TIER_WATCHED | TIER_UNKEPT);
    reply(world, 0, 0, "PTTL k", number_node(-1));
    push(world, 0, 0, "k");
    reply(world, 0, 0, "GET k", text_node("new"));
    EXPECT_EQ(reader.found.mark.slot_epoch, 0);
    pass(world, 200);
    pass(world, 200);
    EXPECT(!reader.has_changed);
    push(world, 0, 0, "k");
    EXPECT(reader.has_changed);
    tier_world_end(world);
}

static struct tier_world *world_of_ends;
static struct reader *to_end;
static void end_the_other(struct tier_read *read)
{
    on_reader_changed(read);
    tier_read_end(tier_of(world_of_ends->workers[0]) == world_of_ends->tier ? world_of_ends->workers[0]
                                                                            : NULL,
                  &to_end->read);
}

TEST(one_that_is_told_may_end_another_that_would_be_told_next)
{
    struct tier_world *world = world_of_ends = tier_world_make(1, NULL);
    struct reader first, second;

    watch(world, &first, "k", "v", -1, 0);
    watch(world, &second, "k", "v", -1, 0);
    first.read.changed = second.read.changed = end_the_other;
    to_end = &first; /* whichever is told first: ends the first */
    push(world, 0, 0, "k");
    EXPECT_EQ(first.has_changed + second.has_changed, 2 - !first.has_changed);
    EXPECT(second.has_changed);
    tier_world_end(world);
}

TEST(when_a_worker_stops_who_watches_is_told_and_who_waits_is_told_that_it_is_over)
{
    struct tier_world *world = tier_world_make(1, NULL);
    struct reader watching, waiting;

    watch(world, &watching, "k", "v", -1, 0);
    begin(world, 0, &waiting, "l", 0);
    tier_world_end(world);
    EXPECT(watching.has_changed);
    EXPECT(waiting.is_done);
    EXPECT_EQ(waiting.found.err, ERR_CANCELLED);
}

struct heard {
    struct tier_listener listener;
    char keys[128];
};

static void hear(void *owner, struct bytes key)
{
    struct heard *heard = owner;
    size_t size = strlen(heard->keys);
    snprintf(heard->keys + size, sizeof heard->keys - size, "%.*s ", BYTES_PRINTF(key));
}

TEST(a_worker_whose_loop_has_ended_forgets_who_reads_and_watches)
{
    struct tier_world *world = tier_world_make(1, NULL);
    struct reader watching, reading[3];

    begin(world, 0, &watching, "k", TIER_WATCHED);
    reply(world, 0, 0, "PTTL k", number_node(-1));
    reply(world, 0, 0, "GET k", text_node("v"));
    for (int i = 0; i < 3; i++)
        begin(world, 0, &reading[i], i < 2 ? "k" : "l", i == 1 ? TIER_FENCED | TIER_WATCHED : TIER_FENCED);
    tier_worker_destroy(world->workers[0]);
    world->workers[0] = NULL;
    world->worker_count = 0;
    EXPECT(watching.read.watch == NULL);
    for (int i = 0; i < 3; i++)
        EXPECT(!reading[i].is_done && reading[i].read.flight == NULL && reading[i].read.watch == NULL);
    loop_destroy(world->loops[0]);
    tier_world_end(world);
}

TEST(who_listens_is_told_of_keys_that_begin_so)
{
    struct tier_world *world = tier_world_make(1, NULL);
    struct heard all = {.listener = {.invalidated = hear, .owner = &all}};
    struct heard some = {.listener = {.invalidated = hear, .owner = &some, .prefix = BYTES("nh:")}};

    tier_listen(world->tier, &all.listener);
    tier_listen(world->tier, &some.listener);
    push(world, 0, 0, "nh:1");
    push(world, 0, 0, "nh");
    push(world, 0, 1, "");
    EXPECT_TEXT(bytes_of_text(all.keys), BYTES("nh:1 nh  "));
    EXPECT_TEXT(bytes_of_text(some.keys), BYTES("nh:1 "));
    tier_world_end(world);
}

RUN_TESTS(TEST_ROW(who_watches_a_key_is_told_once_that_it_has_changed),
          TEST_ROW(who_has_ended_a_watch_is_told_nothing),
          TEST_ROW(a_flush_a_loss_and_a_slot_that_moves_tell_those_whom_they_concern),
          TEST_ROW(who_watches_through_a_silent_server_is_told_so_behind_the_bound),
          TEST_ROW(who_watches_is_told_when_the_lifetime_is_over),
          TEST_ROW(what_cannot_be_watched_is_told_to_have_changed_after_a_while),
          TEST_ROW(a_push_between_lifetime_and_value_leaves_the_watch_of_the_new_value),
          TEST_ROW(one_that_is_told_may_end_another_that_would_be_told_next),
          TEST_ROW(when_a_worker_stops_who_watches_is_told_and_who_waits_is_told_that_it_is_over),
          TEST_ROW(a_worker_whose_loop_has_ended_forgets_who_reads_and_watches),
          TEST_ROW(who_listens_is_told_of_keys_that_begin_so))
