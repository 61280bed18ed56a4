/* links: nuthatch-store */
#include "base/compiler.h"
#include "nuthatch.h"
#include "test.h"
#include <stdio.h>
#include <stdlib.h>

#define NOW ((int64_t)1000000)

static nh_store *make_store(uint64_t memory_bytes)
{
    nh_options options = {.size = sizeof options, .memory_bytes = memory_bytes, .hash_seed = 7};
    nh_store *store = NULL;
    EXPECT_EQ(nh_create(&options, &store), NH_OK);
    return store;
}

static nh_key key_of(const char *text) { return (nh_key){text, strlen(text), 0}; }

static nh_key key_in(uint32_t space, const char *text) { return (nh_key){text, strlen(text), space}; }

/* A numbered key; the text stays in `text`. */
static nh_key key_number(char text[32], unsigned number)
{
    return (nh_key){text, (size_t)snprintf(text, 32, "key-%08u", number), 0};
}

static nh_bytes value_of(const char *text) { return (nh_bytes){text, strlen(text)}; }

static nh_result put_text(nh_store *store, const char *key, const char *value)
{
    return nh_put(store, NOW, key_of(key), value_of(value), NULL, NULL);
}

static struct bytes lent(const nh_value *value) { return bytes_of(value->bytes.data, value->bytes.size); }

static void expect_text(nh_store *store, int64_t now_ms, nh_key key, const char *wanted)
{
    nh_value value;
    EXPECT_EQ(nh_borrow(store, now_ms, key, &value), NH_OK);
    EXPECT_TEXT(lent(&value), bytes_of_text(wanted));
    nh_release(store, &value);
}

static void expect_missing(nh_store *store, int64_t now_ms, nh_key key)
{
    nh_value value;
    EXPECT_EQ(nh_borrow(store, now_ms, key, &value), NH_MISSING);
}

static nh_stats stats_of(nh_store *store)
{
    nh_stats stats = {.size = sizeof stats};
    EXPECT_EQ(nh_stats_read(store, &stats), NH_OK);
    return stats;
}

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
    EXPECT(stats_of(store).memory_bytes < 1 << 20);
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
    for (nh_result result = NH_OK; result <= NH_INVALID; result++)
        EXPECT(strlen(nh_result_text(result)) > 3);
    EXPECT(strcmp(nh_result_text(99), nh_result_text(NH_OK)) != 0);
    EXPECT(strlen(nh_version()) >= 5);
    EXPECT(nh_abi_version() >= 1);
}

