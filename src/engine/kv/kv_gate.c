#include "engine/kv/kv_gate.h"
#include "base/compiler.h"
#include <sched.h>
#include <stdlib.h>

enum err kv_gate_init(struct kv_gate *gate, unsigned worker_count)
{
    *gate = (struct kv_gate){.lane_count = worker_count};
    gate->lanes = aligned_alloc(alignof(struct kv_lane), worker_count * sizeof *gate->lanes);
    if (gate->lanes == NULL)
        return ERR_NO_MEMORY;
    for (unsigned i = 0; i < worker_count; i++)
        atomic_init(&gate->lanes[i].is_inside, false);
    pthread_mutex_init(&gate->alone, NULL);
    return OK;
}

void kv_gate_fini(struct kv_gate *gate)
{
    pthread_mutex_destroy(&gate->alone);
    free(gate->lanes);
}

/* Either the worker sees that the gate is shut, or who shut it sees that the worker is inside: both write
 * before they read, in one order for all. */
void kv_gate_enter(struct kv_gate *gate, unsigned lane)
{
    for (;;) {
        atomic_store_explicit(&gate->lanes[lane].is_inside, true, memory_order_seq_cst);
        if (LIKELY(!atomic_load_explicit(&gate->is_shut, memory_order_seq_cst)))
            return;
        kv_gate_leave(gate, lane);
        pthread_mutex_lock(&gate->alone); /* until who is alone has done */
        pthread_mutex_unlock(&gate->alone);
    }
}

void kv_gate_go_alone(struct kv_gate *gate, unsigned lane)
{
    kv_gate_leave(gate, lane);
    pthread_mutex_lock(&gate->alone);
    atomic_store_explicit(&gate->is_shut, true, memory_order_seq_cst);
    for (unsigned i = 0; i < gate->lane_count; i++)
        while (atomic_load_explicit(&gate->lanes[i].is_inside, memory_order_seq_cst))
            sched_yield();
}

void kv_gate_go_together(struct kv_gate *gate, unsigned lane)
{
    atomic_store_explicit(&gate->lanes[lane].is_inside, true, memory_order_relaxed);
    atomic_store_explicit(&gate->is_shut, false, memory_order_release);
    pthread_mutex_unlock(&gate->alone);
}
