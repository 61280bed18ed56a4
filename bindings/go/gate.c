// go:build cgo

// Who is inside a store, and when it may be destroyed.
#include "gate.h"
#include <errno.h>
#include <stdlib.h>

/* Threads take counters in turn: two meet on one only if there are more threads
 * than counters. */
static atomic_uint threads;
static _Thread_local unsigned thread_number; /* 0: none yet */

static atomic_long *my_count(struct gate *gate)
{
    if (thread_number == 0)
        thread_number = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) % GATE_COUNTS + 1;
    return &gate->counts[thread_number - 1].inside;
}

/* How many are inside. Exact once nobody new gets in: who got in was counted
 * before the gate was closed, and who is refused counts himself in and out on
 * one counter. */
static long inside(struct gate *gate)
{
    long sum = 0;

    for (int i = 0; i < GATE_COUNTS; i++)
        sum += atomic_load(&gate->counts[i].inside);
    return sum;
}

static void destroy_if_last(struct gate *gate)
{
    int closed = GATE_CLOSED;

    if (inside(gate) == 0 && atomic_compare_exchange_strong(&gate->state, &closed, GATE_GONE))
        nh_destroy(gate->store);
}

void gate_leave(nhgo_gate *face)
{
    struct gate *gate = gate_of(face);

    atomic_fetch_sub(my_count(gate), 1);
    if (atomic_load(&gate->state) == GATE_CLOSED)
        destroy_if_last(gate);
}

int gate_enter(nhgo_gate *face)
{
    struct gate *gate = gate_of(face);

    atomic_fetch_add(my_count(gate), 1);
    if (atomic_load(&gate->state) == GATE_OPEN)
        return 1;
    gate_leave(face);
    return 0;
}

nhgo_opened nhgo_open(uint64_t memory_bytes, uint64_t value_bytes_max, uint32_t huge_pages,
                      const char *path, int64_t now_ms, int64_t wall_ms)
{
    nh_options options = {.size = sizeof options,
                          .memory_bytes = memory_bytes,
                          .value_bytes_max = value_bytes_max,
                          .huge_pages = huge_pages};
    nhgo_opened opened = {.result = NH_NO_MEMORY};
    struct gate *gate = aligned_alloc(64, sizeof *gate);

    if (gate == NULL)
        return opened;
    memset(gate, 0, sizeof *gate);
    opened.gate = &gate->face;
    opened.result = nh_create(&options, &gate->store);
    if (opened.result != NH_OK)
        goto free_gate;
    if (path == NULL)
        return opened;
    opened.result = nh_restore(gate->store, path, gate_now(now_ms), wall_ms, &opened.restored);
    opened.error_number = errno;
    if (opened.result == NH_MISSING) /* a first start */
        opened.result = NH_OK;
    if (opened.result == NH_OK)
        return opened;
    nh_destroy(gate->store);

free_gate:
    free(gate);
    opened.gate = NULL;
    return opened;
}

void nhgo_close(nhgo_gate *face)
{
    struct gate *gate = gate_of(face);
    int state = atomic_load(&gate->state), then;

    do {
        if (state != GATE_OPEN && state != GATE_HELD)
            return;
        then = state == GATE_OPEN ? GATE_CLOSED : GATE_HELD_CLOSED;
    } while (!atomic_compare_exchange_weak(&gate->state, &state, then));
    if (then == GATE_CLOSED)
        destroy_if_last(gate);
}

int32_t nhgo_hold(nhgo_gate *gate)
{
    int open = GATE_OPEN;

    return atomic_compare_exchange_strong(&gate_of(gate)->state, &open, GATE_HELD);
}

void nhgo_unhold(nhgo_gate *face)
{
    struct gate *gate = gate_of(face);
    int held = GATE_HELD;

    if (atomic_compare_exchange_strong(&gate->state, &held, GATE_OPEN))
        return;
    atomic_store(&gate->state, GATE_CLOSED);
    destroy_if_last(gate);
}

int32_t nhgo_is_idle(nhgo_gate *gate) { return inside(gate_of(gate)) == 0; }

nhgo_opened nhgo_save(nhgo_gate *gate, const char *path, int64_t now_ms, int64_t wall_ms)
{
    nhgo_opened saved = {.gate = NULL};

    saved.result = nh_save(store_of(gate), path, gate_now(now_ms), wall_ms);
    saved.error_number = errno;
    nh_destroy(store_of(gate));
    atomic_store(&gate_of(gate)->state, GATE_GONE);
    return saved;
}

void nhgo_free(nhgo_gate *face)
{
    struct gate *gate = gate_of(face);

    if (atomic_load(&gate->state) != GATE_GONE)
        nh_destroy(gate->store);
    free(gate);
}
