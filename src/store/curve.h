/* curve.h — the miss-ratio curve: what share of the reads would miss with less memory, or with more.
 *
 * Fixed-size SHARDS (Waldspurger et al., FAST'15). A key is in the sample if some bits of its hash, its
 * place, are below a threshold, which is lowered when there are too many such keys; so whoever is in the
 * sample is seen at each of its reads. Such a read measures a reuse distance: the bytes of all sampled keys
 * read since, each standing for 1 / rate keys, and that is the memory with which an LRU cache would have
 * hit.
 *
 *   (1) The sample is the keys that were read, and not forgotten since, whose place is below the threshold.
 *   (2) A sampled key has one time, that of its last read: times[t] is not 0 if some key has t, keys[] and
 *       slots[] lead from one to the other, and sums over times are kept in blocks and groups of them.
 *   (3) No key is sampled whose distance is more than the horizon: it is forgotten, and would come back as
 *       new. So keys that nobody reads again make room, and the rate need not fall for them.
 *   (4) A read whose distance is nothing but its own size need not be noted: curve_count has told of it,
 *       and what was told but not noted is taken to be of the nearest distance (the paper's adjustment).
 *
 * The memory is the caller's and nothing is allocated: zeroed, aligned to 64 bytes, sizeof(struct curve).
 * Any thread may call any function, but for curve_init. */
#pragma once
#include "nuthatch.h"
#include "store/lock.h"
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    CURVE_KEYS_MAX = 8192,
    CURVE_RATE_SHIFT = 7,          /* the highest rate: one key of 1 << 7 */
    CURVE_HALVE_SAMPLES = 1 << 16, /* what was seen before so many sampled reads counts half */
    CURVE_TIME_BITS = 14,          /* of a virtual clock that is turned back when it comes to its end */
    CURVE_TIMES = 1 << CURVE_TIME_BITS,
    CURVE_SLOTS = 1 << CURVE_TIME_BITS, /* of a table of keys, half full at most */
    CURVE_BLOCK_TIMES = 64,
    CURVE_GROUP_BLOCKS = 16,
    CURVE_BLOCKS = CURVE_TIMES / CURVE_BLOCK_TIMES,
    CURVE_GROUPS = CURVE_BLOCKS / CURVE_GROUP_BLOCKS,
    /* Bins of distances: up to 4 KiB, then 8 for each doubling, up to 64 TiB. */
    CURVE_BIN_SHIFT = 12,
    CURVE_OCTAVE_BINS_SHIFT = 3,
    CURVE_OCTAVES = 34,
    CURVE_BINS = 1 + (CURVE_OCTAVES << CURVE_OCTAVE_BINS_SHIFT),
};

struct curve {
    alignas(64) _Atomic uint32_t threshold; /* alone in its line: all read it and it hardly changes */
    alignas(64) struct lock lock;
    _Atomic uint32_t dropped_count; /* sampled reads that found the lock taken */
    _Atomic uint64_t counted;       /* reads told by curve_count and not yet in `reads` */
    _Atomic uint64_t newest_hash;   /* of the key that was noted last */
    /* What follows is guarded by the lock. */
    alignas(64) double weight; /* 1 / rate */
    double horizon_bytes;
    double reads;                    /* all there were; like the next two it is halved as time goes by */
    double new_reads;                /* of keys that were not in the sample */
    double bins[CURVE_BINS];         /* those of others, by distance */
    double known_bytes, known_count; /* of sizes that were told; these are halved too */
    uint32_t key_count;
    uint32_t sample_count; /* since the last halving */
    uint32_t now;          /* the time of the last read */
    uint32_t oldest;       /* no key has an earlier time */
    uint32_t halved_at[2]; /* the time of the last halving but one, and of the last */
    bool is_warming;       /* the sample has just begun anew: nothing counts until the next halving */
    double reads_before_warming;
    uint64_t all_bytes;
    uint64_t group_bytes[CURVE_GROUPS];
    uint64_t block_bytes[CURVE_BLOCKS];
    uint32_t times[CURVE_TIMES]; /* bytes of the key that has this time; 0: none has. Time 0 is not used */
    uint16_t slots[CURVE_TIMES];
    uint64_t keys[CURVE_SLOTS]; /* linear probing: a hash, its low bits replaced by a time; 0: empty */
};
_Static_assert(sizeof(struct curve) <= 256 << 10, "a curve for each of 8 spaces fits in 2 MiB");

/* Starts an empty curve that tells of memory up to `memory_bytes_max`: the less that is, the more exact. */
void curve_init(struct curve *curve, uint64_t memory_bytes_max);

/* The slow halves of curve_reference and curve_resize. */
void curve_note(struct curve *curve, uint64_t hash, uint64_t bytes);
void curve_note_size(struct curve *curve, uint64_t hash, uint64_t bytes);

/* A key's place: above most bits that choose a bucket of the index, and below those of its tags. */
static inline uint32_t curve_place(uint64_t hash) { return (uint32_t)(hash >> 16); }

/* Whether the key with this hash could be in the sample of any curve. */
static inline bool curve_may_sample(uint64_t hash)
{
    return curve_place(hash) < (uint32_t)1 << (32 - CURVE_RATE_SHIFT);
}

/* Whether the key with this hash is in the sample. */
static inline bool curve_samples(const struct curve *curve, uint64_t hash)
{
    return curve_place(hash) < atomic_load_explicit(&curve->threshold, memory_order_relaxed);
}

/* Counts a read, hit or miss, of the key with this hash, which takes `bytes` with all that is kept of it; 0
 * if that is not known: it is then taken to be what it was before, or else as large as others. */
static inline void curve_reference(struct curve *curve, uint64_t hash, uint64_t bytes)
{
    if (UNLIKELY(curve_samples(curve, hash)))
        curve_note(curve, hash, bytes);
}

/* Tells what a write has made of the key's size: without it a key that was missed is taken to be as large
 * as others until it is hit. Not a read. */
static inline void curve_resize(struct curve *curve, uint64_t hash, uint64_t bytes)
{
    if (UNLIKELY(curve_samples(curve, hash)))
        curve_note_size(curve, hash, bytes);
}

/* Tells that there were so many reads, in the sample or not: call it with n for one of n reads, chosen by
 * chance and not by key (hot_keys_samples). */
static inline void curve_count(struct curve *curve, uint64_t reads)
{
    atomic_fetch_add_explicit(&curve->counted, reads, memory_order_relaxed);
}

/* Writes up to `*count` points of rising memory and a miss ratio that does not rise; `*count` becomes how
 * many, 0 if there were no reads. Without memory all reads miss; beyond the last point nothing changes up
 * to `memory_bytes_max`. */
void curve_read(struct curve *curve, nh_curve_point *points, size_t *count);
