/* lock.h — a four-byte lock: a few spins, then sleep in the kernel. Not recursive.
 *
 * state 0: free; 1: held; 2: held, and somebody may be asleep. Only a holder that finds 2 pays for a
 * system call. */
#pragma once
#include "base/compiler.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct lock {
    _Atomic uint32_t state;
};

/* The slow halves: wait until the lock is ours, and wake one that waits. */
void lock_wait(struct lock *lock);
void lock_wake(struct lock *lock);

static inline void lock_acquire(struct lock *lock)
{
    uint32_t state = 0;
    if (UNLIKELY(!atomic_compare_exchange_strong_explicit(&lock->state, &state, 1, memory_order_acquire,
                                                          memory_order_relaxed)))
        lock_wait(lock);
}

static inline bool lock_try(struct lock *lock)
{
    uint32_t state = 0;
    return atomic_compare_exchange_strong_explicit(&lock->state, &state, 1, memory_order_acquire,
                                                   memory_order_relaxed);
}

static inline void lock_release(struct lock *lock)
{
    if (UNLIKELY(atomic_exchange_explicit(&lock->state, 0, memory_order_release) == 2))
        lock_wake(lock);
}
