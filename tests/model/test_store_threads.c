/* links: nuthatch-store */
/* Several threads at once on one store. Each value carries what is needed to see whether it is whole,
 * belongs to its key and was still alive when it was served. NH_SEED repeats the choice of calls. */
#include "base/compiler.h"
#include "base/hash.h"
#include "base/now.h"
#include "nuthatch.h"
#include "test.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { THREADS = 4, RUN_MS = 1200, COUNTERS = 16, MEMORY_BYTES = 4 << 20 };

struct world {
    nh_store *store;
    _Atomic int64_t now_ms;
    _Atomic bool is_over;
    uint64_t added[THREADS][COUNTERS];
};

struct thread {
    pthread_t id;
    struct world *world;
    unsigned number;
    uint64_t random;
    uint64_t turns;
};

/* A value's first bytes; the rest is `fill` over and over. */
struct stamp {
    uint64_t checksum; /* of the rest of the value and the key */
    uint64_t key;
    int64_t expires_at_ms;
    uint32_t size;
};

static uint64_t draw(struct thread *thread, uint64_t below)
{
    thread->random ^= thread->random << 13;
    thread->random ^= thread->random >> 7;
    thread->random ^= thread->random << 17;
    return (thread->random >> 11) % below;
}

static uint64_t checksum_of(const char *bytes, size_t size)
{
    return hash_bytes(bytes_of(bytes + sizeof(uint64_t), size - sizeof(uint64_t)), 1);
}

/* What cannot be is a crash, with the place: cmocka's checks belong to the main thread. */
#define MUST(condition)                                                                                    \
    do {                                                                                                   \
        if (!(condition)) {                                                                                \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                \
            abort();                                                                                       \
        }                                                                                                  \
    } while (0)

static void must_be_whole(nh_bytes bytes, uint64_t key, int64_t asked_at_ms)
{
    struct stamp stamp;
    MUST(bytes.size >= sizeof stamp);
    memcpy(&stamp, bytes.data, sizeof stamp);
    MUST(stamp.size == bytes.size);
    MUST(stamp.key == key);
    MUST(stamp.expires_at_ms == 0 || asked_at_ms < stamp.expires_at_ms);
    MUST(stamp.checksum == checksum_of(bytes.data, bytes.size));
}

static size_t make_value(struct thread *thread, uint64_t key, int64_t expires_at_ms, char *bytes)
{
    static const size_t sizes[] = {sizeof(struct stamp), 60, 200, 900, 4000, 100000};
    struct stamp stamp = {.key = key, .expires_at_ms = expires_at_ms};
    size_t size = sizes[draw(thread, 40) == 0 ? 5 : draw(thread, 5)];

    stamp.size = (uint32_t)size;
    memset(bytes, (int)draw(thread, 256), size);
    memcpy(bytes, &stamp, sizeof stamp);
    stamp.checksum = checksum_of(bytes, size);
    memcpy(bytes, &stamp, sizeof stamp);
    return size;
}

static void turn_put(struct thread *thread, nh_key key, uint64_t number, char *bytes)
{
    nh_store *store = thread->world->store;
    int64_t now_ms = atomic_load(&thread->world->now_ms);
    nh_bytes tag = {"tag", 3};
    nh_put_options options = {.size = sizeof options,
                              .ttl_ms = draw(thread, 2) ? 1 + (int64_t)draw(thread, 30) : 0};
    nh_bytes value = {bytes,
                      make_value(thread, number, options.ttl_ms ? now_ms + options.ttl_ms : 0, bytes)};
    nh_result result = NH_OK;
    nh_value before;
    int32_t had_before;

    if (draw(thread, 8) == 0) {
        options.tags = &tag;
        options.tag_count = 1;
    }
    switch (draw(thread, 5)) {
    case 0: result = nh_add(store, now_ms, key, value, &options, NULL); break;
    case 1: result = nh_replace(store, now_ms, key, value, &options, NULL); break;
    case 2:
        result = nh_exchange(store, now_ms, key, value, &options, &before, &had_before);
        if (had_before) {
            must_be_whole(before.bytes, number, now_ms);
            nh_release(store, &before);
        }
        break;
    case 3:
        if (nh_borrow(store, now_ms, key, &before) != NH_OK)
            break;
        result = nh_cas(store, now_ms, key, value, &options, before.version, NULL);
        must_be_whole(before.bytes, number, now_ms);
        nh_release(store, &before);
        break;
    default: result = nh_put(store, now_ms, key, value, &options, NULL); break;
    }
    MUST(result == NH_OK || result == NH_EXISTS || result == NH_MISSING || result == NH_CHANGED);
}

