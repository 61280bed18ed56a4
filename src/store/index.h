/* index.h — from keys to the locations of their records: linear hashing over 64-byte buckets, which grows
 * by one bucket at a time. Readers take no lock; a writer locks the chain that its key is in.
 *
 *   (1) A key of hash h is in the chain that begins at bucket index_head(h), and only there.
 *   (2) Growing moves keys only to a bucket of a higher number, so that a walk by rising number meets every
 *       key that stays.
 *   (3) A key that stays is in its chain at every moment: it is written to where it moves before it is
 *       taken from where it was, and `control` counts in between. So a reader that finds a key is right,
 *       and one that does not is right if the count has not changed.
 *   (4) Only the last bucket of a chain has empty slots.
 *   (5) Buckets are never unmapped: a reader in one that was taken from its chain reads something of the
 *       index, and by (3) looks again.
 *
 * A slot is 0, or a location with a tag of its key's hash and what is known of its use. Slot 6 may be a
 * link to the chain's next bucket: its tag is 0, which no key's is. */
#pragma once
#include "store/lock.h"
#include "store/record.h"
#include <stdalign.h>

enum {
    BUCKET_SLOTS = 7,
    BUCKET_LINK_SLOT = 6,
    BUCKET_LOCKED = 1,
    BUCKET_COUNT_ONE = 2, /* what `control` grows by */
    SLOT_USES_MAX = 3,
    SLOT_OBSERVED = 4, /* somebody was told the record's version */
    SLOT_LOCATION_SHIFT = 4,
    SLOT_TAG_SHIFT = 48,
    /* A bucket more for every 11/2 keys: about 14 bytes a key, chains included. */
    INDEX_KEYS_PER_BUCKETS = 11,
    INDEX_BUCKETS_PER_KEYS = 2,
    INDEX_SPARES_WANTED = 4, /* for one key put, and one bucket split */
};

struct bucket {
    _Atomic uint64_t control;
    _Atomic uint64_t slots[BUCKET_SLOTS];
};
_Static_assert(sizeof(struct bucket) == 64, "a bucket is one cache line");

struct index {
    alignas(64) _Atomic uint64_t bucket_count;
    struct arena *arena;
    _Atomic(struct bucket *) *directory; /* the buckets of one segment each */
    uint64_t hash_seed;
    unsigned directory_shift;              /* buckets of a segment: 1 << directory_shift */
    alignas(64) _Atomic int64_t key_count; /* about: writers add to it in batches */
    struct lock growing;
    struct lock spares_lock;
    struct bucket *spares; /* for chains; linked through slot 0 */
    _Atomic uint32_t spare_count;
};

/* Where a slot is. A null bucket: nowhere. */
struct place {
    struct bucket *bucket;
    unsigned slot;
};

static inline uint16_t index_tag(uint64_t hash)
{
    uint16_t tag = (uint16_t)(hash >> SLOT_TAG_SHIFT);
    return tag != 0 ? tag : 1;
}

static inline uint64_t slot_location(uint64_t slot)
{
    return (slot & (((uint64_t)1 << SLOT_TAG_SHIFT) - 1)) >> SLOT_LOCATION_SHIFT;
}

static inline unsigned slot_uses(uint64_t slot) { return slot & SLOT_USES_MAX; }

/* A slot for a record at `location`. `uses_and_observed`: the low bits. */
static inline uint64_t slot_of(uint64_t hash, uint64_t location, uint64_t uses_and_observed)
{
    return (uint64_t)index_tag(hash) << SLOT_TAG_SHIFT | location << SLOT_LOCATION_SHIFT |
           uses_and_observed;
}

static inline uint64_t slot_read(const struct bucket *bucket, unsigned slot)
{
    return atomic_load_explicit(&bucket->slots[slot], memory_order_acquire);
}

static inline bool slot_is_link(uint64_t slot) { return slot != 0 && slot >> SLOT_TAG_SHIFT == 0; }

static inline struct bucket *bucket_at(const struct index *index, uint64_t number)
{
    struct bucket *buckets =
        atomic_load_explicit(&index->directory[number >> index->directory_shift], memory_order_acquire);
    return &buckets[number & (((uint64_t)1 << index->directory_shift) - 1)];
}

/* The bucket after `bucket` in its chain, or null. */
static inline struct bucket *bucket_next(const struct index *index, const struct bucket *bucket)
{
    uint64_t link = slot_read(bucket, BUCKET_LINK_SLOT);
    return slot_is_link(link) ? (struct bucket *)(void *)(index->arena->base + link * sizeof *bucket)
                              : NULL;
}

/* The number of the bucket that a hash's chain begins at. */
static inline uint64_t index_number(uint64_t hash, uint64_t bucket_count)
{
    uint64_t mask = UINT64_MAX >> __builtin_clzll(bucket_count);
    uint64_t number = hash & mask;
    return number < bucket_count ? number : number & mask >> 1;
}

static inline struct bucket *index_head(const struct index *index, uint64_t hash)
{
    return bucket_at(index,
                     index_number(hash, atomic_load_explicit(&index->bucket_count, memory_order_acquire)));
}

/* What index_find found: the slot as it was read, where, and the record, with the traits and the value that
 * it then had. Null record: nothing. */
struct found {
    struct record *record;
    _Atomic uint64_t *at;
    uint64_t slot;
    uint32_t traits;
    const unsigned char *value;
};

