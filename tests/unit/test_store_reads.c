/* links: nuthatch-store */
/* The calls that read: what each of them says, counts and leaves as it was. */
#include "store_words.h"

TEST(many_keys_at_once_are_answered_one_by_one)
{
    enum { COUNT = 300 };
    nh_store *store = make_store(4 << 20);
    nh_get_request requests[COUNT];
    static char texts[COUNT][32], buffers[COUNT][16];

    for (unsigned n = 0; n < COUNT; n++) {
        char value[16];
        requests[n] = (nh_get_request){.key = key_number_in(n % 5, texts[n], n),
                                       .buffer = buffers[n],
                                       .capacity = n % 7 == 0 ? 3 : sizeof buffers[n],
                                       .result = 77,
                                       .value_bytes = 777};
        if (n % 3 != 0) {
            snprintf(value, sizeof value, "value %u", n);
            EXPECT_EQ(nh_put(store, NOW, requests[n].key, value_of(value), NULL, NULL), NH_OK);
        }
        memset(buffers[n], '.', sizeof buffers[n]);
    }
    requests[10].key.size = 0; /* a key like any other, and nobody has put it */
    requests[11].key.space = NH_SPACES;
    requests[13].key.size = SIZE_MAX;
    requests[14] = (nh_get_request){.key = requests[16].key, .capacity = 0}; /* no buffer at all */
    EXPECT_EQ(nh_get_many(store, NOW, requests, COUNT), NH_OK);
    for (unsigned n = 0; n < COUNT; n++) {
        char value[16];
        size_t size = (size_t)snprintf(value, sizeof value, "value %u", n);
        if (n == 10 || n == 11 || n == 13 || n == 14)
            continue;
        EXPECT_EQ(requests[n].result, n % 3 != 0 ? NH_OK : NH_MISSING);
        if (requests[n].result != NH_OK)
            continue;
        EXPECT_EQ(requests[n].value_bytes, size);
        size = size < requests[n].capacity ? size : requests[n].capacity;
        EXPECT_EQ(memcmp(buffers[n], value, size), 0);
        EXPECT_EQ(buffers[n][size], '.');
    }
    EXPECT_EQ(requests[10].result, NH_MISSING);
    EXPECT_EQ(requests[11].result, NH_INVALID);
    EXPECT_EQ(requests[13].result, NH_TOO_LARGE);
    EXPECT_EQ(requests[14].result, NH_OK);
    EXPECT_EQ(requests[14].value_bytes, 8);
    expect_nothing_lent(store);
    nh_destroy(store);
}

TEST(the_same_key_may_be_asked_for_many_times_at_once)
{
    nh_store *store = make_store(1 << 20);
    nh_get_request requests[100];
    static char buffers[100][8];

    EXPECT_EQ(put_text(store, "k", "v"), NH_OK);
    for (unsigned n = 0; n < 100; n++)
        requests[n] = (nh_get_request){.key = key_of("k"), .buffer = buffers[n], .capacity = 8};
    EXPECT_EQ(nh_get_many(store, NOW, requests, 100), NH_OK);
    for (unsigned n = 0; n < 100; n++) {
        EXPECT_EQ(requests[n].result, NH_OK);
        EXPECT_EQ(requests[n].value_bytes, 1);
        EXPECT_EQ(buffers[n][0], 'v');
    }
    nh_destroy(store);
}

