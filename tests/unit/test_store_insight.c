/* links: nuthatch-store */
/* Miss-ratio curves and hot keys: estimates, so what is checked is that they are near. */
#include "store_words.h"

enum { POINTS = 256, HOT_KEYS = 64 };

static nh_store *make_insight(uint64_t memory_bytes, uint32_t spaces)
{
    nh_options options = {
        .size = sizeof options, .memory_bytes = memory_bytes, .hash_seed = 7, .insight_spaces = spaces};
    nh_store *store = NULL;
    EXPECT_EQ(nh_create(&options, &store), NH_OK);
    return store;
}

static uint64_t draw(uint64_t *random, uint64_t below)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return (*random >> 11) % below;
}

/* Reads the key as a cache is read: what is missing is put. */
static void read_through(nh_store *store, nh_key key, size_t value_bytes)
{
    static const char bytes[4096];
    if (nh_get(store, NOW, key, NULL, 0, NULL) != NH_OK)
        EXPECT_EQ(nh_put(store, NOW, key, (nh_bytes){bytes, value_bytes}, NULL, NULL), NH_OK);
}

/* The curve's miss ratio at so much memory. */
static double miss_ratio_at(const nh_curve_point *points, size_t count, uint64_t memory_bytes)
{
    double ratio = 1;
    for (size_t i = 0; i < count && points[i].memory_bytes <= memory_bytes; i++)
        ratio = points[i].miss_ratio;
    return ratio;
}

static size_t read_curve(nh_store *store, uint32_t space, nh_curve_point points[POINTS])
{
    size_t count = POINTS;
    EXPECT_EQ(nh_curve_read(store, space, points, &count), NH_OK);
    EXPECT(count <= POINTS);
    for (size_t i = 0; i < count; i++) {
        EXPECT(points[i].miss_ratio >= 0 && points[i].miss_ratio <= 1);
        EXPECT(i == 0 || points[i].memory_bytes > points[i - 1].memory_bytes);
        EXPECT(i == 0 || points[i].miss_ratio <= points[i - 1].miss_ratio + 1e-9);
    }
    return count;
}

TEST(without_insight_there_is_none)
{
    nh_store *store = make_store(4 << 20);
    nh_curve_point point;
    nh_hot_key key;
    size_t count = 1;

    EXPECT_EQ(nh_curve_read(store, 0, &point, &count), NH_MISSING);
    count = 1;
    EXPECT_EQ(nh_hot_keys_read(store, &key, &count), NH_MISSING);
    nh_destroy(store);
}

TEST(a_curve_falls_where_the_working_set_fits)
{
    enum { KEYS = 20000, VALUE_BYTES = 200, READS = 600000 };
    nh_store *store = make_insight(64 << 20, 1);
    uint64_t random = 88172645463325252u, working_set;
    nh_curve_point points[POINTS];
    size_t count;
    char text[32];

    for (unsigned i = 0; i < READS; i++) /* each as likely as any other */
        read_through(store, key_number(text, (unsigned)draw(&random, KEYS)), VALUE_BYTES);
    working_set = stats_of(store).item_bytes;
    count = read_curve(store, 0, points);
    EXPECT(count >= 4);
    /* With a part of the keys in memory, that part of the reads hits. */
    EXPECT(miss_ratio_at(points, count, 2 * working_set) < 0.15);
    EXPECT(miss_ratio_at(points, count, working_set / 2) > 0.3);
    EXPECT(miss_ratio_at(points, count, working_set / 2) < 0.7);
    EXPECT(miss_ratio_at(points, count, working_set / 10) > 0.75);
    nh_destroy(store);
}

