#include "store/large.h"
#include "store/store.h"
#include <sched.h>

enum {
    SMALL_SHARE = 20,          /* the small queue is one part in so many; its open segments are more */
    RESERVE_SEGMENTS = 2,      /* free ones that only survivors may take */
    PACK_WINDOW = 64,          /* segments looked at for mostly dead ones, each time room is wanted */
    PACK_LIVE_SHARE = 4,       /* mostly dead: less than one part in so many is alive */
    RECORDS_AHEAD = 8,         /* whose buckets are asked for */
    GRACE_YIELDS_MAX = 200000, /* a reader that stays inside so long is not coming out */
    DRAINING_ENOUGH = 4,       /* segments that wait for readers: no need to evict more */
    LARGE_LOOK = 8,            /* large values that are compared */
    EPOCHS_OF_GRACE = 3,       /* by (2) of epoch.h */
    EVICTIONS_PER_SEGMENT_MAX = 8,
    EVICTIONS_PER_PRESSURE = 8, /* so many in vain, and a record must have been used once more to stay */
    BASE_SLACK_MS = 60000,      /* clocks of several threads may differ so much */
};

static const uint64_t SEQUENCE_CREDIBLE = (uint64_t)1 << 43;

/* ---- lists of segments ---- */

static void list_append(struct arena *arena, struct segment_list *list, uint32_t number)
{
    struct segment *segment = &arena->segments[number];

    segment->next = SEGMENT_NONE;
    segment->previous = list->last;
    if (list->last != SEGMENT_NONE)
        arena->segments[list->last].next = number;
    else
        list->first = number;
    list->last = number;
    list->count++;
}

static void list_remove(struct arena *arena, struct segment_list *list, uint32_t number)
{
    struct segment *segment = &arena->segments[number];

    if (segment->previous != SEGMENT_NONE)
        arena->segments[segment->previous].next = segment->next;
    else
        list->first = segment->next;
    if (segment->next != SEGMENT_NONE)
        arena->segments[segment->next].previous = segment->previous;
    else
        list->last = segment->previous;
    list->count--;
}

static enum segment_kind kind_of(const struct segment *segment)
{
    return atomic_load_explicit(&segment->kind, memory_order_relaxed);
}

static enum queue queue_of(const struct segment *segment)
{
    return atomic_load_explicit(&segment->queue, memory_order_relaxed);
}

static void dequeue(nh_store *store, uint32_t number)
{
    struct segment *segment = &store->arena.segments[number];
    list_remove(&store->arena, &store->evictor.groups[segment->group].queues[queue_of(segment)], number);
    segment->is_queued = false;
}

static void queue_young(nh_store *store, uint32_t number)
{
    struct segment *segment = &store->arena.segments[number];

    list_append(&store->arena, &store->evictor.groups[segment->group].queues[queue_of(segment)], number);
    segment->is_queued = true;
    segment->queued_sequence = store->evictor.sequence;
}

/* Ends what began with the lock: the index learns how many keys have left. */
static void evictor_unlock(nh_store *store)
{
    struct tally *tally = store->evictor.tally;

    if (tally->keys_added != 0) {
        atomic_fetch_add_explicit(&store->index.key_count, tally->keys_added, memory_order_relaxed);
        tally->keys_added = 0;
    }
    lock_release(&store->evictor.lock);
}

/* ---- from free to free ---- */