TEST(bad_arguments_are_refused_everywhere)
{
    nh_store *store = make_store(1 << 20);
    char *long_key = calloc(1, NH_KEY_BYTES_MAX + 1);
    const struct {
        nh_key key;
        nh_result result;
    } cases[] = {
        {{NULL, 0, 0}, NH_INVALID},
        {{NULL, 5, 0}, NH_INVALID},
        {{"", 0, 0}, NH_INVALID},
        {{"k", 1, NH_SPACE_ALL}, NH_INVALID},
        {{long_key, NH_KEY_BYTES_MAX + 1, 0}, NH_TOO_LARGE},
        {{long_key, SIZE_MAX, 0}, NH_TOO_LARGE},
    };
    nh_bytes one = {"1", 1};
    nh_cursor *cursor;
    int32_t had_before;
    nh_value value;
    size_t size;
    int64_t sum;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        nh_key key = cases[i].key;
        nh_result result = cases[i].result;
        EXPECT_EQ(nh_borrow(store, NOW, key, &value), result);
        EXPECT_EQ(nh_get(store, NOW, key, NULL, 0, &size), result);
        EXPECT_EQ(nh_put(store, NOW, key, one, NULL, NULL), result);
        EXPECT_EQ(nh_add(store, NOW, key, one, NULL, NULL), result);
        EXPECT_EQ(nh_replace(store, NOW, key, one, NULL, NULL), result);
        EXPECT_EQ(nh_cas(store, NOW, key, one, NULL, 1, NULL), result);
        EXPECT_EQ(nh_exchange(store, NOW, key, one, NULL, &value, &had_before), result);
        EXPECT_EQ(nh_delete(store, NOW, key), result);
        EXPECT_EQ(nh_touch(store, NOW, key, 1), result);
        EXPECT_EQ(nh_increment(store, NOW, key, 1, NH_INCREMENT_SIGNED, &sum), result);
        nh_prefetch(store, &key, 1);
    }
    EXPECT_EQ(nh_count(store, NH_SPACE_ALL), 0);
    EXPECT_EQ(nh_put(store, NOW, key_of("k"), (nh_bytes){NULL, 1}, NULL, NULL), NH_INVALID);
    EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), NULL), NH_INVALID);
    EXPECT_EQ(nh_borrow(NULL, NOW, key_of("k"), &value), NH_INVALID);
    EXPECT_EQ(nh_put(NULL, NOW, key_of("k"), one, NULL, NULL), NH_INVALID);
    EXPECT_EQ(nh_get(store, NOW, key_of("k"), NULL, 1, &size), NH_INVALID);
    EXPECT_EQ(nh_increment(store, NOW, key_of("k"), 1, 3, &sum), NH_INVALID);
    EXPECT_EQ(nh_increment(store, NOW, key_of("k"), 1, -1, &sum), NH_INVALID);
    EXPECT_EQ(nh_exchange(store, NOW, key_of("k"), one, NULL, NULL, &had_before), NH_INVALID);
    EXPECT_EQ(nh_exchange(store, NOW, key_of("k"), one, NULL, &value, NULL), NH_INVALID);
    EXPECT_EQ(nh_cursor_create(store, NULL), NH_INVALID);
    EXPECT_EQ(nh_cursor_create(NULL, &cursor), NH_INVALID);
    EXPECT_EQ(nh_stats_read(store, NULL), NH_INVALID);
    EXPECT_EQ(nh_stats_read(store, &(nh_stats){.size = 0}), NH_INVALID);
    nh_release(store, NULL);
    nh_release(NULL, &value);
    nh_cursor_destroy(NULL);
    nh_clear(NULL, 0);
    nh_purge_tag(NULL, NOW, one);
    nh_purge_tag(store, NOW, (nh_bytes){NULL, 1});
    nh_prefetch(NULL, NULL, 0);
    EXPECT_EQ(nh_sweep(NULL, NOW, 1), 0);
    EXPECT_EQ(nh_count(NULL, 0), 0);
    free(long_key);
    nh_destroy(store);
}

TEST(keys_and_values_of_every_size_up_to_the_maximum_are_kept_byte_for_byte)
{
    static const size_t key_sizes[] = {1, 2, 16, 17, 128, 129, 240, 241, 4096, NH_KEY_BYTES_MAX};
    static const size_t value_sizes[] = {0,     1,     511,     512,           513,
                                         65535, 65536, 1 << 20, (4 << 20) - 1, 4 << 20};
    nh_store *store = make_store(8 << 20);
    char *bytes = malloc((4 << 20) + 1), *copy = malloc(4 << 20);
    size_t size;

    for (size_t i = 0; i <= 4 << 20; i++)
        bytes[i] = (char)(i * 31 >> 3);
    for (size_t k = 0; k < COUNT_OF(key_sizes); k++)
        for (size_t v = 0; v < COUNT_OF(value_sizes); v++) {
            nh_key key = {bytes, key_sizes[k], (uint32_t)v};
            nh_value value;
            EXPECT_EQ(nh_put(store, NOW, key, (nh_bytes){bytes, value_sizes[v]}, NULL, NULL), NH_OK);
            EXPECT_EQ(nh_borrow(store, NOW, key, &value), NH_OK);
            EXPECT(bytes_equal(lent(&value), bytes_of(bytes, value_sizes[v])));
            nh_release(store, &value);
            EXPECT_EQ(nh_get(store, NOW, key, copy, value_sizes[v], &size), NH_OK);
            EXPECT_EQ(size, value_sizes[v]);
            EXPECT_EQ(memcmp(copy, bytes, size), 0);
            EXPECT(stats_of(store).memory_bytes <= 8 << 20);
        }
    EXPECT_EQ(nh_put(store, NOW, key_of("k"), (nh_bytes){bytes, (4 << 20) + 1}, NULL, NULL), NH_TOO_LARGE);
    EXPECT_EQ(nh_put(store, NOW, key_of("k"), (nh_bytes){bytes, SIZE_MAX}, NULL, NULL), NH_TOO_LARGE);
    EXPECT_EQ(stats_of(store).rejected, 2);
    free(bytes);
    free(copy);
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
    EXPECT_EQ(stats_of(store).borrowed_bytes, 0);
    nh_destroy(store);
}