TEST(a_curve_is_kept_for_the_first_spaces_that_are_read)
{
    nh_store *store = make_insight(64 << 20, 2);
    nh_curve_point points[POINTS];
    uint64_t random = 4711;
    size_t count = POINTS;
    char text[32];

    for (unsigned i = 0; i < 102000; i++) {
        read_through(store, key_number_in(700, text, (unsigned)draw(&random, 5000)), 100);
        read_through(store, key_number_in(3, text, i), 100); /* never the same twice */
        if (i >= 2000) /* it comes when the others have been noticed: one read of about a hundred is */
            read_through(store, key_number_in(5, text, 1), 100);
    }
    count = read_curve(store, 700, points);
    EXPECT(count > 0);
    EXPECT(points[count - 1].miss_ratio < 0.3);
    count = read_curve(store, 3, points);
    EXPECT(count == 0 || points[count - 1].miss_ratio > 0.7);
    count = POINTS;
    EXPECT_EQ(nh_curve_read(store, 5, points, &count), NH_MISSING);
    nh_destroy(store);
}

TEST(a_reader_of_a_curve_with_little_room_is_not_overrun)
{
    nh_store *store = make_insight(16 << 20, 1);
    nh_curve_point points[3];
    uint64_t random = 4711;
    char text[32];

    for (unsigned i = 0; i < 100000; i++)
        read_through(store, key_number(text, (unsigned)draw(&random, 5000)), 100);
    for (size_t room = 0; room <= 2; room++) {
        size_t count = room;
        memset(points, 0xee, sizeof points);
        EXPECT_EQ(nh_curve_read(store, 0, points, &count), NH_OK);
        EXPECT(count <= room);
        EXPECT_EQ(points[room].memory_bytes, 0xeeeeeeeeeeeeeeee);
    }
    nh_destroy(store);
}

TEST(the_most_read_keys_come_first)
{
    enum { READS = 400000, HOT = 5 };
    static const unsigned percents[HOT] = {20, 10, 7, 5, 4};
    nh_store *store = make_insight(64 << 20, 1);
    nh_hot_key keys[HOT_KEYS];
    uint64_t random = 88172645463325252u, reads[HOT] = {0};
    size_t count = HOT_KEYS;
    char text[32];

    for (unsigned i = 0; i < READS; i++) {
        unsigned percent = (unsigned)draw(&random, 100), hot = 0;
        while (hot < HOT && percent >= percents[hot])
            percent -= percents[hot++];
        if (hot < HOT) {
            read_through(store, key_number_in(hot, text, hot), 100); /* of all spaces */
            reads[hot]++;
        } else {
            read_through(store, key_number_in(9, text, 1000 + (unsigned)draw(&random, 100000)), 10);
        }
    }
    EXPECT_EQ(nh_hot_keys_read(store, keys, &count), NH_OK);
    EXPECT(count >= HOT);
    for (unsigned i = 0; i < HOT; i++) {
        nh_key wanted = key_number_in(i, text, i);
        EXPECT_EQ(keys[i].space, wanted.space);
        EXPECT_EQ(keys[i].key_bytes, wanted.size);
        EXPECT_EQ(memcmp(keys[i].key, wanted.data, wanted.size), 0);
        EXPECT(keys[i].reads >= reads[i] / 2);
        EXPECT(keys[i].reads <= reads[i] * 2);
        EXPECT(keys[i].reads_over <= keys[i].reads);
    }
    for (size_t i = 1; i < count; i++)
        EXPECT(keys[i].reads <= keys[i - 1].reads);
    nh_destroy(store);
}

TEST(reads_of_a_key_that_is_always_missing_are_sampled_like_any_others)
{
    enum { READS = 64 * 1024 };
    char names[][8] = {"a", "b", "c", "d"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        nh_store *store = make_insight(4 << 20, 1);
        size_t count = 1;
        nh_hot_key hot;

        for (int j = 0; j < READS; j++)
            EXPECT_EQ(nh_get(store, NOW, (nh_key){names[i], 1, 0}, NULL, 0, NULL), NH_MISSING);
        EXPECT_EQ(nh_hot_keys_read(store, &hot, &count), NH_OK);
        EXPECT_EQ(count, 1);
        EXPECT(hot.reads > READS / 2 && hot.reads < READS * 2);
        nh_destroy(store);
    }
}