static uint32_t open_free(nh_store *store, int64_t now_ms, enum segment_kind kind)
{
    struct evictor *evictor = &store->evictor;
    bool is_fresh = evictor->free.count == 0;
    uint32_t number = is_fresh ? evictor->fresh++ : evictor->free.last;
    struct segment *segment = &store->arena.segments[number];
    int64_t base_ms;

    if (!is_fresh)
        list_remove(&store->arena, &evictor->free, number);
    if (__builtin_sub_overflow(now_ms, BASE_SLACK_MS, &base_ms))
        base_ms = INT64_MIN;
    atomic_store_explicit(&segment->sequence, ++evictor->sequence, memory_order_relaxed);
    atomic_store_explicit(&segment->base_ms, base_ms, memory_order_relaxed);
    atomic_store_explicit(&segment->expires_first_ms, INT64_MAX, memory_order_relaxed);
    atomic_store_explicit(&segment->expires_last_ms, INT64_MIN, memory_order_relaxed);
    atomic_store_explicit(&segment->live_bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&segment->part, SEGMENT_NONE, memory_order_relaxed);
    atomic_store_explicit(&segment->has_tags, false, memory_order_relaxed);
    atomic_store_explicit(&segment->queue, QUEUE_NONE, memory_order_relaxed);
    atomic_store_explicit(&segment->kind, kind, memory_order_relaxed);
    segment->used_bytes = 0;
    segment->is_queued = false;
    segment->purge_seen = (uint32_t)tags_now(&store->tags);
    return number;
}

static void make_free(nh_store *store, uint32_t number)
{
    atomic_store_explicit(&store->arena.segments[number].kind, SEGMENT_FREE, memory_order_relaxed);
    list_append(&store->arena, &store->evictor.free, number);
}

/* A segment, or a large value whole, that nothing points at any more. */
static void drain(nh_store *store, uint32_t number)
{
    struct segment *segment = &store->arena.segments[number];
    uint32_t extent = 1;

    if (kind_of(segment) == SEGMENT_LARGE)
        extent =
            atomic_load_explicit(&large_at(&store->arena, number)->segment_count, memory_order_relaxed);
    store->evictor.groups[segment->group].segments -= extent;
    atomic_store_explicit(&segment->kind, SEGMENT_DRAINING, memory_order_relaxed);
    segment->drained_epoch = (uint32_t)atomic_load_explicit(&store->epoch.now, memory_order_seq_cst);
    list_append(&store->arena, &store->evictor.draining, number);
}

static bool is_pinned(const struct segment *segment)
{
    return atomic_load_explicit(&segment->pins, memory_order_acquire) != 0;
}

/* Frees what has drained. Returns how many segments are left that wait for readers, and not for borrowers.
 */
static uint32_t reclaim(nh_store *store)
{
    struct arena *arena = &store->arena;
    uint32_t epoch_now, waiting_count = 0;

    if (store->evictor.draining.count == 0)
        return 0;
    for (unsigned i = 0; i < EPOCHS_OF_GRACE && epoch_advance(&store->epoch); i++) {
    }
    epoch_now = (uint32_t)atomic_load_explicit(&store->epoch.now, memory_order_relaxed);
    for (uint32_t number = store->evictor.draining.first, next; number != SEGMENT_NONE; number = next) {
        struct segment *segment = &arena->segments[number];
        next = segment->next;
        if (epoch_now - segment->drained_epoch < EPOCHS_OF_GRACE) {
            waiting_count++;
        } else if (!is_pinned(segment)) {
            list_remove(arena, &store->evictor.draining, number);
            for (uint32_t part = number, after; part != SEGMENT_NONE; part = after) {
                after = atomic_load_explicit(&arena->segments[part].part, memory_order_relaxed);
                make_free(store, part);
            }
        }
    }
    return waiting_count;
}

/* ---- going through a segment ---- */

static void seal_survivors_tail(nh_store *store, struct tail *tail)
{
    store->arena.segments[tail->segment].used_bytes = tail->used_bytes;
    queue_young(store, tail->segment);
    tail->segment = SEGMENT_NONE;
}

/* Room for a record that is to be copied; null if there is none. */
static void *survivor_room(nh_store *store, int64_t now_ms, const struct segment *from, enum queue queue,
                           size_t bytes, struct segment **to)
{
    struct evictor *evictor = &store->evictor;
    struct tail *tail = &evictor->survivors[from->group][queue][from->ttl_class];

    if (tail->segment != SEGMENT_NONE && (tail->used_bytes + bytes > segment_bytes(&store->arena) ||
                                          !segment_suits(&store->arena.segments[tail->segment], now_ms)))
        seal_survivors_tail(store, tail);
    if (tail->segment == SEGMENT_NONE) {
        if (evictor_free_count(evictor, &store->arena) == 0)
            return NULL;
        tail->segment = open_free(store, now_ms, SEGMENT_LOG);
        tail->used_bytes = 0;
        *to = &store->arena.segments[tail->segment];
        (*to)->group = from->group;
        (*to)->ttl_class = from->ttl_class;
        atomic_store_explicit(&(*to)->queue, queue, memory_order_relaxed);
        evictor->groups[from->group].segments++;
    } else {
        *to = &store->arena.segments[tail->segment];
    }
    return segment_start(&store->arena, tail->segment) + tail->used_bytes;
}

