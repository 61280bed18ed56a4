/* links: nuthatch-store nuthatch-base m */
/* Hot keys against exact counts. NH_SEED makes other traces. */
#include "base/compiler.h"
#include "base/hash.h"
#include "store/hot_keys.h"
#include "test.h"
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t seed_of_test(void)
{
    const char *text = getenv("NH_SEED");
    return text != NULL ? strtoull(text, NULL, 10) : 1815;
}

static uint64_t draw(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random * 0x2545f4914f6cdd1du;
}

/* A number that rank r below `key_count` gets with a chance of about 1 / (r + 1). */
static uint32_t draw_skewed(uint64_t *random, uint32_t key_count)
{
    double share = (double)(draw(random) >> 11) * 0x1p-53;
    return (uint32_t)exp(share * log(key_count + 1.0)) - 1;
}

struct name {
    char text[16];
};

static nh_key key_of(uint32_t number, struct name *name)
{
    int size = snprintf(name->text, sizeof name->text, "key:%u", number);
    return (nh_key){name->text, (size_t)size, number % 3};
}

static uint64_t hash_of(nh_key key) { return hash_bytes(bytes_of(key.data, key.size), key.space); }

/* The number that key_of was given. */
static uint32_t number_of(const nh_hot_key *hot)
{
    char text[16] = {0};
    EXPECT(hot->key_bytes > 4 && hot->key_bytes < sizeof text);
    memcpy(text, hot->key, hot->key_bytes);
    uint32_t number = (uint32_t)strtoul(text + 4, NULL, 10);
    EXPECT_EQ(hot->space, number % 3);
    return number;
}

struct guarded {
    struct hot_keys hot;
    unsigned char guard[4096];
};

static struct hot_keys *hot_create(void)
{
    struct guarded *guarded = aligned_alloc(64, sizeof *guarded);
    memset(guarded, 0, sizeof *guarded);
    memset(guarded->guard, 0x5a, sizeof guarded->guard);
    hot_keys_init(&guarded->hot);
    return &guarded->hot;
}

/* (2), (3) and (4) of hot_keys.h. */
static void expect_sound(const struct hot_keys *hot)
{
    size_t chained_count = 0, used_count = 0;

    for (size_t i = 0; i < HOT_KEYS_COUNTERS; i++) {
        const struct hot_heap_row *row = &hot->heap[i];
        EXPECT_EQ(hot->places[row->counter], i);
        EXPECT(i == 0 || row->count >= hot->heap[(i - 1) / 2].count);
        EXPECT(row->count >= hot->counters[row->counter].over);
        EXPECT(hot->counters[row->counter].key_bytes != 0 || row->count == 0);
        used_count += hot->counters[i].key_bytes != 0;
        for (uint16_t link = hot->heads[i]; link != 0; link = hot->counters[link - 1].next) {
            chained_count++;
            EXPECT(chained_count <= HOT_KEYS_COUNTERS);
        }
    }
    EXPECT_EQ(chained_count, used_count);
}

static void hot_destroy(struct hot_keys *hot)
{
    struct guarded *guarded = CONTAINER_OF(hot, struct guarded, hot);
    expect_sound(hot);
    for (size_t i = 0; i < sizeof guarded->guard; i++)
        EXPECT_EQ(guarded->guard[i], 0x5a);
    free(guarded);
}

static void note(struct hot_keys *hot, uint32_t number)
{
    struct name name;
    nh_key key = key_of(number, &name);
    hot_keys_note(hot, hash_of(key), key);
}

TEST(what_is_noted_lies_within_the_bounds_of_space_saving)
{
    enum { KEYS = 3000, SAMPLES = HOT_KEYS_HALVE_SAMPLES - 1 };
    static uint32_t noted[KEYS];
    static nh_hot_key keys[HOT_KEYS_COUNTERS];
    uint64_t random = seed_of_test() * 2 + 1, sum = 0;
    size_t count = COUNT_OF(keys);
    struct hot_keys *hot = hot_create();

    memset(noted, 0, sizeof noted);
    for (int i = 0; i < SAMPLES; i++) {
        uint32_t number = draw_skewed(&random, KEYS);
        noted[number]++;
        note(hot, number);
    }
    hot_keys_read(hot, keys, &count);
    EXPECT_EQ(count, HOT_KEYS_COUNTERS);
    for (size_t i = 0; i < count; i++) {
        uint64_t reads = noted[number_of(&keys[i])] * (uint64_t)HOT_KEYS_ONE_OF;
        EXPECT(reads <= keys[i].reads);
        EXPECT(reads >= keys[i].reads - keys[i].reads_over);
        EXPECT(i == 0 || keys[i].reads <= keys[i - 1].reads);
        sum += keys[i].reads;
        noted[number_of(&keys[i])] = 0; /* each is there once */
    }
    EXPECT_EQ(sum, (uint64_t)SAMPLES * HOT_KEYS_ONE_OF);
    for (size_t i = 0; i < KEYS; i++)
        EXPECT(noted[i] * (uint64_t)HOT_KEYS_ONE_OF <= keys[count - 1].reads);
    hot_destroy(hot);
}