TEST(the_same_bytes_in_two_spaces_are_two_keys)
{
    nh_store *store = make_store(1 << 20);
    char number[16];

    for (uint32_t space = 0; space < 1000; space++) {
        snprintf(number, sizeof number, "%u", space);
        EXPECT_EQ(nh_put(store, NOW, key_in(space, "k"), value_of(number), NULL, NULL), NH_OK);
    }
    for (uint32_t space = 0; space < 1000; space++) {
        snprintf(number, sizeof number, "%u", space);
        expect_text(store, NOW, key_in(space, "k"), number);
        EXPECT_EQ(nh_count(store, space), 1);
    }
    EXPECT_EQ(nh_delete(store, NOW, key_in(5, "k")), NH_OK);
    EXPECT_EQ(nh_count(store, 5), 0);
    EXPECT_EQ(nh_count(store, 1000), 0);
    EXPECT_EQ(nh_count(store, NH_SPACE_ALL), 999);
    nh_destroy(store);
}

TEST(spaces_that_come_and_go_leave_no_memory_behind)
{
    nh_store *store = make_store(1 << 20);
    uint64_t before = 0;

    for (uint32_t space = 0; space < 200000; space++) {
        EXPECT_EQ(nh_put(store, NOW, key_in(space, "k"), value_of("v"), NULL, NULL), NH_OK);
        EXPECT_EQ(nh_delete(store, NOW, key_in(space, "k")), NH_OK);
        if (space == 1000)
            before = stats_of(store).memory_bytes;
    }
    EXPECT(stats_of(store).memory_bytes <= before + 4096);
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

TEST(a_touch_changes_the_expiry_and_not_the_version)
{
    nh_store *store = make_store(1 << 20);
    uint64_t version;
    nh_value value;

    EXPECT_EQ(nh_touch(store, NOW, key_of("k"), 10), NH_MISSING);
    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), NULL, &version), NH_OK);
    EXPECT_EQ(nh_touch(store, NOW, key_of("k"), 10), NH_OK);
    EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &value), NH_OK);
    EXPECT_EQ(value.expires_at_ms, NOW + 10);
    EXPECT_EQ(value.version, version);
    nh_release(store, &value);
    EXPECT_EQ(nh_touch(store, NOW + 9, key_of("k"), 0), NH_OK);
    expect_text(store, INT64_MAX, key_of("k"), "v");
    EXPECT_EQ(nh_touch(store, NOW, key_of("k"), INT64_MAX), NH_OK);
    expect_text(store, INT64_MAX - 1, key_of("k"), "v");
    EXPECT_EQ(nh_touch(store, NOW, key_of("k"), -1), NH_OK);
    expect_missing(store, NOW, key_of("k"));
    EXPECT_EQ(nh_count(store, 0), 0);
    nh_destroy(store);
}

TEST(a_value_is_served_until_its_millisecond_comes_and_never_after)
{
    static const struct {
        int64_t now_ms, ttl_ms, last_ms;
    } cases[] = {
        {NOW, 1, NOW},
        {NOW, 1000, NOW + 999},
        {NOW, 0, INT64_MAX},
        {NOW, INT64_MAX, INT64_MAX - 1},
        {NOW, INT64_MAX - NOW, INT64_MAX - 1},
        {0, 5, 4},
    };
    nh_store *store = make_store(1 << 20);

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        nh_put_options options = {.size = sizeof options, .ttl_ms = cases[i].ttl_ms};
        EXPECT_EQ(nh_put(store, cases[i].now_ms, key_of("k"), value_of("v"), &options, NULL), NH_OK);
        expect_text(store, cases[i].last_ms, key_of("k"), "v");
        if (cases[i].last_ms < INT64_MAX)
            expect_missing(store, cases[i].last_ms + 1, key_of("k"));
    }
    EXPECT_EQ(stats_of(store).expired, 5);
    nh_destroy(store);
}