static void turn_walk(struct thread *thread)
{
    nh_cursor *cursor;
    nh_value value;
    uint64_t number;
    nh_key key;

    MUST(nh_cursor_create(thread->world->store, &cursor) == NH_OK);
    for (int i = 0; i < 300; i++) {
        int64_t now_ms = atomic_load(&thread->world->now_ms);
        if (nh_cursor_next(cursor, now_ms, &key, &value) != NH_OK)
            break;
        if (key.space != 0)
            continue;
        MUST(key.size == sizeof number);
        memcpy(&number, key.data, sizeof number);
        must_be_whole(value.bytes, number, now_ms);
    }
    nh_cursor_destroy(cursor);
}

static void turn(struct thread *thread, char *bytes)
{
    struct world *world = thread->world;
    uint64_t number = draw(thread, 3) == 0 ? draw(thread, 20000) : draw(thread, 50);
    nh_key key = {&number, sizeof number, 0};
    int64_t now_ms = atomic_load(&world->now_ms);
    nh_stats stats = {.size = sizeof stats};
    nh_value value;
    size_t size = 0;

    switch (draw(thread, 24)) {
    case 0 ... 9:
        nh_prefetch(world->store, &key, 1);
        if (nh_borrow(world->store, now_ms, key, &value) == NH_OK) {
            must_be_whole(value.bytes, number, now_ms);
            if (draw(thread, 4) == 0)
                turn_put(thread, key, number, bytes); /* overwritten under our hands */
            must_be_whole(value.bytes, number, now_ms);
            nh_release(world->store, &value);
        }
        break;
    case 10 ... 11:
        if (nh_get(world->store, now_ms, key, bytes, 100000, &size) == NH_OK)
            must_be_whole((nh_bytes){bytes, size}, number, now_ms);
        break;
    default: turn_put(thread, key, number, bytes); break;
    case 18: nh_delete(world->store, now_ms, key); break;
    case 19: nh_sweep(world->store, now_ms, 100); break;
    case 20:
        MUST(nh_stats_read(world->store, &stats) == NH_OK);
        MUST(stats.memory_bytes <= MEMORY_BYTES);
        break;
    case 21:
        if (draw(thread, 200) == 0)
            nh_purge_tag(world->store, now_ms, (nh_bytes){"tag", 3});
        else if (draw(thread, 2000) == 0)
            nh_clear(world->store, 0);
        break;
    case 22:
        if (draw(thread, 100) == 0)
            turn_walk(thread);
        break;
    case 23: atomic_fetch_add(&world->now_ms, draw(thread, 10) == 0); break;
    }
}

static void *run_turns(void *context)
{
    struct thread *thread = context;
    char *bytes = malloc(100000);
    while (!atomic_load(&thread->world->is_over)) {
        turn(thread, bytes);
        thread->turns++;
    }
    free(bytes);
    return NULL;
}

static void *run_increments(void *context)
{
    struct thread *thread = context;
    struct world *world = thread->world;
    while (!atomic_load(&world->is_over)) {
        uint32_t number = (uint32_t)draw(thread, COUNTERS);
        int64_t delta = (int64_t)draw(thread, 1000), sum;
        nh_key key = {&number, sizeof number, 9};
        nh_value value = {0};
        if (draw(thread, 4) == 0)
            nh_borrow(world->store, 1, key, &value); /* so that some increments must copy */
        MUST(nh_increment(world->store, 1, key, delta, NH_INCREMENT_SIGNED, &sum) == NH_OK);
        nh_release(world->store, &value);
        world->added[thread->number][number] += (uint64_t)delta;
        thread->turns++;
    }
    return NULL;
}

