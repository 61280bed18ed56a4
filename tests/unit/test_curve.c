/* links: nuthatch-store nuthatch-base m */
/* The curve against an exact LRU, which keeps every read of a trace. NH_SEED makes other traces; the limits
 * of error allow for what a sample of the keys must be wrong by. */
#include "base/compiler.h"
#include "base/hash.h"
#include "store/curve.h"
#include "test.h"
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define MEMORY_BYTES_MAX ((uint64_t)1 << 45)
#define NEVER            UINT64_MAX

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

static uint64_t hash_of(uint64_t number, uint64_t seed)
{
    return hash_bytes(bytes_of(&number, sizeof number), seed);
}

/* The same with a place that is always in the sample at first: such a key stands for 1 << CURVE_RATE_SHIFT.
 */
static uint64_t sampled_hash_of(uint64_t number, uint64_t seed)
{
    return hash_of(number, seed) & ~(((1ull << CURVE_RATE_SHIFT) - 1) << (48 - CURVE_RATE_SHIFT));
}

/* ---- Zipf ------------------------------------------------------------------------------------------- */

struct zipf {
    double *sums;
    uint32_t key_count;
    uint64_t random;
};

static struct zipf zipf_create(uint32_t key_count, double skew, uint64_t seed)
{
    struct zipf zipf = {malloc(key_count * sizeof *zipf.sums), key_count, seed * 2 + 1};
    double sum = 0;
    for (uint32_t i = 0; i < key_count; i++)
        zipf.sums[i] = sum += pow(i + 1, -skew);
    for (int i = 0; i < 16; i++)
        draw(&zipf.random); /* a small seed needs some turns to spread */
    return zipf;
}

