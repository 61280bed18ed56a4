/* links: nuthatch-store */
#include "store_words.h"

TEST(options_out_of_range_are_refused)
{
    static const struct {
        nh_options options;
        nh_result result;
    } cases[] = {
        {{.size = sizeof(nh_options)}, NH_OK},
        {{.size = sizeof(nh_options), .memory_bytes = 1 << 20}, NH_OK},
        {{.size = sizeof(nh_options), .memory_bytes = (1 << 20) - 1}, NH_RANGE},
        {{.size = sizeof(nh_options), .memory_bytes = UINT64_MAX}, NH_RANGE},
        {{.size = sizeof(nh_options), .memory_bytes = 64 << 20, .insight_spaces = 8}, NH_OK},
        {{.size = sizeof(nh_options), .memory_bytes = 64 << 20, .insight_spaces = 9}, NH_RANGE},
        {{.size = sizeof(nh_options), .memory_bytes = 4 << 20, .huge_pages = 1}, NH_OK},
        {{.size = 0}, NH_INVALID},
        {{.size = SIZE_MAX}, NH_INVALID},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        nh_store *store = NULL;
        EXPECT_EQ(nh_create(&cases[i].options, &store), cases[i].result);
        EXPECT((store != NULL) == (cases[i].result == NH_OK));
        nh_destroy(store);
    }
    EXPECT_EQ(nh_create(NULL, NULL), NH_INVALID);
    nh_destroy(NULL);
}

TEST(a_store_made_without_options_has_64_mib_and_is_nearly_empty)
{
    nh_store *store;
    EXPECT_EQ(nh_create(NULL, &store), NH_OK);
    EXPECT_EQ(stats_of(store).memory_bytes_max, 64 << 20);
    EXPECT(stats_of(store).memory_bytes > 0);
    EXPECT(stats_of(store).memory_bytes < 4 << 20);
    nh_destroy(store);
}

TEST(fields_of_a_later_version_are_accepted_while_they_are_zero)
{
    struct {
        nh_put_options options;
        uint64_t later;
    } wide = {.options = {.size = sizeof wide, .flags = 3}};
    nh_store *store = make_store(1 << 20);
    nh_value value;

    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &wide.options, NULL), NH_OK);
    EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &value), NH_OK);
    EXPECT_EQ(value.flags, 3);
    nh_release(store, &value);
    wide.later = 1;
    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &wide.options, NULL), NH_INVALID);
    wide.options.size = sizeof(size_t); /* an older caller, with no field at all */
    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &wide.options, NULL), NH_OK);
    nh_destroy(store);
}

TEST(every_result_has_words)
{
    for (nh_result result = NH_OK; result <= NH_CORRUPT; result++)
        EXPECT(strlen(nh_result_text(result)) > 3);
    EXPECT(strcmp(nh_result_text(99), nh_result_text(NH_OK)) != 0);
    EXPECT(strlen(nh_version()) >= 5);
    EXPECT_EQ(nh_abi_version(), NH_ABI_VERSION);
}

TEST(a_bad_key_is_refused_everywhere)
{
    nh_store *store = make_store(1 << 20);
    char *long_key = calloc(1, NH_KEY_BYTES_MAX + 1);
    uint64_t key_bytes_max = stats_of(store).key_bytes_max;
    const struct {
        nh_key key;
        nh_result result;
    } cases[] = {
        {{NULL, 0, 0}, NH_INVALID},
        {{NULL, 5, 0}, NH_INVALID},
        {{"k", 1, NH_SPACES}, NH_INVALID},
        {{"k", 1, NH_SPACE_ALL}, NH_INVALID},
        {{long_key, key_bytes_max + 1, 0}, NH_TOO_LARGE},
        {{long_key, NH_KEY_BYTES_MAX + 1, 0}, NH_TOO_LARGE},
        {{long_key, SIZE_MAX, 0}, NH_TOO_LARGE},
    };
    nh_bytes one = {"1", 1};
    nh_fetch_state fetched;
    nh_writer *writer;
    int32_t had_before;
    uint64_t lease;
    nh_value value;
    size_t size;
    int64_t sum;

    EXPECT(key_bytes_max >= 250);
    EXPECT(key_bytes_max <= NH_KEY_BYTES_MAX);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        nh_key key = cases[i].key;
        nh_result result = cases[i].result;
        nh_get_request request = {.key = key, .result = NH_OK};
        EXPECT_EQ(nh_borrow(store, NOW, key, &value), result);
        EXPECT_EQ(nh_peek(store, NOW, key, &value), result);
        EXPECT_EQ(nh_get(store, NOW, key, NULL, 0, &size), result);
        EXPECT_EQ(nh_get_and_touch(store, NOW, key, 1, &value), result);
        EXPECT_EQ(nh_fetch(store, NOW, key, NULL, &fetched, &lease, &value), result);
        EXPECT_EQ(nh_put(store, NOW, key, one, NULL, NULL), result);
        EXPECT_EQ(nh_add(store, NOW, key, one, NULL, NULL), result);
        EXPECT_EQ(nh_replace(store, NOW, key, one, NULL, NULL), result);
        EXPECT_EQ(nh_cas(store, NOW, key, one, NULL, 1, NULL), result);
        EXPECT_EQ(nh_cas_value(store, NOW, key, one, 1, NULL), result);
        EXPECT_EQ(nh_copy(store, NOW, key, key_of("k"), NULL), result);
        EXPECT_EQ(nh_exchange(store, NOW, key, one, NULL, &value, &had_before), result);
        EXPECT_EQ(nh_fill(store, NOW, key, 1, one, NULL, NULL), result);
        EXPECT_EQ(nh_give_up(store, key, 1), result);
        EXPECT_EQ(nh_append(store, NOW, key, one, NULL), result);
        EXPECT_EQ(nh_prepend(store, NOW, key, one, NULL), result);
        EXPECT_EQ(nh_delete(store, NOW, key), result);
        EXPECT_EQ(nh_touch(store, NOW, key, 1), result);
        EXPECT_EQ(nh_touch_if(store, NOW, key, 1, NH_TOUCH_IF_SOME), result);
        EXPECT_EQ(nh_increment(store, NOW, key, 1, NH_INCREMENT_SIGNED, &sum), result);
        EXPECT_EQ(nh_writer_create(store, NOW, key, NULL, &writer), result);
        nh_get_many(store, NOW, &request, 1);
        EXPECT_EQ(request.result, result);
        nh_prefetch(store, &key, 1);
    }
    EXPECT_EQ(nh_count(store, NH_SPACE_ALL), 0);
    free(long_key);
    nh_destroy(store);
}

