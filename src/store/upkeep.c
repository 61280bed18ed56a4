/* upkeep.c — what concerns many keys at once: purging, clearing, sweeping, walking, counting. */
#include "store/store.h"
#include <stdlib.h>

enum { SWEEP_BATCH_COUNT = 64 }; /* entries looked at in one turn at a shard's lock */

void nh_purge_tag(nh_store *store, int64_t now_ms, nh_bytes tag)
{
    (void)now_ms;
    if (store == NULL || (tag.data == NULL && tag.size > 0))
        return;
    uint64_t slot = store_tag_mark(store, bytes_of(tag.data, tag.size)) & store->tag_slot_mask;
    atomic_fetch_add_explicit(&store->tag_generations[slot], 1, memory_order_acq_rel);
}

void nh_clear(nh_store *store, uint32_t space)
{
    for (uint32_t i = 0; store != NULL && i < store->shard_count; i++) {
        struct shard *shard = &store->shards[i];
        lock_acquire(&shard->lock);
        shard_clear(shard, space);
        lock_release(&shard->lock);
    }
}

size_t nh_sweep(nh_store *store, int64_t now_ms, size_t budget_count)
{
    size_t freed_count = 0;
    uint32_t rounds = 0;

    while (store != NULL && budget_count > 0 && rounds < store->shard_count) {
        uint32_t hand = atomic_load_explicit(&store->sweep_hand, memory_order_relaxed);
        struct shard *shard = &store->shards[hand & (store->shard_count - 1)];
        size_t batch = budget_count < SWEEP_BATCH_COUNT ? budget_count : SWEEP_BATCH_COUNT;
        size_t left = batch;
        struct grave grave = {0};
        bool came_round;

        lock_acquire(&shard->lock);
        came_round = shard_sweep(shard, now_ms, &left, &freed_count, &grave);
        lock_release(&shard->lock);
        grave_empty(&grave);
        budget_count -= batch - left;
        if (came_round) {
            rounds++;
            /* If another sweeper has moved the hand already, it stays where that put it. */
            atomic_compare_exchange_strong_explicit(&store->sweep_hand, &hand, hand + 1,
                                                    memory_order_relaxed, memory_order_relaxed);
        }
    }
    return freed_count;
}

uint64_t nh_count(nh_store *store, uint32_t space)
{
    uint64_t count = 0;

    for (uint32_t i = 0; store != NULL && i < store->shard_count; i++) {
        struct shard *shard = &store->shards[i];
        const struct space *row;
        lock_acquire(&shard->lock);
        row = space == NH_SPACE_ALL ? NULL : shard_space(shard, space);
        count += space == NH_SPACE_ALL ? shard->live_count : row != NULL ? row->live_count : 0;
        lock_release(&shard->lock);
    }
    return count;
}

nh_result nh_stats_read(nh_store *store, nh_stats *given)
{
    nh_stats stats = {.size = sizeof stats};
    uint64_t credit_bytes = 0;
    size_t size;

    if (store == NULL || given == NULL || given->size < sizeof given->size || given->size > 4096)
        return NH_INVALID;
    for (uint32_t i = 0; i < store->shard_count; i++) {
        struct shard *shard = &store->shards[i];
        lock_acquire(&shard->lock);
        stats.items += shard->live_count;
        stats.hits += shard->counts.hits;
        stats.misses += shard->counts.misses;
        stats.puts += shard->counts.puts;
        stats.deletes += shard->counts.deletes;
        stats.expired += shard->counts.expired;
        stats.evicted += shard->counts.evicted;
        stats.purged += shard->counts.purged;
        stats.borrowed_bytes += shard->borrowed_bytes;
        credit_bytes += shard->credit_bytes;
        lock_release(&shard->lock);
    }
    stats.rejected = atomic_load_explicit(&store->rejected, memory_order_relaxed);
    stats.memory_bytes_max = store->memory_bytes_max;
    stats.memory_bytes = store->memory_bytes_max -
                         atomic_load_explicit(&store->pool_bytes, memory_order_relaxed) - credit_bytes;
    size = given->size;
    memset(given, 0, size);
    memcpy(given, &stats, size < sizeof stats ? size : sizeof stats);
    given->size = size;
    return NH_OK;
}

/* ---- walking ----
 *
 * By (2) of table.h a walk by rising bucket numbers misses nothing. The entries of one chain are pinned
 * at a time, and lent one by one. */

