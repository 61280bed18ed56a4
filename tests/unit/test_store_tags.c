/* links: nuthatch-store */
/* Purges by tag: all that carries it, at once, and nothing else. */
#include "store_words.h"

/* A store with so many slots that the few tags of a test do not share one. */
static nh_store *make_store_for_tags(void) { return make_store(64 << 20); }

static nh_result put_tagged(nh_store *store, int64_t now_ms, nh_key key, const char *value, const char *tag)
{
    nh_bytes name = value_of(tag);
    nh_put_options options = {.size = sizeof options, .tags = &name, .tag_count = 1};
    return nh_put(store, now_ms, key, value_of(value), &options, NULL);
}

/* Whether the key's value is stale, by every call that reads. */
static bool is_stale(nh_store *store, int64_t now_ms, nh_key key)
{
    nh_fetch_state fetched;
    nh_value value;
    uint64_t lease = 0;
    bool stale;

    EXPECT_EQ(nh_borrow(store, now_ms, key, &value), NH_OK);
    stale = (value.traits & NH_VALUE_STALE) != 0;
    nh_release(store, &value);
    EXPECT_EQ(nh_peek(store, now_ms, key, &value), NH_OK);
    EXPECT_EQ((value.traits & NH_VALUE_STALE) != 0, stale);
    nh_release(store, &value);
    EXPECT_EQ(nh_fetch(store, now_ms, key, NULL, &fetched, &lease, &value), NH_OK);
    EXPECT_EQ(fetched, stale ? NH_FETCH_STALE_LEASE : NH_FETCH_HIT);
    EXPECT_EQ((value.traits & NH_VALUE_STALE) != 0, stale);
    nh_release(store, &value);
    if (stale)
        EXPECT_EQ(nh_give_up(store, key, lease), NH_OK);
    return stale;
}

TEST(a_purge_drops_what_carries_the_tag_and_was_put_before)
{
    nh_store *store = make_store_for_tags();
    nh_bytes tags[NH_TAGS_MAX + 1];
    char names[NH_TAGS_MAX + 1][8];
    nh_put_options options = {.size = sizeof options, .tags = tags, .tag_count = NH_TAGS_MAX};

    for (size_t i = 0; i <= NH_TAGS_MAX; i++)
        tags[i] = (nh_bytes){names[i], (size_t)snprintf(names[i], sizeof names[i], "tag%zu", i)};
    for (size_t i = 0; i <= NH_TAGS_MAX; i++) {
        if (i == NH_TAGS_MAX) /* of so many one may share a slot with the tag that none of them is */
            options.tag_count = 1;
        EXPECT_EQ(nh_put(store, NOW, key_of("all"), value_of("v"), &options, NULL), NH_OK);
        EXPECT_EQ(put_text(store, "none", "v"), NH_OK);
        EXPECT_EQ(nh_purge_tag(store, tags[i], NH_PURGE_DROP), NH_OK);
        if (i < NH_TAGS_MAX)
            expect_missing(store, NOW, key_of("all"));
        else
            expect_text(store, NOW, key_of("all"), "v");
        expect_text(store, NOW, key_of("none"), "v");
    }
    nh_destroy(store);
}

TEST(a_list_of_tags_that_is_none_is_refused_and_an_empty_name_is_a_name)
{
    nh_store *store = make_store_for_tags();
    nh_bytes tags[NH_TAGS_MAX + 1] = {{NULL, 0}};
    nh_put_options options = {.size = sizeof options, .tags = tags, .tag_count = NH_TAGS_MAX + 1};

    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &options, NULL), NH_INVALID);
    options.tag_count = 1;
    options.tags = NULL;
    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &options, NULL), NH_INVALID);
    options.tags = &(nh_bytes){NULL, 3};
    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &options, NULL), NH_INVALID);
    expect_missing(store, NOW, key_of("k"));
    options.tags = &(nh_bytes){NULL, 0};
    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &options, NULL), NH_OK);
    EXPECT_EQ(nh_purge_tag(store, (nh_bytes){NULL, 0}, NH_PURGE_DROP), NH_OK);
    expect_missing(store, NOW, key_of("k"));
    nh_destroy(store);
}

