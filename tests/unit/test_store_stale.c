/* links: nuthatch-store */
/* A value made stale by its key: at once, for whoever asks, and with all else as it was. */
#include "store_words.h"
#include <unistd.h>

enum { LARGE_BYTES = 200000 };

static nh_fetch_state fetch(nh_store *store, int64_t now_ms, const char *key, uint64_t *lease)
{
    nh_fetch_state state = -1;
    nh_value value = {.pin = NULL};

    EXPECT_EQ(nh_fetch(store, now_ms, key_of(key), NULL, &state, lease, &value), NH_OK);
    nh_release(store, &value);
    return state;
}

TEST(what_is_made_stale_keeps_all_else)
{
    static const size_t sizes[] = {0, 5, LARGE_BYTES};
    nh_store *store = make_store(4 << 20);
    char *bytes = calloc(1, LARGE_BYTES);
    nh_bytes tag = value_of("t");
    uint64_t lease, version;

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        for (int has_soft_expiry = 0; has_soft_expiry < 2; has_soft_expiry++) {
            nh_put_options options = {.size = sizeof options,
                                      .ttl_ms = 100,
                                      .soft_ttl_ms = has_soft_expiry ? 50 : 0,
                                      .flags = 9,
                                      .note = 3,
                                      .tags = &tag,
                                      .tag_count = 1};
            nh_value value;
            EXPECT_EQ(nh_put(store, NOW, key_of("k"), (nh_bytes){bytes, sizes[i]}, &options, &version),
                      NH_OK);
            EXPECT_EQ(fetch(store, NOW, "k", &lease), NH_FETCH_HIT);
            EXPECT_EQ(nh_make_stale(store, NOW, key_of("k")), NH_OK);
            EXPECT_EQ(nh_make_stale(store, NOW, key_of("k")), NH_OK);
            EXPECT_EQ(nh_borrow(store, NOW, key_of("k"), &value), NH_OK);
            EXPECT_EQ(value.size, sizes[i]);
            EXPECT_EQ(value.version, version);
            EXPECT_EQ(value.expires_at_ms, NOW + 100);
            EXPECT_EQ(value.flags, 9);
            EXPECT_EQ(*value.note, 3);
            EXPECT_EQ(value.traits, NH_VALUE_STALE);
            EXPECT(value.stale_at_ms < NOW);
            nh_release(store, &value);
            /* A thread whose clock is behind sees it, too. */
            EXPECT_EQ(fetch(store, NOW - 50, "k", &lease), NH_FETCH_STALE_LEASE);
            EXPECT_EQ(fetch(store, NOW, "k", &lease), NH_FETCH_STALE);
            EXPECT_EQ(nh_purge_tag(store, tag, NH_PURGE_DROP), NH_OK);
            expect_missing(store, NOW, key_of("k"));
        }
    }
    free(bytes);
    nh_destroy(store);
}

TEST(a_lease_from_before_fills_nothing_whether_the_key_was_there_or_not)
{
    nh_store *store = make_store(1 << 20);
    nh_put_options negative = {.size = sizeof negative, .negative = 1, .ttl_ms = 1000};
    uint64_t lease, next;

    EXPECT_EQ(fetch(store, NOW, "k", &lease), NH_FETCH_MISS_LEASE);
    EXPECT_EQ(nh_make_stale(store, NOW, key_of("k")), NH_MISSING);
    EXPECT_EQ(nh_fill(store, NOW, key_of("k"), lease, value_of("old"), NULL, NULL), NH_CHANGED);
    expect_missing(store, NOW, key_of("k"));

    EXPECT_EQ(put_text(store, "k", "v"), NH_OK);
    EXPECT_EQ(nh_make_stale(store, NOW, key_of("k")), NH_OK);
    EXPECT_EQ(fetch(store, NOW, "k", &lease), NH_FETCH_STALE_LEASE);
    EXPECT_EQ(nh_make_stale(store, NOW, key_of("k")), NH_OK);
    EXPECT_EQ(nh_fill(store, NOW, key_of("k"), lease, value_of("old"), NULL, NULL), NH_CHANGED);
    EXPECT_EQ(fetch(store, NOW, "k", &next), NH_FETCH_STALE_LEASE);
    EXPECT_EQ(nh_fill(store, NOW, key_of("k"), next, value_of("new"), NULL, NULL), NH_OK);
    EXPECT_EQ(fetch(store, NOW, "k", &lease), NH_FETCH_HIT);

    /* That there is nothing can become stale, too. */
    EXPECT_EQ(nh_put(store, NOW, key_of("n"), value_of("none"), &negative, NULL), NH_OK);
    EXPECT_EQ(fetch(store, NOW, "n", &lease), NH_FETCH_HIT);
    EXPECT_EQ(nh_make_stale(store, NOW, key_of("n")), NH_MISSING);
    EXPECT_EQ(fetch(store, NOW, "n", &lease), NH_FETCH_STALE_LEASE);
    expect_missing(store, NOW, key_of("n"));
    EXPECT_EQ(fetch(store, NOW + 999, "n", &lease), NH_FETCH_STALE);
    EXPECT_EQ(fetch(store, NOW + 1000, "n", &lease), NH_FETCH_MISS_WAIT);

    EXPECT_EQ(nh_put(store, NOW, key_of("over"), value_of("v"),
                     &(nh_put_options){.size = sizeof negative, .ttl_ms = 10}, NULL),
              NH_OK);
    EXPECT_EQ(nh_make_stale(store, NOW + 10, key_of("over")), NH_MISSING);
    nh_destroy(store);
}