TEST(a_peek_lends_for_a_moment)
{
    nh_store *store = make_store(1 << 20);
    nh_put_options options = {.size = sizeof options, .ttl_ms = 100, .soft_ttl_ms = 50, .flags = 7};
    char text[32], filler[500] = {0};
    uint64_t version;
    nh_value value;

    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &options, &version), NH_OK);
    EXPECT_EQ(nh_peek(store, NOW + 50, key_of("k"), &value), NH_OK);
    EXPECT_TEXT(lent(&value), BYTES("v"));
    EXPECT_EQ(value.flags, 7);
    EXPECT_EQ(value.expires_at_ms, NOW + 100);
    EXPECT_EQ(value.stale_at_ms, NOW + 50);
    EXPECT_EQ(value.traits, NH_VALUE_STALE);
    EXPECT(value.version == 0 || value.version == version);
    nh_release(store, &value);
    nh_release(store, &value); /* harmless */
    EXPECT_EQ(nh_peek(store, NOW + 100, key_of("k"), &value), NH_MISSING);
    EXPECT_EQ(nh_peek(store, NOW, key_of("none"), &value), NH_MISSING);
    /* What a peek has released stops nobody from making room. */
    for (unsigned n = 0; n < 20000; n++) {
        EXPECT_EQ(
            nh_put(store, NOW + 100, key_number(text, n), (nh_bytes){filler, sizeof filler}, NULL, NULL),
            NH_OK);
        EXPECT_EQ(nh_peek(store, NOW + 100, key_number(text, n), &value), NH_OK);
        nh_release(store, &value);
    }
    expect_nothing_lent(store);
    nh_destroy(store);
}

TEST(several_peeks_may_be_held_at_once_and_released_in_any_order)
{
    nh_store *store = make_store(1 << 20);
    nh_value values[8];
    char text[32];

    for (unsigned n = 0; n < COUNT_OF(values); n++)
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), value_of("v"), NULL, NULL), NH_OK);
    for (unsigned n = 0; n < COUNT_OF(values); n++)
        EXPECT_EQ(nh_peek(store, NOW, key_number(text, n), &values[n]), NH_OK);
    EXPECT_EQ(nh_get(store, NOW, key_number(text, 0), NULL, 0, NULL), NH_OK);
    for (unsigned n = 0; n < COUNT_OF(values); n++)
        nh_release(store, &values[(n * 3) % COUNT_OF(values)]);
    expect_nothing_lent(store);
    nh_destroy(store);
}

TEST(get_and_touch_lends_the_value_and_moves_its_end)
{
    nh_store *store = make_store(1 << 20);
    nh_put_options options = {.size = sizeof options, .ttl_ms = 100, .soft_ttl_ms = 5000, .flags = 7};
    uint64_t version;
    nh_value value;

    EXPECT_EQ(nh_get_and_touch(store, NOW, key_of("k"), 10, &value), NH_MISSING);
    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &options, &version), NH_OK);
    EXPECT_EQ(nh_get_and_touch(store, NOW + 50, key_of("k"), 1000, &value), NH_OK);
    EXPECT_TEXT(lent(&value), BYTES("v"));
    EXPECT_EQ(value.flags, 7);
    EXPECT_EQ(value.version, version);
    EXPECT_EQ(value.stale_at_ms, NOW + 5000);
    nh_release(store, &value);
    expect_text(store, NOW + 1049, key_of("k"), "v");
    EXPECT_EQ(nh_get_and_touch(store, NOW + 1049, key_of("k"), 0, &value), NH_OK);
    nh_release(store, &value);
    EXPECT_EQ(nh_borrow(store, NOW + 1000000, key_of("k"), &value), NH_OK);
    EXPECT_EQ(value.expires_at_ms, 0);
    nh_release(store, &value);
    EXPECT_EQ(nh_get_and_touch(store, NOW + 1000000, key_of("k"), -1, &value),
              NH_OK); /* lends it and deletes */
    EXPECT_TEXT(lent(&value), BYTES("v"));
    expect_missing(store, NOW + 1000000, key_of("k"));
    EXPECT_EQ(nh_count(store, 0), 0);
    EXPECT_TEXT(lent(&value), BYTES("v"));
    nh_release(store, &value);
    expect_nothing_lent(store);
    nh_destroy(store);
}