TEST(a_purged_key_is_missing_to_every_call_that_asks_for_it)
{
    nh_store *store = make_store_for_tags();
    nh_get_request request = {.key = key_of("k")};
    nh_bytes tag = value_of("t");
    nh_fetch_state fetched;
    nh_cursor *cursor;
    uint64_t lease;
    nh_value value;
    int32_t had_before;
    nh_key key;

    EXPECT_EQ(put_tagged(store, NOW, key_of("k"), "7", "t"), NH_OK);
    EXPECT_EQ(nh_purge_tag(store, tag, NH_PURGE_DROP), NH_OK);
    EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &value), NH_MISSING);
    EXPECT_EQ(nh_peek(store, NOW, key_of("k"), &value), NH_MISSING);
    EXPECT_EQ(nh_get(store, NOW, key_of("k"), NULL, 0, NULL), NH_MISSING);
    EXPECT_EQ(nh_get_many(store, NOW, &request, 1), NH_OK);
    EXPECT_EQ(request.result, NH_MISSING);
    EXPECT_EQ(nh_get_and_touch(store, NOW, key_of("k"), 5, &value), NH_MISSING);
    EXPECT_EQ(nh_touch(store, NOW, key_of("k"), 5), NH_MISSING);
    EXPECT_EQ(nh_replace(store, NOW, key_of("k"), value_of("x"), NULL, NULL), NH_MISSING);
    EXPECT_EQ(nh_append(store, NOW, key_of("k"), value_of("x"), NULL), NH_MISSING);
    EXPECT_EQ(nh_prepend(store, NOW, key_of("k"), value_of("x"), NULL), NH_MISSING);
    EXPECT_EQ(nh_increment(store, NOW, key_of("k"), 1, NH_INCREMENT_UNSIGNED, NULL), NH_MISSING);
    EXPECT_EQ(nh_cursor_create(store, 0, &cursor), NH_OK);
    EXPECT_EQ(nh_cursor_next(cursor, NOW, &key, &value), NH_MISSING);
    nh_cursor_destroy(cursor);
    EXPECT_EQ(nh_fetch(store, NOW, key_of("k"), NULL, &fetched, &lease, &value), NH_OK);
    EXPECT_EQ(fetched, NH_FETCH_MISS_LEASE);
    EXPECT_EQ(nh_delete(store, NOW, key_of("k")), NH_MISSING);
    EXPECT_EQ(put_tagged(store, NOW, key_of("k"), "7", "t"), NH_OK);
    EXPECT_EQ(nh_purge_tag(store, tag, NH_PURGE_DROP), NH_OK);
    EXPECT_EQ(nh_exchange(store, NOW, key_of("k"), value_of("1"), NULL, &value, &had_before), NH_OK);
    EXPECT_EQ(had_before, 0);
    expect_text(store, NOW, key_of("k"), "1"); /* put after the purge, and without the tag */
    nh_destroy(store);
}

TEST(what_was_purged_leaves_the_count_with_a_sweep)
{
    nh_store *store = make_store_for_tags();
    char text[32];

    for (unsigned n = 0; n < 1000; n++)
        EXPECT_EQ(put_tagged(store, NOW, key_number(text, n), "v", n % 4 == 0 ? "a" : "b"), NH_OK);
    EXPECT_EQ(nh_purge_tag(store, value_of("a"), NH_PURGE_DROP), NH_OK);
    EXPECT(nh_count(store, 0) >= 750);
    EXPECT(sweep_all(store, NOW) >= 250);
    EXPECT_EQ(nh_count(store, 0), 750);
    EXPECT_EQ(stats_of(store).items, 750);
    EXPECT_EQ(stats_of(store).purged, 250);
    for (unsigned n = 0; n < 1000; n++)
        EXPECT_EQ(is_there(store, NOW, key_number(text, n)), n % 4 != 0);
    nh_destroy(store);
}

