/* table.h — the index of one shard: linear hashing over 64-byte buckets, which grows by one bucket at
 * a time and never moves one.
 *
 *   (1) An entry of hash h is in the chain that begins at bucket table_place(h).
 *   (2) Growing moves entries only to a bucket of a higher number, so that a walk by rising number
 *       meets every entry that stays in the table.
 *   (3) Directories and the first bucket of each chain are freed only with the table, and what a reader
 *       without the lock looks at is atomic: table_prefetch may race with anything.
 *
 * A bucket's word of tags holds one byte for each of its 7 slots (0: empty) and in the last byte
 * whether slot 6 is a link to one more bucket of the chain. A slot is a pointer to an entry with a use
 * count of 0 … 3 in its low bits. One thread at a time, but for table_prefetch. */
#pragma once
#include "store/entry.h"
#include <assert.h>
#include <stdatomic.h>

enum {
    BUCKET_SLOTS = 7,
    BUCKET_LINK_SLOT = 6,
    SEGMENT_BUCKETS = 64,
    SLOT_USES_MAX = 3,
    BUCKET_ENTRIES_GOAL = 4, /* average entries per bucket at which the table grows */
};

struct bucket {
    _Atomic uint64_t tags;
    _Atomic uintptr_t slots[BUCKET_SLOTS];
};
static_assert(sizeof(struct bucket) == 64, "a bucket is one cache line");
static_assert(_Alignof(max_align_t) > SLOT_USES_MAX, "a use count fits below a pointer");

struct directory {
    struct directory *previous; /* the smaller one before it, kept by (3) */
    uint64_t capacity;
    struct bucket *segments[];
};

struct table {
    _Atomic(struct directory *) directory;
    _Atomic uint64_t bucket_count;
    uint64_t entry_count;
};

/* Where an entry is: slot `index` of `bucket`. A null bucket: nowhere. */
struct place {
    struct bucket *bucket;
    unsigned index;
};

/* The table takes its memory from its owner, so that all of it is accounted for. */
struct table_memory {
    void *(*allocate)(void *context, size_t size); /* 64-byte aligned, zeroed; null: none */
    void (*release)(void *context, void *memory);
    uint64_t (*hash)(void *context, const struct entry *entry);
    void *context;
};

/* One segment of empty buckets. False if there is no memory. */
bool table_init(struct table *table, const struct table_memory *memory);
/* Frees buckets and directories with free(), not the entries. */
void table_fini(struct table *table);

/* Adds one bucket. False if there is no memory: then nothing has changed. */
bool table_grow(struct table *table, const struct table_memory *memory);

/* Puts a new entry in, unused so far. False if there is no memory. Places found before stay right but
 * for slot 6 of the last bucket in this chain. */
bool table_insert(struct table *table, const struct table_memory *memory, uint64_t hash,
                  struct entry *entry);

static inline uint8_t table_tag(uint64_t hash)
{
    uint8_t tag = (uint8_t)(hash >> 48);
    return tag != 0 ? tag : 1;
}

static inline uint64_t bucket_tags(const struct bucket *bucket)
{
    return atomic_load_explicit(&bucket->tags, memory_order_relaxed);
}

static inline uintptr_t bucket_slot(const struct bucket *bucket, unsigned index)
{
    return atomic_load_explicit(&bucket->slots[index], memory_order_relaxed);
}

static inline void bucket_set(struct bucket *bucket, unsigned index, uint8_t tag, uintptr_t slot)
{
    uint64_t others = bucket_tags(bucket) & ~((uint64_t)0xff << (8 * index));
    atomic_store_explicit(&bucket->slots[index], slot, memory_order_relaxed);
    atomic_store_explicit(&bucket->tags, others | (uint64_t)tag << (8 * index), memory_order_relaxed);
}

static inline struct entry *slot_entry(uintptr_t slot)
{
    return (struct entry *)(slot & ~(uintptr_t)SLOT_USES_MAX);
}

static inline unsigned slot_uses(uintptr_t slot) { return slot & SLOT_USES_MAX; }

static inline bool bucket_has_link(uint64_t tags) { return tags >> 56 != 0; }

/* The next bucket of the chain, or null. */
static inline struct bucket *bucket_next(const struct bucket *bucket)
{
    return bucket_has_link(bucket_tags(bucket)) ? (struct bucket *)bucket_slot(bucket, BUCKET_LINK_SLOT)
                                                : NULL;
}