enum purpose {
    PURPOSE_EVICT, /* what was not used enough goes */
    PURPOSE_PACK,  /* all that is alive stays, elsewhere */
    PURPOSE_SWEEP, /* all that is alive stays where it is */
};

/* One pass through the records of a segment. */
struct pass {
    nh_store *store;
    struct tally *tally;
    int64_t now_ms;
    enum purpose purpose;
    uint32_t number;
    struct segment *segment;
    unsigned uses_wanted;
    size_t freed_count, looked_count;
    bool is_stuck; /* no room for one that should stay */
};

static void drop(struct pass *pass, struct bucket *head, struct place place, struct record *record,
                 enum fate fate)
{
    /* With the record goes the knowledge of which purges touch its key: those that may come, if it is
     * evicted. */
    if (record_traits(record) & RECORD_TAGS)
        lease_end_if_purged(pass->store, key_hash(pass->store->hash_seed, record_nh_key(record)), record,
                            fate == FATE_ALIVE);
    tally_fate(pass->tally, fate, &pass->tally->evicted);
    tell_dropped(pass->store, record, fate, true);
    index_remove(&pass->store->index, head, place);
    record_forget(pass->store, pass->tally, record);
    pass->freed_count++;
}

/* Copies a record to `at`, with its chain locked. */
static void move(struct pass *pass, struct place place, uint64_t hash, struct record *record, void *at,
                 struct segment *to, unsigned uses)
{
    nh_store *store = pass->store;
    uint32_t hashes[NH_TAGS_MAX];
    struct record_plan plan = record_plan_of(&store->arena, record, hashes);
    uint64_t slot, moved;
    uint32_t traits = record_traits(record);
    size_t bytes, old_bytes = record_bytes(record);

    /* Written again with its version if somebody is told that in the meantime. */
    do {
        slot = place_slot(place);
        if (slot & SLOT_OBSERVED)
            plan.traits |= RECORD_VERSION;
        memcpy(record_write(&plan, at, to), record_value(record, traits), plan.value_bytes);
        moved = slot_of(hash, location_of(&store->arena, at), (slot & SLOT_OBSERVED) | uses);
    } while (!place_change(place, slot, moved));
    bytes = record_plan_bytes(&plan);
    segment_note_expiry(to, plan.expires_at_ms);
    if (traits & RECORD_TAGS)
        atomic_store_explicit(&to->has_tags, true, memory_order_relaxed);
    atomic_fetch_add_explicit(&to->live_bytes, (uint32_t)bytes, memory_order_relaxed);
    atomic_fetch_sub_explicit(&pass->segment->live_bytes, (uint32_t)old_bytes, memory_order_relaxed);
    store->evictor.survivors[to->group][queue_of(to)][to->ttl_class].used_bytes += (uint32_t)bytes;
    record_kill(record);
    tally_add(&pass->tally->item_bytes, (int64_t)bytes - (int64_t)old_bytes);
    tally_count(&pass->tally->moved);
}

