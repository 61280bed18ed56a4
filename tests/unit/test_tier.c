/* links: nuthatch-tier nuthatch-net nuthatch-base */
/* Reads of the tier: what is near afterwards, what they share, when they end. */
#include "client/tier/hot_writers.h"
#include "tier_world.h"

TEST(what_was_read_is_near_to_every_worker)
{
    struct tier_world *world = tier_world_make(2, NULL);

    EXPECT_NEAR(world, 0, "k", "(not near)");
    fetch(world, 0, "k", "v");
    fetch(world, 0, "empty", "");
    fetch(world, 1, "none", NULL);
    EXPECT_NEAR(world, 0, "k", "v");
    EXPECT_NEAR(world, 1, "k", "v");
    EXPECT_NEAR(world, 1, "empty", "");
    EXPECT_NEAR(world, 0, "none", "(nothing)");
    EXPECT_EQ(counted(world, METRIC_tier_near_hits), 3);
    EXPECT_EQ(counted(world, METRIC_tier_near_nothing), 1);
    EXPECT_EQ(counted(world, METRIC_tier_near_misses), 1);
    EXPECT_EQ(counted(world, METRIC_tier_kept), 3);
    EXPECT_EQ(counted(world, METRIC_tier_reads), 3);
    tier_world_end(world);
}

TEST(what_is_told_to_have_changed_is_near_no_more)
{
    struct tier_world *world = tier_world_make(2, NULL);

    fetch(world, 0, "k", "v");
    push(world, 1, 0, "k"); /* to a worker that has read it earlier */
    EXPECT_NEAR(world, 1, "k", "(not near)");
    push(world, 0, 0, "k");
    EXPECT_EQ(counted(world, METRIC_tier_invalidations_useful), 1);
    EXPECT_EQ(counted(world, METRIC_tier_invalidations_useless), 1);
    tier_world_end(world);
}

TEST(reads_of_one_key_wait_for_one_answer)
{
    struct tier_world *world = tier_world_make(2, NULL);
    struct reader readers[3], elsewhere, head, other_space = {.read = {.done = on_reader_done}};

    begin(world, 0, &readers[0], "k", 0);
    begin(world, 0, &readers[1], "k", TIER_UNKEPT);
    begin(world, 0, &readers[2], "k", TIER_WATCHED);
    EXPECT_EQ(asked_count(world, 0), 2);
    EXPECT_EQ(counted(world, METRIC_tier_reads_joined), 2);
    begin(world, 1, &elsewhere, "k", 0);
    begin(world, 0, &head, "k", TIER_HEAD);
    tier_read(world->workers[0], &other_space.read, (nh_key){"k", 1, 4}, 0, 0, 0);
    EXPECT_EQ(asked_count(world, 0), 6);
    EXPECT_EQ(asked_count(world, 1), 2);
    reply(world, 0, 0, "PTTL k", number_node(-1));
    reply(world, 0, 0, "GET k", text_node("v"));
    for (size_t i = 0; i < COUNT_OF(readers); i++)
        EXPECT_FOUND(readers[i], "v");
    EXPECT(readers[1].found.mark.slot_epoch != 0);
    EXPECT(tier_mark_holds(world->tier, readers[1].found.mark, valkey_slot(BYTES("k")), world->now_ms));
    EXPECT_EQ(tier_mark_staleness_ms(world->tier, readers[1].found.mark, world->now_ms + 7), 8);
    EXPECT_EQ(tier_mark_staleness_ms(world->tier, (struct tier_mark){0}, world->now_ms), INT64_MAX);
    EXPECT(!elsewhere.is_done && !head.is_done && !other_space.is_done);
    EXPECT(!readers[2].has_changed);
    tier_read_end(world->workers[0], &readers[2].read);
    tier_world_end(world);
}

