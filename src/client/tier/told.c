#include "client/tier/told.h"
#include "client/tier/tier_inner.h"

static void on_invalidated(void *owner, struct source *source, struct bytes key)
{
    struct tier_worker *worker = owner;
    struct tier *tier = worker->tier;
    uint64_t hash = own_writes_hash(tier->own_writes, key);
    int64_t now_ms = tier_now_ms(worker);
    bool was_near = near_drop(&tier->near, key, valkey_slot(key));

    counters_add(worker->counters,
                 was_near ? METRIC_tier_invalidations_useful : METRIC_tier_invalidations_useless, 1);
    hot_writers_note(&worker->hot, hash, now_ms);
    flights_poison(worker, source, key, hash);
    for (struct list *node = tier->listeners.next; node != &tier->listeners; node = node->next) {
        struct tier_listener *listener = CONTAINER_OF(node, struct tier_listener, in_tier);
        if (bytes_start_with(key, listener->prefix))
            listener->invalidated(listener->owner, key);
    }
    watches_tell_key(worker, key, hash); /* last: it may do anything */
}

static enum metric flush_metric(enum source_flush why)
{
    switch (why) {
    case SOURCE_FLUSHED_ALL: return METRIC_tier_flushes_asked;
    case SOURCE_LOST: return METRIC_tier_flushes_lost;
    case SOURCE_CHANGED_ROLE: return METRIC_tier_flushes_role;
    }
    UNREACHABLE();
}

static void on_flushed(void *owner, struct source *source, enum source_flush why)
{
    struct tier_worker *worker = owner;

    counters_add(worker->counters, flush_metric(why), 1);
    marks_note_generation(worker->tier->marks, source_index(source));
    watches_look(worker);
}

static void on_slot_moved(void *owner, uint16_t slot)
{
    struct tier_worker *worker = owner;

    counters_add(worker->counters, METRIC_tier_slots_moved, 1);
    marks_move_slot(worker->tier->marks, slot);
    watches_look(worker);
}

static void on_came(void *owner)
{
    struct tier_worker *worker = owner;

    if (worker->number == 0)
        log_write(worker->tier->options.log, LOG_INFO, "tier: there is a server that can be used");
}

static void on_went(void *owner)
{
    struct tier_worker *worker = owner;

    if (worker->number == 0)
        log_write(worker->tier->options.log, LOG_WARNING,
                  "tier: there is no server that can be used: nothing near is given until there is");
}

const struct valkey_callbacks tier_told = {on_invalidated, on_flushed, on_slot_moved, on_came, on_went};

void tier_forget(struct tier *tier, struct bytes key)
{
    uint64_t hash = own_writes_hash(tier->own_writes, key);

    own_writes_lock(tier->own_writes, hash);
    own_writes_add(tier->own_writes, hash);
    near_drop(&tier->near, key, valkey_slot(key));
    own_writes_unlock(tier->own_writes, hash);
}

void tier_forget_all(struct tier *tier) { marks_move_all(tier->marks); }

void tier_listen(struct tier *tier, struct tier_listener *listener)
{
    list_append(&tier->listeners, &listener->in_tier);
}
