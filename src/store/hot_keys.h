/* hot_keys.h — which keys are read most: Space-Saving (Metwally et al., 2005) over a sample of the reads.
 *
 * There is a fixed number of counters. A key that has one counts there; one that has none takes the
 * lowest counter and goes on from its count, which is remembered as what may be too much.
 *
 *   (1) Of a key that has a counter, the sampled reads (older ones halved and halved again) are at most
 *       `count`, and at least `count - over`; of one that has none, at most the lowest count. (But for
 *       the one that halving may lose.)
 *   (2) heap[] is a binary heap by count, the lowest first, of all counters; places[] leads back.
 *   (3) A counter whose key_bytes is 0 is free: its count is 0, so that it is taken before any other.
 *   (4) Any other is in the chain that begins at heads[bucket of its hash].
 *
 * The memory is the caller's and nothing is allocated: zeroed, aligned to 64 bytes, sizeof(struct
 * hot_keys). Any thread may call any function, but for hot_keys_init. */
#pragma once
#include "nuthatch.h"
#include "store/lock.h"
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    HOT_KEYS_COUNTERS = 256, /* a key is kept for sure if more than one of so many reads are of it */
    HOT_KEYS_SAMPLE_SHIFT = 7,
    HOT_KEYS_ONE_OF = 1 << HOT_KEYS_SAMPLE_SHIFT, /* reads that one sampled read stands for */
    HOT_KEYS_HALVE_SAMPLES = 1 << 16, /* what was seen before so many sampled reads counts half */
};

struct hot_counter {
    uint64_t hash;
    uint32_t space;
    uint32_t key_bytes; /* of the whole key */
    uint32_t over;
    bool is_used;
    uint16_t next; /* in its chain: a counter's number + 1; 0 at the end */
    unsigned char key[NH_HOT_KEY_BYTES_MAX];
};

struct hot_heap_row {
    uint32_t count;
    uint32_t counter; /* its number */
};

struct hot_keys {
    alignas(64) struct lock lock;
    _Atomic uint32_t dropped_count; /* sampled reads that found the lock taken, since the last halving */
    uint32_t sample_count;          /* those that did not, since the last halving */
    double samples, dropped;        /* the same from before it, halved at each */
    uint16_t heads[HOT_KEYS_COUNTERS];
    uint16_t places[HOT_KEYS_COUNTERS];
    struct hot_heap_row heap[HOT_KEYS_COUNTERS];
    struct hot_counter counters[HOT_KEYS_COUNTERS];
};
_Static_assert(sizeof(struct hot_keys) <= 80 << 10, "hot keys fit in 80 KiB");

void hot_keys_init(struct hot_keys *hot);

/* Counts a read that is in the sample; `hash` is of the key in its space. */
void hot_keys_note(struct hot_keys *hot, uint64_t hash, nh_key key);

/* Whether this read is in the sample. `salt` is anything that changes from read to read, such as a count of
 * them on this thread: reads, not keys, are to be chosen. */
static inline bool hot_keys_samples(uint64_t hash, uint64_t salt)
{
    return ((hash ^ salt) * 0x9e3779b97f4a7c15u) >> (64 - HOT_KEYS_SAMPLE_SHIFT) == 0;
}

/* Counts a read, hit or miss. */
static inline void hot_keys_reference(struct hot_keys *hot, uint64_t hash, uint64_t salt, nh_key key)
{
    if (UNLIKELY(hot_keys_samples(hash, salt)))
        hot_keys_note(hot, hash, key);
}

/* Writes up to `*count` keys, most read first; `*count` becomes how many. */
void hot_keys_read(struct hot_keys *hot, nh_hot_key *keys, size_t *count);