static void pass_record(struct pass *pass, struct record *record, uint64_t hash)
{
    nh_store *store = pass->store;
    enum queue queue = queue_of(pass->segment);
    struct segment *to = NULL;
    struct bucket *head;
    struct place place;
    void *room = NULL;
    enum fate fate;
    unsigned uses;

    if (record_traits(record) & RECORD_DEAD)
        return;
    if (pass->purpose != PURPOSE_SWEEP)
        room = survivor_room(store, pass->now_ms, pass->segment,
                             pass->purpose == PURPOSE_EVICT ? QUEUE_MAIN : queue,
                             record_bytes(record) + sizeof(uint64_t), &to);
    head = index_lock(&store->index, hash);
    place = index_place_of(&store->index, head, location_of(&store->arena, record));
    if (place.bucket == NULL)
        goto unlock;
    fate = record_fate(store, record, record_traits(record), pass->segment, pass->now_ms);
    uses = slot_uses(place_slot(place));
    if (fate != FATE_ALIVE) {
        drop(pass, head, place, record, fate);
    } else if (pass->purpose == PURPOSE_SWEEP) {
        segment_note_expiry(pass->segment,
                            record_expires_at_ms(record, record_traits(record), pass->segment));
    } else if (pass->purpose == PURPOSE_PACK) {
        if (room != NULL)
            move(pass, place, hash, record, room, to, uses);
        else
            pass->is_stuck = true;
    } else if (uses >= pass->uses_wanted && room != NULL) {
        move(pass, place, hash, record, room, to, queue == QUEUE_MAIN ? uses - 1 : 0);
    } else {
        if (queue == QUEUE_SMALL)
            ghost_remember(&store->ghost, hash);
        drop(pass, head, place, record, FATE_ALIVE);
    }
unlock:
    index_unlock(head);
}

/* Goes through `used_bytes` of the segment, asking for the buckets of a few records ahead. */
static void pass_through(struct pass *pass, uint32_t used_bytes)
{
    nh_store *store = pass->store;
    char *start = segment_start(&store->arena, pass->number);
    uint64_t hashes[RECORDS_AHEAD] = {0};
    uint32_t ahead_bytes = 0, ahead = 0, done = 0;

    for (uint32_t at = 0; at < used_bytes && !pass->is_stuck; done++) {
        struct record *record = (struct record *)(void *)(start + at);
        for (; ahead_bytes < used_bytes && ahead < done + RECORDS_AHEAD; ahead++) {
            struct record *next = (struct record *)(void *)(start + ahead_bytes);
            uint64_t hash = 0;
            if (!(record_traits(next) & RECORD_DEAD)) {
                hash = key_hash(store->hash_seed, record_nh_key(next));
                __builtin_prefetch(index_head(&store->index, hash));
            }
            hashes[ahead % RECORDS_AHEAD] = hash;
            ahead_bytes += (uint32_t)record_bytes(next);
        }
        at += (uint32_t)record_bytes(record);
        pass_record(pass, record, hashes[done % RECORDS_AHEAD]);
        pass->looked_count++;
    }
}

/* Takes a segment of the log from its queue and empties it. False if some of it had to stay. */
static bool empty_segment(nh_store *store, int64_t now_ms, uint32_t number, enum purpose purpose,
                          unsigned uses_wanted, size_t *freed_count)
{
    struct segment *segment = &store->arena.segments[number];
    struct pass pass = {.store = store,
                        .tally = store->evictor.tally,
                        .now_ms = now_ms,
                        .purpose = purpose,
                        .number = number,
                        .segment = segment,
                        .uses_wanted = uses_wanted};

    dequeue(store, number);
    if (atomic_load_explicit(&segment->live_bytes, memory_order_acquire) != 0)
        pass_through(&pass, segment->used_bytes);
    *freed_count += pass.freed_count;
    if (pass.is_stuck) {
        queue_young(store, number);
        return false;
    }
    drain(store, number);
    return true;
}

/* ---- large values ---- */

/* Takes a queued large value from the index if it is dead, or in any case. True if it is gone. */
static bool drop_large(nh_store *store, int64_t now_ms, uint32_t first, bool only_dead, size_t *freed_count)
{
    struct segment *segment = &store->arena.segments[first];
    struct record *record = large_record(&store->arena, first);
    uint64_t hash = key_hash(store->hash_seed, record_nh_key(record));
    struct pass pass = {.store = store, .tally = store->evictor.tally};
    struct bucket *head = index_lock(&store->index, hash);
    struct place place = index_place_of(&store->index, head, location_of(&store->arena, record));
    bool stays = false;

    if (place.bucket != NULL) {
        enum fate fate = record_fate(store, record, record_traits(record), segment, now_ms);
        stays = fate == FATE_ALIVE && only_dead;
        if (!stays)
            drop(&pass, head, place, record, fate);
    }
    index_unlock(head);
    *freed_count += pass.freed_count;
    if (stays)
        return false;
    dequeue(store, first);
    drain(store, first);
    return true;
}