TEST(an_expired_key_is_missing_to_every_call)
{
    nh_store *store = make_store(1 << 20);
    nh_put_options brief = {.size = sizeof brief, .ttl_ms = 10};
    nh_value before;
    int32_t had_before;
    uint64_t version;

    for (int i = 0; i < 7; i++) {
        int64_t later = NOW + 10;
        EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("1"), &brief, &version), NH_OK);
        switch (i) {
        case 0:
            EXPECT_EQ(nh_replace(store, later, key_of("k"), value_of("x"), NULL, NULL), NH_MISSING);
            break;
        case 1:
            EXPECT_EQ(nh_cas(store, later, key_of("k"), value_of("x"), NULL, version, NULL), NH_MISSING);
            break;
        case 2: EXPECT_EQ(nh_delete(store, later, key_of("k")), NH_MISSING); break;
        case 3: EXPECT_EQ(nh_touch(store, later, key_of("k"), 10), NH_MISSING); break;
        case 4:
            EXPECT_EQ(nh_increment(store, later, key_of("k"), 1, NH_INCREMENT_UNSIGNED, NULL), NH_MISSING);
            break;
        case 5:
            EXPECT_EQ(nh_exchange(store, later, key_of("k"), value_of("x"), NULL, &before, &had_before),
                      NH_OK);
            EXPECT_EQ(had_before, 0);
            break;
        case 6: EXPECT_EQ(nh_add(store, later, key_of("k"), value_of("x"), NULL, NULL), NH_OK); break;
        }
    }
    expect_text(store, NOW + 10, key_of("k"), "x");
    nh_destroy(store);
}

TEST(a_negative_ttl_leaves_the_key_missing_but_heeds_the_condition)
{
    nh_store *store = make_store(1 << 20);
    nh_put_options past = {.size = sizeof past, .ttl_ms = -1};
    nh_value before;
    int32_t had_before;

    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &past, NULL), NH_OK);
    expect_missing(store, NOW, key_of("k"));
    EXPECT_EQ(put_text(store, "k", "v"), NH_OK);
    EXPECT_EQ(nh_add(store, NOW, key_of("k"), value_of("w"), &past, NULL), NH_EXISTS);
    expect_text(store, NOW, key_of("k"), "v");
    past.ttl_ms = INT64_MIN;
    EXPECT_EQ(nh_exchange(store, NOW, key_of("k"), value_of("w"), &past, &before, &had_before), NH_OK);
    EXPECT_EQ(had_before, 1);
    EXPECT_TEXT(lent(&before), BYTES("v"));
    expect_missing(store, NOW, key_of("k"));
    nh_release(store, &before);
    EXPECT_EQ(nh_replace(store, NOW, key_of("k"), value_of("w"), &past, NULL), NH_MISSING);
    EXPECT_EQ(nh_count(store, 0), 0);
    nh_destroy(store);
}

TEST(a_put_keeps_the_expiry_only_if_asked_to)
{
    nh_store *store = make_store(1 << 20);
    nh_put_options timed = {.size = sizeof timed, .ttl_ms = 100, .soft_ttl_ms = 50};
    nh_put_options keeping = {.size = sizeof keeping, .ttl_ms = 7, .soft_ttl_ms = 3, .keep_ttl = 1};
    nh_value value;

    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("1"), &timed, NULL), NH_OK);
    EXPECT_EQ(nh_put(store, NOW + 20, key_of("k"), value_of("2"), &keeping, NULL), NH_OK);
    EXPECT_EQ(nh_borrow(store, NOW + 99, key_of("k"), &value), NH_OK);
    EXPECT_EQ(value.expires_at_ms, NOW + 100);
    EXPECT_EQ(value.stale_at_ms, NOW + 50);
    nh_release(store, &value);
    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("3"), NULL, NULL), NH_OK);
    EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &value), NH_OK);
    EXPECT_EQ(value.expires_at_ms, 0);
    EXPECT_EQ(value.stale_at_ms, 0);
    nh_release(store, &value);
    /* With nothing to keep, the options' own times hold. */
    EXPECT_EQ(nh_put(store, NOW, key_of("fresh"), value_of("1"), &keeping, NULL), NH_OK);
    EXPECT_EQ(nh_borrow(store, NOW, key_of("fresh"), &value), NH_OK);
    EXPECT_EQ(value.expires_at_ms, NOW + 7);
    EXPECT_EQ(value.stale_at_ms, NOW + 3);
    nh_release(store, &value);
    nh_destroy(store);
}