static uint32_t zipf_draw(struct zipf *zipf)
{
    double wanted = (double)(draw(&zipf->random) >> 11) * 0x1p-53 * zipf->sums[zipf->key_count - 1];
    uint32_t low = 0, high = zipf->key_count - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (zipf->sums[middle] < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- an exact LRU -------------------------------------------------------------------------------------
 */

/* Distances of all reads, by a Fenwick tree over all the times there are. */
struct lru {
    uint64_t *tree; /* from 1 on */
    uint32_t *read_at;
    uint64_t *distances;
    uint64_t all_bytes;
    uint32_t read_count, capacity;
};

static struct lru *lru_create(uint32_t key_count, uint32_t capacity)
{
    struct lru *lru = malloc(sizeof *lru);
    *lru = (struct lru){.tree = calloc((size_t)capacity + 1, sizeof *lru->tree),
                        .read_at = calloc(key_count, sizeof *lru->read_at),
                        .distances = calloc(capacity, sizeof *lru->distances),
                        .capacity = capacity};
    return lru;
}

static void lru_destroy(struct lru *lru)
{
    free(lru->tree);
    free(lru->read_at);
    free(lru->distances);
    free(lru);
}

static void lru_add(struct lru *lru, uint32_t time, uint64_t bytes)
{
    for (; time <= lru->capacity; time += time & -time)
        lru->tree[time] += bytes;
    lru->all_bytes += bytes;
}

/* Reads a key whose size never changes; others count `scale` times. True if it was read before. */
static bool lru_read(struct lru *lru, uint32_t key, uint64_t bytes, uint64_t scale)
{
    uint32_t before = lru->read_at[key];
    uint64_t distance = NEVER;

    if (before != 0) {
        distance = lru->all_bytes;
        for (uint32_t time = before; time > 0; time &= time - 1)
            distance -= lru->tree[time];
        distance = distance * scale + bytes;
        lru_add(lru, before, -bytes);
    }
    lru->distances[lru->read_count++] = distance;
    lru->read_at[key] = lru->read_count;
    lru_add(lru, lru->read_count, bytes);
    return before != 0;
}

static int by_size(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

/* No more reads afterwards. */
static void lru_sort(struct lru *lru)
{
    qsort(lru->distances, lru->read_count, sizeof *lru->distances, by_size);
}

static double lru_miss_ratio(const struct lru *lru, uint64_t memory_bytes)
{
    uint32_t low = 0, high = lru->read_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (lru->distances[middle] <= memory_bytes)
            low = middle + 1;
        else
            high = middle;
    }
    return 1 - (double)low / lru->read_count;
}

/* ---- a curve in guarded memory ------------------------------------------------------------------------
 */

struct guarded {
    struct curve curve;
    unsigned char guard[4096];
};

static struct curve *curve_create(uint64_t memory_bytes_max)
{
    struct guarded *guarded = aligned_alloc(64, sizeof *guarded);
    memset(guarded, 0, sizeof *guarded);
    memset(guarded->guard, 0x5a, sizeof guarded->guard);
    curve_init(&guarded->curve, memory_bytes_max);
    return &guarded->curve;
}

/* (1) and (2) of curve.h, and the sums. */
static void expect_sound(const struct curve *curve)
{
    uint64_t all_bytes = 0, block_bytes[CURVE_BLOCKS] = {0}, group_bytes[CURVE_GROUPS] = {0};
    uint32_t key_count = 0, slot_count = 0;

    for (uint32_t time = 0; time < CURVE_TIMES; time++) {
        if (curve->times[time] == 0)
            continue;
        uint64_t key = curve->keys[curve->slots[time]];
        EXPECT(time >= curve->oldest && time <= curve->now);
        EXPECT_EQ(key & (CURVE_TIMES - 1), time);
        EXPECT((uint32_t)(key >> 16) < curve->threshold);
        all_bytes += curve->times[time];
        block_bytes[time / CURVE_BLOCK_TIMES] += curve->times[time];
        group_bytes[time / CURVE_BLOCK_TIMES / CURVE_GROUP_BLOCKS] += curve->times[time];
        key_count++;
    }
    for (uint32_t slot = 0; slot < CURVE_SLOTS; slot++)
        slot_count += curve->keys[slot] != 0;
    EXPECT_EQ(key_count, curve->key_count);
    EXPECT_EQ(slot_count, curve->key_count);
    EXPECT(curve->key_count <= CURVE_KEYS_MAX);
    EXPECT_EQ(all_bytes, curve->all_bytes);
    EXPECT(memcmp(block_bytes, curve->block_bytes, sizeof block_bytes) == 0);
    EXPECT(memcmp(group_bytes, curve->group_bytes, sizeof group_bytes) == 0);
}

static void curve_destroy(struct curve *curve)
{
    struct guarded *guarded = CONTAINER_OF(curve, struct guarded, curve);
    expect_sound(curve);
    for (size_t i = 0; i < sizeof guarded->guard; i++)
        EXPECT_EQ(guarded->guard[i], 0x5a);
    free(guarded);
}

static double miss_ratio_at(struct curve *curve, uint64_t memory_bytes)
{
    nh_curve_point points[CURVE_BINS];
    size_t count = COUNT_OF(points);
    double miss_ratio = 1;

    curve_read(curve, points, &count);
    for (size_t i = 0; i < count && points[i].memory_bytes <= memory_bytes; i++)
        miss_ratio = points[i].miss_ratio;
    return miss_ratio;
}

/* The mean error of the points from `memory_bytes_min` on. */
static double mean_error(struct curve *curve, const struct lru *lru, uint64_t memory_bytes_min)
{
    nh_curve_point points[CURVE_BINS];
    size_t count = COUNT_OF(points), used = 0;
    double sum = 0;

    curve_read(curve, points, &count);
    for (size_t i = 0; i < count; i++)
        if (points[i].memory_bytes >= memory_bytes_min) {
            sum += fabs(points[i].miss_ratio - lru_miss_ratio(lru, points[i].memory_bytes));
            used++;
        }
    EXPECT(used >= 24);
    return sum / (double)used;
}

/* ---- tests --------------------------------------------------------------------------------------------
 */

TEST(with_all_keys_in_the_sample_every_point_is_that_of_an_exact_lru)
{
    enum { KEYS = 3000, READS = 60000 };
    uint64_t seed = seed_of_test();
    struct zipf zipf = zipf_create(KEYS, 0.6, seed);
    struct lru *lru = lru_create(KEYS, READS);
    struct curve *curve = curve_create(MEMORY_BYTES_MAX);
    nh_curve_point points[CURVE_BINS];
    size_t count = COUNT_OF(points);
    uint32_t key_before = KEYS;

    atomic_store(&curve->threshold, UINT32_MAX);
    curve->weight = 1;
    while (lru->read_count < READS) {
        uint32_t key = zipf_draw(&zipf);
        if (key == key_before)
            continue; /* such a read is not noted but estimated */
        key_before = key;
        curve_reference(curve, hash_of(key, seed), 1 + hash_of(key, 1) % 100000);
        curve_count(curve, 1);
        lru_read(lru, key, 1 + hash_of(key, 1) % 100000, 1);
    }
    lru_sort(lru);
    curve_read(curve, points, &count);
    EXPECT(count > 100);
    for (size_t i = 0; i < count; i++)
        EXPECT(fabs(points[i].miss_ratio - lru_miss_ratio(lru, points[i].memory_bytes)) < 1e-9);
    curve_destroy(curve);
    lru_destroy(lru);
    free(zipf.sums);
}

static uint64_t same_size(uint32_t key)
{
    (void)key;
    return 500;
}
static uint64_t huge_size(uint32_t key) { return (100u << 20) + key; }
static uint64_t any_size(uint32_t key) { return 60 + hash_of(key, 2) % 4000; }
static uint64_t hot_ones_small(uint32_t key) { return 64 + (uint64_t)(40 * sqrt(key)); }

/* The curve is as good as the luck of its sample, so errors are averaged over some: the same keys with
 * other hashes. */
enum { SAMPLES = 4 };

struct errors {
    double mean, worst;
};

static struct errors errors_of(struct curve **curves, const struct lru *lru, uint64_t memory_bytes_min)
{
    struct errors errors = {0, 0};
    for (int i = 0; i < SAMPLES; i++) {
        double error = mean_error(curves[i], lru, memory_bytes_min);
        errors.mean += error / SAMPLES;
        errors.worst = fmax(errors.worst, error);
    }
    return errors;
}

TEST(the_curve_of_a_skewed_trace_is_near_that_of_an_exact_lru)
{
    static const struct {
        double skew;
        uint32_t key_count, read_count;
        uint64_t (*bytes_of_key)(uint32_t key);
        bool all_sampled; /* at first: so it is a trace of so many times as many keys */
        double error_max;
    } cases[] = {{0.9, 200000, 1000000, huge_size, false, 0.05},
                 {1.0, 200000, 1000000, any_size, false, 0.05},
                 {0.9, 200000, 1000000, hot_ones_small, false, 0.05},
                 {0.9, 100000, 600000, any_size, true, 0.02},
                 {1.0, 100000, 600000, same_size, true, 0.02},
                 {0.95, 100000, 600000, hot_ones_small, true, 0.02}};
    uint64_t seed = seed_of_test();

    printf("NH_SEED=%llu\n", (unsigned long long)seed);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct zipf zipf = zipf_create(cases[i].key_count, cases[i].skew, seed + i);
        struct lru *lru = lru_create(cases[i].key_count, cases[i].read_count);
        struct curve *curves[SAMPLES];
        uint64_t scale = cases[i].all_sampled ? 1u << CURVE_RATE_SHIFT : 1;

        for (int j = 0; j < SAMPLES; j++)
            curves[j] = curve_create(MEMORY_BYTES_MAX);
        for (uint32_t read = 0; read < cases[i].read_count; read++) {
            uint32_t key = zipf_draw(&zipf);
            uint64_t bytes = cases[i].bytes_of_key(key);
            bool is_hit = lru_read(lru, key, bytes, scale);
            bool is_counted = draw(&zipf.random) % 64 == 0;
            for (int j = 0; j < SAMPLES; j++) {
                uint64_t hash =
                    cases[i].all_sampled ? sampled_hash_of(key, seed + j) : hash_of(key, seed + j);
                curve_reference(curves[j], hash, is_hit ? bytes : 0);
                if (!is_hit)
                    curve_resize(curves[j], hash, bytes);
                if (is_counted)
                    curve_count(curves[j], 64 * scale);
            }
        }
        lru_sort(lru);
        /* Keys that are read most are few or none in the sample: very small caches are out of its reach. */
        struct errors errors = errors_of(curves, lru, lru->all_bytes * scale / 128);
        printf("skew %.2f, one key of %.0f, %u keys: mean error %.4f, worst %.4f\n", cases[i].skew,
               curves[0]->weight, curves[0]->key_count, errors.mean, errors.worst);
        EXPECT(errors.mean <= cases[i].error_max);
        EXPECT(errors.worst <= cases[i].error_max * 3);
        EXPECT_EQ(cases[i].all_sampled, curves[0]->threshold < 1u << (32 - CURVE_RATE_SHIFT));
        for (int j = 0; j < SAMPLES; j++)
            curve_destroy(curves[j]);
        lru_destroy(lru);
        free(zipf.sums);
    }
}

TEST(a_scan_round_and_round_is_a_cliff)
{
    enum { KEYS = 200000, ROUNDS = 10, BYTES = 1000 };
    uint64_t seed = seed_of_test();
    struct curve *curve = curve_create(MEMORY_BYTES_MAX);

    for (uint32_t read = 0; read < KEYS * ROUNDS; read++) {
        curve_reference(curve, hash_of(read % KEYS, seed), BYTES);
        if (read % 64 == 0)
            curve_count(curve, 64);
    }
    uint64_t all_bytes = (uint64_t)KEYS * BYTES;
    EXPECT(miss_ratio_at(curve, all_bytes / 10 * 8) > 0.9);
    EXPECT(fabs(miss_ratio_at(curve, all_bytes / 10 * 13) - 1.0 / ROUNDS) < 0.05);
    curve_destroy(curve);
}

TEST(a_key_that_is_half_of_all_reads_harms_the_curve_neither_in_the_sample_nor_outside)
{
    enum { KEYS = 100000, READS = 1000000, BYTES = 300 };
    uint64_t seed = seed_of_test();

    for (int is_sampled = 0; is_sampled < 2; is_sampled++) {
        uint64_t hot_hash = is_sampled ? 0x4711000000000001u : UINT64_MAX;
        struct lru *lru = lru_create(KEYS + 1, READS);
        struct zipf zipf = zipf_create(KEYS, 0.8, seed);
        struct curve *curves[SAMPLES];

        for (int j = 0; j < SAMPLES; j++)
            curves[j] = curve_create(MEMORY_BYTES_MAX);
        for (uint32_t read = 0; read < READS; read++) {
            uint32_t key = draw(&zipf.random) % 2 == 0 ? KEYS : zipf_draw(&zipf);
            bool is_counted = draw(&zipf.random) % 64 == 0;
            lru_read(lru, key, BYTES, 1);
            for (int j = 0; j < SAMPLES; j++) {
                curve_reference(curves[j], key < KEYS ? hash_of(key, seed + j) : hot_hash, BYTES);
                if (is_counted)
                    curve_count(curves[j], 64);
            }
        }
        lru_sort(lru);
        struct errors errors = errors_of(curves, lru, lru->all_bytes / 128);
        printf("one key is half of all reads, %s: mean error %.4f, worst %.4f\n",
               is_sampled ? "sampled" : "not sampled", errors.mean, errors.worst);
        EXPECT(errors.mean <= 0.05);
        for (int j = 0; j < SAMPLES; j++)
            curve_destroy(curves[j]);
        lru_destroy(lru);
        free(zipf.sums);
    }
}

/* Reads `count` times, round and round, keys `first` to `first + key_count`, all in the sample at first. */
static void scan(struct curve *curve, uint64_t first, uint32_t key_count, uint32_t count)
{
    for (uint32_t read = 0; read < count; read++) {
        curve_reference(curve, sampled_hash_of(first + read % key_count, 9), 1000);
        curve_count(curve, 1u << CURVE_RATE_SHIFT);
    }
}

TEST(the_curve_follows_a_workload_that_changes)
{
    const uint64_t key_bytes = 1000u << CURVE_RATE_SHIFT;
    struct curve *curve = curve_create(MEMORY_BYTES_MAX);

    scan(curve, 0, 6000, 4 * CURVE_HALVE_SAMPLES);
    EXPECT(miss_ratio_at(curve, 5000 * key_bytes) > 0.9);
    EXPECT(miss_ratio_at(curve, 7500 * key_bytes) < 0.1);
    scan(curve, 1000000, 300, 6 * CURVE_HALVE_SAMPLES);
    EXPECT(miss_ratio_at(curve, 200 * key_bytes) > 0.9);
    EXPECT(miss_ratio_at(curve, 400 * key_bytes) < 0.05);
    /* Those of before are not read any more and have made room. */
    EXPECT_EQ(curve->key_count, 300);
    curve_destroy(curve);
}

TEST(the_rate_falls_for_many_keys_and_rises_again_when_they_are_gone)
{
    const uint64_t key_bytes = 1000u << CURVE_RATE_SHIFT;
    struct curve *curve = curve_create(MEMORY_BYTES_MAX);

    scan(curve, 0, 30000, 200000);
    expect_sound(curve);
    EXPECT(curve->key_count >= CURVE_KEYS_MAX / 2);
    EXPECT(curve->threshold < 1u << (32 - CURVE_RATE_SHIFT - 1));
    EXPECT(miss_ratio_at(curve, 24000 * key_bytes) > 0.9);
    uint32_t lowest = curve->threshold;
    for (int i = 0; i < 2000 && curve->threshold <= lowest; i++)
        scan(curve, 1000000, 1000, 1000);
    /* A higher rate makes keys look new that are not: they do not count. */
    double before = miss_ratio_at(curve, 500 * key_bytes);
    scan(curve, 1000000, 1000, 10000);
    EXPECT(curve->threshold > lowest && curve->key_count == 1000);
    EXPECT(fabs(miss_ratio_at(curve, 500 * key_bytes) - before) < 1e-9);
    scan(curve, 1000000, 1000, 400000);
    EXPECT_EQ(curve->threshold, 1u << (32 - CURVE_RATE_SHIFT));
    EXPECT_EQ(curve->key_count, 1000);
    EXPECT(miss_ratio_at(curve, 800 * key_bytes) > 0.9);
    EXPECT(miss_ratio_at(curve, 1300 * key_bytes) < 0.05);
    curve_destroy(curve);
}

TEST(keys_that_are_read_once_neither_use_up_the_sample_nor_lower_the_rate_for_ever)
{
    enum { HORIZON_KEYS = 20000, READS = 2000000 };
    const uint64_t key_bytes = 1000u << CURVE_RATE_SHIFT;
    struct curve *curve = curve_create(HORIZON_KEYS * key_bytes);

    for (uint32_t read = 0; read < READS; read++) { /* one of five reads comes back after 500 others */
        uint64_t key = read % 5 == 0 ? 1u << 30 | read % 500 : read;
        curve_reference(curve, sampled_hash_of(key, 9), 1000);
        curve_count(curve, 1u << CURVE_RATE_SHIFT);
        if (read % 100000 == 0)
            expect_sound(curve);
    }
    EXPECT(curve->weight < (HORIZON_KEYS << CURVE_RATE_SHIFT) / (CURVE_KEYS_MAX / 2.0));
    EXPECT((double)curve->all_bytes * curve->weight <= curve->horizon_bytes * 1.01);
    EXPECT(miss_ratio_at(curve, 250 * key_bytes) > 0.95);
    EXPECT(fabs(miss_ratio_at(curve, 1000 * key_bytes) - 0.8) < 0.03);
    EXPECT(fabs(miss_ratio_at(curve, UINT64_MAX) - 0.8) < 0.03);
    curve_destroy(curve);
}

TEST(a_read_without_a_size_takes_the_one_of_before_or_the_average)
{
    struct curve *curve = curve_create(MEMORY_BYTES_MAX);

    curve_reference(curve, sampled_hash_of(1, 9), 1000);
    curve_reference(curve, sampled_hash_of(2, 9), 3000);
    curve_reference(curve, sampled_hash_of(3, 9), 0);
    EXPECT_EQ(curve->all_bytes, 6000);
    curve_reference(curve, sampled_hash_of(1, 9), 0);
    EXPECT_EQ(curve->all_bytes, 6000);
    curve_reference(curve, sampled_hash_of(3, 9), 50);
    EXPECT_EQ(curve->all_bytes, 4050);
    curve_reference(curve, sampled_hash_of(1, 9), UINT64_MAX);
    EXPECT_EQ(curve->all_bytes, 3050 + (uint64_t)UINT32_MAX);
    curve_resize(curve, sampled_hash_of(1, 9), 500);
    EXPECT_EQ(curve->all_bytes, 3550);
    curve_resize(curve, sampled_hash_of(4, 9), 500);
    EXPECT_EQ(curve->all_bytes, 3550);
    curve_destroy(curve);
}

TEST(points_rise_while_the_ratio_does_not_however_few_are_asked_for)
{
    struct curve *curve = curve_create(MEMORY_BYTES_MAX);
    nh_curve_point points[CURVE_BINS], all[CURVE_BINS];
    size_t all_count = COUNT_OF(all), count = COUNT_OF(points);

    curve_read(curve, points, &count);
    EXPECT_EQ(count, 0);
    struct zipf zipf = zipf_create(5000, 0.9, seed_of_test());
    for (int i = 0; i < 200000; i++) {
        uint32_t key = zipf_draw(&zipf);
        curve_reference(curve, sampled_hash_of(key, 9), any_size(key));
        curve_count(curve, 1u << CURVE_RATE_SHIFT);
    }
    curve_read(curve, all, &all_count);
    EXPECT(all_count > 50 && all_count <= COUNT_OF(all));
    for (size_t capacity = 0; capacity <= COUNT_OF(points); capacity++) {
        count = capacity;
        curve_read(curve, points, &count);
        EXPECT_EQ(count, capacity < all_count ? capacity : all_count);
        for (size_t i = 0, same = 0; i < count; i++) {
            EXPECT(points[i].miss_ratio >= 0 && points[i].miss_ratio <= 1);
            EXPECT(i == 0 || points[i].memory_bytes > points[i - 1].memory_bytes);
            EXPECT(i == 0 || points[i].miss_ratio <= points[i - 1].miss_ratio);
            while (all[same].memory_bytes < points[i].memory_bytes)
                same++;
            EXPECT(all[same].memory_bytes == points[i].memory_bytes);
            EXPECT(fabs(all[same].miss_ratio - points[i].miss_ratio) < 1e-9);
        }
        if (count > 0)
            EXPECT(points[count - 1].memory_bytes == all[all_count - 1].memory_bytes);
    }
    curve_destroy(curve);
    free(zipf.sums);
}

TEST(a_read_that_finds_the_lock_taken_counts_neither_as_near_nor_as_far)
{
    const uint64_t key_bytes = 1000u << CURVE_RATE_SHIFT;
    struct curve *curve = curve_create(MEMORY_BYTES_MAX);

    for (int round = 0; round < 60; round++) {
        if (round % 2 != 0)
            lock_acquire(&curve->lock);
        scan(curve, 0, 1000, 1000);
        if (round % 2 != 0)
            lock_release(&curve->lock);
    }
    EXPECT(miss_ratio_at(curve, 800 * key_bytes) > 0.95);
    EXPECT(fabs(miss_ratio_at(curve, 1300 * key_bytes) - 1.0 / 30) < 0.01);
    curve_destroy(curve);
}

struct reader {
    pthread_t id;
    struct curve *curve;
    uint64_t random;
};

static void *read_much(void *argument)
{
    struct reader *reader = argument;
    for (int i = 0; i < 300000; i++) {
        uint64_t key = draw(&reader->random) % 20000;
        curve_reference(reader->curve, sampled_hash_of(key, 9), 100 + key % 1000);
        curve_count(reader->curve, 1u << CURVE_RATE_SHIFT);
    }
    return NULL;
}

TEST(threads_may_read_and_look_at_the_same_time)
{
    struct curve *curve = curve_create(MEMORY_BYTES_MAX);
    struct reader readers[2];

    for (unsigned i = 0; i < COUNT_OF(readers); i++) {
        readers[i] = (struct reader){.curve = curve, .random = 77 + i};
        EXPECT_EQ(pthread_create(&readers[i].id, NULL, read_much, &readers[i]), 0);
    }
    for (int i = 0; i < 200; i++) {
        nh_curve_point points[64];
        size_t count = COUNT_OF(points);
        curve_read(curve, points, &count);
        EXPECT(count <= COUNT_OF(points));
    }
    for (unsigned i = 0; i < COUNT_OF(readers); i++)
        pthread_join(readers[i].id, NULL);
    /* Keys are read alike, so with memory for half of them half of the reads hit, dropped samples or not.
     */
    double half = miss_ratio_at(curve, (10000u * 600ull) << CURVE_RATE_SHIFT);
    EXPECT(half > 0.4 && half < 0.8);
    EXPECT(miss_ratio_at(curve, (30000u * 600ull) << CURVE_RATE_SHIFT) <
           0.35); /* the first reads of all miss */
    curve_destroy(curve);
}

RUN_TESTS(TEST_ROW(with_all_keys_in_the_sample_every_point_is_that_of_an_exact_lru),
          TEST_ROW(the_curve_of_a_skewed_trace_is_near_that_of_an_exact_lru),
          TEST_ROW(a_scan_round_and_round_is_a_cliff),
          TEST_ROW(a_key_that_is_half_of_all_reads_harms_the_curve_neither_in_the_sample_nor_outside),
          TEST_ROW(the_curve_follows_a_workload_that_changes),
          TEST_ROW(the_rate_falls_for_many_keys_and_rises_again_when_they_are_gone),
          TEST_ROW(keys_that_are_read_once_neither_use_up_the_sample_nor_lower_the_rate_for_ever),
          TEST_ROW(a_read_without_a_size_takes_the_one_of_before_or_the_average),
          TEST_ROW(points_rise_while_the_ratio_does_not_however_few_are_asked_for),
          TEST_ROW(a_read_that_finds_the_lock_taken_counts_neither_as_near_nor_as_far),
          TEST_ROW(threads_may_read_and_look_at_the_same_time))
