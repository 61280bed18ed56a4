/* threads.h — several threads at once on one store, for a moment. NH_SEED repeats the choice of calls, as
 * far as threads can be repeated; NH_RUN_MS makes the moment longer. */
#pragma once
#include "base/hash.h"
#include "base/now.h"
#include "store_words.h"
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { TEAM_MAX = 8 };

/* The threads of one run and what they share. */
struct team {
    nh_store *store;
    void *shared; /* the test's */
    _Atomic int64_t now_ms;
    _Atomic bool is_over;
};

struct member {
    pthread_t id;
    struct team *team;
    unsigned number;
    uint64_t random;
    uint64_t turns;
};

/* What cannot be is a crash, with the place: cmocka's checks belong to the main thread. */
#define MUST(condition)                                                                                    \
    do {                                                                                                   \
        if (!(condition)) {                                                                                \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                                       \
        }                                                                                                  \
    } while (0)

static inline uint64_t draw(struct member *member, uint64_t below)
{
    member->random ^= member->random << 13;
    member->random ^= member->random >> 7;
    member->random ^= member->random << 17;
    return (member->random >> 11) % below;
}

static inline bool one_in(struct member *member, uint64_t count) { return draw(member, count) == 0; }

static inline int64_t now_of(struct member *member) { return atomic_load(&member->team->now_ms); }

static inline bool is_over(struct member *member)
{
    member->turns++;
    return atomic_load_explicit(&member->team->is_over, memory_order_relaxed);
}

static inline uint64_t number_from_environment(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : fallback;
}

/* Runs the members' functions, each given its `struct member`, until `run_ms` have passed. */
static inline void team_run(struct team *team, int64_t run_ms, void *(*const starts[])(void *),
                            unsigned count)
{
    uint64_t seed = number_from_environment("NH_SEED", 4711), turns = 0;
    struct member members[TEAM_MAX];
    int64_t start_ms;

    EXPECT(count <= TEAM_MAX);
    run_ms = (int64_t)number_from_environment("NH_RUN_MS", (uint64_t)run_ms);
    atomic_store(&team->now_ms, 1000);
    for (unsigned i = 0; i < count; i++) {
        members[i] =
            (struct member){.team = team, .number = i, .random = (seed + i) * 0x9e3779b97f4a7c15u | 1};
        EXPECT_EQ(pthread_create(&members[i].id, NULL, starts[i], &members[i]), 0);
    }
    start_ms = clock_read(&clock_system).mono_ms;
    while (clock_read(&clock_system).mono_ms < start_ms + run_ms)
        nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
    atomic_store(&team->is_over, true);
    for (unsigned i = 0; i < count; i++) {
        EXPECT_EQ(pthread_join(members[i].id, NULL), 0);
        EXPECT(members[i].turns > 0);
        turns += members[i].turns;
    }
    printf("NH_SEED=%llu: %llu turns\n", (unsigned long long)seed, (unsigned long long)turns);
}

/* Destroys the team's store, from which all that was lent must have come back. */
static inline void team_end(struct team *team)
{
    expect_nothing_lent(team->store);
    nh_destroy(team->store);
}

/* ---- values that tell whether they are whole ------------------------------------------------------- */

/* A value's first bytes. The rest repeats a row of bytes whose period no power of two divides, so that
 * bytes of another value, or of another place, do not pass. */
struct stamp {
    uint64_t key;
    uint64_t sequence;
    int64_t expires_at_ms;
    uint32_t size;
    uint32_t shift; /* where in the row the value begins */
    uint64_t checksum;
};
enum { ROW_BYTES = 251 };

static inline const char *row_from(uint64_t offset)
{
    static const char row[2 * ROW_BYTES] = {
#define R1(n)   (char)((n) % ROW_BYTES * 167 + 13)
#define R2(n)   R1(n), R1((n) + 1)
#define R4(n)   R2(n), R2((n) + 2)
#define R8(n)   R4(n), R4((n) + 4)
#define R16(n)  R8(n), R8((n) + 8)
#define R32(n)  R16(n), R16((n) + 16)
#define R64(n)  R32(n), R32((n) + 32)
#define R128(n) R64(n), R64((n) + 64)
        R128(0), R128(128), R128(256), R64(384), R32(448), R16(480), R4(496), R2(500),
#undef R1
#undef R2
#undef R4
#undef R8
#undef R16
#undef R32
#undef R64
#undef R128
    };
    return row + offset % ROW_BYTES;
}

