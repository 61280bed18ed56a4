/* links: nuthatch-store */
/* Who may hold how much: spaces with bounds of their own, and borrowers. */
#include "store_words.h"

enum { MEMORY_BYTES = 16 << 20, VALUE_BYTES = 1000 };

/* Puts values number `from` to `to` into a space; each must go in. */
static void put_many(nh_store *store, uint32_t space, unsigned from, unsigned to)
{
    char text[32], bytes[VALUE_BYTES] = {0};
    for (unsigned n = from; n < to; n++)
        EXPECT_EQ(
            nh_put(store, NOW, key_number_in(space, text, n), (nh_bytes){bytes, sizeof bytes}, NULL, NULL),
            NH_OK);
}

static unsigned count_there(nh_store *store, uint32_t space, unsigned from, unsigned to)
{
    unsigned there = 0;
    char text[32];
    for (unsigned n = from; n < to; n++)
        there += is_there(store, NOW, key_number_in(space, text, n));
    return there;
}

TEST(bounds_that_make_no_sense_are_refused)
{
    nh_store *store = make_store(MEMORY_BYTES);
    uint64_t segment = stats_of(store).segment_bytes;
    const struct {
        uint64_t bytes_min, bytes_max;
        nh_result result;
    } cases[] = {
        {0, 0, NH_OK},
        {0, 8 * segment, NH_OK},
        {0, 8 * segment - 1, NH_RANGE},
        {0, 1, NH_RANGE},
        {4 * segment, 8 * segment, NH_OK},
        {9 * segment, 8 * segment, NH_RANGE},
        {MIB, 0, NH_OK},
        {MEMORY_BYTES / 2 + segment, 0, NH_RANGE},
        {UINT64_MAX, 0, NH_RANGE},
        {UINT64_MAX, UINT64_MAX, NH_RANGE},
        {0, UINT64_MAX, NH_OK},
        {0, 0, NH_OK},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        EXPECT_EQ(nh_space_bound(store, 3, cases[i].bytes_min, cases[i].bytes_max), cases[i].result);
    EXPECT_EQ(nh_space_bound(store, NH_SPACES, 0, MIB), NH_INVALID);
    EXPECT_EQ(nh_space_bound(store, NH_SPACE_ALL, 0, MIB), NH_INVALID);
    nh_destroy(store);
}

TEST(seven_spaces_may_have_bounds_and_their_minima_no_more_than_half)
{
    nh_store *store = make_store(MEMORY_BYTES);

    for (uint32_t i = 0; i < NH_SPACES_LIMITED_MAX; i++)
        EXPECT_EQ(nh_space_bound(store, 100 * i, MIB, 0), NH_OK);
    EXPECT_EQ(nh_space_bound(store, 1, MIB, 0), NH_FULL);
    EXPECT_EQ(nh_space_bound(store, 100, 0, 2 * MIB), NH_OK); /* one that has some already */
    EXPECT_EQ(nh_space_bound(store, 200, 8 * MIB, 0), NH_RANGE);
    nh_destroy(store);
    store = make_store(MEMORY_BYTES);
    EXPECT_EQ(nh_space_bound(store, 1, 4 * MIB, 0), NH_OK);
    EXPECT_EQ(nh_space_bound(store, 2, 5 * MIB, 0), NH_RANGE); /* both would exceed it */
    EXPECT_EQ(nh_space_bound(store, 2, 3 * MIB, 0), NH_OK);
    EXPECT_EQ(nh_space_bound(store, 1, 6 * MIB, 0), NH_RANGE);
    EXPECT_EQ(nh_space_bound(store, 1, 3 * MIB, 0), NH_OK);
    nh_destroy(store);
}

TEST(a_space_keeps_its_least_whatever_others_hold)
{
    nh_store *store = make_store(MEMORY_BYTES);

    EXPECT_EQ(nh_space_bound(store, 1, 4 * MIB, 0), NH_OK);
    put_many(store, 1, 0, 2500); /* 2.5 MB, and nobody reads them */
    put_many(store, 2, 0, 60000);
    put_many(store, 0, 0, 60000);
    EXPECT(stats_of(store).evicted > 60000);
    EXPECT(count_there(store, 1, 0, 2500) >= 2480);
    nh_destroy(store);
}

TEST(a_space_finds_room_up_to_its_least_in_a_store_that_others_have_filled)
{
    nh_store *store = make_store(MEMORY_BYTES);
    char text[32];

    EXPECT_EQ(nh_space_bound(store, 1, 4 * MIB, 0), NH_OK);
    put_many(store, 2, 0, 30000);
    for (unsigned n = 0; n < 30000; n++) /* all of them dear */
        for (int i = 0; i < 3; i++)
            nh_get(store, NOW, key_number_in(2, text, n), NULL, 0, NULL);
    put_many(store, 1, 0, 2500);
    put_many(store, 2, 30000, 60000);
    EXPECT(count_there(store, 1, 0, 2500) >= 2480);
    nh_destroy(store);
}

TEST(a_space_makes_room_among_its_own_beyond_its_most)
{
    nh_store *store = make_store(MEMORY_BYTES);
    uint64_t bytes_max = 2 * MIB;

    EXPECT_EQ(nh_space_bound(store, 1, 0, bytes_max), NH_OK);
    put_many(store, 2, 0, 8000);
    put_many(store, 1, 0, 50000);
    EXPECT_EQ(count_there(store, 2, 0, 8000), 8000);
    EXPECT(nh_count(store, 1) * VALUE_BYTES <= bytes_max);
    EXPECT(nh_count(store, 1) * VALUE_BYTES >= bytes_max / 3); /* and uses what it may */
    EXPECT_EQ(count_there(store, 1, 49999, 50000), 1);         /* the newest is there */
    nh_destroy(store);
}

TEST(a_value_beyond_the_most_of_its_space_is_refused_or_leaves_the_others_alone)
{
    nh_store *store = make_store_of_values(MEMORY_BYTES, 4 * MIB);
    char *bytes = calloc(1, 3 * MIB);
    nh_result result;

    EXPECT_EQ(nh_space_bound(store, 1, 0, 2 * MIB), NH_OK);
    put_many(store, 2, 0, 5000);
    put_many(store, 1, 0, 500);
    result = nh_put(store, NOW, key_in(1, "huge"), (nh_bytes){bytes, 3 * MIB}, NULL, NULL);
    EXPECT(result == NH_OK || result == NH_FULL || result == NH_TOO_LARGE);
    EXPECT_EQ(count_there(store, 2, 0, 5000), 5000);
    EXPECT_EQ(nh_put(store, NOW, key_in(1, "large"), (nh_bytes){bytes, MIB}, NULL, NULL), NH_OK);
    EXPECT(is_there(store, NOW, key_in(1, "large")));
    put_many(store, 1, 500, 1000);
    free(bytes);
    nh_destroy(store);
}

TEST(a_bound_of_nought_lifts_it)
{
    nh_store *store = make_store(MEMORY_BYTES);

    EXPECT_EQ(nh_space_bound(store, 1, 0, MIB), NH_OK);
    put_many(store, 1, 0, 5000);
    EXPECT(nh_count(store, 1) < 1100);
    EXPECT_EQ(nh_space_bound(store, 1, 0, 0), NH_OK);
    put_many(store, 1, 5000, 10000);
    EXPECT(nh_count(store, 1) >= 5000);
    nh_destroy(store);
}

/* ---- borrowers ------------------------------------------------------------------------------------ */

TEST(borrowers_for_ever_do_not_stop_who_writes)
{
    enum { COUNT = 12000 };
    nh_store *store = make_store(MEMORY_BYTES);
    nh_value *values = calloc(COUNT, sizeof *values);
    char bytes[VALUE_BYTES], text[32];
    nh_stats stats;

    for (unsigned n = 0; n < COUNT; n++) { /* every one of them, and for long */
        pattern_fill(bytes, sizeof bytes, 0, n);
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){bytes, sizeof bytes}, NULL, NULL),
                  NH_OK);
        EXPECT_EQ(nh_borrow(store, NOW, key_number(text, n), &values[n]), NH_OK);
    }
    stats = stats_of(store);
    EXPECT(stats.pinned_bytes <= MEMORY_BYTES / 8);
    EXPECT(stats.pinned_bytes >= MEMORY_BYTES / 32);
    /* What is not pinned was copied. */
    EXPECT(stats.pinned_bytes + stats.borrowed_copied_bytes >= (uint64_t)COUNT * VALUE_BYTES);
    EXPECT(stats.memory_bytes <= MEMORY_BYTES);
    put_many(store, 1, 0, 60000);
    EXPECT_EQ(stats_of(store).rejected, 0);
    EXPECT_EQ(count_there(store, 1, 59000, 60000), 1000);
    EXPECT_EQ(nh_put(store, NOW, key_of("n"), value_of("5"), NULL, NULL), NH_OK);
    EXPECT_EQ(nh_increment(store, NOW, key_of("n"), 1, NH_INCREMENT_SIGNED, NULL), NH_OK);
    for (unsigned n = 0; n < COUNT; n++) {
        EXPECT_EQ(values[n].size, VALUE_BYTES);
        EXPECT(is_pattern(values[n].bytes.data, VALUE_BYTES, 0, n));
        nh_release(store, &values[n]);
    }
    expect_nothing_lent(store);
    put_many(store, 1, 0, 20000);
    free(values);
    nh_destroy(store);
}