TEST(an_empty_key_is_a_key)
{
    nh_store *store = make_store(1 << 20);
    nh_key empty = {"", 0, 3}, other = {"", 0, 4}, seen;
    nh_cursor *cursor;
    nh_value value;

    EXPECT_EQ(nh_put(store, NOW, empty, value_of("v"), NULL, NULL), NH_OK);
    EXPECT(!is_there(store, NOW, other));
    EXPECT_EQ(nh_append(store, NOW, empty, value_of("w"), NULL), NH_OK);
    EXPECT_EQ(nh_touch(store, NOW, empty, 10), NH_OK);
    expect_text(store, NOW, empty, "vw");
    EXPECT_EQ(nh_cursor_create(store, 0, &cursor), NH_OK);
    EXPECT_EQ(nh_cursor_next(cursor, NOW, &seen, &value), NH_OK);
    EXPECT_EQ(seen.size, 0);
    EXPECT_EQ(seen.space, 3);
    EXPECT_EQ(nh_cursor_next(cursor, NOW, &seen, &value), NH_MISSING);
    nh_cursor_destroy(cursor);
    EXPECT_EQ(nh_delete(store, NOW, empty), NH_OK);
    EXPECT_EQ(nh_count(store, NH_SPACE_ALL), 0);
    nh_destroy(store);
}