TEST(hits_and_misses_are_counted_once_by_every_call_that_reads)
{
    for (int call = 0; call < 6; call++)
        for (int is_there = 0; is_there < 2; is_there++) {
            nh_store *store = make_store(1 << 20);
            nh_get_request request = {.key = key_of("k")};
            nh_fetch_state fetched;
            nh_value value = {0};
            uint64_t lease;
            if (is_there)
                EXPECT_EQ(put_text(store, "k", "v"), NH_OK);
            switch (call) {
            case 0: nh_borrow(store, NOW, key_of("k"), &value); break;
            case 1: nh_peek(store, NOW, key_of("k"), &value); break;
            case 2: nh_get(store, NOW, key_of("k"), NULL, 0, NULL); break;
            case 3: nh_get_many(store, NOW, &request, 1); break;
            case 4: nh_get_and_touch(store, NOW, key_of("k"), 0, &value); break;
            case 5: nh_fetch(store, NOW, key_of("k"), NULL, &fetched, &lease, &value); break;
            }
            nh_release(store, &value);
            EXPECT_EQ(stats_of(store).hits, is_there);
            EXPECT_EQ(stats_of(store).misses, !is_there);
            nh_destroy(store);
        }
}

/* How many of some keys are still there after so many others that everything that is not used has to go. */
static unsigned survivors(nh_result (*look)(nh_store *, int64_t, nh_key, nh_value *))
{
    enum { KEPT = 50, PASSING = 60000 };
    nh_store *store = make_store(1 << 20);
    char text[32], bytes[64] = {0};
    unsigned count = 0;

    for (unsigned n = 0; n < PASSING; n++) {
        nh_value value;
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){bytes, sizeof bytes}, NULL, NULL),
                  NH_OK);
        if (n >= KEPT && n % 16 == 0 &&
            look(store, NOW, key_number(text, n / 16 % KEPT), &value) == NH_OK) {
            EXPECT_EQ(value.size, sizeof bytes);
            nh_release(store, &value);
        }
    }
    for (unsigned n = 0; n < KEPT; n++)
        count += is_there(store, NOW, key_number(text, n));
    expect_nothing_lent(store);
    nh_destroy(store);
    return count;
}

TEST(what_is_looked_at_unnoticed_leaves_as_if_nobody_had_looked)
{
    nh_store *store = make_store(1 << 20);
    nh_value value;

    EXPECT(survivors(nh_peek) > 25);
    EXPECT(survivors(nh_borrow) > 25);
    EXPECT_EQ(survivors(nh_peek_unnoticed), 0);
    EXPECT_EQ(survivors(nh_borrow_unnoticed), 0);

    EXPECT_EQ(nh_peek_unnoticed(store, NOW, key_of("k"), &value), NH_MISSING);
    EXPECT_EQ(nh_borrow_unnoticed(store, NOW, key_of("k"), &value), NH_MISSING);
    EXPECT_EQ(nh_borrow_unnoticed(store, NOW, key_of("k"), NULL), NH_INVALID);
    EXPECT_EQ(stats_of(store).misses, 2);
    nh_destroy(store);
}

/* By whoever: a thread is not needed to see that the value does not ask. */
TEST(a_value_is_released_after_its_key_was_written_a_thousand_times)
{
    nh_store *store = make_store(1 << 20);
    nh_value values[1000];
    char number[16];

    for (unsigned n = 0; n < 1000; n++) {
        snprintf(number, sizeof number, "%u", n);
        EXPECT_EQ(put_text(store, "k", number), NH_OK);
        EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &values[n]), NH_OK);
    }
    for (unsigned i = 0; i < 1000; i++) {
        unsigned n = i * 7 % 1000; /* in no order */
        snprintf(number, sizeof number, "%u", n);
        EXPECT_TEXT(lent(&values[n]), bytes_of_text(number));
        nh_release(store, &values[n]);
    }
    expect_nothing_lent(store);
    nh_destroy(store);
}

RUN_TESTS(TEST_ROW(many_keys_at_once_are_answered_one_by_one),
          TEST_ROW(the_same_key_may_be_asked_for_many_times_at_once), TEST_ROW(a_peek_lends_for_a_moment),
          TEST_ROW(several_peeks_may_be_held_at_once_and_released_in_any_order),
          TEST_ROW(get_and_touch_lends_the_value_and_moves_its_end),
          TEST_ROW(hits_and_misses_are_counted_once_by_every_call_that_reads),
          TEST_ROW(what_is_looked_at_unnoticed_leaves_as_if_nobody_had_looked),
          TEST_ROW(a_value_is_released_after_its_key_was_written_a_thousand_times))
