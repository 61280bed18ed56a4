/* tags.h — purge by tag at a cost that does not depend on how many values carry it: generations.
 *
 * Purges are numbered. A tag's name is hashed to a slot, which holds the number of its last purge; a record
 * holds its tags' hashes and its birth, the number of the last purge of all when it was put. It is purged
 * if one of its slots has a number above its birth. Soft purges are kept apart and make it stale instead.
 */
#pragma once
#include "base/hash.h"
#include "store/record.h"

struct tags {
    _Atomic uint64_t *dropped, *staled; /* by slot */
    uint32_t slot_mask;
    uint64_t seed; /* of the hashes; it goes with the records when they are saved */
    _Atomic uint64_t purge_number;
};

static inline uint32_t tag_hash(const struct tags *tags, struct bytes name)
{
    return (uint32_t)hash_bytes(name, tags->seed);
}

static inline uint64_t tags_now(const struct tags *tags)
{
    return atomic_load_explicit(&tags->purge_number, memory_order_acquire);
}

/* The slot's number may be behind for a moment, never the number of all: a record that is born now is
 * either before the purge or not touched by it. */
static inline void tags_purge(struct tags *tags, uint32_t hash, bool is_soft)
{
    uint32_t slot = hash & tags->slot_mask;
    uint64_t number = atomic_fetch_add_explicit(&tags->purge_number, 1, memory_order_acq_rel) + 1;
    _Atomic uint64_t *at = is_soft ? &tags->staled[slot] : &tags->dropped[slot];
    uint64_t before = atomic_load_explicit(at, memory_order_relaxed);

    while (before < number && !atomic_compare_exchange_weak_explicit(
                                  at, &before, number, memory_order_release, memory_order_relaxed)) {
    }
    /* For a sweep that saw the number and not yet the slot. */
    atomic_fetch_add_explicit(&tags->purge_number, 1, memory_order_acq_rel);
}

/* Whether a tag of this hash was purged, so or so, after the purge number `birth`. */
static inline bool tag_is_dropped(const struct tags *tags, uint32_t hash, uint64_t birth)
{
    return atomic_load_explicit(&tags->dropped[hash & tags->slot_mask], memory_order_acquire) > birth;
}
static inline bool tag_is_staled(const struct tags *tags, uint32_t hash, uint64_t birth)
{
    return atomic_load_explicit(&tags->staled[hash & tags->slot_mask], memory_order_acquire) > birth;
}

/* What purges have done to a record that has tags, since its birth or `since`, if that is later. */
struct purged {
    bool is_dropped, is_staled;
};
static inline struct purged record_purged(const struct tags *tags, const struct record *record,
                                          uint32_t traits, uint64_t since)
{
    uint32_t offset = record_offset(traits, RECORD_TAGS);
    uint32_t count = record_u32(record, offset);
    uint64_t birth = record_u64(record, offset + 4);
    struct purged purged = {false, false};

    if (birth < since)
        birth = since;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t hash = record_u32(record, offset + RECORD_TAGS_HEAD_BYTES + i * 4);
        purged.is_dropped |= tag_is_dropped(tags, hash, birth);
        purged.is_staled |= tag_is_staled(tags, hash, birth);
    }
    return purged;
}
