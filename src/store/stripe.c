#include "store/stripe.h"

enum { KEYS_TOLD_AT = 32 }; /* the index learns of so many keys at a time */

struct stripe *stripe_acquire(nh_store *store)
{
    unsigned count = 1u << store->stripes_shift;
    unsigned first = store->stripes_shift == 0 ? 0 : thread_stripe(store->stripes_shift);

    for (unsigned i = 0; i < count; i++) {
        struct stripe *stripe = &store->stripes[(first + i) & (count - 1)];
        if (lock_try(&stripe->lock))
            return stripe;
    }
    lock_acquire(&store->stripes[first].lock);
    return &store->stripes[first];
}

/* ---- the index grows ---- */

static bool add_spares(nh_store *store, int64_t now_ms)
{
    uint32_t segment = evictor_take_for_index(store, now_ms);

    if (segment == SEGMENT_NONE)
        return false;
    index_add_spares(&store->index, segment);
    return true;
}

bool stripe_want_spares(nh_store *store, int64_t now_ms)
{
    bool has_spares;

    if (LIKELY(index_has_spares(&store->index)))
        return true;
    lock_acquire(&store->index.growing);
    /* An index that may not grow gets spares back from the keys that leave. */
    while (!(has_spares = index_has_spares(&store->index) || add_spares(store, now_ms)))
        if (!evictor_shed(store, now_ms))
            break;
    lock_release(&store->index.growing);
    return has_spares;
}

static bool extend(nh_store *store, int64_t now_ms)
{
    uint32_t segment;

    if (!index_needs_segment(&store->index))
        return true;
    segment = evictor_take_for_index(store, now_ms);
    if (segment == SEGMENT_NONE)
        return false;
    index_extend(&store->index, segment);
    return true;
}

/* One bucket more. If there is no room for it chains get longer, and the next writer tries again. */
static void grow(nh_store *store, int64_t now_ms)
{
    _Atomic uint32_t *inside;

    if (!lock_try(&store->index.growing))
        return; /* somebody else is at it */
    if ((index_has_spares(&store->index) || add_spares(store, now_ms)) && extend(store, now_ms)) {
        inside = epoch_enter(&store->epoch);
        index_split(&store->index);
        epoch_leave(inside);
    }
    lock_release(&store->index.growing);
}

void stripe_release(nh_store *store, struct stripe *stripe, int64_t now_ms)
{
    int64_t added = stripe->tally.keys_added;

    if (added >= KEYS_TOLD_AT || added <= -KEYS_TOLD_AT) {
        atomic_fetch_add_explicit(&store->index.key_count, added, memory_order_relaxed);
        stripe->tally.keys_added = 0;
    }
    if (UNLIKELY(index_is_crowded(&store->index)))
        grow(store, now_ms);
    lock_release(&stripe->lock);
}

/* ---- tails ---- */

/* Records that expire at about the same time share segments, which then die whole. */
static unsigned ttl_class_of(const nh_store *store, int64_t now_ms, int64_t expires_at_ms)
{
    static const int64_t up_to_ms[TTL_CLASSES - 2] = {1000, 10000, 60000, 600000, 3600000, 86400000};
    uint64_t remaining_ms = (uint64_t)expires_at_ms - (uint64_t)now_ms;
    unsigned ttl_class = 0;

    if (store->ttl_classes == 1 || expires_at_ms == 0)
        return store->ttl_classes - 1;
    while (ttl_class < TTL_CLASSES - 2 && remaining_ms > (uint64_t)up_to_ms[ttl_class])
        ttl_class++;
    return ttl_class;
}

static void seal(nh_store *store, struct tail *tail)
{
    evictor_seal(store, tail->segment, tail->used_bytes);
    tail->segment = SEGMENT_NONE;
}

struct tail *stripe_tail(nh_store *store, struct stripe *stripe, int64_t now_ms, unsigned group,
                         enum queue queue, int64_t expires_at_ms, size_t bytes)
{
    unsigned ttl_class = ttl_class_of(store, now_ms, expires_at_ms);
    struct tail *tail = &stripe->tails[group][queue][ttl_class];
    struct segment *segment;

    if (tail->segment != SEGMENT_NONE) {
        if (LIKELY(tail->used_bytes + bytes <= segment_bytes(&store->arena) &&
                   segment_suits(&store->arena.segments[tail->segment], now_ms)))
            return tail;
        seal(store, tail);
    }
    tail->segment = evictor_take(store, now_ms, group, SEGMENT_LOG);
    if (tail->segment == SEGMENT_NONE)
        return NULL;
    tail->used_bytes = 0;
    segment = &store->arena.segments[tail->segment];
    segment->ttl_class = (uint8_t)ttl_class;
    atomic_store_explicit(&segment->queue, queue, memory_order_relaxed);
    return tail;
}

void stripe_seal_all(nh_store *store, struct stripe *stripe)
{
    struct tail *tail = &stripe->tails[0][0][0];

    for (unsigned i = 0; i < GROUPS * 2 * TTL_CLASSES; i++, tail++)
        if (tail->segment != SEGMENT_NONE)
            seal(store, tail);
}