TEST(a_stale_value_is_served_and_says_since_when)
{
    nh_store *store = make_store(1 << 20);
    nh_put_options options = {.size = sizeof options, .soft_ttl_ms = 10, .flags = 0xdeadbeef};
    nh_value value;

    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &options, NULL), NH_OK);
    EXPECT_EQ(nh_borrow(store, NOW + 1000, key_of("k"), &value), NH_OK);
    EXPECT_EQ(value.stale_at_ms, NOW + 10);
    EXPECT_EQ(value.flags, 0xdeadbeef);
    nh_release(store, &value);
    options.soft_ttl_ms = INT64_MAX;
    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &options, NULL), NH_OK);
    EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &value), NH_OK);
    EXPECT_EQ(value.stale_at_ms, INT64_MAX);
    nh_release(store, &value);
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
    EXPECT(stats_of(store).borrowed_bytes > 0);
    nh_release(store, &before);
    nh_release(store, &before); /* harmless */
    EXPECT_EQ(stats_of(store).borrowed_bytes, 0);
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
        case 4: EXPECT_EQ(nh_sweep(store, NOW + 10, 1000000), 1); break;
        case 5:
            for (unsigned n = 0; n < 10000; n++)
                EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){filler, 1000}, NULL, NULL),
                          NH_OK);
            break;
        }
        for (int j = 0; j <= i; j++)
            EXPECT_TEXT(lent(&values[j]), BYTES("precious"));
    }
    EXPECT(stats_of(store).borrowed_bytes >= 6 * strlen("precious"));
    for (int i = 0; i < 6; i++)
        nh_release(store, &values[i]);
    EXPECT_EQ(stats_of(store).borrowed_bytes, 0);
    nh_clear(store, NH_SPACE_ALL);
    nh_sweep(store, NOW, 10000000);
    EXPECT(stats_of(store).memory_bytes < empty_bytes + 64 * 1024); /* the index has grown */
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
    nh_purge_tag(store, NOW, tag);
    expect_missing(store, NOW, key_of("n"));
    nh_destroy(store);
}

TEST(a_purge_drops_what_carries_the_tag_and_was_put_before)
{
    nh_store *store = make_store(1 << 20);
    nh_bytes tags[NH_TAGS_MAX + 1];
    char names[NH_TAGS_MAX + 1][8];
    nh_put_options options = {.size = sizeof options, .tags = tags, .tag_count = NH_TAGS_MAX};

    for (size_t i = 0; i <= NH_TAGS_MAX; i++)
        tags[i] = (nh_bytes){names[i], (size_t)snprintf(names[i], sizeof names[i], "tag%zu", i)};
    for (size_t i = 0; i <= NH_TAGS_MAX; i++) {
        EXPECT_EQ(nh_put(store, NOW, key_of("all"), value_of("v"), &options, NULL), NH_OK);
        EXPECT_EQ(put_text(store, "none", "v"), NH_OK);
        nh_purge_tag(store, NOW, tags[i]);
        if (i < NH_TAGS_MAX)
            expect_missing(store, NOW, key_of("all"));
        else
            expect_text(store, NOW, key_of("all"), "v");
        expect_text(store, NOW, key_of("none"), "v");
    }
    EXPECT_EQ(stats_of(store).purged, NH_TAGS_MAX);
    options.tag_count = NH_TAGS_MAX + 1;
    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &options, NULL), NH_INVALID);
    options.tag_count = 1;
    options.tags = NULL;
    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &options, NULL), NH_INVALID);
    options.tags = &(nh_bytes){NULL, 3};
    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &options, NULL), NH_INVALID);
    options.tags = &(nh_bytes){NULL, 0}; /* an empty name is a name */
    EXPECT_EQ(nh_put(store, NOW, key_of("k"), value_of("v"), &options, NULL), NH_OK);
    nh_purge_tag(store, NOW, (nh_bytes){NULL, 0});
    expect_missing(store, NOW, key_of("k"));
    nh_destroy(store);
}