/* How often a queued large value was used; it then counts as used once less. */
static unsigned decay_large(nh_store *store, uint32_t first)
{
    struct record *record = large_record(&store->arena, first);
    uint64_t hash = key_hash(store->hash_seed, record_nh_key(record));
    struct bucket *head = index_lock(&store->index, hash);
    struct place place = index_place_of(&store->index, head, location_of(&store->arena, record));
    unsigned uses = place.bucket != NULL ? slot_uses(place_slot(place)) : 0;

    if (uses > 0)
        place_set(place, place_slot(place) - 1);
    index_unlock(head);
    return uses;
}

/* The least used of the oldest few large values that nobody borrows. It costs nothing to pass one over, so
 * they stay where they are and do not look younger than they are. SEGMENT_NONE: there is none. */
static uint32_t large_to_drop(nh_store *store, const struct segment_list *queue)
{
    uint32_t chosen = SEGMENT_NONE;
    unsigned least = UINT32_MAX, looked = 0;

    for (uint32_t number = queue->first; number != SEGMENT_NONE && looked < LARGE_LOOK && least > 0;
         number = store->arena.segments[number].next) {
        unsigned uses;
        if (is_pinned(&store->arena.segments[number]))
            continue;
        looked++;
        uses = decay_large(store, number);
        if (uses < least) {
            least = uses;
            chosen = number;
        }
    }
    return chosen;
}

/* ---- what is dead where it lies ---- */

/* True if a space was cleared since the segment was swept, and the segment may hold some of it. A clear is
 * numbered as a purge is. */
static bool was_cleared_since_sweep(const nh_store *store, const struct segment *segment)
{
    return segment->purge_seen != (uint32_t)tags_now(&store->tags) &&
           atomic_load_explicit(&segment->sequence, memory_order_relaxed) <=
               atomic_load_explicit(&store->cleared_sequence_last, memory_order_relaxed);
}

static bool wants_sweep(const nh_store *store, const struct segment *segment, int64_t now_ms)
{
    if (atomic_load_explicit(&segment->expires_first_ms, memory_order_relaxed) <= now_ms)
        return true;
    if (atomic_load_explicit(&segment->has_tags, memory_order_relaxed) &&
        segment->purge_seen != (uint32_t)tags_now(&store->tags))
        return true;
    return was_cleared_since_sweep(store, segment);
}

size_t evictor_sweep_records(nh_store *store, int64_t now_ms, struct tally *tally, uint32_t number,
                             uint32_t used_bytes, size_t *looked_count)
{
    struct segment *segment = &store->arena.segments[number];
    struct pass pass = {.store = store,
                        .tally = tally,
                        .now_ms = now_ms,
                        .purpose = PURPOSE_SWEEP,
                        .number = number,
                        .segment = segment};

    *looked_count += 1;
    if (!wants_sweep(store, segment, now_ms))
        return 0;
    segment->purge_seen = (uint32_t)tags_now(&store->tags);
    /* What stays says again when it expires; so does a touch meanwhile. */
    atomic_store_explicit(&segment->expires_first_ms, INT64_MAX, memory_order_relaxed);
    pass_through(&pass, used_bytes);
    *looked_count += pass.looked_count;
    return pass.freed_count;
}

/* ---- who is next ---- */

/* The oldest segment of a queue that nobody borrows from; those before it go to the young end. */
static uint32_t oldest(nh_store *store, struct segment_list *queue)
{
    for (uint32_t tries = queue->count; tries > 0; tries--) {
        uint32_t number = queue->first;
        if (!is_pinned(&store->arena.segments[number]))
            return number;
        dequeue(store, number);
        queue_young(store, number);
    }
    return SEGMENT_NONE;
}

