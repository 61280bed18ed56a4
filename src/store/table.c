#include "store/table.h"
#include <stdlib.h>

enum { DIRECTORY_CAPACITY_FIRST = 6 };

/* The slots that hold nothing and are not the link. */
static uint64_t vacant(uint64_t tags)
{
    return bytes_that_are_zero(tags) & (bucket_has_link(tags) ? 0x0000808080808080u : UINT64_MAX);
}

static struct directory *directory_create(const struct table_memory *memory, uint64_t capacity,
                                          struct directory *previous)
{
    struct directory *directory =
        memory->allocate(memory->context, sizeof *directory + capacity * sizeof directory->segments[0]);
    if (directory == NULL)
        return NULL;
    if (previous != NULL)
        memcpy(directory->segments, previous->segments, previous->capacity * sizeof previous->segments[0]);
    directory->previous = previous;
    directory->capacity = capacity;
    return directory;
}

bool table_init(struct table *table, const struct table_memory *memory)
{
    struct directory *directory = directory_create(memory, DIRECTORY_CAPACITY_FIRST, NULL);
    struct bucket *segment = memory->allocate(memory->context, SEGMENT_BUCKETS * sizeof *segment);

    if (directory == NULL || segment == NULL) {
        memory->release(memory->context, directory);
        memory->release(memory->context, segment);
        return false;
    }
    directory->segments[0] = segment;
    atomic_store_explicit(&table->directory, directory, memory_order_release);
    atomic_store_explicit(&table->bucket_count, SEGMENT_BUCKETS, memory_order_release);
    table->entry_count = 0;
    return true;
}

void table_fini(struct table *table)
{
    struct directory *directory = atomic_load_explicit(&table->directory, memory_order_relaxed);
    uint64_t count = atomic_load_explicit(&table->bucket_count, memory_order_relaxed);

    if (directory == NULL)
        return;
    for (uint64_t i = 0; i < count; i++)
        for (struct bucket *bucket = bucket_next(table_bucket(table, i)), *next; bucket != NULL;
             bucket = next) {
            next = bucket_next(bucket);
            free(bucket);
        }
    for (uint64_t i = 0; i < directory->capacity; i++)
        free(directory->segments[i]);
    for (struct directory *previous; directory != NULL; directory = previous) {
        previous = directory->previous;
        free(directory);
    }
}

/* Puts a slot in the chain of `bucket`, taking the bucket that `*spare` lends if the chain is full.
 * False if it is full and there is no spare. */
static bool chain_insert(struct bucket *bucket, uint8_t tag, uintptr_t slot, struct bucket **spare)
{
    uint64_t tags, free_slots;
    struct bucket *added;

    for (;; bucket = (struct bucket *)bucket_slot(bucket, BUCKET_LINK_SLOT)) {
        tags = bucket_tags(bucket);
        free_slots = vacant(tags);
        if (free_slots != 0) {
            bucket_set(bucket, slot_of_mask(free_slots), tag, slot);
            return true;
        }
        if (!bucket_has_link(tags))
            break;
    }
    added = *spare;
    if (added == NULL)
        return false;
    *spare = (struct bucket *)bucket_slot(added, 0); /* spares are chained through slot 0 */
    bucket_set(added, 0, (uint8_t)(tags >> (8 * BUCKET_LINK_SLOT)), bucket_slot(bucket, BUCKET_LINK_SLOT));
    bucket_set(added, 1, tag, slot);
    atomic_store_explicit(&bucket->slots[BUCKET_LINK_SLOT], (uintptr_t)added, memory_order_relaxed);
    atomic_store_explicit(&bucket->tags, (tags & ~((uint64_t)0xffff << 48)) | (uint64_t)1 << 56,
                          memory_order_relaxed);
    return true;
}

bool table_insert(struct table *table, const struct table_memory *memory, uint64_t hash,
                  struct entry *entry)
{
    struct bucket *bucket = table_place(table, hash);
    struct bucket *spare = NULL;

    if (!chain_insert(bucket, table_tag(hash), (uintptr_t)entry, &spare)) {
        spare = memory->allocate(memory->context, sizeof *spare);
        if (spare == NULL)
            return false;
        chain_insert(bucket, table_tag(hash), (uintptr_t)entry, &spare);
    }
    table->entry_count++;
    return true;
}

static void bucket_clear(struct bucket *bucket)
{
    atomic_store_explicit(&bucket->tags, 0, memory_order_relaxed);
    for (unsigned i = 0; i < BUCKET_SLOTS; i++)
        atomic_store_explicit(&bucket->slots[i], 0, memory_order_relaxed);
}

/* Shares the chain of `low` with the empty bucket `high`: entries with `bit` in their hash go there.
 * Never needs memory: of k linked buckets at most 7 + 6k entries come, and two chains hold as many in
 * k linked buckets or fewer, at each point of the loop. */
static void split(const struct table_memory *memory, struct bucket *low, struct bucket *high, uint64_t bit)
{
    struct bucket *spare = NULL, *next;
    bool is_head = true;

    for (struct bucket *bucket = low; bucket != NULL; bucket = bucket_next(bucket))
        for (uint64_t mask = bucket_occupied(bucket_tags(bucket)); mask != 0; mask &= mask - 1) {
            const char *entry = (const char *)slot_entry(bucket_slot(bucket, slot_of_mask(mask)));
            __builtin_prefetch(entry);
            __builtin_prefetch(entry + 64);
        }
    for (struct bucket *bucket = low; bucket != NULL; bucket = next) {
        uint64_t tags = bucket_tags(bucket);
        uintptr_t slots[BUCKET_SLOTS];

        next = bucket_next(bucket);
        for (unsigned i = 0; i < BUCKET_SLOTS; i++)
            slots[i] = bucket_slot(bucket, i);
        bucket_clear(bucket);
        if (!is_head) {
            atomic_store_explicit(&bucket->slots[0], (uintptr_t)spare, memory_order_relaxed);
            spare = bucket;
        }
        is_head = false;
        for (uint64_t mask = bucket_occupied(tags); mask != 0; mask &= mask - 1) {
            unsigned i = slot_of_mask(mask);
            bool is_high = (memory->hash(memory->context, slot_entry(slots[i])) & bit) != 0;
            chain_insert(is_high ? high : low, (uint8_t)(tags >> (8 * i)), slots[i], &spare);
        }
    }
    for (; spare != NULL; spare = next) {
        next = (struct bucket *)bucket_slot(spare, 0);
        memory->release(memory->context, spare);
    }
}

bool table_grow(struct table *table, const struct table_memory *memory)
{
    struct directory *directory = atomic_load_explicit(&table->directory, memory_order_relaxed);
    uint64_t count = atomic_load_explicit(&table->bucket_count, memory_order_relaxed);
    uint64_t half =
        (uint64_t)1 << (63 - __builtin_clzll(count)); /* the largest power of two within count */
    uint64_t segment = count / SEGMENT_BUCKETS;

    if (segment == directory->capacity) {
        directory = directory_create(memory, directory->capacity * 2, directory);
        if (directory == NULL)
            return false;
        atomic_store_explicit(&table->directory, directory, memory_order_release);
    }
    if (directory->segments[segment] == NULL) {
        directory->segments[segment] =
            memory->allocate(memory->context, SEGMENT_BUCKETS * sizeof(struct bucket));
        if (directory->segments[segment] == NULL)
            return false;
    }
    split(memory, table_bucket(table, count - half), table_bucket(table, count), half);
    atomic_store_explicit(&table->bucket_count, count + 1, memory_order_release);
    return true;
}