TEST(purging_a_million_tags_takes_no_memory)
{
    nh_store *store = make_store(1 << 20);
    uint64_t before = stats_of(store).memory_bytes;
    char name[16];

    for (int i = 0; i < 1000000; i++)
        nh_purge_tag(store, NOW, (nh_bytes){name, (size_t)snprintf(name, sizeof name, "%d", i)});
    EXPECT_EQ(stats_of(store).memory_bytes, before);
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
    EXPECT_EQ(nh_sweep(store, NOW, SIZE_MAX), 6000);
    expect_text(store, NOW, key_in(1, "new"), "w");
    EXPECT(stats_of(store).memory_bytes < empty_bytes + 9000 * 24); /* the index has grown */
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

TEST(a_sweep_frees_what_has_expired_within_its_budget)
{
    nh_store *store = make_store(4 << 20);
    nh_put_options brief = {.size = sizeof brief, .ttl_ms = 10};
    char text[32];
    size_t freed = 0, rounds = 0;

    for (unsigned n = 0; n < 5000; n++)
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), value_of("v"), n % 2 ? &brief : NULL, NULL),
                  NH_OK);
    EXPECT_EQ(nh_sweep(store, NOW + 9, SIZE_MAX), 0);
    EXPECT_EQ(nh_sweep(store, NOW + 10, 0), 0);
    for (; freed < 2500 && rounds < 10000; rounds++) {
        size_t now_freed = nh_sweep(store, NOW + 10, 20);
        EXPECT(now_freed <= 30); /* the budget, to the end of a bucket */
        freed += now_freed;
    }
    EXPECT_EQ(freed, 2500);
    EXPECT(rounds < 1000);
    EXPECT_EQ(nh_count(store, 0), 2500);
    EXPECT_EQ(stats_of(store).expired, 2500);
    nh_destroy(store);
}

TEST(memory_stays_within_the_limit_and_the_newest_are_there)
{
    static const size_t sizes[] = {0, 1, 10, 100, 1000, 10000, 100000, 500000};
    char *bytes = calloc(1, 500000), text[32];
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        nh_store *store = make_store(2 << 20);
        unsigned count = sizes[s] < 1000 ? 100000 : 5000;
        nh_stats stats;
        for (unsigned n = 0; n < count; n++) {
            EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){bytes, sizes[s]}, NULL, NULL),
                      NH_OK);
            EXPECT_EQ(nh_get(store, NOW, key_number(text, n), NULL, 0, NULL), NH_OK);
            if (n % 64 == 0)
                EXPECT(stats_of(store).memory_bytes <= 2 << 20);
        }
        stats = stats_of(store);
        EXPECT_EQ(stats.items + stats.evicted, count);
        EXPECT_EQ(stats.items, nh_count(store, 0));
        EXPECT(stats.memory_bytes <= 2 << 20);
        EXPECT(stats.memory_bytes > (2 << 20) * 3 / 5); /* and the memory is put to use */
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
    for (unsigned n = 1000; n < 200000; n++) {
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){value, sizeof value}, NULL, NULL),
                  NH_OK);
        nh_get(store, NOW, key_number(text, n % 1000), NULL, 0, NULL);
    }
    for (unsigned n = 0; n < 1000; n++)
        kept_count += nh_get(store, NOW, key_number(text, n), NULL, 0, NULL) == NH_OK;
    EXPECT(kept_count > 950);
    nh_destroy(store);
}