TEST(other_bad_arguments_are_refused_everywhere)
{
    nh_store *store = make_store(1 << 20);
    nh_put_options unsized = {.size = 0};
    nh_bytes one = {"1", 1}, null = {NULL, 1};
    nh_key key = key_of("k");
    size_t size = 0, count = 1;
    nh_hot_key hot_key;
    nh_curve_point point;
    nh_fetch_state fetched;
    nh_writer *writer;
    nh_cursor *cursor;
    int32_t had_before;
    uint64_t lease;
    nh_value value = {0};
    nh_bytes piece;
    int64_t sum;

    EXPECT_EQ(nh_put(store, NOW, key, null, NULL, NULL), NH_INVALID);
    EXPECT_EQ(nh_put(store, NOW, key, one, &unsized, NULL), NH_INVALID);
    EXPECT_EQ(nh_put(NULL, NOW, key, one, NULL, NULL), NH_INVALID);
    EXPECT_EQ(nh_borrow(store, NOW, key, NULL), NH_INVALID);
    EXPECT_EQ(nh_borrow(NULL, NOW, key, &value), NH_INVALID);
    EXPECT_EQ(nh_peek(store, NOW, key, NULL), NH_INVALID);
    EXPECT_EQ(nh_peek(NULL, NOW, key, &value), NH_INVALID);
    EXPECT_EQ(nh_get(store, NOW, key, NULL, 1, &size), NH_INVALID);
    EXPECT_EQ(nh_get_many(store, NOW, NULL, 1), NH_INVALID);
    EXPECT_EQ(nh_get_many(store, NOW, NULL, 0), NH_OK);
    EXPECT_EQ(nh_get_and_touch(store, NOW, key, 1, NULL), NH_INVALID);
    EXPECT_EQ(nh_fetch(store, NOW, key, NULL, NULL, &lease, &value), NH_INVALID);
    EXPECT_EQ(nh_fetch(store, NOW, key, NULL, &fetched, NULL, &value), NH_INVALID);
    EXPECT_EQ(nh_fetch(store, NOW, key, NULL, &fetched, &lease, NULL), NH_INVALID);
    EXPECT_EQ(nh_fetch(store, NOW, key, &(nh_fetch_options){.size = 0}, &fetched, &lease, &value),
              NH_INVALID);
    EXPECT_EQ(nh_fill(store, NOW, key, 1, null, NULL, NULL), NH_INVALID);
    EXPECT_EQ(nh_append(store, NOW, key, null, NULL), NH_INVALID);
    EXPECT_EQ(nh_prepend(store, NOW, key, null, NULL), NH_INVALID);
    EXPECT_EQ(nh_increment(store, NOW, key, 1, 3, &sum), NH_INVALID);
    EXPECT_EQ(nh_increment(store, NOW, key, 1, -1, &sum), NH_INVALID);
    EXPECT_EQ(nh_exchange(store, NOW, key, one, NULL, NULL, &had_before), NH_INVALID);
    EXPECT_EQ(nh_exchange(store, NOW, key, one, NULL, &value, NULL), NH_INVALID);
    EXPECT_EQ(nh_value_piece(store, NULL, 0, &piece), NH_INVALID);
    EXPECT_EQ(nh_space_bound(store, NH_SPACES, 0, 0), NH_INVALID);
    EXPECT_EQ(nh_space_bound(NULL, 0, 0, 0), NH_INVALID);
    EXPECT_EQ(nh_writer_create(store, NOW, key, NULL, NULL), NH_INVALID);
    EXPECT_EQ(nh_writer_create(NULL, NOW, key, NULL, &writer), NH_INVALID);
    EXPECT_EQ(nh_writer_append(NULL, NOW, one), NH_INVALID);
    EXPECT_EQ(nh_writer_publish(NULL, NOW), NH_INVALID);
    EXPECT_EQ(nh_writer_commit(NULL, NOW, NULL), NH_INVALID);
    nh_writer_abort(NULL);
    EXPECT_EQ(nh_writer_create(store, NOW, key, NULL, &writer), NH_OK);
    EXPECT_EQ(nh_writer_append(writer, NOW, null), NH_INVALID);
    nh_writer_abort(writer);
    EXPECT_EQ(nh_cursor_create(store, 0, NULL), NH_INVALID);
    EXPECT_EQ(nh_cursor_create(NULL, 0, &cursor), NH_INVALID);
    nh_cursor_destroy(NULL);
    EXPECT_EQ(nh_stats_read(store, NULL), NH_INVALID);
    EXPECT_EQ(nh_stats_read(store, &(nh_stats){.size = 0}), NH_INVALID);
    EXPECT_EQ(nh_curve_read(NULL, 0, &point, &count), NH_INVALID);
    EXPECT_EQ(nh_hot_keys_read(NULL, &hot_key, &count), NH_INVALID);
    EXPECT_EQ(nh_save(NULL, "x", NOW, NOW), NH_INVALID);
    EXPECT_EQ(nh_restore(NULL, "x", NOW, NOW, NULL), NH_INVALID);
    EXPECT_EQ(nh_restore(store, NULL, NOW, NOW, NULL), NH_INVALID);
    EXPECT_EQ(nh_purge_tag(NULL, one, NH_PURGE_DROP), NH_INVALID);
    EXPECT_EQ(nh_purge_tag(store, null, NH_PURGE_DROP), NH_INVALID);
    EXPECT_EQ(nh_purge_tag(store, one, 2), NH_INVALID);
    nh_release(store, NULL);
    nh_release(NULL, &value);
    nh_clear(NULL, 0);
    nh_clear(store, NH_SPACES);
    nh_prefetch(NULL, NULL, 0);
    EXPECT_EQ(nh_sweep(NULL, NOW, 1), 0);
    EXPECT_EQ(nh_count(NULL, 0), 0);
    EXPECT_EQ(nh_count(store, NH_SPACES), 0);
    EXPECT_EQ(nh_count(store, NH_SPACE_ALL), 0);
    nh_destroy(store);
}

TEST(keys_of_every_size_up_to_the_maximum_are_kept_byte_for_byte)
{
    static const size_t value_sizes[] = {0, 1, 511, 512, 513, 4096, 65535, 65536};
    nh_store *store = make_store(32 << 20);
    size_t largest = stats_of(store).key_bytes_max;
    const size_t key_sizes[] = {1,  2,  3,  4,   7,   8,   9,   15,   16,   17,    31,          32,
                                63, 64, 65, 128, 129, 240, 250, 4096, 8191, 16383, largest - 1, largest};
    char *bytes = malloc(largest), *value = malloc(65536);

    pattern_fill(bytes, largest, 0, 1);
    pattern_fill(value, 65536, 0, 2);
    for (size_t k = 0; k < COUNT_OF(key_sizes); k++)
        for (size_t v = 0; v < COUNT_OF(value_sizes); v++)
            if (key_sizes[k] <= largest)
                EXPECT_EQ(nh_put(store, NOW, (nh_key){bytes, key_sizes[k], (uint32_t)v},
                                 (nh_bytes){value, value_sizes[v]}, NULL, NULL),
                          NH_OK);
    EXPECT_EQ(stats_of(store).evicted, 0);
    for (size_t k = 0; k < COUNT_OF(key_sizes); k++)
        for (size_t v = 0; v < COUNT_OF(value_sizes); v++) {
            nh_key key = {bytes, key_sizes[k], (uint32_t)v};
            nh_value borrowed;
            if (key.size > largest)
                continue;
            EXPECT_EQ(nh_borrow(store, NOW, key, &borrowed), NH_OK);
            expect_pattern(store, &borrowed, value_sizes[v], 2);
            nh_release(store, &borrowed);
        }
    free(bytes);
    free(value);
    nh_destroy(store);
}