TEST(a_fenced_read_asks_whatever_is_near_or_under_way)
{
    struct tier_world *world = tier_world_make(1, NULL);
    struct reader before, fenced, after;

    fetch(world, 0, "k", "1");
    begin(world, 0, &before, "k", 0);
    begin(world, 0, &fenced, "k", TIER_FENCED);
    begin(world, 0, &after, "k", 0);
    EXPECT_EQ(asked_count(world, 0), 4);
    reply(world, 0, 0, "PTTL k", number_node(-1));
    reply(world, 0, 0, "GET k", text_node("1"));
    EXPECT(before.is_done && !fenced.is_done && !after.is_done);
    reply(world, 0, 0, "PTTL k", number_node(-1));
    reply(world, 0, 0, "GET k", text_node("2"));
    EXPECT_FOUND(fenced, "2");
    EXPECT_FOUND(after, "2");
    EXPECT_NEAR(world, 0, "k", "2");
    tier_world_end(world);
}

TEST(a_fenced_read_that_cannot_be_kept_leaves_nothing_older_near)
{
    struct tier_world *world = tier_world_make(1, NULL);
    struct reader fenced;

    fetch(world, 0, "k", "1");
    begin(world, 0, &fenced, "k", TIER_FENCED);
    reply(world, 0, -1, "PTTL k", number_node(-1));
    reply(world, 0, -1, "GET k", text_node("2"));
    EXPECT_FOUND(fenced, "2");
    EXPECT_NEAR(world, 0, "k", "(not near)");
    tier_world_end(world);
}

TEST(what_is_not_to_be_kept_is_not_but_has_a_mark)
{
    struct tier_world *world = tier_world_make(1, NULL);
    struct reader reader;

    begin(world, 0, &reader, "k", TIER_UNKEPT);
    reply(world, 0, 0, "PTTL k", number_node(5000));
    reply(world, 0, 0, "GET k", text_node("v"));
    EXPECT_FOUND(reader, "v");
    EXPECT_EQ(reader.found.expires_at_ms, world->now_ms + 5000);
    EXPECT(reader.found.mark.slot_epoch != 0);
    EXPECT_NEAR(world, 0, "k", "(not near)");
    tier_world_end(world);
}

TEST(errors_are_told_and_not_kept)
{
    static const struct {
        const char *text;
        enum err err;
    } cases[] = {
        {"WRONGTYPE Operation against a key holding the wrong kind of value", ERR_TYPE},
        {"NOPERM this user has no permissions", ERR_FORBIDDEN},
        {"ERR no such thing", ERR_FORBIDDEN},
    };
    struct tier_world *world = tier_world_make(1, NULL);
    struct reader reader;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        begin(world, 0, &reader, "k", 0);
        reply(world, 0, 0, "PTTL k", number_node(-1));
        reply(world, 0, 0, "GET k", error_node(cases[i].text));
        EXPECT(reader.is_done);
        EXPECT_EQ(reader.found.err, cases[i].err);
        EXPECT_EQ(reader.found.text.size, strlen(cases[i].text));
        EXPECT_NEAR(world, 0, "k", "(not near)");
    }
    begin(world, 0, &reader, "k", TIER_WATCHED);
    reply(world, 0, 0, "PTTL k", number_node(-1));
    reply(world, 0, 0, "GET k", number_node(5)); /* a server that is none */
    EXPECT_EQ(reader.found.err, ERR_SYNTAX);
    push(world, 0, 0, "k"); /* there is nothing to watch */
    EXPECT(!reader.has_changed);
    begin(world, 0, &reader, "k", TIER_WATCHED);
    answer(world, 0, "PTTL k", (struct valkey_answer){.err = ERR_UNREACHABLE});
    answer(world, 0, "GET k", (struct valkey_answer){.err = ERR_UNREACHABLE, .text = BYTES("away")});
    EXPECT_EQ(reader.found.err, ERR_UNREACHABLE);
    EXPECT(!reader.has_changed);
    tier_world_end(world);
}