/* Adds 1 to a number by reading it and a compare-and-swap, again until nobody came between. */
static void *run_compare_and_swap(void *context)
{
    struct thread *thread = context;
    struct world *world = thread->world;
    while (!atomic_load(&world->is_over)) {
        uint32_t number = (uint32_t)draw(thread, COUNTERS);
        nh_key key = {&number, sizeof number, 9};
        uint64_t count = 0;
        nh_value value;
        nh_result result = nh_borrow(world->store, 1, key, &value);
        if (result == NH_OK) {
            memcpy(&count, value.bytes.data, sizeof count);
            count++;
            result =
                nh_cas(world->store, 1, key, (nh_bytes){&count, sizeof count}, NULL, value.version, NULL);
            nh_release(world->store, &value);
            MUST(result == NH_OK || result == NH_CHANGED);
        } else {
            count = 1;
            result = nh_add(world->store, 1, key, (nh_bytes){&count, sizeof count}, NULL, NULL);
            MUST(result == NH_OK || result == NH_EXISTS);
        }
        world->added[thread->number][number] += result == NH_OK;
        thread->turns++;
    }
    return NULL;
}

static struct world *run(void *(*start)(void *), uint64_t memory_bytes)
{
    const char *text = getenv("NH_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : 4711;
    nh_options options = {.size = sizeof options, .memory_bytes = memory_bytes};
    struct world *world = calloc(1, sizeof *world);
    struct thread threads[THREADS];
    uint64_t turns = 0;
    int64_t start_ms;

    world->now_ms = 1000;
    EXPECT_EQ(nh_create(&options, &world->store), NH_OK);
    for (unsigned i = 0; i < THREADS; i++) {
        threads[i] =
            (struct thread){.world = world, .number = i, .random = (seed + i) * 0x9e3779b97f4a7c15u | 1};
        EXPECT_EQ(pthread_create(&threads[i].id, NULL, start, &threads[i]), 0);
    }
    start_ms = clock_read(&clock_system).mono_ms;
    while (clock_read(&clock_system).mono_ms < start_ms + RUN_MS)
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
    atomic_store(&world->is_over, true);
    for (unsigned i = 0; i < THREADS; i++) {
        EXPECT_EQ(pthread_join(threads[i].id, NULL), 0);
        turns += threads[i].turns;
    }
    printf("NH_SEED=%llu: %llu turns\n", (unsigned long long)seed, (unsigned long long)turns);
    EXPECT(turns > 1000);
    return world;
}

static void end(struct world *world)
{
    nh_stats stats = {.size = sizeof stats};
    EXPECT_EQ(nh_stats_read(world->store, &stats), NH_OK);
    EXPECT_EQ(stats.borrowed_bytes, 0);
    EXPECT_EQ(stats.rejected, 0);
    EXPECT(stats.memory_bytes <= stats.memory_bytes_max);
    nh_destroy(world->store);
    free(world);
}

TEST(nothing_torn_expired_or_foreign_is_served_and_memory_stays_within_the_limit)
{
    struct world *world = run(run_turns, MEMORY_BYTES);
    nh_stats stats = {.size = sizeof stats};
    EXPECT_EQ(nh_stats_read(world->store, &stats), NH_OK);
    EXPECT(stats.evicted > 0);
    EXPECT(stats.expired > 0);
    end(world);
}

TEST(no_increment_is_lost)
{
    struct world *world = run(run_increments, 64 << 20);
    for (uint32_t number = 0; number < COUNTERS; number++) {
        int64_t sum = -1, wanted = 0;
        for (unsigned i = 0; i < THREADS; i++)
            wanted += (int64_t)world->added[i][number];
        EXPECT_EQ(nh_increment(world->store, 1, (nh_key){&number, sizeof number, 9}, 0, NH_INCREMENT_SIGNED,
                               &sum),
                  NH_OK);
        EXPECT_EQ(sum, wanted);
    }
    end(world);
}

TEST(no_compare_and_swap_succeeds_on_an_old_version)
{
    struct world *world = run(run_compare_and_swap, 64 << 20);
    for (uint32_t number = 0; number < COUNTERS; number++) {
        uint64_t count = 0, wanted = 0;
        for (unsigned i = 0; i < THREADS; i++)
            wanted += world->added[i][number];
        EXPECT_EQ(nh_get(world->store, 1, (nh_key){&number, sizeof number, 9}, &count, sizeof count, NULL),
                  NH_OK);
        EXPECT_EQ(count, wanted);
    }
    end(world);
}

RUN_TESTS(TEST_ROW(nothing_torn_expired_or_foreign_is_served_and_memory_stays_within_the_limit),
          TEST_ROW(no_increment_is_lost), TEST_ROW(no_compare_and_swap_succeeds_on_an_old_version))