TEST(two_keys_that_differ_in_one_byte_are_two_keys)
{
    enum { BYTES_OF_KEY = 64 };
    nh_store *store = make_store(4 << 20);
    char bytes[BYTES_OF_KEY] = {0};

    for (unsigned i = 0; i < BYTES_OF_KEY; i++) {
        bytes[i] = 1;
        EXPECT_EQ(
            nh_put(store, NOW, (nh_key){bytes, BYTES_OF_KEY, 0}, (nh_bytes){&i, sizeof i}, NULL, NULL),
            NH_OK);
        bytes[i] = 0;
        EXPECT_EQ(nh_add(store, NOW, (nh_key){bytes, i + 1, 0}, (nh_bytes){&i, sizeof i}, NULL, NULL),
                  NH_OK);
    }
    EXPECT_EQ(nh_count(store, 0), 2 * BYTES_OF_KEY);
    for (unsigned i = 0; i < BYTES_OF_KEY; i++) {
        unsigned found = 1000;
        bytes[i] = 1;
        EXPECT_EQ(nh_get(store, NOW, (nh_key){bytes, BYTES_OF_KEY, 0}, &found, sizeof found, NULL), NH_OK);
        EXPECT_EQ(found, i);
        bytes[i] = 0;
        EXPECT_EQ(nh_get(store, NOW, (nh_key){bytes, i + 1, 0}, &found, sizeof found, NULL), NH_OK);
        EXPECT_EQ(found, i);
    }
    nh_destroy(store);
}

TEST(the_maximum_of_a_value_is_an_option_and_never_more_than_half_of_the_memory)
{
    static const struct {
        uint64_t asked, given;
    } cases[] = {{1, 1},      {100, 100}, {1 << 19, 1 << 19}, {(1 << 19) + 1, 1 << 19}, {1 << 20, 1 << 19},
                 {0, 1 << 19}};
    char *bytes = calloc(1, 1 << 20);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        nh_options options = {
            .size = sizeof options, .memory_bytes = 1 << 20, .value_bytes_max = cases[i].asked};
        nh_store *store;
        EXPECT_EQ(nh_create(&options, &store), NH_OK);
        EXPECT_EQ(nh_put(store, NOW, key_of("k"), (nh_bytes){bytes, cases[i].given}, NULL, NULL), NH_OK);
        EXPECT_EQ(nh_put(store, NOW, key_of("k"), (nh_bytes){bytes, cases[i].given + 1}, NULL, NULL),
                  NH_TOO_LARGE);
        nh_destroy(store);
    }
    free(bytes);
}

TEST(a_get_copies_no_more_than_fits_and_tells_the_whole_size)
{
    nh_store *store = make_store(1 << 20);
    char buffer[8] = "........";
    char large[2000], copy[2000];
    size_t size = 0;

    put_text(store, "k", "hello");
    EXPECT_EQ(nh_get(store, NOW, key_of("k"), buffer, 3, &size), NH_OK);
    EXPECT_EQ(size, 5);
    EXPECT_EQ(memcmp(buffer, "hel.....", 8), 0);
    EXPECT_EQ(nh_get(store, NOW, key_of("k"), NULL, 0, &size), NH_OK);
    EXPECT_EQ(size, 5);
    EXPECT_EQ(nh_get(store, NOW, key_of("k"), buffer, 8, NULL), NH_OK);
    EXPECT_EQ(memcmp(buffer, "hello...", 8), 0);
    EXPECT_EQ(nh_get(store, NOW, key_of("other"), buffer, 8, &size), NH_MISSING);
    memset(large, 'x', sizeof large);
    EXPECT_EQ(nh_put(store, NOW, key_of("l"), (nh_bytes){large, sizeof large}, NULL, NULL), NH_OK);
    EXPECT_EQ(nh_get(store, NOW, key_of("l"), copy, sizeof copy, &size), NH_OK);
    EXPECT_EQ(memcmp(copy, large, sizeof large), 0);
    expect_nothing_lent(store);
    nh_destroy(store);
}

TEST(the_same_bytes_in_two_spaces_are_two_keys)
{
    nh_store *store = make_store(1 << 20);
    char number[16];

    for (uint32_t space = 0; space < NH_SPACES; space++) {
        snprintf(number, sizeof number, "%u", space);
        EXPECT_EQ(nh_put(store, NOW, key_in(space, "k"), value_of(number), NULL, NULL), NH_OK);
    }
    for (uint32_t space = 0; space < NH_SPACES; space++) {
        snprintf(number, sizeof number, "%u", space);
        expect_text(store, NOW, key_in(space, "k"), number);
        EXPECT_EQ(nh_count(store, space), 1);
    }
    EXPECT_EQ(nh_delete(store, NOW, key_in(5, "k")), NH_OK);
    EXPECT_EQ(nh_count(store, 5), 0);
    EXPECT_EQ(nh_count(store, NH_SPACE_ALL), NH_SPACES - 1);
    nh_destroy(store);
}

TEST(keys_that_come_and_go_leave_no_memory_behind_and_push_nothing_out)
{
    nh_store *store = make_store(4 << 20);
    uint64_t before;

    EXPECT_EQ(put_text(store, "stays", "v"), NH_OK);
    before = stats_of(store).memory_bytes;
    for (uint32_t i = 0; i < 200000; i++) {
        EXPECT_EQ(nh_put(store, NOW, key_in(i % NH_SPACES, "k"), value_of("v"), NULL, NULL), NH_OK);
        EXPECT_EQ(nh_delete(store, NOW, key_in(i % NH_SPACES, "k")), NH_OK);
    }
    EXPECT_EQ(stats_of(store).evicted, 0);
    sweep_all(store, NOW);
    EXPECT(stats_of(store).memory_bytes <= before + 8 * stats_of(store).segment_bytes);
    expect_text(store, NOW, key_of("stays"), "v");
    nh_destroy(store);
}