TEST(after_a_reply_that_no_server_gives_nothing_that_comes_behind_it_is_heard)
{
    static const struct resp_node no_lifetimes[] = {
        {.type = RESP_BULK, .bytes = {"v", 1}}, {.type = RESP_INTEGER, .integer = -3}, {.type = RESP_NULL}};
    static const struct resp_node no_values[] = {{.type = RESP_INTEGER, .integer = 5},
                                                 {.type = RESP_ARRAY},
                                                 {.type = RESP_SIMPLE, .bytes = {"OK", 2}}};
    struct tier_world *world = tier_world_make(1, NULL);
    struct source *source = source_number(world, 0, 0), *aside = source_number(world, 0, 1);
    struct reader reader;

    for (size_t i = 0; i < COUNT_OF(no_lifetimes); i++) {
        begin(world, 0, &reader, "k", 0);
        reply(world, 0, 0, "PTTL k", no_lifetimes[i]);
        EXPECT_EQ(source->reconnect_count, i + 1);
        reply(world, 0, 0, "GET k", text_node("v")); /* asked again, of the next connection */
        EXPECT_FOUND(reader, "v");
        EXPECT_NEAR(world, 0, "k", "(not near)");
    }
    source->reconnect_count = 0;
    for (size_t i = 0; i < COUNT_OF(no_values); i++) {
        begin(world, 0, &reader, "k", 0);
        reply(world, 0, 0, "PTTL k", number_node(-1));
        reply(world, 0, 0, "GET k", no_values[i]);
        EXPECT_EQ(reader.found.err, ERR_SYNTAX);
        EXPECT_EQ(source->reconnect_count, i + 1);
    }
    begin(world, 0, &reader, "k", 0); /* whether it may be kept or not */
    reply(world, 0, -1, "PTTL k", number_node(-1));
    reply(world, 0, -1, "GET k", number_node(5));
    EXPECT_EQ(aside->reconnect_count, 1);
    source->reconnect_count = 0;
    begin(world, 0, &reader, "k", 0); /* an error is one that a server gives */
    reply(world, 0, 0, "PTTL k", error_node("NOPERM no"));
    reply(world, 0, 0, "GET k", error_node("NOPERM no"));
    EXPECT_EQ(source->reconnect_count, 0);
    tier_world_end(world);
}

TEST(a_head_is_the_first_bytes_and_never_kept)
{
    struct tier_world *world = tier_world_make(1, NULL);
    struct reader head;

    begin(world, 0, &head, "k", TIER_HEAD);
    reply(world, 0, 0, "PTTL k", number_node(-1));
    reply(world, 0, 0, "GETRANGE k 0 2", text_node("val"));
    EXPECT_FOUND(head, "val");
    EXPECT(head.found.mark.slot_epoch != 0);
    EXPECT_NEAR(world, 0, "k", "(not near)");

    begin(world, 0, &head, "k", TIER_HEAD);
    reply(world, 0, 0, "PTTL k", number_node(-2));
    reply(world, 0, 0, "GETRANGE k 0 2", text_node(""));
    EXPECT(head.is_done && head.found.err == OK && !head.found.is_there);
    EXPECT(head.found.mark.slot_epoch != 0);
    tier_world_end(world);
}

TEST(an_empty_head_is_told_from_none_by_asking_for_the_whole)
{
    struct tier_world *world = tier_world_make(1, NULL);
    struct reader head;

    begin(world, 0, &head, "k", TIER_HEAD);
    reply(world, 0, 0, "PTTL k", number_node(-1));
    push(world, 0, 0, "k"); /* DEL k */
    reply(world, 0, 0, "GETRANGE k 0 2", text_node(""));
    EXPECT(!head.is_done);
    reply(world, 0, 0, "PTTL k", number_node(-2));
    reply(world, 0, 0, "GET k", null_node());
    EXPECT(head.is_done && !head.found.is_there && head.found.mark.slot_epoch != 0);

    begin(world, 0, &head, "k", TIER_HEAD);
    reply(world, 0, 0, "PTTL k", number_node(-1));
    reply(world, 0, 0, "GETRANGE k 0 2", text_node(""));
    reply(world, 0, 0, "PTTL k", number_node(-1));
    reply(world, 0, 0, "GET k", text_node("longer"));
    EXPECT_FOUND(head, "lon");
    tier_world_end(world);
}