/* The high bit of each byte of `word`, but the last, that is zero; exact, no false neighbours. */
static inline uint64_t bytes_that_are_zero(uint64_t word)
{
    const uint64_t low = 0x7f7f7f7f7f7f7f7fu;
    return ~(((word & low) + low) | word | low) & 0x0080808080808080u;
}

/* The slots whose tag is `tag`, as high bits of bytes: slot_of_mask(mask) is the first, and
 * `mask &= mask - 1` drops it. */
static inline uint64_t bucket_match(uint64_t tags, uint8_t tag)
{
    return bytes_that_are_zero(tags ^ tag * (uint64_t)0x0101010101010101u);
}

static inline uint64_t bucket_occupied(uint64_t tags)
{
    return ~bytes_that_are_zero(tags) & 0x0080808080808080u;
}

static inline unsigned slot_of_mask(uint64_t mask) { return (unsigned)__builtin_ctzll(mask) / 8; }

static inline struct bucket *table_bucket(const struct table *table, uint64_t number)
{
    struct directory *directory = atomic_load_explicit(&table->directory, memory_order_acquire);
    return &directory->segments[number / SEGMENT_BUCKETS][number % SEGMENT_BUCKETS];
}

/* The first bucket of the chain for `hash`. */
static inline struct bucket *table_place(const struct table *table, uint64_t hash)
{
    /* The count is read before the directory and written after it: a bucket counted is a bucket there. */
    uint64_t count = atomic_load_explicit(&table->bucket_count, memory_order_acquire);
    uint64_t mask = UINT64_MAX >> __builtin_clzll(count - 1);
    uint64_t number = hash & mask;
    return table_bucket(table, number < count ? number : number & (mask >> 1));
}

/* Where `key` is, dead or alive. */
static inline struct place table_find(const struct table *table, uint64_t hash, nh_key key)
{
    uint8_t tag = table_tag(hash);
    for (struct bucket *bucket = table_place(table, hash); bucket != NULL; bucket = bucket_next(bucket))
        for (uint64_t mask = bucket_match(bucket_tags(bucket), tag); mask != 0; mask &= mask - 1) {
            unsigned index = slot_of_mask(mask);
            const struct entry *entry = slot_entry(bucket_slot(bucket, index));
            __builtin_prefetch((const char *)entry + 64); /* on its way while the key is compared */
            if (entry_has_key(entry, key))
                return (struct place){bucket, index};
        }
    return (struct place){NULL, 0};
}

static inline struct entry *place_entry(struct place place)
{
    return place.bucket == NULL ? NULL : slot_entry(bucket_slot(place.bucket, place.index));
}

/* Counts a use. A much used entry is not written to any more. */
static inline void place_use(struct place place)
{
    uintptr_t slot = bucket_slot(place.bucket, place.index);
    if (slot_uses(slot) < SLOT_USES_MAX)
        atomic_store_explicit(&place.bucket->slots[place.index], slot + 1, memory_order_relaxed);
}

/* Puts `entry`, of the same key, in place of the one that is there. */
static inline void place_replace(struct place place, struct entry *entry)
{
    unsigned uses = slot_uses(bucket_slot(place.bucket, place.index));
    atomic_store_explicit(&place.bucket->slots[place.index], (uintptr_t)entry | uses, memory_order_relaxed);
}

static inline void table_remove(struct table *table, struct place place)
{
    bucket_set(place.bucket, place.index, 0, 0);
    table->entry_count--;
}

/* Asks for the bucket of `hash`, and, once that has arrived, for the entries in it that may match. Any
 * thread, without the lock. */
static inline void table_prefetch(const struct table *table, uint64_t hash)
{
    __builtin_prefetch(table_place(table, hash));
}

static inline void table_prefetch_entry(const struct table *table, uint64_t hash)
{
    const struct bucket *bucket = table_place(table, hash);
    for (uint64_t mask = bucket_match(bucket_tags(bucket), table_tag(hash)); mask != 0; mask &= mask - 1) {
        /* A number, not a pointer: without the lock the slot may be empty by now. */
        uintptr_t entry = (uintptr_t)slot_entry(bucket_slot(bucket, slot_of_mask(mask)));
        __builtin_prefetch((const void *)entry, 1);
        __builtin_prefetch((const void *)(entry + 64));
    }
}