TEST(add_replace_and_cas_heed_what_is_there)
{
    nh_store *store = make_store(1 << 20);
    uint64_t first = 0, second = 0, untouched = 77;

    EXPECT_EQ(nh_replace(store, NOW, key_of("k"), value_of("r"), NULL, &untouched), NH_MISSING);
    EXPECT_EQ(nh_cas(store, NOW, key_of("k"), value_of("c"), NULL, 1, &untouched), NH_MISSING);
    EXPECT_EQ(nh_add(store, NOW, key_of("k"), value_of("a"), NULL, &first), NH_OK);
    EXPECT_EQ(nh_add(store, NOW, key_of("k"), value_of("b"), NULL, &untouched), NH_EXISTS);
    expect_text(store, NOW, key_of("k"), "a");
    EXPECT_EQ(nh_cas(store, NOW, key_of("k"), value_of("c"), NULL, first + 1, &untouched), NH_CHANGED);
    expect_text(store, NOW, key_of("k"), "a");
    EXPECT_EQ(nh_cas(store, NOW, key_of("k"), value_of("c"), NULL, first, &second), NH_OK);
    expect_text(store, NOW, key_of("k"), "c");
    EXPECT(second != first);
    EXPECT_EQ(nh_cas(store, NOW, key_of("k"), value_of("d"), NULL, first, &untouched), NH_CHANGED);
    EXPECT_EQ(nh_replace(store, NOW, key_of("k"), value_of("r"), NULL, NULL), NH_OK);
    expect_text(store, NOW, key_of("k"), "r");
    EXPECT_EQ(untouched, 77);
    nh_destroy(store);
}

TEST(a_version_never_comes_back_not_even_after_a_delete)
{
    nh_store *store = make_store(1 << 20);
    uint64_t versions[5];
    nh_value value;

    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("1"), NULL, &versions[0]), NH_OK);
    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("1"), NULL, &versions[1]), NH_OK);
    EXPECT_EQ(nh_delete(store, NOW, key_of("k")), NH_OK);
    EXPECT_EQ(nh_add(store, NOW, key_of("k"), value_of("1"), NULL, &versions[2]), NH_OK);
    EXPECT_EQ(nh_increment(store, NOW, key_of("k"), 1, NH_INCREMENT_SIGNED, NULL), NH_OK);
    EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &value), NH_OK);
    versions[3] = value.version;
    nh_release(store, &value);
    nh_clear(store, 0);
    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("1"), NULL, &versions[4]), NH_OK);
    for (size_t i = 0; i < COUNT_OF(versions); i++)
        for (size_t j = 0; j < i; j++)
            EXPECT(versions[i] != versions[j]);
    nh_destroy(store);
}

TEST(an_exchange_lends_what_was_there)
{
    nh_store *store = make_store(1 << 20);
    nh_value before = {0};
    int32_t had_before = 9;

    EXPECT_EQ(nh_exchange(store, NOW, key_of("k"), value_of("one"), NULL, &before, &had_before), NH_OK);
    EXPECT_EQ(had_before, 0);
    EXPECT_EQ(nh_exchange(store, NOW, key_of("k"), value_of("two"), NULL, &before, &had_before), NH_OK);
    EXPECT_EQ(had_before, 1);
    EXPECT_TEXT(lent(&before), BYTES("one"));
    expect_text(store, NOW, key_of("k"), "two");
    EXPECT(stats_of(store).pinned_bytes + stats_of(store).borrowed_copied_bytes > 0);
    nh_release(store, &before);
    nh_release(store, &before); /* harmless */
    EXPECT(before.pin == NULL);
    expect_nothing_lent(store);
    nh_destroy(store);
}

TEST(a_borrowed_value_outlives_overwrite_delete_expiry_clear_and_eviction)
{
    nh_store *store = make_store(1 << 20);
    nh_put_options brief = {.size = sizeof brief, .ttl_ms = 10};
    uint64_t empty_bytes = stats_of(store).memory_bytes;
    nh_value values[6];
    char *filler = calloc(1, 1000), text[32];

    for (int i = 0; i < 6; i++) {
        EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("precious"), &brief, NULL), NH_OK);
        EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &values[i]), NH_OK);
        switch (i) {
        case 0: EXPECT_EQ(put_text(store, "k", "other"), NH_OK); break;
        case 1: EXPECT_EQ(nh_delete(store, NOW, key_of("k")), NH_OK); break;
        case 2: expect_missing(store, NOW + 10, key_of("k")); break;
        case 3: nh_clear(store, 0); break;
        case 4: sweep_all(store, NOW + 10); break;
        case 5:
            for (unsigned n = 0; n < 10000; n++)
                EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){filler, 1000}, NULL, NULL),
                          NH_OK);
            break;
        }
        for (int j = 0; j <= i; j++)
            EXPECT_TEXT(lent(&values[j]), BYTES("precious"));
    }
    EXPECT(stats_of(store).memory_bytes <= stats_of(store).memory_bytes_max);
    for (int i = 0; i < 6; i++)
        nh_release(store, &values[i]);
    expect_nothing_lent(store);
    nh_clear(store, NH_SPACE_ALL);
    sweep_all(store, NOW);
    EXPECT(stats_of(store).memory_bytes <=
           empty_bytes + stats_of(store).index_bytes + 8 * stats_of(store).segment_bytes);
    free(filler);
    nh_destroy(store);
}

