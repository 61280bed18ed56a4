/* links: nuthatch-store */
/* Walks over all keys: nothing that stays is left out, nothing that is gone is shown. */
#include "store_words.h"

/* The number of a key that key_number made; the bytes have no terminator. */
static unsigned number_of(nh_key key)
{
    char text[32] = "";
    unsigned number = 0;
    EXPECT_EQ(key.size, 12);
    memcpy(text, key.data, key.size);
    EXPECT_EQ(sscanf(text, "key-%08u", &number), 1);
    return number;
}

TEST(a_walk_sees_every_key_that_stays_even_while_the_table_grows)
{
    enum { STAYING = 2000, COMING = 60000 };
    nh_store *store = make_store(32 << 20);
    unsigned char seen[STAYING] = {0};
    unsigned coming = STAYING, number;
    nh_cursor *cursor;
    char text[32];
    nh_value value;
    nh_key key;

    for (unsigned n = 0; n < STAYING; n++)
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), value_of("v"), NULL, NULL), NH_OK);
    EXPECT_EQ(nh_cursor_create(store, 0, &cursor), NH_OK);
    while (nh_cursor_next(cursor, NOW, &key, &value) == NH_OK) {
        number = number_of(key);
        if (number < STAYING) {
            seen[number] = 1;
            EXPECT_EQ(
                nh_put(store, NOW, key_number(text, (number * 7) % STAYING), value_of("w"), NULL, NULL),
                NH_OK);
        }
        for (int i = 0; i < 30 && coming < COMING; i++)
            EXPECT_EQ(nh_put(store, NOW, key_number(text, coming++), value_of("v"), NULL, NULL), NH_OK);
    }
    EXPECT_EQ(coming, COMING);
    for (unsigned n = 0; n < STAYING; n++)
        EXPECT_EQ(seen[n], 1);
    EXPECT_EQ(nh_cursor_next(cursor, NOW, &key, &value), NH_MISSING);
    nh_cursor_destroy(cursor);
    expect_nothing_lent(store);
    nh_destroy(store);
}

TEST(a_walk_shows_no_key_that_is_gone_and_each_value_as_it_is)
{
    nh_store *store = make_store(1 << 20);
    nh_put_options brief = {.size = sizeof brief, .ttl_ms = 10};
    unsigned count = 0;
    nh_cursor *cursor;
    char text[32];
    nh_value value;
    nh_key key;

    for (unsigned n = 0; n < 1000; n++)
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), value_of("old"), n % 2 ? &brief : NULL, NULL),
                  NH_OK);
    EXPECT_EQ(nh_cursor_create(store, 0, &cursor), NH_OK);
    while (nh_cursor_next(cursor, NOW + 10, &key, &value) == NH_OK) {
        EXPECT(count > 0 || bytes_equal(lent(&value), BYTES("old")));
        /* What the cursor had gathered before the change may still be told as it was. */
        EXPECT(bytes_equal(lent(&value), BYTES("new")) || bytes_equal(lent(&value), BYTES("old")));
        if (count++ == 0)
            for (unsigned n = 0; n < 1000; n += 2) {
                if (n % 4 == 0)
                    EXPECT_EQ(nh_delete(store, NOW + 10, key_number(text, n)), NH_OK);
                else
                    EXPECT_EQ(nh_put(store, NOW + 10, key_number(text, n), value_of("new"), NULL, NULL),
                              NH_OK);
            }
    }
    EXPECT(count >= 250);
    EXPECT(count < 300);
    nh_cursor_destroy(cursor);
    EXPECT_EQ(nh_cursor_create(store, 0, &cursor), NH_OK);
    EXPECT_EQ(nh_cursor_next(cursor, NOW + 10, &key, &value), NH_OK);
    EXPECT_TEXT(lent(&value), BYTES("new"));
    nh_cursor_destroy(cursor); /* in the midst of a walk */
    expect_nothing_lent(store);
    nh_destroy(store);
}