/* Takes no lock; the caller is inside the epoch for as long as it looks at the record. */
ALWAYS_INLINE struct found index_find(const struct index *index, uint64_t hash, nh_key key)
{
    uint64_t tag = index_tag(hash);

    for (;;) {
        uint64_t count = atomic_load_explicit(&index->bucket_count, memory_order_acquire);
        struct bucket *head = bucket_at(index, index_number(hash, count));
        uint64_t control = atomic_load_explicit(&head->control, memory_order_acquire);

        if (UNLIKELY(atomic_load_explicit(&index->bucket_count, memory_order_relaxed) != count))
            continue; /* it has grown; by (3) the chain's count tells from now on */
        for (struct bucket *bucket = head; bucket != NULL; bucket = bucket_next(index, bucket)) {
            UNROLL for (unsigned i = 0; i < BUCKET_SLOTS; i++)
            {
                uint64_t slot = slot_read(bucket, i);
                if (LIKELY(slot >> SLOT_TAG_SHIFT != tag))
                    continue;
                struct record *record = record_at(index->arena, slot_location(slot));
                uint32_t traits = record_traits(record);
                const unsigned char *record_key_at = record_key(record, traits);
                if (LIKELY(record_is_of(record, record_key_at, key)))
                    return (struct found){record, &bucket->slots[i], slot, traits,
                                          record_key_at + key.size};
            }
        }
        atomic_thread_fence(memory_order_acquire);
        if (LIKELY(((atomic_load_explicit(&head->control, memory_order_relaxed) ^ control) &
                    ~(uint64_t)BUCKET_LOCKED) == 0))
            return (struct found){0};
    }
}

/* Whether a key of this hash may be there, and the location it would then have. Looks at no record. */
bool index_guess(const struct index *index, uint64_t hash, uint64_t *location);

/* Counts a use in the slot, if it is still what was read and has not enough. */
static inline void found_use(const struct found *found)
{
    uint64_t slot = found->slot;
    if ((slot & SLOT_USES_MAX) != SLOT_USES_MAX)
        atomic_compare_exchange_strong_explicit(found->at, &slot, slot + 1, memory_order_relaxed,
                                                memory_order_relaxed);
}

/* Notes that somebody will be told the record's version, which it then keeps when it is moved. False if the
 * record is no longer what the slot points at. */
static inline bool found_observe(const struct found *found)
{
    uint64_t slot = found->slot;
    while (!(slot & SLOT_OBSERVED) &&
           !atomic_compare_exchange_weak_explicit(found->at, &slot, slot | SLOT_OBSERVED,
                                                  memory_order_relaxed, memory_order_relaxed))
        if ((slot ^ found->slot) >> SLOT_LOCATION_SHIFT != 0)
            return false;
    return true;
}

/* ---- writers ---- */

/* Locks the chain of a hash, or one that is at hand, and unlocks it. Wait for nothing meanwhile. */
struct bucket *index_lock(struct index *index, uint64_t hash);
void index_lock_chain(struct bucket *head);
static inline void index_unlock(struct bucket *head)
{
    atomic_fetch_and_explicit(&head->control, ~(uint64_t)BUCKET_LOCKED, memory_order_release);
}

/* The place of a key, or of the record at a location, in a locked chain. */
struct place index_place(const struct index *index, struct bucket *head, uint64_t hash, nh_key key);
struct place index_place_of(const struct index *index, struct bucket *head, uint64_t location);

static inline uint64_t place_slot(struct place place)
{
    return atomic_load_explicit(&place.bucket->slots[place.slot], memory_order_relaxed);
}

static inline void place_set(struct place place, uint64_t slot)
{
    atomic_store_explicit(&place.bucket->slots[place.slot], slot, memory_order_release);
}

/* The same if the slot is still `before`: readers may change what is known of its use. */
static inline bool place_change(struct place place, uint64_t before, uint64_t after)
{
    return atomic_compare_exchange_strong_explicit(&place.bucket->slots[place.slot], &before, after,
                                                   memory_order_release, memory_order_relaxed);
}

/* Puts a key that is not there into a locked chain. False if that would want a spare and there is none. */
bool index_insert(struct index *index, struct bucket *head, uint64_t slot);

/* Takes a key out of a locked chain; returns what its slot was at last. */
uint64_t index_remove(struct index *index, struct bucket *head, struct place place);

/* ---- growing ---- */

static inline bool index_has_spares(const struct index *index)
{
    return atomic_load_explicit(&index->spare_count, memory_order_relaxed) >= INDEX_SPARES_WANTED;
}

/* Makes the spare buckets of one segment. */
void index_add_spares(struct index *index, uint32_t segment_number);

static inline bool index_is_crowded(const struct index *index)
{
    return atomic_load_explicit(&index->key_count, memory_order_relaxed) * INDEX_BUCKETS_PER_KEYS >
           (int64_t)atomic_load_explicit(&index->bucket_count, memory_order_relaxed) *
               INDEX_KEYS_PER_BUCKETS;
}

/* With `growing` held. True if the next bucket needs a segment, which index_extend gives. */
bool index_needs_segment(const struct index *index);
void index_extend(struct index *index, uint32_t segment_number);

/* With `growing` held: adds one bucket. False, with nothing changed, if it would want more spares than
 * there are. The caller is inside the epoch, as records are looked at. */
bool index_split(struct index *index);

/* All is in zeroed memory; `first_segment` becomes the first buckets. */
void index_init(struct index *index, struct arena *arena, uint64_t hash_seed,
                _Atomic(struct bucket *) *directory, uint32_t first_segment);
