/* gate.h — the inside of a gate, for the C files of this package; see core.h.
 */
#pragma once
#include "core.h"
#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum { GATE_COUNTS = 64 };
/* HELD_CLOSED: it is to be closed if it is not saved. */
enum { GATE_OPEN, GATE_CLOSED, GATE_GONE, GATE_HELD, GATE_HELD_CLOSED };

struct gate {
    nhgo_gate face; /* the first: a pointer to one is a pointer to the other */
    nh_store *store;
    atomic_int state;
    struct {
        _Alignas(64) atomic_long inside;
    } counts[GATE_COUNTS];
};

static inline struct gate *gate_of(nhgo_gate *face) { return (struct gate *)face; }
static inline nh_store *store_of(nhgo_gate *face) { return gate_of(face)->store; }

/* 0: it is closed. Whoever got in leaves once, on any thread. */
int gate_enter(nhgo_gate *gate);
void gate_leave(nhgo_gate *gate);

static inline int64_t gate_now(int64_t now_ms)
{
    struct timespec time;

    if (now_ms != NHGO_OWN_CLOCK)
        return now_ms;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}