static uint64_t age_of(const nh_store *store, uint32_t number)
{
    return number == SEGMENT_NONE ? UINT64_MAX : store->arena.segments[number].queued_sequence;
}

static bool evict_from(nh_store *store, int64_t now_ms, struct group *group, unsigned pressure)
{
    struct segment_list *small = &group->queues[QUEUE_SMALL], *main = &group->queues[QUEUE_MAIN];
    const struct segment_list *large = &group->queues[QUEUE_LARGE];
    bool small_is_over = small->count > (small->count + main->count) / SMALL_SHARE;
    uint32_t number = oldest(store, small_is_over ? small : main);
    size_t freed_count = 0;

    if (number == SEGMENT_NONE)
        number = oldest(store, small_is_over ? main : small);
    /* Large values are next if they are older, or if all of the log seems to be in use. */
    if (large->first != SEGMENT_NONE &&
        (pressure > 0 || age_of(store, large->first) <= age_of(store, number))) {
        uint32_t first = large_to_drop(store, large);
        if (first != SEGMENT_NONE)
            return drop_large(store, now_ms, first, false, &freed_count);
    }
    if (number == SEGMENT_NONE)
        return false;
    empty_segment(store, now_ms, number, PURPOSE_EVICT, 1 + pressure, &freed_count);
    return true;
}

static uint32_t queued_count(const struct group *group)
{
    return group->queues[QUEUE_SMALL].count + group->queues[QUEUE_MAIN].count +
           group->queues[QUEUE_LARGE].count;
}

/* The group that is furthest above what it is promised. */
static struct group *group_to_shrink(nh_store *store)
{
    struct group *chosen = NULL;
    int64_t most = INT64_MIN;

    for (unsigned i = 0; i < GROUPS; i++) {
        struct group *group = &store->evictor.groups[i];
        int64_t above = (int64_t)group->segments - (int64_t)group->segments_min;
        if (queued_count(group) > 0 && above > most) {
            most = above;
            chosen = group;
        }
    }
    return chosen;
}

static bool is_mostly_dead(const struct segment *segment)
{
    uint32_t live_bytes = atomic_load_explicit(&segment->live_bytes, memory_order_acquire);
    return segment->is_queued && kind_of(segment) == SEGMENT_LOG && !is_pinned(segment) &&
           (live_bytes == 0 || live_bytes < segment->used_bytes / PACK_LIVE_SHARE);
}

/* True if all in the segment may have died at once: its space was cleared, or its time has come. */
static bool may_be_dead(const nh_store *store, const struct segment *segment, int64_t now_ms)
{
    if (!segment->is_queued || kind_of(segment) != SEGMENT_LOG || is_pinned(segment))
        return false;
    return atomic_load_explicit(&segment->expires_last_ms, memory_order_relaxed) <= now_ms ||
           was_cleared_since_sweep(store, segment);
}

/* Packs the deadest segment of the next few, or the first that is wholly dead: then of all, if some have
 * died. False if none of them is mostly dead. */
static bool pack_one(nh_store *store, int64_t now_ms)
{
    struct evictor *evictor = &store->evictor;
    bool looks_at_all = atomic_exchange_explicit(&evictor->died, 0, memory_order_relaxed) != 0;
    uint32_t window = looks_at_all ? evictor->fresh : PACK_WINDOW;
    uint32_t best = SEGMENT_NONE, best_live = UINT32_MAX;
    size_t freed_count = 0, looked_count = 0;

    for (uint32_t i = 0; i < window && best_live > 0; i++) {
        uint32_t number = evictor->pack_hand;
        struct segment *segment = &store->arena.segments[number];
        evictor->pack_hand = (number + 1) % evictor->fresh;
        if (may_be_dead(store, segment, now_ms))
            evictor_sweep_records(store, now_ms, evictor->tally, number, segment->used_bytes,
                                  &looked_count);
        if (is_mostly_dead(segment)) {
            uint32_t live = atomic_load_explicit(&segment->live_bytes, memory_order_acquire);
            if (live < best_live) {
                best = number;
                best_live = live;
            }
        }
    }
    if (looks_at_all && best != SEGMENT_NONE) /* there may be more */
        atomic_store_explicit(&evictor->died, 1, memory_order_relaxed);
    return best != SEGMENT_NONE && empty_segment(store, now_ms, best, PURPOSE_PACK, 0, &freed_count);
}