TEST(a_number_is_incremented_by_the_rules_of_its_mode)
{
    enum { S = NH_INCREMENT_SIGNED, U = NH_INCREMENT_UNSIGNED, D = NH_DECREMENT_UNSIGNED };
    static const struct {
        const char *before; /* null: missing */
        int64_t delta;
        int32_t mode;
        nh_result result;
        const char *after;
    } cases[] = {
        {NULL, 5, S, NH_OK, "5"},
        {NULL, INT64_MIN, S, NH_OK, "-9223372036854775808"},
        {NULL, 5, U, NH_MISSING, NULL},
        {NULL, 5, D, NH_MISSING, NULL},
        {"10", -11, S, NH_OK, "-1"},
        {"9223372036854775806", 1, S, NH_OK, "9223372036854775807"},
        {"9223372036854775807", 1, S, NH_RANGE, "9223372036854775807"},
        {"-9223372036854775808", -1, S, NH_RANGE, "-9223372036854775808"},
        {"-9223372036854775808", INT64_MAX, S, NH_OK, "-1"},
        {"-1", INT64_MIN, S, NH_RANGE, "-1"},
        {"9223372036854775808", 1, S, NH_TYPE, "9223372036854775808"},
        {"07", 1, S, NH_TYPE, "07"},
        {" 7", 1, S, NH_TYPE, " 7"},
        {"", 1, S, NH_TYPE, ""},
        {"apple", 1, S, NH_TYPE, "apple"},
        {"7", 1, U, NH_OK, "8"},
        {"07", 1, U, NH_OK, "8"},
        {"18446744073709551615", 1, U, NH_OK, "0"},
        {"18446744073709551615", -1, U, NH_OK, "18446744073709551614"},
        {"18446744073709551616", 1, U, NH_TYPE, "18446744073709551616"},
        {"000000000000000000001", 1, U, NH_TYPE, "000000000000000000001"},
        {"-1", 1, U, NH_TYPE, "-1"},
        {"", 1, U, NH_TYPE, ""},
        {"10", 3, D, NH_OK, "7"},
        {"10", 11, D, NH_OK, "0"},
        {"10", -1, D, NH_OK, "0"}, /* -1 is 2^64 - 1 */
        {"18446744073709551615", -1, D, NH_OK, "0"},
    };
    nh_store *store = make_store(1 << 20);
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (int is_borrowed = 0; is_borrowed < 2; is_borrowed++) {
            nh_value value = {0};
            int64_t sum = 77;
            nh_delete(store, NOW, key_of("n"));
            if (cases[i].before != NULL) {
                put_text(store, "n", cases[i].before);
                if (is_borrowed)
                    EXPECT_EQ(nh_borrow(store, NOW, key_of("n"), &value), NH_OK);
            }
            EXPECT_EQ(nh_increment(store, NOW, key_of("n"), cases[i].delta, cases[i].mode, &sum),
                      cases[i].result);
            if (value.pin != NULL)
                EXPECT_TEXT(lent(&value), bytes_of_text(cases[i].before));
            nh_release(store, &value);
            if (cases[i].after != NULL)
                expect_text(store, NOW, key_of("n"), cases[i].after);
            else
                expect_missing(store, NOW, key_of("n"));
            if (cases[i].result != NH_OK)
                EXPECT_EQ(sum, 77);
            else
                EXPECT_EQ((uint64_t)sum, cases[i].mode == S ? (uint64_t)strtoll(cases[i].after, NULL, 10)
                                                            : strtoull(cases[i].after, NULL, 10));
        }
    nh_destroy(store);
}

TEST(an_increment_keeps_flags_expiry_and_tags)
{
    nh_store *store = make_store(1 << 20);
    nh_bytes tag = value_of("t");
    nh_put_options options = {
        .size = sizeof options, .ttl_ms = 100, .soft_ttl_ms = 50, .flags = 5, .tags = &tag, .tag_count = 1};
    nh_value held, value;
    int64_t sum;

    EXPECT_EQ(nh_put(store, NOW, key_of("n"), value_of("9"), &options, NULL), NH_OK);
    for (int i = 0; i < 3; i++) { /* in place, as a copy because of a borrower, and one that is longer */
        if (i == 1)
            EXPECT_EQ(nh_borrow(store, NOW, key_of("n"), &held), NH_OK);
        EXPECT_EQ(
            nh_increment(store, NOW, key_of("n"), i < 2 ? 1 : INT64_MAX - 100, NH_INCREMENT_SIGNED, &sum),
            NH_OK);
        EXPECT_EQ(nh_borrow(store, NOW, key_of("n"), &value), NH_OK);
        EXPECT_EQ(value.flags, 5);
        EXPECT_EQ(value.expires_at_ms, NOW + 100);
        EXPECT_EQ(value.stale_at_ms, NOW + 50);
        nh_release(store, &value);
    }
    EXPECT_TEXT(lent(&held), BYTES("10"));
    nh_release(store, &held);
    EXPECT_EQ(nh_purge_tag(store, tag, NH_PURGE_DROP), NH_OK);
    expect_missing(store, NOW, key_of("n"));
    nh_destroy(store);
}

