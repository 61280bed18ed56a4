/* links: nuthatch-store */
/* What the store tells of keys that leave by themselves, and that it tells of no other. */
#include "store_words.h"

enum { KEYS = 2000 };

struct told {
    int expired[KEYS], evicted[KEYS];
    int expired_count, evicted_count;
};

static void note(void *context, nh_key key, int32_t cause)
{
    struct told *told = context;
    int number;

    EXPECT_EQ(key.space, 3);
    EXPECT_EQ(key.size, sizeof number);
    memcpy(&number, key.data, sizeof number);
    EXPECT(number >= 0 && number < KEYS);
    if (cause == NH_DROPPED_EXPIRED) {
        told->expired[number]++;
        told->expired_count++;
    } else {
        EXPECT_EQ(cause, NH_DROPPED_EVICTED);
        told->evicted[number]++;
        told->evicted_count++;
    }
}

static nh_store *store_telling(struct told *told)
{
    nh_options options = {.size = sizeof options,
                          .memory_bytes = 2 << 20,
                          .hash_seed = 1,
                          .dropped = note,
                          .dropped_context = told};
    nh_store *store;

    EXPECT_EQ(nh_create(&options, &store), NH_OK);
    return store;
}

static nh_key numbered(const int *number) { return (nh_key){number, sizeof *number, 3}; }

static void put(nh_store *store, int64_t now_ms, int number, size_t size, int64_t ttl_ms)
{
    static char value[200000];
    nh_put_options options = {.size = sizeof options, .ttl_ms = ttl_ms};

    EXPECT_EQ(nh_put(store, now_ms, numbered(&number), (nh_bytes){value, size}, &options, NULL), NH_OK);
}

TEST(a_key_that_expires_is_told_once)
{
    static struct told told;
    nh_store *store = store_telling(&told);
    int first = 0, second = 1;

    for (int i = 0; i < 1000; i++)
        put(store, NOW, i, 10, i % 2 == 0 ? 50 : 100000);
    EXPECT_EQ(told.expired_count, 0);
    put(store, NOW + 50, first, 10, 0); /* found expired by a write */
    EXPECT_EQ(told.expired[first], 1);
    EXPECT_EQ(nh_delete(store, NOW + 50, numbered(&second)),
              NH_OK); /* deleted: left by no means by itself */
    while (told.expired_count < 500)
        nh_sweep(store, NOW + 50, 10000);
    nh_sweep(store, NOW + 50, 10000);
    for (int i = 0; i < 1000; i++)
        EXPECT_EQ(told.expired[i], i % 2 == 0);
    EXPECT_EQ(told.expired_count, 500);
    EXPECT_EQ(told.evicted_count, 0);
    nh_destroy(store);
}

TEST(a_key_that_makes_room_is_told_and_one_that_is_cleared_or_overwritten_is_not)
{
    static struct told told;
    nh_store *store = store_telling(&told);
    nh_stats stats = {.size = sizeof stats};
    int there_count = 0;

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++)
            put(store, NOW, i, 10, 0);
        nh_clear(store, 3);
    }
    EXPECT_EQ(told.evicted_count, 0);
    for (int i = 0; i < KEYS; i++)
        put(store, NOW, i, i % 100 == 0 ? 200000 : 3000, 0);
    EXPECT(told.evicted_count > KEYS / 2);
    for (int i = 0; i < KEYS; i++) {
        bool is_in = is_there(store, NOW, numbered(&i));
        EXPECT_EQ(told.evicted[i], !is_in);
        there_count += is_in;
    }
    EXPECT_EQ(told.evicted_count + there_count, KEYS);
    EXPECT_EQ(nh_stats_read(store, &stats), NH_OK);
    EXPECT_EQ((int)stats.evicted, told.evicted_count);
    EXPECT_EQ(told.expired_count, 0);
    nh_destroy(store);
}

RUN_TESTS(TEST_ROW(a_key_that_expires_is_told_once),
          TEST_ROW(a_key_that_makes_room_is_told_and_one_that_is_cleared_or_overwritten_is_not))