TEST(a_reader_that_leaves_takes_nothing_from_the_others_and_the_last_ends_the_asking)
{
    struct tier_world *world = tier_world_make(1, NULL);
    struct reader first, second;

    begin(world, 0, &first, "k", 0);
    begin(world, 0, &second, "k", 0);
    tier_read_end(world->workers[0], &first.read);
    EXPECT_EQ(asked_count(world, 0), 2);
    reply(world, 0, 0, "PTTL k", number_node(-1));
    tier_read_end(world->workers[0], &second.read);
    EXPECT_EQ(asked_count(world, 0), 0);
    EXPECT(!first.is_done && !second.is_done);
    tier_world_end(world);
}

static struct tier_world *world_of_ends;
static struct reader *to_end;
static void end_the_next(struct tier_read *read, const struct tier_found *found)
{
    on_reader_done(read, found);
    tier_read_end(world_of_ends->workers[0], &to_end->read);
}

TEST(one_that_is_told_may_end_another_that_would_be_told_next)
{
    struct tier_world *world = world_of_ends = tier_world_make(1, NULL);
    struct reader first, second, third;

    to_end = &second;
    begin(world, 0, &first, "k", TIER_WATCHED);
    begin(world, 0, &second, "k", TIER_WATCHED);
    begin(world, 0, &third, "k", 0);
    first.read.done = end_the_next;
    reply(world, 0, 0, "PTTL k", number_node(-1));
    reply(world, 0, 0, "GET k", text_node("v"));
    EXPECT(first.is_done && !second.is_done && third.is_done);
    tier_read_end(world->workers[0], &first.read);
    tier_world_end(world);
}

TEST(each_reader_waits_until_its_own_deadline)
{
    struct tier_world *world = tier_world_make(1, NULL);
    struct reader usual, hasty = {.read = {.done = on_reader_done}}, later;

    begin(world, 0, &usual, "k", 0);
    tier_read(world->workers[0], &hasty.read, near_key("k"), 0, 0, world->now_ms + 100);
    pass(world, 90);
    EXPECT(!hasty.is_done);
    begin(world, 0, &later, "k", 0);
    pass(world, 30);
    EXPECT_EQ(hasty.found.err, ERR_TIMEOUT);
    EXPECT(!usual.is_done && !later.is_done);
    pass(world, 1880); /* 2000 from the beginning */
    answer(world, 0, "PTTL k", (struct valkey_answer){.err = ERR_TIMEOUT});
    answer(world, 0, "GET k", (struct valkey_answer){.err = ERR_TIMEOUT});
    EXPECT_EQ(usual.found.err, ERR_TIMEOUT);
    EXPECT(!later.is_done); /* asked anew for it */
    reply(world, 0, 0, "PTTL k", number_node(-1));
    reply(world, 0, 0, "GET k", text_node("v"));
    EXPECT_FOUND(later, "v");
    EXPECT_EQ(asked_count(world, 0), 0);

    hasty = (struct reader){.read = {.done = on_reader_done}};
    begin(world, 0, &usual, "k", 0);
    tier_read(world->workers[0], &hasty.read, near_key("k"), 0, 0, world->now_ms + 100);
    tier_read_end(world->workers[0], &usual.read);
    pass(world, 120);
    EXPECT_EQ(hasty.found.err, ERR_TIMEOUT);
    EXPECT_EQ(asked_count(world, 0), 0);
    tier_world_end(world);
}