TEST(what_is_made_of_a_stale_value_is_stale_until_it_is_put_anew)
{
    nh_store *store = make_store(4 << 20);
    char *bytes = calloc(1, LARGE_BYTES);
    uint64_t lease;
    nh_writer *writer;

    EXPECT_EQ(put_text(store, "k", "1"), NH_OK);
    EXPECT_EQ(nh_make_stale(store, NOW, key_of("k")), NH_OK);
    EXPECT_EQ(nh_touch(store, NOW, key_of("k"), 5000), NH_OK);
    EXPECT_EQ(nh_increment(store, NOW, key_of("k"), 1, NH_INCREMENT_SIGNED, NULL), NH_OK);
    EXPECT_EQ(nh_copy(store, NOW, key_of("k"), key_of("copy"), NULL), NH_OK);
    EXPECT_EQ(fetch(store, NOW, "copy", &lease), NH_FETCH_STALE_LEASE);
    EXPECT_EQ(nh_append(store, NOW, key_of("k"), (nh_bytes){bytes, LARGE_BYTES}, NULL), NH_OK);
    EXPECT_EQ(fetch(store, NOW, "k", &lease), NH_FETCH_STALE_LEASE);
    EXPECT_EQ(nh_append(store, NOW, key_of("k"), value_of("more"), NULL), NH_OK);
    EXPECT_EQ(fetch(store, NOW, "k", &lease), NH_FETCH_STALE_LEASE);
    EXPECT_EQ(put_text(store, "k", "new"), NH_OK);
    EXPECT_EQ(fetch(store, NOW, "k", &lease), NH_FETCH_HIT);

    /* One that is still being written is made stale where it is. */
    EXPECT_EQ(nh_writer_create(store, NOW, key_of("w"), NULL, &writer), NH_OK);
    EXPECT_EQ(nh_writer_append(writer, NOW, (nh_bytes){bytes, LARGE_BYTES}), NH_OK);
    EXPECT_EQ(nh_writer_publish(writer, NOW), NH_OK);
    EXPECT_EQ(nh_make_stale(store, NOW, key_of("w")), NH_OK);
    EXPECT_EQ(nh_writer_append(writer, NOW, value_of("more")), NH_OK);
    EXPECT_EQ(nh_writer_commit(writer, NOW, NULL), NH_OK);
    EXPECT_EQ(fetch(store, NOW, "w", &lease), NH_FETCH_STALE_LEASE);
    free(bytes);
    nh_destroy(store);
}

TEST(what_was_made_stale_is_so_after_a_restart)
{
    nh_store *store = make_store(4 << 20);
    char path[64], *bytes = calloc(1, LARGE_BYTES);
    uint64_t lease, count;

    snprintf(path, sizeof path, "/tmp/nuthatch-stale-%d", (int)getpid());
    EXPECT_EQ(put_text(store, "small", "v"), NH_OK);
    EXPECT_EQ(nh_put(store, NOW, key_of("large"), (nh_bytes){bytes, LARGE_BYTES}, NULL, NULL), NH_OK);
    EXPECT_EQ(nh_put(store, NOW, key_of("fresh"), (nh_bytes){bytes, LARGE_BYTES}, NULL, NULL), NH_OK);
    EXPECT_EQ(nh_make_stale(store, NOW, key_of("small")), NH_OK);
    EXPECT_EQ(nh_make_stale(store, NOW, key_of("large")), NH_OK);
    for (int restart = 0; restart < 3; restart++) {
        int64_t now_ms = restart % 2 == 0 ? NOW : 5;
        EXPECT_EQ(nh_save(store, path, now_ms, 1700000000000), NH_OK);
        nh_destroy(store);
        store = make_store(4 << 20);
        now_ms = restart % 2 == 0 ? 5 : NOW;
        EXPECT_EQ(nh_restore(store, path, now_ms, 1700000000000, &count), NH_OK);
        EXPECT_EQ(count, 3);
        EXPECT_EQ(fetch(store, now_ms, "small", &lease), NH_FETCH_STALE_LEASE);
        EXPECT_EQ(fetch(store, now_ms, "large", &lease), NH_FETCH_STALE_LEASE);
        EXPECT_EQ(fetch(store, now_ms, "fresh", &lease), NH_FETCH_HIT);
    }
    free(bytes);
    nh_destroy(store);
}

RUN_TESTS(TEST_ROW(what_is_made_stale_keeps_all_else),
          TEST_ROW(a_lease_from_before_fills_nothing_whether_the_key_was_there_or_not),
          TEST_ROW(what_is_made_of_a_stale_value_is_stale_until_it_is_put_anew),
          TEST_ROW(what_was_made_stale_is_so_after_a_restart))