TEST(a_segment_is_pinned_once_however_many_borrow_from_it)
{
    enum { BORROWERS = 1000 };
    nh_store *store = make_store(MEMORY_BYTES);
    nh_value *values = calloc(BORROWERS, sizeof *values);
    uint64_t segment = stats_of(store).segment_bytes;

    EXPECT_EQ(put_text(store, "k", "precious"), NH_OK);
    for (unsigned i = 0; i < BORROWERS; i++)
        EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &values[i]), NH_OK);
    EXPECT_EQ(stats_of(store).pinned_bytes, segment);
    EXPECT_EQ(stats_of(store).borrowed_copied_bytes, 0);
    for (unsigned i = 0; i < BORROWERS; i++) {
        EXPECT_EQ(stats_of(store).pinned_bytes, segment);
        EXPECT_TEXT(lent(&values[i]), BYTES("precious"));
        nh_release(store, &values[i]);
    }
    expect_nothing_lent(store);
    free(values);
    nh_destroy(store);
}

TEST(beyond_the_bound_large_values_are_refused_and_small_ones_copied)
{
    enum { LARGE = 100 };
    nh_store *store = make_store_of_values(MEMORY_BYTES, MIB);
    uint64_t size = 2 * stats_of(store).segment_bytes;
    nh_value large[LARGE] = {{.pin = NULL}}, small[100];
    unsigned borrowed = 0, refused = 0;
    nh_fetch_state fetched;
    uint64_t lease;
    char *bytes, text[32];

    if (size > MIB)
        size = MIB;
    bytes = malloc(size);
    for (unsigned n = 0; n < LARGE; n++) {
        pattern_fill(bytes, size, 0, n);
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){bytes, size}, NULL, NULL), NH_OK);
    }
    for (unsigned n = 0; n < 100; n++)
        EXPECT_EQ(nh_put(store, NOW, key_number_in(1, text, n), value_of("small"), NULL, NULL), NH_OK);
    EXPECT_EQ(stats_of(store).evicted, 0);
    for (unsigned n = 0; n < LARGE; n++) {
        nh_result result = nh_borrow(store, NOW, key_number(text, n), &large[n]);
        EXPECT(result == NH_OK || result == NH_FULL);
        EXPECT(stats_of(store).pinned_bytes <= MEMORY_BYTES / 8 + 2 * size);
        if (result == NH_FULL) {
            refused++;
            large[n].pin = NULL;
            EXPECT_EQ(nh_fetch(store, NOW, key_number(text, n), NULL, &fetched, &lease, &small[0]),
                      NH_FULL);
            EXPECT_EQ(nh_get(store, NOW, key_number(text, n), bytes, size, NULL), NH_OK);
            EXPECT(is_pattern(bytes, size, 0, n));
            EXPECT_EQ(nh_peek(store, NOW, key_number(text, n), &small[0]), NH_OK);
            expect_pattern(store, &small[0], size, n);
            nh_release(store, &small[0]);
        } else {
            borrowed++;
        }
    }
    EXPECT(borrowed > 0);
    EXPECT(refused > 0);
    for (unsigned n = 0; n < 100; n++) {
        EXPECT_EQ(nh_borrow(store, NOW, key_number_in(1, text, n), &small[n]), NH_OK);
        EXPECT_TEXT(lent(&small[n]), BYTES("small"));
    }
    for (unsigned n = 0; n < LARGE; n++)
        if (large[n].pin != NULL) {
            expect_pattern(store, &large[n], size, n);
            nh_release(store, &large[n]);
        }
    for (unsigned n = 0; n < 100; n++) {
        EXPECT_TEXT(lent(&small[n]), BYTES("small"));
        nh_release(store, &small[n]);
    }
    expect_nothing_lent(store);
    EXPECT_EQ(nh_borrow(store, NOW, key_number(text, LARGE - 1), &large[0]),
              NH_OK); /* there is room again */
    nh_release(store, &large[0]);
    free(bytes);
    nh_destroy(store);
}