TEST(a_soft_purge_makes_stale_and_serves_on)
{
    nh_store *store = make_store_for_tags();
    nh_bytes tag = value_of("t");

    EXPECT_EQ(put_tagged(store, NOW, key_of("k"), "old", "t"), NH_OK);
    EXPECT_EQ(put_tagged(store, NOW, key_of("other"), "v", "u"), NH_OK);
    EXPECT(!is_stale(store, NOW, key_of("k")));
    EXPECT_EQ(nh_purge_tag(store, tag, NH_PURGE_SOFT), NH_OK);
    EXPECT(is_stale(store, NOW, key_of("k")));
    EXPECT(!is_stale(store, NOW, key_of("other")));
    expect_text(store, NOW, key_of("k"), "old");
    EXPECT_EQ(sweep_all(store, NOW), 0);
    expect_text(store, NOW, key_of("k"), "old");
    EXPECT_EQ(nh_count(store, 0), 2);
    /* What is put after the purge is fresh; a hard purge after a soft one drops. */
    EXPECT_EQ(put_tagged(store, NOW, key_of("k"), "new", "t"), NH_OK);
    EXPECT(!is_stale(store, NOW, key_of("k")));
    EXPECT_EQ(nh_purge_tag(store, tag, NH_PURGE_SOFT), NH_OK);
    EXPECT_EQ(nh_purge_tag(store, tag, NH_PURGE_SOFT), NH_OK);
    EXPECT(is_stale(store, NOW, key_of("k")));
    EXPECT_EQ(nh_purge_tag(store, tag, NH_PURGE_DROP), NH_OK);
    expect_missing(store, NOW, key_of("k"));
    EXPECT_EQ(nh_purge_tag(store, tag, NH_PURGE_SOFT), NH_OK); /* does not bring back */
    expect_missing(store, NOW, key_of("k"));
    expect_nothing_lent(store);
    nh_destroy(store);
}

TEST(an_expiry_holds_for_what_was_purged_softly)
{
    nh_store *store = make_store_for_tags();
    nh_bytes tag = value_of("t");
    nh_put_options options = {
        .size = sizeof options, .ttl_ms = 100, .soft_ttl_ms = 50, .tags = &tag, .tag_count = 1};

    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &options, NULL), NH_OK);
    EXPECT_EQ(nh_purge_tag(store, tag, NH_PURGE_SOFT), NH_OK);
    EXPECT(is_stale(store, NOW, key_of("k")));
    EXPECT(is_stale(store, NOW + 99, key_of("k")));
    expect_missing(store, NOW + 100, key_of("k"));
    nh_destroy(store);
}

enum { WAYS = 7 };

/* Changes the value "7" of `key`, or its expiry, without a put. */
static void change(nh_store *store, nh_key key, int way)
{
    nh_bytes one = value_of("1");
    nh_value value = {0};
    nh_result result = NH_INVALID;

    switch (way) {
    case 0: result = nh_append(store, NOW, key, one, NULL); break;
    case 1: result = nh_prepend(store, NOW, key, one, NULL); break;
    case 2: result = nh_increment(store, NOW, key, 1, NH_INCREMENT_SIGNED, NULL); break;
    case 3: result = nh_increment(store, NOW, key, 99999999, NH_INCREMENT_UNSIGNED, NULL); break;
    case 4: result = nh_touch(store, NOW, key, 100000); break;
    case 5: result = nh_get_and_touch(store, NOW, key, 100000, &value); break;
    case 6: result = nh_get_and_touch(store, NOW, key, 4294967296, &value); break; /* a wide expiry */
    }
    EXPECT_EQ(result, NH_OK);
    nh_release(store, &value);
}

TEST(what_is_written_onto_a_value_keeps_its_tags_and_its_place_before_the_purge)
{
    for (int how = NH_PURGE_DROP; how <= NH_PURGE_SOFT; how++)
        for (int way = 0; way < WAYS; way++) {
            nh_store *store = make_store_for_tags();
            EXPECT_EQ(put_tagged(store, NOW, key_of("k"), "7", "t"), NH_OK);
            change(store, key_of("k"), way);
            EXPECT_EQ(nh_purge_tag(store, value_of("t"), how), NH_OK);
            EXPECT_EQ(is_there(store, NOW, key_of("k")), how == NH_PURGE_SOFT);
            if (how == NH_PURGE_SOFT)
                EXPECT(is_stale(store, NOW, key_of("k")));
            nh_destroy(store);
        }
}

/* An append to what was purged softly does not make the old part fresh. */
TEST(a_stale_value_that_is_added_to_stays_stale)
{
    for (int way = 0; way < WAYS; way++) {
        nh_store *store = make_store_for_tags();
        EXPECT_EQ(put_tagged(store, NOW, key_of("k"), "7", "t"), NH_OK);
        EXPECT_EQ(nh_purge_tag(store, value_of("t"), NH_PURGE_SOFT), NH_OK);
        change(store, key_of("k"), way);
        EXPECT(is_stale(store, NOW, key_of("k")));
        nh_destroy(store);
    }
}

TEST(a_tag_is_dropped_with_the_value_that_had_it)
{
    nh_store *store = make_store_for_tags();
    nh_bytes tag = value_of("t");

    EXPECT_EQ(put_tagged(store, NOW, key_of("k"), "old", "t"), NH_OK);
    EXPECT_EQ(put_text(store, "k", "new"), NH_OK);
    EXPECT_EQ(nh_purge_tag(store, tag, NH_PURGE_DROP), NH_OK);
    expect_text(store, NOW, key_of("k"), "new");
    nh_destroy(store);
}