TEST(what_a_walk_lends_stays_as_it_was_until_the_next_step)
{
    nh_store *store = make_store(1 << 20);
    char text[32], filler[500] = {0};
    nh_cursor *cursor;
    nh_value value;
    nh_key key;

    EXPECT_EQ(nh_put(store, NOW, key_of("the key itself"), value_of("precious"), NULL, NULL), NH_OK);
    EXPECT_EQ(nh_cursor_create(store, 0, &cursor), NH_OK);
    EXPECT_EQ(nh_cursor_next(cursor, NOW, &key, &value), NH_OK);
    EXPECT_EQ(nh_delete(store, NOW, key_of("the key itself")), NH_OK);
    for (unsigned n = 0; n < 20000; n++)
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){filler, sizeof filler}, NULL, NULL),
                  NH_OK);
    EXPECT_TEXT(bytes_of(key.data, key.size), BYTES("the key itself"));
    EXPECT_TEXT(lent(&value), BYTES("precious"));
    nh_cursor_destroy(cursor);
    expect_nothing_lent(store);
    nh_destroy(store);
}

TEST(a_walk_tells_space_flags_times_and_what_is_negative)
{
    nh_store *store = make_store(4 << 20);
    nh_put_options options = {.size = sizeof options, .ttl_ms = 1000, .soft_ttl_ms = 10};
    unsigned seen[4] = {0};
    nh_cursor *cursor;
    char text[32];
    nh_value value;
    nh_key key;

    for (unsigned n = 0; n < 4; n++) {
        options.flags = n;
        options.negative = n == 3;
        EXPECT_EQ(nh_put(store, NOW, key_number_in(n * 300, text, n), value_of("v"), &options, NULL),
                  NH_OK);
    }
    EXPECT_EQ(nh_cursor_create(store, 0, &cursor), NH_OK);
    while (nh_cursor_next(cursor, NOW + 20, &key, &value) == NH_OK) {
        unsigned number = number_of(key);
        seen[number]++;
        EXPECT_EQ(key.space, number * 300);
        EXPECT_EQ(value.flags, number);
        EXPECT_EQ(value.expires_at_ms, NOW + 1000);
        EXPECT_EQ(value.stale_at_ms, NOW + 10);
        EXPECT_EQ(value.traits, NH_VALUE_STALE | (number == 3 ? NH_VALUE_NEGATIVE : 0));
        EXPECT_EQ(value.size, 1);
    }
    nh_cursor_destroy(cursor);
    for (unsigned n = 0; n < 4; n++)
        EXPECT_EQ(seen[n], 1);
    nh_destroy(store);
}

/* Walks like a client of SCAN: some steps, then a new cursor at the position of the old. */
TEST(a_walk_that_goes_on_from_its_position_sees_every_key_that_stays)
{
    enum { STAYING = 3000, COMING = 20000 };
    nh_store *store = make_store(32 << 20);
    unsigned char *seen = calloc(STAYING, 1);
    unsigned coming = STAYING, number, rounds = 0;
    uint64_t position = 0;
    nh_cursor *cursor;
    char text[32];
    nh_value value;
    nh_key key;

    for (unsigned n = 0; n < STAYING; n++)
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), value_of("v"), NULL, NULL), NH_OK);
    do {
        nh_result result = NH_OK;
        uint64_t before = position;
        EXPECT_EQ(nh_cursor_create(store, position, &cursor), NH_OK);
        /* A position is left behind in the end: one may have to take more than a few steps. */
        for (unsigned i = 0; result == NH_OK && (i < 10 || nh_cursor_position(cursor) == before); i++) {
            result = nh_cursor_next(cursor, NOW, &key, &value);
            EXPECT(result == NH_OK || result == NH_MISSING);
            EXPECT(i < STAYING + COMING);
            if (result != NH_OK)
                break;
            number = number_of(key);
            if (number < STAYING)
                seen[number] = 1;
        }
        position = nh_cursor_position(cursor);
        EXPECT(result == NH_OK || position == 0);
        nh_cursor_destroy(cursor);
        for (int i = 0; i < 40 && coming < COMING; i++)
            EXPECT_EQ(nh_put(store, NOW, key_number(text, coming++), value_of("v"), NULL, NULL), NH_OK);
        EXPECT(rounds++ < 50000);
    } while (position != 0);
    for (unsigned n = 0; n < STAYING; n++)
        EXPECT_EQ(seen[n], 1);
    expect_nothing_lent(store);
    free(seen);
    nh_destroy(store);
}