TEST(a_clear_empties_one_space_or_all_at_once_and_the_memory_comes_back)
{
    nh_store *store = make_store(4 << 20);
    uint64_t empty_bytes = stats_of(store).memory_bytes;
    char text[32];

    for (unsigned n = 0; n < 9000; n++) {
        nh_key key = key_number(text, n);
        key.space = n % 3;
        EXPECT_EQ(nh_put(store, NOW, key, value_of("some value or other"), NULL, NULL), NH_OK);
    }
    nh_clear(store, 1);
    EXPECT_EQ(nh_count(store, 0), 3000);
    EXPECT_EQ(nh_count(store, 1), 0);
    EXPECT_EQ(nh_count(store, 2), 3000);
    EXPECT_EQ(stats_of(store).items, 6000);
    for (unsigned n = 0; n < 9000; n++) {
        nh_key key = key_number(text, n);
        key.space = n % 3;
        if (n % 3 == 1)
            expect_missing(store, NOW, key);
        else
            expect_text(store, NOW, key, "some value or other");
    }
    EXPECT_EQ(nh_put(store, NOW, key_in(1, "new"), value_of("v"), NULL, NULL), NH_OK);
    EXPECT_EQ(nh_count(store, 1), 1);
    nh_clear(store, NH_SPACE_ALL);
    EXPECT_EQ(nh_count(store, NH_SPACE_ALL), 0);
    EXPECT_EQ(nh_count(store, 1), 0);
    EXPECT_EQ(stats_of(store).items, 0);
    EXPECT_EQ(nh_put(store, NOW, key_in(1, "new"), value_of("w"), NULL, NULL), NH_OK);
    sweep_all(store, NOW);
    expect_text(store, NOW, key_in(1, "new"), "w");
    EXPECT_EQ(nh_count(store, NH_SPACE_ALL), 1);
    EXPECT(stats_of(store).memory_bytes <=
           empty_bytes + stats_of(store).index_bytes + 8 * stats_of(store).segment_bytes);
    nh_destroy(store);
}

TEST(what_was_cleared_makes_room_before_what_is_alive)
{
    nh_store *store = make_store(1 << 20);
    char text[32], value[400] = {0};

    for (unsigned n = 0; n < 1000; n++) {
        nh_key key = key_number(text, n);
        key.space = n % 2;
        EXPECT_EQ(nh_put(store, NOW, key, (nh_bytes){value, sizeof value}, NULL, NULL), NH_OK);
    }
    EXPECT_EQ(stats_of(store).evicted, 0);
    nh_clear(store, 1);
    for (unsigned n = 0; n < 100000; n++) { /* each is gone before the next comes */
        nh_key key = key_number(text, n);
        key.space = 2;
        EXPECT_EQ(nh_put(store, NOW, key, (nh_bytes){value, sizeof value}, NULL, NULL), NH_OK);
        nh_clear(store, 2);
    }
    EXPECT(nh_count(store, 0) > 300);
    nh_destroy(store);
}

TEST(memory_stays_within_the_limit_and_the_newest_are_there)
{
    static const size_t sizes[] = {0, 1, 10, 100, 1000, 10000, 50000, 200000};
    char *bytes = calloc(1, 200000), text[32];
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        nh_store *store = make_store(1 << 20);
        unsigned count = sizes[s] < 1000 ? 40000 : 2500;
        nh_stats stats;
        for (unsigned n = 0; n < count; n++) {
            EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){bytes, sizes[s]}, NULL, NULL),
                      NH_OK);
            EXPECT_EQ(nh_get(store, NOW, key_number(text, n), NULL, 0, NULL), NH_OK);
            if (n % 64 == 0)
                EXPECT(stats_of(store).memory_bytes <= 1 << 20);
        }
        stats = stats_of(store);
        EXPECT_EQ(stats.items + stats.evicted, count);
        EXPECT_EQ(stats.items, nh_count(store, 0));
        EXPECT(stats.memory_bytes <= 1 << 20);
        EXPECT(stats.memory_bytes > (1 << 20) * 3 / 5); /* and the memory is put to use */
        nh_destroy(store);
    }
    free(bytes);
}

TEST(what_is_used_survives_a_long_scan)
{
    nh_store *store = make_store(2 << 20);
    char value[100] = {0}, text[32];
    unsigned kept_count = 0;

    for (unsigned n = 0; n < 1000; n++)
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){value, sizeof value}, NULL, NULL),
                  NH_OK);
    for (unsigned n = 1000; n < 80000; n++) {
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){value, sizeof value}, NULL, NULL),
                  NH_OK);
        nh_get(store, NOW, key_number(text, n % 1000), NULL, 0, NULL);
    }
    for (unsigned n = 0; n < 1000; n++)
        kept_count += nh_get(store, NOW, key_number(text, n), NULL, 0, NULL) == NH_OK;
    EXPECT(kept_count > 950);
    nh_destroy(store);
}

TEST(the_largest_value_fits_in_a_full_store_and_can_be_overwritten)
{
    enum { LIMIT = 8 << 20 };
    nh_store *store = make_store(LIMIT);
    char *bytes = malloc(LIMIT / 2), *copy = malloc(LIMIT / 2), text[32];
    size_t size;

    for (uint64_t round = 0; round < 2; round++) {
        pattern_fill(bytes, LIMIT / 2, 0, round);
        for (unsigned n = 0; n < 70000; n++) /* tiny ones, for which the index is largest */
            EXPECT_EQ(nh_put(store, NOW, key_number(text, n), value_of(""), NULL, NULL), NH_OK);
        for (int i = 0; i < 3; i++) {
            EXPECT_EQ(nh_put(store, NOW, key_of("large"), (nh_bytes){bytes, LIMIT / 2}, NULL, NULL), NH_OK);
            EXPECT(stats_of(store).memory_bytes <= LIMIT);
        }
        EXPECT_EQ(nh_put(store, NOW, key_of("another"), (nh_bytes){bytes, LIMIT / 2}, NULL, NULL), NH_OK);
        EXPECT_EQ(nh_get(store, NOW, key_of("another"), copy, LIMIT / 2, &size), NH_OK);
        EXPECT_EQ(size, LIMIT / 2);
        EXPECT_EQ(memcmp(bytes, copy, LIMIT / 2), 0);
        EXPECT(!is_there(store, NOW, key_of("large")));
    }
    expect_nothing_lent(store);
    free(bytes);
    free(copy);
    nh_destroy(store);
}