TEST(a_purge_reaches_all_spaces_and_large_values)
{
    nh_store *store = make_store_for_tags();
    uint64_t size = 3 * stats_of(store).segment_bytes;
    char *bytes = calloc(1, size);
    nh_bytes tag = value_of("t");
    nh_put_options options = {.size = sizeof options, .tags = &tag, .tag_count = 1};

    for (uint32_t space = 0; space < 100; space++)
        EXPECT_EQ(put_tagged(store, NOW, key_in(space, "k"), "v", "t"), NH_OK);
    EXPECT_EQ(nh_put(store, NOW, key_of("large"), (nh_bytes){bytes, size}, &options, NULL), NH_OK);
    EXPECT_EQ(nh_purge_tag(store, tag, NH_PURGE_DROP), NH_OK);
    for (uint32_t space = 0; space < 100; space++)
        EXPECT(!is_there(store, NOW, key_in(space, "k")));
    EXPECT(!is_there(store, NOW, key_of("large")));
    sweep_all(store, NOW);
    EXPECT_EQ(nh_count(store, NH_SPACE_ALL), 0);
    free(bytes);
    nh_destroy(store);
}

TEST(a_borrowed_value_outlives_its_purge)
{
    nh_store *store = make_store_for_tags();
    nh_value value;

    EXPECT_EQ(put_tagged(store, NOW, key_of("k"), "precious", "t"), NH_OK);
    EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &value), NH_OK);
    EXPECT_EQ(nh_purge_tag(store, value_of("t"), NH_PURGE_DROP), NH_OK);
    sweep_all(store, NOW);
    EXPECT_TEXT(lent(&value), BYTES("precious"));
    nh_release(store, &value);
    expect_nothing_lent(store);
    nh_destroy(store);
}

TEST(what_was_begun_before_a_purge_of_its_tag_cannot_be_put_after_it)
{
    static const int32_t hows[] = {NH_PURGE_DROP, NH_PURGE_SOFT};

    for (size_t i = 0; i < COUNT_OF(hows); i++) {
        nh_store *store = make_store_for_tags();
        nh_bytes tags[] = {value_of("a"), value_of("b")};
        nh_put_options options = {.size = sizeof options, .tags = tags, .tag_count = 2};
        uint64_t before = nh_purge_number(store);

        EXPECT(before > 0);
        options.as_of_purge = before;
        EXPECT_EQ(nh_put(store, NOW, key_of("early"), value_of("v"), &options, NULL), NH_OK);
        EXPECT_EQ(nh_purge_tag(store, value_of("other"), hows[i]), NH_OK);
        EXPECT_EQ(nh_check_tags(store, tags, 2, before), NH_OK);
        EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &options, NULL), NH_OK);
        EXPECT_EQ(nh_purge_tag(store, value_of("b"), hows[i]), NH_OK);
        EXPECT_EQ(nh_check_tags(store, tags, 2, before), NH_CHANGED);
        EXPECT_EQ(nh_check_tags(store, tags, 1, before), NH_OK);
        EXPECT_EQ(nh_put(store, NOW, key_of("late"), value_of("v"), &options, NULL), NH_CHANGED);
        EXPECT_EQ(nh_count(store, NH_SPACE_ALL), 2);
        EXPECT(!is_there(store, NOW, key_of("late")));
        EXPECT_EQ(is_there(store, NOW, key_of("k")), hows[i] == NH_PURGE_SOFT);
        /* What is begun now is none of that purge's business. */
        options.as_of_purge = nh_purge_number(store);
        EXPECT_EQ(nh_check_tags(store, tags, 2, options.as_of_purge), NH_OK);
        EXPECT_EQ(nh_put(store, NOW, key_of("late"), value_of("v"), &options, NULL), NH_OK);
        EXPECT(!is_stale(store, NOW, key_of("late")));
        options.as_of_purge++; /* nobody has been told that */
        EXPECT_EQ(nh_put(store, NOW, key_of("late"), value_of("v"), &options, NULL), NH_INVALID);
        nh_destroy(store);
    }
}

/* The put that looked and the purge that came at the same moment: the birth that is kept is the older one.
 */