TEST(a_position_that_nobody_gave_harms_nobody)
{
    nh_store *store = make_store(1 << 20);
    uint64_t random = 88172645463325252u;
    char text[32];

    for (unsigned n = 0; n < 100; n++)
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), value_of("v"), NULL, NULL), NH_OK);
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t position = i < 64 ? (uint64_t)1 << i : i < 128 ? UINT64_MAX >> (i - 64) : random;
        nh_cursor *cursor;
        nh_result result;
        nh_value value;
        nh_key key;
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        result = nh_cursor_create(store, position, &cursor);
        EXPECT(result == NH_OK || result == NH_INVALID);
        if (result != NH_OK)
            continue;
        for (unsigned step = 0; nh_cursor_next(cursor, NOW, &key, &value) == NH_OK; step++) {
            EXPECT(number_of(key) < 100);
            EXPECT(step < 1000);
        }
        EXPECT_EQ(nh_cursor_position(cursor), 0);
        nh_cursor_destroy(cursor);
    }
    EXPECT_EQ(nh_count(store, 0), 100);
    nh_destroy(store);
}

TEST(a_walk_over_an_empty_store_ends_at_once)
{
    nh_store *store = make_store(1 << 20);
    nh_cursor *cursor;
    nh_value value;
    nh_key key;

    for (int round = 0; round < 2; round++) { /* the second time, one that has been emptied */
        EXPECT_EQ(nh_cursor_create(store, 0, &cursor), NH_OK);
        EXPECT_EQ(nh_cursor_next(cursor, NOW, &key, &value), NH_MISSING);
        EXPECT_EQ(nh_cursor_position(cursor), 0);
        nh_cursor_destroy(cursor);
        put_text(store, "k", "v");
        nh_clear(store, 0);
    }
    nh_destroy(store);
}

TEST(a_clear_in_the_midst_of_a_walk_ends_it)
{
    nh_store *store = make_store(4 << 20);
    unsigned count = 0;
    nh_cursor *cursor;
    char text[32];
    nh_value value;
    nh_key key;

    for (unsigned n = 0; n < 5000; n++)
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), value_of("v"), NULL, NULL), NH_OK);
    EXPECT_EQ(nh_cursor_create(store, 0, &cursor), NH_OK);
    for (; nh_cursor_next(cursor, NOW, &key, &value) == NH_OK; count++)
        if (count == 100)
            nh_clear(store, 0);
    EXPECT(count >= 100);
    EXPECT(count < 200); /* what was gathered already */
    nh_cursor_destroy(cursor);
    nh_destroy(store);
}

TEST(a_narrow_walk_in_steps_shows_each_key_of_its_space_once)
{
    enum { KEYS = 3000 };
    nh_store *store = make_store(4 << 20);
    unsigned char seen[KEYS] = {0};
    unsigned steps = 0;
    uint64_t position = 0;
    nh_cursor *cursor;
    char text[32];
    nh_value value;
    nh_key key;

    for (unsigned n = 0; n < 2 * KEYS; n++) {
        key = key_number(text, n % KEYS);
        key.space = n / KEYS;
        EXPECT_EQ(nh_put(store, NOW, key, value_of("v"), NULL, NULL), NH_OK);
    }
    do {
        EXPECT_EQ(nh_cursor_create(store, position, &cursor), NH_OK);
        nh_cursor_narrow(cursor, 1, position + 10);
        while (nh_cursor_next(cursor, NOW, &key, &value) == NH_OK) {
            EXPECT_EQ(key.space, 1);
            EXPECT_EQ(seen[number_of(key)]++, 0);
        }
        EXPECT(nh_cursor_position(cursor) == 0 || nh_cursor_position(cursor) == position + 10);
        position = nh_cursor_position(cursor);
        nh_cursor_destroy(cursor);
        steps++;
    } while (position != 0);
    for (unsigned n = 0; n < KEYS; n++)
        EXPECT_EQ(seen[n], 1);
    EXPECT(steps > 10);
    nh_cursor_narrow(NULL, 0, 0);
    nh_destroy(store);
}

RUN_TESTS(TEST_ROW(a_walk_sees_every_key_that_stays_even_while_the_table_grows),
          TEST_ROW(a_walk_shows_no_key_that_is_gone_and_each_value_as_it_is),
          TEST_ROW(what_a_walk_lends_stays_as_it_was_until_the_next_step),
          TEST_ROW(a_walk_tells_space_flags_times_and_what_is_negative),
          TEST_ROW(a_walk_that_goes_on_from_its_position_sees_every_key_that_stays),
          TEST_ROW(a_position_that_nobody_gave_harms_nobody),
          TEST_ROW(a_walk_over_an_empty_store_ends_at_once),
          TEST_ROW(a_clear_in_the_midst_of_a_walk_ends_it),
          TEST_ROW(a_narrow_walk_in_steps_shows_each_key_of_its_space_once))