TEST(the_counters_add_up)
{
    nh_store *store = make_store(1 << 20);
    nh_stats stats;
    int64_t sum;

    put_text(store, "a", "1");
    put_text(store, "b", "2");
    put_text(store, "a", "3");
    nh_increment(store, NOW, key_of("a"), 1, NH_INCREMENT_SIGNED, &sum);
    expect_text(store, NOW, key_of("a"), "4");
    expect_missing(store, NOW, key_of("c"));
    nh_delete(store, NOW, key_of("b"));
    nh_delete(store, NOW, key_of("b"));
    stats = stats_of(store);
    EXPECT_EQ(stats.items, 1);
    EXPECT_EQ(stats.puts, 4);
    EXPECT_EQ(stats.hits, 1);
    EXPECT_EQ(stats.misses, 1);
    EXPECT_EQ(stats.deletes, 1);
    EXPECT_EQ(stats.evicted + stats.expired + stats.purged + stats.rejected, 0);
    EXPECT_EQ(stats.pinned_bytes + stats.borrowed_copied_bytes, 0);
    EXPECT(stats.memory_bytes >= stats.index_bytes);
    EXPECT(stats.item_bytes >= 2);
    EXPECT(stats.item_bytes <= stats.memory_bytes);
    EXPECT(stats.segment_bytes > 0);
    nh_destroy(store);
}

TEST(a_caller_with_a_shorter_stats_struct_is_not_overrun)
{
    nh_store *store = make_store(1 << 20);
    nh_stats stats;

    memset(&stats, 0xee, sizeof stats);
    stats.size = offsetof(nh_stats, hits);
    EXPECT_EQ(nh_stats_read(store, &stats), NH_OK);
    EXPECT_EQ(stats.memory_bytes_max, 1 << 20);
    EXPECT_EQ(stats.hits, 0xeeeeeeeeeeeeeeee);
    nh_destroy(store);
}

TEST(prefetching_changes_nothing)
{
    nh_store *store = make_store(1 << 20);
    nh_key keys[100];
    char texts[100][32];

    for (unsigned n = 0; n < 100; n++) {
        keys[n] = key_number(texts[n], n);
        if (n % 2 == 0)
            EXPECT_EQ(nh_put(store, NOW, keys[n], value_of("v"), NULL, NULL), NH_OK);
    }
    nh_prefetch(store, keys, 100);
    for (unsigned n = 0; n < 100; n++)
        EXPECT_EQ(nh_get(store, NOW, keys[n], NULL, 0, NULL), n % 2 == 0 ? NH_OK : NH_MISSING);
    EXPECT_EQ(stats_of(store).hits, 50);
    nh_destroy(store);
}

RUN_TESTS(TEST_ROW(options_out_of_range_are_refused),
          TEST_ROW(a_store_made_without_options_has_64_mib_and_is_nearly_empty),
          TEST_ROW(fields_of_a_later_version_are_accepted_while_they_are_zero),
          TEST_ROW(every_result_has_words), TEST_ROW(a_bad_key_is_refused_everywhere),
          TEST_ROW(an_empty_key_is_a_key), TEST_ROW(other_bad_arguments_are_refused_everywhere),
          TEST_ROW(keys_of_every_size_up_to_the_maximum_are_kept_byte_for_byte),
          TEST_ROW(two_keys_that_differ_in_one_byte_are_two_keys),
          TEST_ROW(the_maximum_of_a_value_is_an_option_and_never_more_than_half_of_the_memory),
          TEST_ROW(a_get_copies_no_more_than_fits_and_tells_the_whole_size),
          TEST_ROW(the_same_bytes_in_two_spaces_are_two_keys),
          TEST_ROW(keys_that_come_and_go_leave_no_memory_behind_and_push_nothing_out),
          TEST_ROW(add_replace_and_cas_heed_what_is_there),
          TEST_ROW(a_version_never_comes_back_not_even_after_a_delete),
          TEST_ROW(an_exchange_lends_what_was_there),
          TEST_ROW(a_borrowed_value_outlives_overwrite_delete_expiry_clear_and_eviction),
          TEST_ROW(a_number_is_incremented_by_the_rules_of_its_mode),
          TEST_ROW(an_increment_keeps_flags_expiry_and_tags),
          TEST_ROW(a_clear_empties_one_space_or_all_at_once_and_the_memory_comes_back),
          TEST_ROW(what_was_cleared_makes_room_before_what_is_alive),
          TEST_ROW(memory_stays_within_the_limit_and_the_newest_are_there),
          TEST_ROW(what_is_used_survives_a_long_scan),
          TEST_ROW(the_largest_value_fits_in_a_full_store_and_can_be_overwritten),
          TEST_ROW(the_counters_add_up), TEST_ROW(a_caller_with_a_shorter_stats_struct_is_not_overrun),
          TEST_ROW(prefetching_changes_nothing))
