/* epoch.h — when memory that readers may still be looking at can be used again.
 *
 * A reader is inside while it follows what it found in the index. The epoch goes on only when everybody who
 * came in during the one before has left, so:
 *   (1) who is inside came in during the present epoch or the one before it;
 *   (2) what was found to be dead in epoch e is nobody's from epoch e + 3 on: who was about to take it out
 *       of the index then has left by e + 2, and so has by e + 3 who came by it until then.
 * A reader pays two atomic additions to a line that it shares with few others; it never waits. */
#pragma once
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { EPOCH_STRIPES_SHIFT = 6, EPOCH_STRIPES = 1 << EPOCH_STRIPES_SHIFT };

/* What readers that hash alike share; the counts of reads live here because the line is theirs anyway. */
struct epoch_stripe {
    alignas(64) _Atomic uint32_t inside[2]; /* by the epoch's lowest bit */
    _Atomic uint64_t hits, misses, stale_served;
};

_Static_assert(sizeof(struct epoch_stripe) == 64, "a stripe is a cache line");

struct epoch {
    alignas(64) _Atomic uint64_t now;
    struct epoch_stripe stripes[EPOCH_STRIPES];
};

/* A number below `1 << shift` that tells threads apart, mostly. */
static inline unsigned thread_stripe(unsigned shift)
{
#if defined __x86_64__ && !defined __clang__
    uintptr_t self = (uintptr_t)__builtin_thread_pointer(); /* the same without a call */
#else
    uintptr_t self = (uintptr_t)pthread_self();
#endif
    return (unsigned)((uint64_t)self * 0x9e3779b97f4a7c15u >> (64 - shift));
}

static inline struct epoch_stripe *epoch_stripe(struct epoch *epoch)
{
    return &epoch->stripes[thread_stripe(EPOCH_STRIPES_SHIFT)];
}

/* The stripe that a reader who is inside came in by. */
static inline struct epoch_stripe *epoch_stripe_of(_Atomic uint32_t *inside)
{
    return (struct epoch_stripe *)((uintptr_t)inside & ~(uintptr_t)(sizeof(struct epoch_stripe) - 1));
}

/* Comes in; give what is returned to epoch_leave, on any thread. */
static inline _Atomic uint32_t *epoch_enter(struct epoch *epoch)
{
    struct epoch_stripe *stripe = epoch_stripe(epoch);

    for (;;) {
        uint64_t now = atomic_load_explicit(&epoch->now, memory_order_acquire);
        _Atomic uint32_t *inside = &stripe->inside[now & 1];
        atomic_fetch_add_explicit(inside, 1, memory_order_seq_cst);
        if (__builtin_expect(atomic_load_explicit(&epoch->now, memory_order_seq_cst) == now, 1))
            return inside;
        atomic_fetch_sub_explicit(inside, 1, memory_order_release); /* it went on meanwhile, by (1) */
    }
}

static inline void epoch_leave(_Atomic uint32_t *inside)
{
    atomic_fetch_sub_explicit(inside, 1, memory_order_release);
}

/* Goes on by one epoch if nobody is left of the one before. One thread at a time. */
bool epoch_advance(struct epoch *epoch);
