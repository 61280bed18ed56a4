/* store.h — what the files of the store share: its parts, and who may touch them.
 *
 *   (1) A change of the index is made by a thread that holds the lock of a stripe, or the evictor's.
 *   (2) Locks are taken in this order: a stripe's, index.growing, the evictor's, a chain's, and last those
 *       of leases, spares and large pins. A thread that waits for room holds no chain and is not in the
 *       epoch.
 *   (3) A record is written before a slot points at it, and by (2) of epoch.h its bytes stay as long as
 *       somebody who came by that slot may look.
 *
 * The struct, with all it points at, lies at the beginning of the mapping. */
#pragma once
#include "base/bytes.h"
#include "store/epoch.h"
#include "store/evict.h"
#include "store/ghost.h"
#include "store/index.h"
#include "store/insight.h"
#include "store/lease.h"
#include "store/tags.h"

enum {
    STRIPES_MAX = 16,
    SEGMENTS_PER_STRIPE = 128,  /* at least */
    SEGMENTS_FOR_CLASSES = 256, /* fewer, and records of every time to live share segments */
};

/* Counts of what changed; the owner's lock guards them, readers get sums that are a moment old. */
struct tally {
    _Atomic int64_t space_items[NH_SPACES];
    _Atomic int64_t item_bytes;
    int64_t keys_added; /* not yet told to the index */
    _Atomic uint64_t puts, deletes, expired, evicted, purged, moved;
};

/* What writers that chose the same stripe share. */
struct stripe {
    alignas(128) struct lock lock;
    struct tail tails[GROUPS][2][TTL_CLASSES]; /* by group, small or main, time to live */
    struct tally tally;
};

struct nh_store {
    struct arena arena;
    struct index index;
    struct epoch epoch;
    struct evictor evictor;
    struct ghost ghost;
    struct tags tags;
    struct leases leases;
    struct insight insight;
    struct stripe *stripes;
    unsigned stripes_shift; /* there are 1 << stripes_shift */
    unsigned ttl_classes;   /* 1 or TTL_CLASSES */
    uint64_t hash_seed;
    void *mapping;
    uint64_t mapping_bytes;
    uint64_t value_bytes_max;
    uint32_t inline_bytes_max; /* of a record that shares its segment */
    uint32_t key_bytes_max;
    uint32_t pinned_segments_max;
    _Atomic uint64_t cleared_sequence_last; /* the highest of the spaces': what is younger needs no look */
    _Atomic uint64_t cleared_sequences[NH_SPACES];
    _Atomic uint8_t groups[NH_SPACES]; /* of queues */
    alignas(64) _Atomic uint64_t rejected, leases_given, lease_waits, fills_refused;
    _Atomic uint64_t copied_bytes; /* lent beyond the bound */
    alignas(64) _Atomic uint32_t pinned_segments;
    struct lock large_pins_lock;
    void (*dropped)(void *context, nh_key key, int32_t cause); /* the caller's, or null */
    void *dropped_context;
};