static inline uint64_t stamp_checksum(const struct stamp *stamp)
{
    return hash_bytes(bytes_of(stamp, offsetof(struct stamp, checksum)), 1);
}

/* Bytes `offset` on of the rest of a value. */
static inline void row_fill(char *bytes, size_t size, uint64_t offset)
{
    for (size_t step; size > 0; size -= step, bytes += step, offset += step) {
        step = size < ROW_BYTES ? size : ROW_BYTES;
        memcpy(bytes, row_from(offset), step);
    }
}

static inline bool is_row(const char *bytes, size_t size, uint64_t offset)
{
    for (size_t step; size > 0; size -= step, bytes += step, offset += step) {
        step = size < ROW_BYTES ? size : ROW_BYTES;
        if (memcmp(bytes, row_from(offset), step) != 0)
            return false;
    }
    return true;
}

/* Makes a value of `size` bytes, which is at least a stamp's. */
static inline nh_bytes stamp_make(char *bytes, size_t size, uint64_t key, uint64_t sequence,
                                  int64_t expires_at_ms)
{
    struct stamp stamp = {.key = key,
                          .sequence = sequence,
                          .expires_at_ms = expires_at_ms,
                          .size = (uint32_t)size,
                          .shift = (uint32_t)(sequence * 31 + key)};
    stamp.checksum = stamp_checksum(&stamp);
    memcpy(bytes, &stamp, sizeof stamp);
    row_fill(bytes + sizeof stamp, size - sizeof stamp, stamp.shift);
    return (nh_bytes){bytes, size};
}

/* The stamp of bytes that are whole. */
static inline struct stamp stamp_check(const char *bytes, size_t size, uint64_t key)
{
    struct stamp stamp;
    MUST(size >= sizeof stamp);
    memcpy(&stamp, bytes, sizeof stamp);
    MUST(stamp.checksum == stamp_checksum(&stamp));
    MUST(stamp.key == key);
    MUST(stamp.size == size);
    MUST(is_row(bytes + sizeof stamp, size - sizeof stamp, stamp.shift));
    return stamp;
}

/* The same of a lent value, which may lie in pieces and be growing still. */
static inline struct stamp stamp_check_lent(nh_store *store, const nh_value *value, uint64_t key)
{
    struct stamp stamp;
    uint64_t offset = 0, checked = sizeof stamp;
    nh_result result;
    nh_bytes piece;

    if (value->size == value->bytes.size && (value->traits & NH_VALUE_GROWING) == 0)
        return stamp_check(value->bytes.data, value->bytes.size, key);
    while (offset < sizeof stamp) { /* even the stamp may lie in pieces */
        size_t part;
        MUST(nh_value_piece(store, value, offset, &piece) == NH_OK);
        part = piece.size < sizeof stamp - offset ? piece.size : sizeof stamp - offset;
        memcpy((char *)&stamp + offset, piece.data, part);
        offset += part;
    }
    MUST(stamp.checksum == stamp_checksum(&stamp));
    MUST(stamp.key == key);
    for (; (result = nh_value_piece(store, value, checked, &piece)) == NH_OK; checked += piece.size)
        MUST(piece.size > 0 && is_row(piece.data, piece.size, stamp.shift + checked - sizeof stamp));
    if ((value->traits & NH_VALUE_GROWING) == 0) {
        MUST(result == NH_MISSING);
        MUST(checked == stamp.size && checked == value->size);
    } else {
        MUST(result == NH_MISSING || result == NH_GROWING || result == NH_ABORTED);
        MUST(checked >= value->size && checked <= stamp.size);
        MUST(result != NH_MISSING || checked == stamp.size);
    }
    return stamp;
}