TEST(a_store_full_of_borrowed_values_refuses_and_keeps_the_old_ones)
{
    nh_store *store = make_store(1 << 20);
    nh_value *values = calloc(3000, sizeof *values);
    char value[1000], text[32];
    unsigned count = 0;
    nh_result result;
    int64_t sum;

    memset(value, 'a', sizeof value);
    EXPECT_EQ(put_text(store, "n", "5"), NH_OK);
    EXPECT_EQ(nh_borrow(store, NOW, key_of("n"), &values[2999]), NH_OK);
    while ((result = nh_put(store, NOW, key_number(text, count), (nh_bytes){value, sizeof value}, NULL,
                            NULL)) == NH_OK) {
        EXPECT(count < 2000);
        EXPECT_EQ(nh_borrow(store, NOW, key_number(text, count), &values[count]), NH_OK);
        count++;
    }
    EXPECT_EQ(result, NH_FULL);
    EXPECT(count > 700);
    EXPECT(stats_of(store).memory_bytes <= 1 << 20);
    EXPECT(stats_of(store).borrowed_bytes > 700 * 1000);
    for (unsigned n = 0; n < count; n++) {
        EXPECT_EQ(nh_put(store, NOW, key_number(text, n), (nh_bytes){value, sizeof value - 1}, NULL, NULL),
                  NH_FULL);
        EXPECT_EQ(nh_get(store, NOW, key_number(text, n), NULL, 0, NULL), NH_OK);
    }
    /* Small things may still fit in the last corner: fill it. */
    for (count = count + 0; nh_put(store, NOW, key_number(text, count), value_of(""), NULL, NULL) == NH_OK;
         count++)
        EXPECT_EQ(nh_borrow(store, NOW, key_number(text, count), &values[count]), NH_OK);
    EXPECT_EQ(nh_increment(store, NOW, key_of("n"), 1, NH_INCREMENT_SIGNED, &sum), NH_FULL);
    expect_text(store, NOW, key_of("n"), "5");
    EXPECT(stats_of(store).rejected > count - 700);
    for (unsigned n = 0; n < count; n++)
        nh_release(store, &values[n]);
    nh_release(store, &values[2999]);
    EXPECT_EQ(nh_put(store, NOW, key_of("k"), (nh_bytes){value, sizeof value}, NULL, NULL), NH_OK);
    EXPECT_EQ(nh_increment(store, NOW, key_of("n"), 1, NH_INCREMENT_SIGNED, &sum), NH_OK);
    EXPECT_EQ(stats_of(store).borrowed_bytes, 0);
    free(values);
    nh_destroy(store);
}