static inline void count_up(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

/* Adds to a count whose owner's lock we hold. */
static inline void tally_add(_Atomic int64_t *counter, int64_t more)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
                          memory_order_relaxed);
}
static inline void tally_count(_Atomic uint64_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

/* Why a record is not to be served, or that it is. */
enum fate { FATE_ALIVE, FATE_EXPIRED, FATE_CLEARED, FATE_PURGED };

static inline bool is_cleared(const nh_store *store, const struct record *record,
                              const struct segment *segment)
{
    uint64_t sequence = atomic_load_explicit(&segment->sequence, memory_order_relaxed);
    if (LIKELY(sequence > atomic_load_explicit(&store->cleared_sequence_last, memory_order_acquire)))
        return false;
    return sequence <=
           atomic_load_explicit(&store->cleared_sequences[record_space(record)], memory_order_relaxed);
}

ALWAYS_INLINE enum fate record_fate(const nh_store *store, const struct record *record, uint32_t traits,
                                    const struct segment *segment, int64_t now_ms)
{
    if (traits & (RECORD_EXPIRES | RECORD_EXPIRES_WIDE)) {
        int64_t expires_at_ms = record_expires_at_ms(record, traits, segment);
        if (expires_at_ms != 0 && expires_at_ms <= now_ms)
            return FATE_EXPIRED;
    }
    if (is_cleared(store, record, segment))
        return FATE_CLEARED;
    if (UNLIKELY(traits & RECORD_TAGS) && record_purged(&store->tags, record, traits, 0).is_dropped)
        return FATE_PURGED;
    return FATE_ALIVE;
}

static inline bool record_is_stale(const nh_store *store, const struct record *record, uint32_t traits,
                                   int64_t now_ms)
{
    int64_t stale_at_ms = record_stale_at_ms(record, traits);
    return (stale_at_ms != 0 && stale_at_ms <= now_ms) ||
           (traits & RECORD_TAGS && record_purged(&store->tags, record, traits, 0).is_staled);
}

/* Counts why a record left; `alive` is the count of those that left for another reason than their fate. */
static inline void tally_fate(struct tally *tally, enum fate fate, _Atomic uint64_t *alive)
{
    switch (fate) {
    case FATE_ALIVE: tally_count(alive); return;
    case FATE_EXPIRED: tally_count(&tally->expired); return;
    case FATE_PURGED: tally_count(&tally->purged); return;
    case FATE_CLEARED: return; /* it counted as gone when its space was cleared */
    }
}

/* Tells the caller that a record leaves by itself, with its chain locked and its bytes still there. */
static inline void tell_dropped(const nh_store *store, struct record *record, enum fate fate,
                                bool is_evicted)
{
    if (LIKELY(store->dropped == NULL) || record_traits(record) & RECORD_NEGATIVE)
        return;
    if (fate == FATE_EXPIRED)
        store->dropped(store->dropped_context, record_nh_key(record), NH_DROPPED_EXPIRED);
    else if (fate == FATE_ALIVE && is_evicted)
        store->dropped(store->dropped_context, record_nh_key(record), NH_DROPPED_EVICTED);
}

/* Takes a record into the counts when the index points at it, and out when it no longer does, with its
 * chain locked; `tally` is the holder's by (1). `recount` is for a large value that has grown meanwhile. */
void record_count(nh_store *store, struct tally *tally, const struct record *record);
void record_recount(nh_store *store, struct tally *tally, const struct record *record);
void record_forget(nh_store *store, struct tally *tally, struct record *record);

/* Ends the lease of the key of `hash`, if it has one and a tag of `record`, which has some, was purged
 * since that was given; or `in_any_case`. The record's bytes must stay meanwhile. */
void lease_end_if_purged(nh_store *store, uint64_t hash, const struct record *record, bool in_any_case);

/* Copies a struct that begins with its own size into `to`, zeroed where it is shorter. A null `from` is
 * all zero. NH_OK; NH_INVALID for a size that cannot be, or a field that this version does not know. */
nh_result options_copy(void *to, size_t to_size, const void *from);

/* NH_OK; NH_INVALID; NH_TOO_LARGE. */
nh_result key_check(const nh_store *store, nh_key key);

/* `now_ms` and a time to live as a moment; never 0, which would mean none, and never wrapped. */
int64_t moment_after(int64_t now_ms, int64_t ttl_ms);

/* Fills `*value` with what the record says, its bytes and no pin. The caller is inside the epoch. */
void value_describe(nh_store *store, int64_t now_ms, const struct record *record, nh_value *value);

/* The same, pinned; `found` is what the caller, inside the epoch, found. NH_OK; NH_FULL, NH_NO_MEMORY;
 * NH_CHANGED if it is no longer there, for the caller to look again. */
nh_result lend(nh_store *store, int64_t now_ms, const struct found *found, nh_value *value);

/* Counts a read that was part of a write. */
void read_counts(nh_store *store, nh_key key, uint64_t value_bytes, bool is_hit, bool is_stale);

/* Lends it without a pin: it stays for as long as `inside`, which becomes the value's. */
void lend_inside(nh_store *store, int64_t now_ms, const struct record *record, _Atomic uint32_t *inside,
                 nh_value *value);

/* Borrows the value of a key, and gives the plan that its record was made by, but for the key, which points
 * into the record; `hashes` has room for NH_TAGS_MAX. As nh_borrow, and no use of the key. */
nh_result borrow_with_plan(nh_store *store, int64_t now_ms, nh_key key, nh_value *value,
                           struct record_plan *plan, uint32_t *hashes);