TEST(the_most_read_keys_of_a_skewed_trace_are_found_and_their_reads_are_about_right)
{
    enum { KEYS = 1000000, READS = 6000000, TOP = 10 };
    uint64_t seed = seed_of_test(), random = seed * 2 + 1;
    uint32_t *reads = calloc(KEYS, sizeof *reads);
    struct hot_keys *hot = hot_create();
    nh_hot_key keys[TOP + 5];
    size_t count = COUNT_OF(keys), found_count = 0;

    for (uint32_t salt = 0; salt < READS; salt++) {
        struct name name;
        uint32_t number = draw_skewed(&random, KEYS);
        nh_key key = key_of(number, &name);
        reads[number]++;
        hot_keys_reference(hot, hash_of(key), salt, key);
    }
    hot_keys_read(hot, keys, &count);
    EXPECT_EQ(count, COUNT_OF(keys));
    printf("NH_SEED=%llu, by reads:", (unsigned long long)seed);
    for (size_t i = 0; i < count; i++) {
        uint32_t number = number_of(&keys[i]);
        double slack = 5 * sqrt((double)reads[number] * HOT_KEYS_ONE_OF); /* five standard deviations */
        printf(" %u", number);
        found_count += number < TOP;
        EXPECT(i >= 3 || number == i); /* these are far enough from each other */
        EXPECT((double)(keys[i].reads - keys[i].reads_over) <= reads[number] + slack);
        EXPECT((double)keys[i].reads >= reads[number] - slack);
    }
    printf("\n");
    EXPECT_EQ(found_count, TOP);
    free(reads);
    hot_destroy(hot);
}

TEST(one_of_so_many_reads_is_sampled_whatever_the_pattern)
{
    static const struct {
        uint64_t first_salt, salt_step;
        uint32_t key_count;
    } cases[] = {{0, 1, 1},   {1000000007, 1, 1},     {0, 64, 1},    {5, 4096, 1},
                 {0, 1, 64},  {0, 1, 1000},           {0, 3, 7},     {UINT64_MAX - 1000, 1, 1},
                 {77, 26, 2}, {0x123456789abc, 8, 4}, {0, 1, 65536}, {12, 1000000, 100000}};
    enum { READS = 1 << 17, WANTED = READS / HOT_KEYS_ONE_OF };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        uint32_t sampled_count = 0;
        for (uint32_t read = 0; read < READS; read++) {
            uint32_t number = read % cases[i].key_count;
            uint64_t hash = hash_bytes(bytes_of(&number, sizeof number), 3);
            sampled_count += hot_keys_samples(hash, cases[i].first_salt + read * cases[i].salt_step);
        }
        if (sampled_count < WANTED * 0.9 || sampled_count > WANTED * 1.1)
            fail_msg("case %zu: %u reads sampled, wanted about %d", i, sampled_count, WANTED);
    }
}

TEST(a_long_key_shows_its_first_bytes_and_is_not_taken_for_another_that_begins_alike)
{
    static char text[NH_KEY_BYTES_MAX];
    struct hot_keys *hot = hot_create();
    nh_hot_key keys[8];
    size_t count = COUNT_OF(keys);

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i % 26);
    nh_key longer = {text, sizeof text, 0}, shorter = {text, 1000, 0},
           whole = {text, NH_HOT_KEY_BYTES_MAX, 0};
    for (int i = 0; i < 3; i++)
        hot_keys_note(hot, hash_of(longer), longer);
    for (int i = 0; i < 2; i++)
        hot_keys_note(hot, hash_of(shorter), shorter);
    hot_keys_note(hot, hash_of(whole), whole);
    hot_keys_read(hot, keys, &count);
    EXPECT_EQ(count, 3);
    EXPECT_EQ(keys[0].key_bytes, sizeof text);
    EXPECT_EQ(keys[1].key_bytes, 1000);
    EXPECT_EQ(keys[2].key_bytes, NH_HOT_KEY_BYTES_MAX);
    for (size_t i = 0; i < count; i++)
        EXPECT(memcmp(keys[i].key, text, NH_HOT_KEY_BYTES_MAX) == 0);
    hot_destroy(hot);
}

TEST(the_same_bytes_in_two_spaces_are_two_keys)
{
    struct hot_keys *hot = hot_create();
    nh_key first = {"same", 4, 1}, second = {"same", 4, 2};
    nh_hot_key keys[8];
    size_t count = COUNT_OF(keys);

    hot_keys_read(hot, keys, &count);
    EXPECT_EQ(count, 0);
    for (int i = 0; i < 3; i++)
        hot_keys_note(hot, 42, first); /* even if their hashes were the same */
    hot_keys_note(hot, 42, second);
    count = 0;
    hot_keys_read(hot, keys, &count);
    EXPECT_EQ(count, 0);
    count = COUNT_OF(keys);
    hot_keys_read(hot, keys, &count);
    EXPECT_EQ(count, 2);
    EXPECT(keys[0].space == 1 && keys[0].reads == 3 * HOT_KEYS_ONE_OF && keys[0].reads_over == 0);
    EXPECT(keys[1].space == 2 && keys[1].reads == HOT_KEYS_ONE_OF && keys[1].key_bytes == 4);
    hot_destroy(hot);
}