TEST(a_key_that_changes_all_the_time_is_neither_kept_nor_tracked_for_a_while)
{
    struct tier_world *world = tier_world_make(1, NULL);
    struct reader reader;
    int told = 0;

    for (; told < 100; told++) { /* every 5 ms */
        begin(world, 0, &reader, "k", 0);
        if (asked_count(world, 0) == 1)
            break;
        reply(world, 0, 0, "PTTL k", number_node(-1));
        reply(world, 0, 0, "GET k", text_node("v"));
        push(world, 0, 0, "k");
        pass(world, 5);
    }
    EXPECT(told >= 50 && told < 100);
    EXPECT_EQ(CONTAINER_OF(client_of(world, 0)->asked.next, struct asked, in_valkey)->flags,
              VALKEY_MAY_REPEAT | VALKEY_UNTRACKED);
    reply(world, 0, 0, "GET k", text_node("v"));
    EXPECT_FOUND(reader, "v");
    EXPECT_NEAR(world, 0, "k", "(not near)");
    EXPECT_EQ(counted(world, METRIC_tier_unkept_hot), 1);
    begin(world, 0, &reader, "k", TIER_WATCHED | TIER_UNKEPT); /* who wants to be told must be */
    EXPECT_EQ(asked_count(world, 0), 2);
    tier_read_end(world->workers[0], &reader.read);
    fetch(world, 0, "other", "v");
    sound(world, 0, 0);
    EXPECT_NEAR(world, 0, "other", "v");
    pass(world, HOT_WRITER_PAUSE_MS);
    sound(world, 0, 0);
    fetch(world, 0, "k", "v");
    EXPECT_NEAR(world, 0, "k", "v");
    tier_world_end(world);
}

TEST(a_key_that_changes_now_and_then_is_kept)
{
    struct hot_writers *hot = calloc(1, sizeof *hot);
    int64_t now_ms = 1000;

    for (int i = 0; i < 1000; i++, now_ms += 20) {
        hot_writers_note(hot, 77, now_ms);
        EXPECT(!hot_writers_has(hot, 77, now_ms));
    }
    free(hot);
}

TEST(hot_writers_are_so_many_and_no_more_and_the_hottest_stay)
{
    struct hot_writers *hot = calloc(1, sizeof *hot);

    for (int i = 0; i < HOT_WRITER_SCORE; i++)
        hot_writers_note(hot, 77, 1000 + i);
    EXPECT(hot_writers_has(hot, 77, 1100));
    for (uint64_t i = 1; i < 50000; i++)
        hot_writers_note(hot, 77 + i * HOT_WRITER_ROWS, 1100);
    EXPECT(hot_writers_has(hot, 77, 1100));
    EXPECT(!hot_writers_has(hot, 77 + HOT_WRITER_ROWS, 1100));
    EXPECT(!hot_writers_has(hot, 77, 1100 + HOT_WRITER_PAUSE_MS));
    free(hot);
}

/* Reads `key`, whose value is `size` zeros; the reader hears of them without copying. */
static uint64_t size_found;
static void note_size(struct tier_read *read, const struct tier_found *found)
{
    CONTAINER_OF(read, struct reader, read)->is_done = true;
    size_found = found->value.size;
}
static void fetch_zeros(struct tier_world *world, const char *key, size_t size)
{
    char *zeros = calloc(1, size), words[64];
    struct reader reader = {.read = {.done = note_size}};
    struct resp_node node = {.type = RESP_BULK, .bytes = {zeros, size}};

    tier_read(world->workers[0], &reader.read, near_key(key), TIER_FENCED, 0, 0);
    snprintf(words, sizeof words, "PTTL %s", key);
    reply(world, 0, 0, words, number_node(-1));
    snprintf(words, sizeof words, "GET %s", key);
    reply(world, 0, 0, words, node);
    EXPECT(reader.is_done);
    EXPECT_EQ(size_found, size);
    free(zeros);
}

