/* tier_inner.h — what the files of this folder share. */
#pragma once
#include "client/tier/facts.h"
#include "client/tier/flight.h"
#include "client/tier/hot_writers.h"
#include "client/tier/near.h"
#include "client/tier/own_writes.h"
#include "client/tier/watch.h"

struct tier {
    struct tier_options options;
    struct marks *marks;
    struct own_writes *own_writes;
    struct near_store near;
    struct list listeners; /* of tier_listener.in_tier */
};

struct tier_worker {
    struct tier *tier;
    unsigned number;
    struct loop *loop;
    struct counters *counters;
    struct valkey *valkey;
    struct flights flights;
    struct watches watches;
    struct hot_writers hot;
    struct facts facts;
    void (*stopped)(void *owner);
    void *stopped_owner;
};

static inline int64_t tier_now_ms(const struct tier_worker *worker)
{
    return loop_now(worker->loop).mono_ms;
}