struct nh_cursor {
    nh_store *store;
    uint32_t shard_number;
    uint64_t bucket_number; /* the next one */
    struct entry **pinned;
    size_t pinned_count;
    size_t pinned_capacity;
    size_t next; /* of the pinned */
    nh_value lent;
};

nh_result nh_cursor_create(nh_store *store, nh_cursor **cursor)
{
    nh_cursor *made;

    if (store == NULL || cursor == NULL)
        return NH_INVALID;
    made = calloc(1, sizeof *made);
    if (made == NULL)
        return NH_NO_MEMORY;
    made->store = store;
    *cursor = made;
    return NH_OK;
}

/* Pins all entries of the next chain. False if there is no memory to remember them. */
static bool pin_chain(nh_cursor *cursor, struct shard *shard)
{
    struct bucket *head = table_bucket(&shard->table, cursor->bucket_number);
    size_t count = 0;

    for (struct bucket *bucket = head; bucket != NULL; bucket = bucket_next(bucket))
        count += BUCKET_SLOTS;
    if (count > cursor->pinned_capacity) {
        struct entry **grown = realloc(cursor->pinned, count * sizeof(struct entry *));
        if (grown == NULL)
            return false;
        cursor->pinned = grown;
        cursor->pinned_capacity = count;
    }
    cursor->pinned_count = cursor->next = 0;
    for (struct bucket *bucket = head; bucket != NULL; bucket = bucket_next(bucket))
        for (uint64_t mask = bucket_occupied(bucket_tags(bucket)); mask != 0; mask &= mask - 1) {
            struct entry *entry = slot_entry(bucket_slot(bucket, slot_of_mask(mask)));
            shard_pin(shard, entry);
            cursor->pinned[cursor->pinned_count++] = entry;
        }
    cursor->bucket_number++;
    return true;
}

/* Lends what the key of the next pinned entry has by now, if anything. */
static bool lend_next(nh_cursor *cursor, struct shard *shard, int64_t now_ms, nh_key *key,
                      struct grave *grave)
{
    struct entry *pinned = cursor->pinned[cursor->next++];
    nh_key its_key = {entry_key(pinned), pinned->key_bytes, pinned->space};
    struct place place = shard_find(shard, now_ms, store_hash(cursor->store, its_key), its_key, grave);

    if (place.bucket != NULL) {
        lend(shard, place_entry(place), &cursor->lent);
        *key = (nh_key){entry_key(place_entry(place)), pinned->key_bytes, pinned->space};
    }
    shard_unpin(shard, pinned, grave);
    return place.bucket != NULL;
}

nh_result nh_cursor_next(nh_cursor *cursor, int64_t now_ms, nh_key *key, nh_value *value)
{
    nh_result result = NH_MISSING;

    if (cursor == NULL || key == NULL || value == NULL)
        return NH_INVALID;
    nh_release(cursor->store, &cursor->lent);
    while (result == NH_MISSING && cursor->shard_number < cursor->store->shard_count) {
        struct shard *shard = &cursor->store->shards[cursor->shard_number];
        struct grave grave = {0};

        lock_acquire(&shard->lock);
        while (result == NH_MISSING) {
            if (cursor->next < cursor->pinned_count) {
                if (lend_next(cursor, shard, now_ms, key, &grave))
                    result = NH_OK;
            } else if (cursor->bucket_number ==
                       atomic_load_explicit(&shard->table.bucket_count, memory_order_relaxed)) {
                cursor->shard_number++;
                cursor->bucket_number = 0;
                break;
            } else if (!pin_chain(cursor, shard)) {
                result = NH_NO_MEMORY;
            }
        }
        lock_release(&shard->lock);
        grave_empty(&grave);
    }
    if (result == NH_OK) {
        *value = cursor->lent;
        value->pin = NULL; /* the cursor's own: a release by mistake does nothing */
    }
    return result;
}

void nh_cursor_destroy(nh_cursor *cursor)
{
    if (cursor == NULL)
        return;
    nh_release(cursor->store, &cursor->lent);
    for (; cursor->next < cursor->pinned_count; cursor->next++)
        nh_release(cursor->store, &(nh_value){.pin = cursor->pinned[cursor->next]});
    free(cursor->pinned);
    free(cursor);
}