TEST(a_purge_after_the_put_counts_from_where_the_making_began)
{
    nh_store *store = make_store_for_tags();
    nh_bytes tag = value_of("t");
    nh_put_options options = {.size = sizeof options, .tags = &tag, .tag_count = 1};

    options.as_of_purge = nh_purge_number(store);
    EXPECT_EQ(nh_purge_tag(store, value_of("other"), NH_PURGE_DROP), NH_OK);
    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &options, NULL), NH_OK);
    expect_text(store, NOW, key_of("k"), "v");
    EXPECT_EQ(nh_purge_tag(store, tag, NH_PURGE_DROP), NH_OK);
    expect_missing(store, NOW, key_of("k"));
    nh_destroy(store);
}

TEST(a_value_may_carry_one_tag_twice)
{
    nh_store *store = make_store_for_tags();
    nh_bytes tags[3] = {value_of("t"), value_of("t"), value_of("t")};
    nh_put_options options = {.size = sizeof options, .tags = tags, .tag_count = 3};

    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &options, NULL), NH_OK);
    expect_text(store, NOW, key_of("k"), "v");
    EXPECT_EQ(nh_purge_tag(store, value_of("t"), NH_PURGE_DROP), NH_OK);
    EXPECT(!is_there(store, NOW, key_of("k")));
    nh_destroy(store);
}

TEST(purging_a_million_tags_takes_no_memory)
{
    nh_store *store = make_store(1 << 20);
    uint64_t before = stats_of(store).memory_bytes;
    char name[16];

    for (int i = 0; i < 1000000; i++)
        nh_purge_tag(store, (nh_bytes){name, (size_t)snprintf(name, sizeof name, "%d", i)}, i % 2);
    EXPECT(stats_of(store).memory_bytes <= before + stats_of(store).segment_bytes);
    EXPECT_EQ(put_tagged(store, NOW, key_of("k"), "v", "t"), NH_OK);
    expect_text(store, NOW, key_of("k"), "v");
    EXPECT(!is_stale(store, NOW, key_of("k")));
    nh_destroy(store);
}

/* One tag of many is purged: of those that carry others, only the few that share its slot may go too. */
TEST(a_purge_of_one_tag_spares_the_values_of_nearly_all_others)
{
    enum { TAGS = 4000 };
    nh_store *store = make_store_for_tags(); /* 16,384 slots */
    unsigned gone = 0;
    char text[32], name[16];

    for (unsigned n = 0; n < TAGS; n++) {
        snprintf(name, sizeof name, "tag %u", n);
        EXPECT_EQ(put_tagged(store, NOW, key_number(text, n), "v", name), NH_OK);
    }
    for (unsigned n = 0; n < 40; n++) {
        snprintf(name, sizeof name, "tag %u", n);
        EXPECT_EQ(nh_purge_tag(store, value_of(name), NH_PURGE_DROP), NH_OK);
    }
    for (unsigned n = 0; n < TAGS; n++)
        gone += !is_there(store, NOW, key_number(text, n));
    EXPECT(gone >= 40);
    EXPECT(gone < 40 + 40); /* about 10 share one of 40 slots */
    nh_destroy(store);
}

RUN_TESTS(TEST_ROW(a_purge_drops_what_carries_the_tag_and_was_put_before),
          TEST_ROW(a_list_of_tags_that_is_none_is_refused_and_an_empty_name_is_a_name),
          TEST_ROW(a_purged_key_is_missing_to_every_call_that_asks_for_it),
          TEST_ROW(what_was_purged_leaves_the_count_with_a_sweep),
          TEST_ROW(a_soft_purge_makes_stale_and_serves_on),
          TEST_ROW(an_expiry_holds_for_what_was_purged_softly),
          TEST_ROW(what_is_written_onto_a_value_keeps_its_tags_and_its_place_before_the_purge),
          TEST_ROW(a_stale_value_that_is_added_to_stays_stale),
          TEST_ROW(a_tag_is_dropped_with_the_value_that_had_it),
          TEST_ROW(a_purge_reaches_all_spaces_and_large_values),
          TEST_ROW(a_borrowed_value_outlives_its_purge),
          TEST_ROW(what_was_begun_before_a_purge_of_its_tag_cannot_be_put_after_it),
          TEST_ROW(a_purge_after_the_put_counts_from_where_the_making_began),
          TEST_ROW(a_value_may_carry_one_tag_twice), TEST_ROW(purging_a_million_tags_takes_no_memory),
          TEST_ROW(a_purge_of_one_tag_spares_the_values_of_nearly_all_others))