/* Makes room until a writer may take a segment; with the lock held. */
static bool make_room(nh_store *store, int64_t now_ms, struct group *group)
{
    struct evictor *evictor = &store->evictor;
    uint32_t evicted_count = 0, yields = 0;

    while (yields < GRACE_YIELDS_MAX &&
           evicted_count < EVICTIONS_PER_SEGMENT_MAX * store->arena.segment_count) {
        uint32_t waiting_count = reclaim(store);
        /* Open segments may be all that a small bound allows: then it is exceeded by them. */
        bool is_at_max = group != NULL && group->segments_max != 0 &&
                         group->segments >= group->segments_max && queued_count(group) > 0;
        struct group *from = is_at_max ? group : group_to_shrink(store);

        if (!is_at_max && evictor_free_count(evictor, &store->arena) > RESERVE_SEGMENTS) {
            /* Before memory that never was touched: one to take, and one for what survives. */
            for (unsigned i = 0; i < 2 && evictor->free.count < 2 && waiting_count == 0; i++) {
                if (!pack_one(store, now_ms))
                    break;
                waiting_count = reclaim(store);
            }
            return true;
        }
        /* What is draining will do, once its readers have left. */
        if (!is_at_max && waiting_count > 0 && (waiting_count >= DRAINING_ENOUGH || yields % 64 != 63)) {
            yields++;
            sched_yield();
            continue;
        }
        if (pack_one(store, now_ms))
            continue;
        /* When everything is in use, use is no reason to stay: so the work for one segment has a bound. */
        if (from != NULL && evict_from(store, now_ms, from, evicted_count / EVICTIONS_PER_PRESSURE))
            evicted_count++;
        else if (waiting_count == 0)
            return false;
        yields++;
    }
    return false;
}

uint32_t evictor_take(nh_store *store, int64_t now_ms, unsigned group, enum segment_kind kind)
{
    struct evictor *evictor = &store->evictor;
    uint32_t number = SEGMENT_NONE;

    lock_acquire(&evictor->lock);
    if (make_room(store, now_ms, &evictor->groups[group])) {
        number = open_free(store, now_ms, kind);
        store->arena.segments[number].group = (uint8_t)group;
        evictor->groups[group].segments++;
    }
    evictor_unlock(store);
    return number;
}

bool evictor_shed(nh_store *store, int64_t now_ms)
{
    struct group *from;
    bool has_shed = false;

    lock_acquire(&store->evictor.lock);
    from = group_to_shrink(store);
    if (from != NULL)
        has_shed = evict_from(store, now_ms, from, SLOT_USES_MAX);
    reclaim(store);
    evictor_unlock(store);
    return has_shed;
}

uint32_t evictor_take_for_index(nh_store *store, int64_t now_ms)
{
    struct evictor *evictor = &store->evictor;
    uint32_t number = SEGMENT_NONE;

    lock_acquire(&evictor->lock);
    if (evictor->index_segments < store->arena.segment_count / 2 && make_room(store, now_ms, NULL)) {
        number = open_free(store, now_ms, SEGMENT_INDEX);
        evictor->index_segments++;
    }
    evictor_unlock(store);
    return number;
}

void evictor_seal(nh_store *store, uint32_t number, uint32_t used_bytes)
{
    lock_acquire(&store->evictor.lock);
    store->arena.segments[number].used_bytes = used_bytes;
    queue_young(store, number);
    lock_release(&store->evictor.lock);
}