TEST(what_the_store_does_not_take_is_handed_on_and_nothing_older_stays_near)
{
    struct tier_world *world = tier_world_make(1, NULL);

    fetch(world, 0, "k", "v");
    fetch_zeros(world, "k", 6 << 20); /* of a store of 8 MiB */
    EXPECT_NEAR(world, 0, "k", "(not near)");
    EXPECT_EQ(counted(world, METRIC_tier_unkept_no_room), 1);
    tier_world_end(world);
}

TEST(what_is_near_is_lent_as_long_as_it_is_needed_also_as_a_copy)
{
    enum { LENT_MAX = 1000, BYTES_EACH = 2000 };
    struct tier_world *world = tier_world_make(1, NULL);
    nh_value lent[LENT_MAX], last;
    uint32_t copied = 0;
    nh_stats stats = {.size = sizeof stats};
    char key[16];

    for (int i = 0; i < LENT_MAX; i++) {
        snprintf(key, sizeof key, "k%d", i);
        fetch_zeros(world, key, BYTES_EACH);
        EXPECT_EQ(tier_borrow(world->workers[0], world->now_ms, near_key(key), &lent[i]), TIER_NEAR_VALUE);
        EXPECT_EQ(lent[i].size, BYTES_EACH);
        nh_stats_read(world->store, &stats);
        copied += stats.borrowed_copied_bytes > 0;
    }
    EXPECT(copied > 0); /* an eighth of the store was lent, so that the last ones are copies */
    push(world, 0, 0, key);
    EXPECT_EQ(tier_borrow(world->workers[0], world->now_ms, near_key(key), &last), TIER_NOT_NEAR);
    snprintf(key, sizeof key, "k%d", LENT_MAX - 2);
    pass(world, 1500);
    EXPECT_EQ(tier_borrow(world->workers[0], world->now_ms, near_key(key), &last), TIER_NOT_NEAR);
    fetch(world, 0, "none", NULL);
    sound(world, 0, 0);
    EXPECT_EQ(tier_borrow(world->workers[0], world->now_ms, near_key("none"), &last), TIER_NEAR_NOTHING);
    for (int i = 0; i < LENT_MAX; i++)
        nh_release(world->store, &lent[i]);
    nh_stats_read(world->store, &stats);
    EXPECT_EQ(stats.borrowed_copied_bytes, 0);
    tier_world_end(world);
}

RUN_TESTS(TEST_ROW(what_was_read_is_near_to_every_worker),
          TEST_ROW(what_is_told_to_have_changed_is_near_no_more),
          TEST_ROW(reads_of_one_key_wait_for_one_answer),
          TEST_ROW(a_fenced_read_asks_whatever_is_near_or_under_way),
          TEST_ROW(a_fenced_read_that_cannot_be_kept_leaves_nothing_older_near),
          TEST_ROW(what_is_not_to_be_kept_is_not_but_has_a_mark), TEST_ROW(errors_are_told_and_not_kept),
          TEST_ROW(after_a_reply_that_no_server_gives_nothing_that_comes_behind_it_is_heard),
          TEST_ROW(a_head_is_the_first_bytes_and_never_kept),
          TEST_ROW(an_empty_head_is_told_from_none_by_asking_for_the_whole),
          TEST_ROW(a_reader_that_leaves_takes_nothing_from_the_others_and_the_last_ends_the_asking),
          TEST_ROW(one_that_is_told_may_end_another_that_would_be_told_next),
          TEST_ROW(each_reader_waits_until_its_own_deadline),
          TEST_ROW(a_key_that_changes_all_the_time_is_neither_kept_nor_tracked_for_a_while),
          TEST_ROW(a_key_that_changes_now_and_then_is_kept),
          TEST_ROW(hot_writers_are_so_many_and_no_more_and_the_hottest_stay),
          TEST_ROW(what_the_store_does_not_take_is_handed_on_and_nothing_older_stays_near),
          TEST_ROW(what_is_near_is_lent_as_long_as_it_is_needed_also_as_a_copy))
