#include "client/tier/tier.h"
#include "base/hash.h"
#include "client/tier/tier_inner.h"
#include "client/tier/told.h"
#include <stdlib.h>

/* What an earlier process left in a store that was saved was marked by its epochs: these begin elsewhere,
 * in the lower half of all, so that they do not come to their end. */
static uint32_t random_epoch(void) { return (uint32_t)(hash_seed_random() % INT32_MAX) + 1; }

enum err tier_create(const struct tier_options *options, struct tier **tier)
{
    struct tier *made = calloc(1, sizeof *made);

    if (made == NULL)
        return ERR_NO_MEMORY;
    made->options = *options;
    list_init(&made->listeners);
    made->marks = marks_create(options->max_staleness_ms, random_epoch());
    made->own_writes = own_writes_create();
    made->near = (struct near_store){.store = options->store, .marks = made->marks};
    if (made->marks == NULL || made->own_writes == NULL) {
        tier_destroy(made);
        return ERR_NO_MEMORY;
    }
    *tier = made;
    return OK;
}

void tier_destroy(struct tier *tier)
{
    if (tier == NULL)
        return;
    marks_destroy(tier->marks);
    own_writes_destroy(tier->own_writes);
    free(tier);
}

enum err tier_worker_create(struct tier *tier, unsigned number, struct loop *loop,
                            struct counters *counters, struct tier_worker **worker)
{
    uint32_t share = VALKEY_SOURCES_MAX / (tier->options.worker_count > 0 ? tier->options.worker_count : 1);
    struct tier_worker *made = calloc(1, sizeof *made);
    enum err err;

    if (made == NULL)
        return ERR_NO_MEMORY;
    made->tier = tier;
    made->number = number;
    made->loop = loop;
    made->counters = counters;
    flights_init(&made->flights);
    watches_init(&made->watches);
    err = facts_init(made, number * share, share);
    if (err != OK)
        goto free_worker;
    err = valkey_create(tier->options.server, loop, counters, tier->marks->sources, number * share,
                        (number + 1) * share, &tier_told, made, &made->valkey);
    if (err != OK)
        goto fini_facts;
    *worker = made;
    return OK;

fini_facts:
    facts_stop(made);
    facts_fini(made);
free_worker:
    free(made);
    return err;
}

/* Every call has ended, and so has every flight. */
static void on_stopped(void *owner)
{
    struct tier_worker *worker = owner;

    facts_stop(worker);
    flights_stop(worker);
    watches_tell_all(worker);
    worker->stopped(worker->stopped_owner);
}

void tier_worker_stop(struct tier_worker *worker, void (*stopped)(void *owner), void *owner)
{
    worker->stopped = stopped;
    worker->stopped_owner = owner;
    valkey_stop(worker->valkey, on_stopped);
}

void tier_worker_destroy(struct tier_worker *worker)
{
    if (worker == NULL)
        return;
    valkey_destroy(worker->valkey);
    flights_fini(worker);
    watches_fini(worker);
    facts_stop(worker);
    facts_fini(worker);
    free(worker);
}

struct valkey *tier_valkey(struct tier_worker *worker) { return worker->valkey; }
struct tier *tier_of(const struct tier_worker *worker) { return worker->tier; }

bool tier_mark_holds(const struct tier *tier, struct tier_mark mark, uint16_t slot, int64_t now_ms)
{
    return marks_hold(tier->marks, mark, slot, now_ms);
}

int64_t tier_mark_staleness_ms(const struct tier *tier, struct tier_mark mark, int64_t now_ms)
{
    return mark.slot_epoch != 0 ? marks_source_age_ms(tier->marks, mark.source, now_ms) : INT64_MAX;
}

static enum tier_near counted(struct tier_worker *worker, enum near_look look)
{
    switch (look) {
    case NEAR_LOOK_VALUE: counters_add(worker->counters, METRIC_tier_near_hits, 1); return TIER_NEAR_VALUE;
    case NEAR_LOOK_NOTHING:
        counters_add(worker->counters, METRIC_tier_near_nothing, 1);
        return TIER_NEAR_NOTHING;
    case NEAR_LOOK_DOUBTED: counters_add(worker->counters, METRIC_tier_near_doubted, 1); break;
    case NEAR_LOOK_ABSENT: counters_add(worker->counters, METRIC_tier_near_misses, 1); break;
    }
    return TIER_NOT_NEAR;
}

enum tier_near tier_peek(struct tier_worker *worker, int64_t now_ms, nh_key key, nh_value *value)
{
    return counted(worker, near_peek(&worker->tier->near, now_ms, key, value));
}

enum tier_near tier_borrow(struct tier_worker *worker, int64_t now_ms, nh_key key, nh_value *value)
{
    return counted(worker, near_borrow(&worker->tier->near, now_ms, key, value));
}