TEST(a_put_that_finds_no_room_is_refused_and_tears_nothing)
{
    enum { MEMORY = 4 << 20 };
    nh_store *store = make_store_of_values(MEMORY, MEMORY / 2);
    char *bytes = calloc(1, MEMORY / 2);
    nh_writer *writers[64];
    unsigned created = 0;
    nh_result result = NH_OK;

    EXPECT_EQ(put_text(store, "k", "old"), NH_OK);
    /* Writers that nobody may evict take all there is. */
    while (result == NH_OK && created < COUNT_OF(writers)) {
        result = nh_writer_create(store, NOW, key_in(1, "w"), NULL, &writers[created]);
        if (result == NH_OK) {
            result = nh_writer_append(writers[created], NOW, (nh_bytes){bytes, MEMORY / 8});
            created++;
        }
    }
    EXPECT_EQ(result, NH_FULL);
    result = nh_put(store, NOW, key_of("k"), (nh_bytes){bytes, MEMORY / 2}, NULL, NULL);
    EXPECT_EQ(result, NH_FULL);
    EXPECT(stats_of(store).rejected > 0);
    /* Unless it had to make room itself, as any value may. */
    if (is_there(store, NOW, key_of("k")))
        expect_text(store, NOW, key_of("k"), "old");
    for (unsigned i = 0; i < created; i++)
        nh_writer_abort(writers[i]);
    EXPECT_EQ(nh_put(store, NOW, key_of("k"), (nh_bytes){bytes, MEMORY / 2}, NULL, NULL), NH_OK);
    free(bytes);
    nh_destroy(store);
}

