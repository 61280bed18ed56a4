/* kv_gate.h — how the workers' engines keep out of each other's way.
 *
 * A worker is inside while it runs a batch of commands. Many are inside at once, as a command on one key is
 * one step of the store. A command that must find several keys as they are at one moment goes on alone: it
 * waits until the others have come out, and lets none in until it is done. Nobody inside waits for anything
 * else, so the wait is as long as a batch.
 *
 * Coming in costs a store and a load; alone is dear and stops everybody, so a change of one key is better
 * tried again until nobody came between (nh_cas). */
#pragma once
#include "base/err.h"
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>

struct kv_lane {
    alignas(64) _Atomic bool is_inside;
};

struct kv_gate {
    alignas(64) _Atomic bool is_shut;
    pthread_mutex_t alone; /* held by who is */
    struct kv_lane *lanes; /* one per worker */
    unsigned lane_count;
};

/* ERR_NO_MEMORY. */
enum err kv_gate_init(struct kv_gate *gate, unsigned worker_count);
void kv_gate_fini(struct kv_gate *gate);

/* By worker number `lane`, in turns. */
void kv_gate_enter(struct kv_gate *gate, unsigned lane);
static inline void kv_gate_leave(struct kv_gate *gate, unsigned lane)
{
    atomic_store_explicit(&gate->lanes[lane].is_inside, false, memory_order_release);
}

/* By a worker that is inside and not alone: others may come between. Together: it is inside as before. */
void kv_gate_go_alone(struct kv_gate *gate, unsigned lane);
void kv_gate_go_together(struct kv_gate *gate, unsigned lane);