TEST(a_long_hot_key_is_told_by_its_beginning_and_its_length)
{
    nh_store *store = make_insight(64 << 20, 1);
    nh_hot_key keys[HOT_KEYS];
    char bytes[1000];
    nh_key key = {bytes, sizeof bytes, 2};
    size_t count = 1;

    pattern_fill(bytes, sizeof bytes, 0, 1);
    for (unsigned i = 0; i < 100000; i++)
        read_through(store, key, 10);
    EXPECT_EQ(nh_hot_keys_read(store, keys, &count), NH_OK);
    EXPECT_EQ(count, 1);
    EXPECT_EQ(keys[0].space, 2);
    EXPECT_EQ(keys[0].key_bytes, sizeof bytes);
    EXPECT_EQ(memcmp(keys[0].key, bytes, NH_HOT_KEY_BYTES_MAX), 0);
    count = 0;
    EXPECT_EQ(nh_hot_keys_read(store, keys, &count), NH_OK);
    EXPECT_EQ(count, 0);
    nh_destroy(store);
}

TEST(all_calls_that_read_count_for_insight)
{
    for (int call = 0; call < 6; call++) {
        nh_store *store = make_insight(64 << 20, 1);
        nh_hot_key keys[HOT_KEYS];
        nh_get_request request = {.key = key_of("hot")};
        nh_fetch_state fetched;
        size_t count = HOT_KEYS;
        uint64_t lease;
        nh_value value;

        EXPECT_EQ(put_text(store, "hot", "v"), NH_OK);
        for (unsigned i = 0; i < 50000; i++)
            switch (call) {
            case 0:
                EXPECT_EQ(nh_borrow(store, NOW, key_of("hot"), &value), NH_OK);
                nh_release(store, &value);
                break;
            case 1:
                EXPECT_EQ(nh_peek(store, NOW, key_of("hot"), &value), NH_OK);
                nh_release(store, &value);
                break;
            case 2: EXPECT_EQ(nh_get(store, NOW, key_of("hot"), NULL, 0, NULL), NH_OK); break;
            case 3: EXPECT_EQ(nh_get_many(store, NOW, &request, 1), NH_OK); break;
            case 4:
                EXPECT_EQ(nh_get_and_touch(store, NOW, key_of("hot"), 0, &value), NH_OK);
                nh_release(store, &value);
                break;
            case 5:
                EXPECT_EQ(nh_fetch(store, NOW, key_of("hot"), NULL, &fetched, &lease, &value), NH_OK);
                nh_release(store, &value);
                break;
            }
        EXPECT_EQ(nh_hot_keys_read(store, keys, &count), NH_OK);
        if (count != 1 || keys[0].key_bytes != 3)
            fail_msg("call %d does not count", call);
        EXPECT(keys[0].reads >= 25000 && keys[0].reads <= 100000);
        EXPECT_EQ(stats_of(store).hits, 50000);
        nh_destroy(store);
    }
}

TEST(insight_is_within_the_limit_of_memory)
{
    static const uint64_t memories[] = {16 << 20, 64 << 20};
    char text[32];
    for (size_t m = 0; m < COUNT_OF(memories); m++) {
        nh_store *store = make_insight(memories[m], 8);
        for (unsigned n = 0; n < 80000; n++)
            read_through(store, key_number_in(n % 10, text, n), 500);
        EXPECT(stats_of(store).memory_bytes <= memories[m]);
        EXPECT(nh_count(store, NH_SPACE_ALL) * 500 > memories[m] / 3);
        nh_destroy(store);
    }
}

RUN_TESTS(TEST_ROW(without_insight_there_is_none), TEST_ROW(a_curve_falls_where_the_working_set_fits),
          TEST_ROW(a_curve_is_kept_for_the_first_spaces_that_are_read),
          TEST_ROW(a_reader_of_a_curve_with_little_room_is_not_overrun),
          TEST_ROW(the_most_read_keys_come_first),
          TEST_ROW(reads_of_a_key_that_is_always_missing_are_sampled_like_any_others),
          TEST_ROW(a_long_hot_key_is_told_by_its_beginning_and_its_length),
          TEST_ROW(all_calls_that_read_count_for_insight), TEST_ROW(insight_is_within_the_limit_of_memory))