TEST(the_limit_holds_and_the_newest_is_there_in_stores_of_every_size)
{
    static const uint64_t memories[] = {MIB, MIB + 4096, 3 * MIB / 2, 2 * MIB + 12345, 5 * MIB, 33 * MIB};
    char bytes[VALUE_BYTES] = {0}, text[32];

    for (size_t m = 0; m < COUNT_OF(memories); m++) {
        nh_store *store = make_store(memories[m]);
        unsigned count = (unsigned)(2 * memories[m] / VALUE_BYTES);
        EXPECT_EQ(stats_of(store).memory_bytes_max, memories[m]);
        for (unsigned n = 0; n < count; n++) {
            EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){bytes, sizeof bytes}, NULL, NULL),
                      NH_OK);
            EXPECT_EQ(nh_get(store, NOW, key_number(text, n), NULL, 0, NULL), NH_OK);
            if (n % 512 == 0)
                EXPECT(stats_of(store).memory_bytes <= memories[m]);
        }
        EXPECT(stats_of(store).evicted > 0);
        EXPECT(nh_count(store, 0) * VALUE_BYTES > memories[m] / 2); /* it is put to use */
        nh_destroy(store);
    }
}

/* A space with values of every lifetime has more segments open than the smallest bound allows. */
TEST(a_bound_that_open_segments_use_up_refuses_nothing)
{
    static const int64_t ttls_ms[] = {900, 9000, 50000, 500000, 3000000, 80000000, 900000000, 0};
    nh_store *store = make_store(64 << 20);
    uint64_t segment = stats_of(store).segment_bytes;
    char text[32], bytes[500] = {0};

    EXPECT_EQ(nh_space_bound(store, 1, 0, 8 * segment), NH_OK);
    for (unsigned n = 0; n < 20000; n++) {
        nh_put_options options = {.size = sizeof options, .ttl_ms = ttls_ms[n % COUNT_OF(ttls_ms)]};
        EXPECT_EQ(
            nh_put(store, NOW, key_number_in(1, text, n), (nh_bytes){bytes, sizeof bytes}, &options, NULL),
            NH_OK);
    }
    EXPECT(nh_count(store, 1) * sizeof bytes < 32 * segment);
    nh_destroy(store);
}

RUN_TESTS(TEST_ROW(a_bound_that_open_segments_use_up_refuses_nothing),
          TEST_ROW(bounds_that_make_no_sense_are_refused),
          TEST_ROW(seven_spaces_may_have_bounds_and_their_minima_no_more_than_half),
          TEST_ROW(a_space_keeps_its_least_whatever_others_hold),
          TEST_ROW(a_space_finds_room_up_to_its_least_in_a_store_that_others_have_filled),
          TEST_ROW(a_space_makes_room_among_its_own_beyond_its_most),
          TEST_ROW(a_value_beyond_the_most_of_its_space_is_refused_or_leaves_the_others_alone),
          TEST_ROW(a_bound_of_nought_lifts_it), TEST_ROW(borrowers_for_ever_do_not_stop_who_writes),
          TEST_ROW(a_segment_is_pinned_once_however_many_borrow_from_it),
          TEST_ROW(beyond_the_bound_large_values_are_refused_and_small_ones_copied),
          TEST_ROW(a_put_that_finds_no_room_is_refused_and_tears_nothing),
          TEST_ROW(the_limit_holds_and_the_newest_is_there_in_stores_of_every_size))
