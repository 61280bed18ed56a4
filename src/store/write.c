#include "store/write.h"

/* A key that is in the main queue stays there when it is written again, and one that was dropped lately has
 * shown that it belongs there. A guess: the wrong queue does no harm. */
static enum queue queue_for(nh_store *store, uint64_t hash)
{
    uint64_t location;

    if (index_guess(&store->index, hash, &location))
        return atomic_load_explicit(&arena_segment(&store->arena, location)->queue, memory_order_relaxed) ==
                       QUEUE_MAIN
                   ? QUEUE_MAIN
                   : QUEUE_SMALL;
    return ghost_recall(&store->ghost, hash) ? QUEUE_MAIN : QUEUE_SMALL;
}

void write_begin(struct write *write, nh_store *store, int64_t now_ms, nh_key key)
{
    *write = (struct write){.store = store, .now_ms = now_ms, .key = key, .retired = SEGMENT_NONE};
    write->hash = key_hash(store->hash_seed, key);
    __builtin_prefetch(index_head(&store->index, write->hash));
    write->stripe = stripe_acquire(store);
    write->queue = queue_for(store, write->hash);
}

void write_end(struct write *write)
{
    if (write->head != NULL)
        write_unlock(write);
    stripe_release(write->store, write->stripe, write->now_ms);
    if (UNLIKELY(write->retired != SEGMENT_NONE))
        evictor_retire_large(write->store, write->retired, write->retired_sequence);
}

nh_result write_index_room(struct write *write)
{
    return stripe_want_spares(write->store, write->now_ms) ? NH_OK : NH_FULL;
}

nh_result write_room(struct write *write, int64_t expires_at_ms, size_t bytes)
{
    unsigned group = atomic_load_explicit(&write->store->groups[write->key.space], memory_order_relaxed);

    write->tail =
        stripe_tail(write->store, write->stripe, write->now_ms, group, write->queue, expires_at_ms, bytes);
    return write->tail != NULL ? write_index_room(write) : NH_FULL;
}

void write_lock(struct write *write)
{
    nh_store *store = write->store;

    write->inside = epoch_enter(&store->epoch);
    write->head = index_lock(&store->index, write->hash);
    write->place = index_place(&store->index, write->head, write->hash, write->key);
    write->old = NULL;
    write->is_there = false;
    if (write->place.bucket == NULL)
        return;
    write->old = record_at(&store->arena, slot_location(place_slot(write->place)));
    write->old_fate = record_fate(store, write->old, record_traits(write->old),
                                  record_segment(&store->arena, write->old), write->now_ms);
    write->is_there = write->old_fate == FATE_ALIVE && !(record_traits(write->old) & RECORD_NEGATIVE);
}

nh_result write_lock_with_index_room(struct write *write)
{
    nh_result result;

    if (write->head != NULL)
        write_unlock(write);
    result = write_index_room(write);
    if (result == NH_OK)
        write_lock(write);
    return result;
}

void write_unlock(struct write *write)
{
    index_unlock(write->head);
    epoch_leave(write->inside);
    write->head = NULL;
}

struct segment *write_segment(const struct write *write)
{
    return &write->store->arena.segments[write->tail->segment];
}

void *write_at(const struct write *write)
{
    return segment_start(&write->store->arena, write->tail->segment) + write->tail->used_bytes;
}

/* Counts the old record as gone, and sees to it that its memory comes back. */
static void forget_old(struct write *write, _Atomic uint64_t *alive)
{
    struct tally *tally = &write->stripe->tally;

    if (alive != NULL || write->old_fate != FATE_ALIVE)
        tally_fate(tally, write->old_fate, alive);
    tell_dropped(write->store, write->old, write->old_fate, false);
    record_forget(write->store, tally, write->old);
    if (record_traits(write->old) & RECORD_LARGE) {
        write->retired = large_first(&write->store->arena, write->old);
        write->retired_sequence = atomic_load_explicit(
            &write->store->arena.segments[write->retired].sequence, memory_order_relaxed);
    }
}

bool write_link(struct write *write, struct record *record, bool is_observed)
{
    nh_store *store = write->store;
    struct tally *tally = &write->stripe->tally;
    uint64_t location = location_of(&store->arena, record);
    struct segment *segment = arena_segment(&store->arena, location);
    uint32_t traits = record_traits(record);
    uint64_t bits = (is_observed ? SLOT_OBSERVED : 0) | write->uses;
    int64_t expires_at_ms = record_expires_at_ms(record, traits, segment);

    if (write->old != NULL) {
        unsigned uses = slot_uses(place_slot(write->place));
        if (write->old_fate == FATE_ALIVE)
            bits = (bits & SLOT_OBSERVED) | (uses < SLOT_USES_MAX ? uses + 1 : uses);
        place_set(write->place, slot_of(write->hash, location, bits));
        forget_old(write, NULL);
    } else if (!index_insert(&store->index, write->head, slot_of(write->hash, location, bits))) {
        return false;
    }
    segment_note_expiry(segment, expires_at_ms);
    if (UNLIKELY(traits & RECORD_TAGS))
        atomic_store_explicit(&segment->has_tags, true, memory_order_relaxed);
    if (!(traits & RECORD_LARGE))
        write->tail->used_bytes += (uint32_t)record_bytes(record);
    record_count(store, tally, record);
    tally_count(&tally->puts);
    insight_write(&store->insight, write->hash, write->key,
                  traits & RECORD_LARGE ? large_bytes(&store->arena, large_first(&store->arena, record))
                                        : record_value_bytes(record));
    if (!write->keeps_lease)
        lease_end(&store->leases, write->hash);
    return true;
}

void write_unlink(struct write *write)
{
    index_remove(&write->store->index, write->head, write->place);
    forget_old(write, &write->stripe->tally.deletes);
    write->old = NULL;
    write->is_there = false;
}

struct record *write_inline(struct write *write, const struct record_plan *plan, struct bytes first,
                            struct bytes second)
{
    struct record *record = write_at(write);
    unsigned char *value = record_write(plan, record, write_segment(write));

    if (first.size > 0)
        memcpy(value, first.data, first.size);
    if (second.size > 0)
        memcpy(value + first.size, second.data, second.size);
    return record;
}

nh_result write_lend_old(struct write *write, nh_value *value)
{
    struct found found = {.record = write->old, .at = &write->place.bucket->slots[write->place.slot]};
    nh_result result = NH_CHANGED;

    while (result == NH_CHANGED) { /* only its uses can have changed */
        found.slot = place_slot(write->place);
        result = lend(write->store, write->now_ms, &found, value);
    }
    return result;
}

nh_result write_refused(nh_store *store, nh_result result)
{
    if (result == NH_FULL || result == NH_NO_MEMORY || result == NH_TOO_LARGE)
        count_up(&store->rejected, 1);
    return result;
}