TEST(the_largest_value_fits_in_a_full_store_and_can_be_overwritten)
{
    enum { LIMIT = 16 << 20 };
    nh_store *store = make_store(LIMIT);
    char *bytes = calloc(1, LIMIT / 2), text[32];
    nh_value value;

    for (int round = 0; round < 3; round++) {
        for (unsigned n = 0; n < 300000; n++) /* tiny ones, for which the index is largest */
            EXPECT_EQ(nh_put(store, NOW, key_number(text, n), value_of(""), NULL, NULL), NH_OK);
        for (int i = 0; i < 3; i++) {
            EXPECT_EQ(nh_put(store, NOW, key_of("large"), (nh_bytes){bytes, LIMIT / 2}, NULL, NULL), NH_OK);
            EXPECT(stats_of(store).memory_bytes <= LIMIT);
        }
        EXPECT_EQ(nh_put(store, NOW, key_of("another"), (nh_bytes){bytes, LIMIT / 2}, NULL, NULL), NH_OK);
        EXPECT_EQ(nh_get(store, NOW, key_of("another"), NULL, 0, NULL), NH_OK);
        expect_missing(store, NOW, key_of("large"));
    }
    /* A refused overwrite of a borrowed value leaves it there. */
    EXPECT_EQ(nh_borrow(store, NOW, key_of("another"), &value), NH_OK);
    EXPECT_EQ(nh_put(store, NOW, key_of("another"), (nh_bytes){bytes, LIMIT / 2}, NULL, NULL), NH_FULL);
    nh_release(store, &value);
    EXPECT_EQ(nh_get(store, NOW, key_of("another"), NULL, 0, NULL), NH_OK);
    EXPECT_EQ(nh_put(store, NOW, key_of("another"), (nh_bytes){bytes, LIMIT / 2}, NULL, NULL), NH_OK);
    free(bytes);
    nh_destroy(store);
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
    EXPECT_EQ(nh_cursor_create(store, &cursor), NH_OK);
    while (nh_cursor_next(cursor, NOW, &key, &value) == NH_OK) {
        EXPECT_EQ(sscanf(key.data, "key-%08u", &number), 1);
        EXPECT_EQ(key.size, 12);
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
    EXPECT_EQ(stats_of(store).borrowed_bytes, 0);
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
    EXPECT_EQ(nh_cursor_create(store, &cursor), NH_OK);
    while (nh_cursor_next(cursor, NOW + 10, &key, &value) == NH_OK) {
        EXPECT(count > 0 || bytes_equal(lent(&value), BYTES("old")));
        EXPECT(count == 0 || bytes_equal(lent(&value), BYTES("new")));
        if (count++ == 0)
            for (unsigned n = 0; n < 1000; n += 2) {
                if (n % 4 == 0)
                    EXPECT_EQ(nh_delete(store, NOW + 10, key_number(text, n)), NH_OK);
                else
                    EXPECT_EQ(nh_put(store, NOW + 10, key_number(text, n), value_of("new"), NULL, NULL),
                              NH_OK);
            }
    }
    EXPECT(count == 250 || count == 251);
    nh_cursor_destroy(cursor);
    EXPECT_EQ(nh_cursor_create(store, &cursor), NH_OK);
    EXPECT_EQ(nh_cursor_next(cursor, NOW, &key, &value), NH_OK);
    nh_cursor_destroy(cursor); /* in the midst of a walk */
    EXPECT_EQ(stats_of(store).borrowed_bytes, 0);
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
    EXPECT_EQ(stats.evicted + stats.expired + stats.purged + stats.rejected + stats.borrowed_bytes, 0);
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
          TEST_ROW(every_result_has_words), TEST_ROW(bad_arguments_are_refused_everywhere),
          TEST_ROW(keys_and_values_of_every_size_up_to_the_maximum_are_kept_byte_for_byte),
          TEST_ROW(the_maximum_of_a_value_is_an_option_and_never_more_than_half_of_the_memory),
          TEST_ROW(a_get_copies_no_more_than_fits_and_tells_the_whole_size),
          TEST_ROW(the_same_bytes_in_two_spaces_are_two_keys),
          TEST_ROW(spaces_that_come_and_go_leave_no_memory_behind),
          TEST_ROW(add_replace_and_cas_heed_what_is_there),
          TEST_ROW(a_version_never_comes_back_not_even_after_a_delete),
          TEST_ROW(a_touch_changes_the_expiry_and_not_the_version),
          TEST_ROW(a_value_is_served_until_its_millisecond_comes_and_never_after),
          TEST_ROW(an_expired_key_is_missing_to_every_call),
          TEST_ROW(a_negative_ttl_leaves_the_key_missing_but_heeds_the_condition),
          TEST_ROW(a_put_keeps_the_expiry_only_if_asked_to),
          TEST_ROW(a_stale_value_is_served_and_says_since_when), TEST_ROW(an_exchange_lends_what_was_there),
          TEST_ROW(a_borrowed_value_outlives_overwrite_delete_expiry_clear_and_eviction),
          TEST_ROW(a_number_is_incremented_by_the_rules_of_its_mode),
          TEST_ROW(an_increment_keeps_flags_expiry_and_tags),
          TEST_ROW(a_purge_drops_what_carries_the_tag_and_was_put_before),
          TEST_ROW(purging_a_million_tags_takes_no_memory),
          TEST_ROW(a_clear_empties_one_space_or_all_at_once_and_the_memory_comes_back),
          TEST_ROW(what_was_cleared_makes_room_before_what_is_alive),
          TEST_ROW(a_sweep_frees_what_has_expired_within_its_budget),
          TEST_ROW(memory_stays_within_the_limit_and_the_newest_are_there),
          TEST_ROW(what_is_used_survives_a_long_scan),
          TEST_ROW(a_store_full_of_borrowed_values_refuses_and_keeps_the_old_ones),
          TEST_ROW(the_largest_value_fits_in_a_full_store_and_can_be_overwritten),
          TEST_ROW(a_walk_sees_every_key_that_stays_even_while_the_table_grows),
          TEST_ROW(a_walk_shows_no_key_that_is_gone_and_each_value_as_it_is), TEST_ROW(the_counters_add_up),
          TEST_ROW(a_caller_with_a_shorter_stats_struct_is_not_overrun),
          TEST_ROW(prefetching_changes_nothing))