TEST(keys_that_were_hot_are_forgotten)
{
    struct hot_keys *hot = hot_create();
    nh_hot_key keys[HOT_KEYS_COUNTERS];
    size_t count = COUNT_OF(keys);

    for (int i = 0; i < HOT_KEYS_HALVE_SAMPLES - 1; i++)
        note(hot, 1);
    hot_keys_read(hot, keys, &count);
    EXPECT(count == 1 && number_of(&keys[0]) == 1);
    for (int i = 0; i < HOT_KEYS_HALVE_SAMPLES; i++)
        note(hot, 2);
    count = 1;
    hot_keys_read(hot, keys, &count);
    EXPECT(count == 1 && number_of(&keys[0]) == 2);
    for (int i = 0; i < 24 * HOT_KEYS_HALVE_SAMPLES; i++)
        note(hot, 2);
    count = COUNT_OF(keys);
    hot_keys_read(hot, keys, &count);
    EXPECT(count == 1 && number_of(&keys[0]) == 2);
    EXPECT(keys[0].reads < 3ull * HOT_KEYS_HALVE_SAMPLES * HOT_KEYS_ONE_OF);
    hot_destroy(hot);
}

TEST(reads_that_find_the_lock_taken_are_taken_to_be_like_the_others)
{
    struct hot_keys *hot = hot_create();
    nh_hot_key keys[2];
    size_t count = COUNT_OF(keys);

    for (int i = 0; i < 200; i++) {
        if (i == 100)
            lock_acquire(&hot->lock);
        note(hot, i % 4 == 0 ? 1 : 2);
    }
    lock_release(&hot->lock);
    hot_keys_read(hot, keys, &count);
    EXPECT(count == 2 && number_of(&keys[0]) == 2 && number_of(&keys[1]) == 1);
    EXPECT_EQ(keys[0].reads, 150 * HOT_KEYS_ONE_OF);
    EXPECT_EQ(keys[1].reads, 50 * HOT_KEYS_ONE_OF);
    hot_destroy(hot);
}

struct reader {
    pthread_t id;
    struct hot_keys *hot;
    uint64_t random;
};

enum { READER_SAMPLES = 30000 };

static void *read_much(void *argument)
{
    struct reader *reader = argument;
    for (int i = 0; i < READER_SAMPLES; i++)
        note(reader->hot, draw(&reader->random) % 4 == 0 ? 5 : (uint32_t)draw(&reader->random) % 100000);
    return NULL;
}

TEST(threads_may_count_and_look_at_the_same_time)
{
    struct hot_keys *hot = hot_create();
    struct reader readers[2];
    nh_hot_key keys[4];
    size_t count;

    for (unsigned i = 0; i < COUNT_OF(readers); i++) {
        readers[i] = (struct reader){.hot = hot, .random = 77 + i};
        EXPECT_EQ(pthread_create(&readers[i].id, NULL, read_much, &readers[i]), 0);
    }
    for (int i = 0; i < 200; i++) {
        count = COUNT_OF(keys);
        hot_keys_read(hot, keys, &count);
        EXPECT(count <= COUNT_OF(keys));
    }
    for (unsigned i = 0; i < COUNT_OF(readers); i++)
        pthread_join(readers[i].id, NULL);
    count = COUNT_OF(keys);
    hot_keys_read(hot, keys, &count);
    EXPECT(count == COUNT_OF(keys) && number_of(&keys[0]) == 5);
    /* What was dropped because the lock was taken is made up for. */
    uint64_t samples = COUNT_OF(readers) * READER_SAMPLES;
    double wanted = (double)samples / 4 * HOT_KEYS_ONE_OF;
    EXPECT(fabs((double)keys[0].reads / wanted - 1) < 0.1);
    hot_destroy(hot);
}

RUN_TESTS(TEST_ROW(what_is_noted_lies_within_the_bounds_of_space_saving),
          TEST_ROW(the_most_read_keys_of_a_skewed_trace_are_found_and_their_reads_are_about_right),
          TEST_ROW(one_of_so_many_reads_is_sampled_whatever_the_pattern),
          TEST_ROW(a_long_key_shows_its_first_bytes_and_is_not_taken_for_another_that_begins_alike),
          TEST_ROW(the_same_bytes_in_two_spaces_are_two_keys), TEST_ROW(keys_that_were_hot_are_forgotten),
          TEST_ROW(reads_that_find_the_lock_taken_are_taken_to_be_like_the_others),
          TEST_ROW(threads_may_count_and_look_at_the_same_time))