void evictor_queue_large(nh_store *store, uint32_t first)
{
    struct segment *segment = &store->arena.segments[first];

    lock_acquire(&store->evictor.lock);
    if (atomic_load_explicit(&segment->live_bytes, memory_order_acquire) != 0)
        queue_young(store, first);
    else
        drain(store, first); /* it was deleted or replaced before it was queued */
    lock_release(&store->evictor.lock);
}

void evictor_retire_large(nh_store *store, uint32_t first, uint64_t sequence)
{
    struct segment *segment = &store->arena.segments[first];

    lock_acquire(&store->evictor.lock);
    if (segment->is_queued && atomic_load_explicit(&segment->sequence, memory_order_relaxed) == sequence) {
        dequeue(store, first);
        drain(store, first);
    }
    lock_release(&store->evictor.lock);
}

/* ---- sweeping ---- */

static size_t sweep_segment(nh_store *store, int64_t now_ms, uint32_t number, size_t *looked_count)
{
    struct segment *segment = &store->arena.segments[number];
    size_t freed_count = 0;

    if (!segment->is_queued)
        return 0;
    if (kind_of(segment) == SEGMENT_LARGE) {
        *looked_count += 1;
        if (wants_sweep(store, segment, now_ms))
            drop_large(store, now_ms, number, true, &freed_count);
        segment->purge_seen = (uint32_t)tags_now(&store->tags);
        return freed_count;
    }
    freed_count = evictor_sweep_records(store, now_ms, store->evictor.tally, number, segment->used_bytes,
                                        looked_count);
    if (is_mostly_dead(segment))
        empty_segment(store, now_ms, number, PURPOSE_PACK, 0, &freed_count);
    return freed_count;
}

static void seal_survivors_to_sweep(nh_store *store, int64_t now_ms)
{
    struct tail *tail = &store->evictor.survivors[0][0][0];

    for (unsigned i = 0; i < GROUPS * 2 * TTL_CLASSES; i++, tail++)
        if (tail->segment != SEGMENT_NONE &&
            wants_sweep(store, &store->arena.segments[tail->segment], now_ms))
            seal_survivors_tail(store, tail);
}

size_t evictor_sweep(nh_store *store, int64_t now_ms, size_t budget_count)
{
    struct evictor *evictor = &store->evictor;
    size_t freed_count = 0, looked_count = 0;

    lock_acquire(&evictor->lock);
    seal_survivors_to_sweep(store, now_ms);
    for (uint32_t i = 0; i < evictor->fresh && looked_count < budget_count; i++) {
        uint32_t number = evictor->sweep_hand;
        evictor->sweep_hand = (number + 1) % evictor->fresh;
        freed_count += sweep_segment(store, now_ms, number, &looked_count);
    }
    reclaim(store);
    evictor_unlock(store);
    return freed_count;
}

void evictor_seal_survivors(nh_store *store)
{
    struct tail *tail = &store->evictor.survivors[0][0][0];

    for (unsigned i = 0; i < GROUPS * 2 * TTL_CLASSES; i++, tail++)
        if (tail->segment != SEGMENT_NONE)
            seal_survivors_tail(store, tail);
}

void evictor_go_on_from(nh_store *store, uint64_t sequence)
{
    lock_acquire(&store->evictor.lock);
    /* One that would not leave room for versions is no store's, and harmless. */
    if (sequence > store->evictor.sequence && sequence < SEQUENCE_CREDIBLE)
        store->evictor.sequence = sequence;
    evictor_unlock(store);
}

void evictor_init(nh_store *store, uint32_t first)
{
    struct evictor *evictor = &store->evictor;
    const struct segment_list empty = {SEGMENT_NONE, SEGMENT_NONE, 0};
    struct tail *tail = &evictor->survivors[0][0][0];

    for (unsigned i = 0; i < GROUPS; i++)
        for (unsigned queue = 0; queue < QUEUES; queue++)
            evictor->groups[i].queues[queue] = empty;
    for (unsigned i = 0; i < GROUPS * 2 * TTL_CLASSES; i++)
        tail[i].segment = SEGMENT_NONE;
    evictor->free = evictor->draining = empty;
    evictor->fresh = first;
}
