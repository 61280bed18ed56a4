#include "store/lease.h"
#include <stddef.h>

static struct lease *lock_set(struct leases *leases, uint64_t hash, struct lock **lock)
{
    uint32_t set = (uint32_t)(hash >> 20) & (leases->set_count - 1);

    *lock = &leases->locks[set % LEASE_LOCKS];
    lock_acquire(*lock);
    return &leases->rows[set * LEASE_SET];
}

static void forget(struct leases *leases, struct lease *lease)
{
    lease->token = 0;
    atomic_fetch_sub_explicit(&leases->given_count, 1, memory_order_relaxed);
}

uint64_t lease_give(struct leases *leases, uint64_t hash, uint32_t space, int64_t now_ms,
                    int64_t ends_at_ms, uint64_t purge_number)
{
    struct lock *lock;
    struct lease *set = lock_set(leases, hash, &lock), *chosen = &set[0];
    uint64_t token = 0;

    for (unsigned i = 0; i < LEASE_SET; i++) {
        if (set[i].token != 0 && set[i].ends_at_ms <= now_ms)
            forget(leases, &set[i]);
        if (set[i].token != 0 && set[i].hash == hash)
            goto unlock;
        if (set[i].token == 0 || (chosen->token != 0 && set[i].ends_at_ms < chosen->ends_at_ms))
            chosen = &set[i];
    }
    if (chosen->token == 0)
        atomic_fetch_add_explicit(&leases->given_count, 1, memory_order_relaxed);
    token = atomic_fetch_add_explicit(&leases->last_token, 1, memory_order_relaxed) + 1;
    *chosen = (struct lease){hash, token, ends_at_ms, purge_number, space};
unlock:
    lock_release(lock);
    return token;
}

uint64_t lease_purge_number(struct leases *leases, uint64_t hash)
{
    uint64_t number = UINT64_MAX;
    struct lock *lock;
    const struct lease *set;

    if (atomic_load_explicit(&leases->given_count, memory_order_relaxed) == 0)
        return number;
    set = lock_set(leases, hash, &lock);
    for (unsigned i = 0; i < LEASE_SET; i++)
        if (set[i].token != 0 && set[i].hash == hash)
            number = set[i].purge_number;
    lock_release(lock);
    return number;
}

bool lease_holds(struct leases *leases, uint64_t hash, int64_t now_ms, uint64_t token,
                 uint64_t *purge_number)
{
    struct lock *lock;
    const struct lease *set = lock_set(leases, hash, &lock);
    bool holds = false;

    for (unsigned i = 0; i < LEASE_SET && token != 0; i++)
        if (set[i].token == token && set[i].hash == hash && set[i].ends_at_ms > now_ms) {
            *purge_number = set[i].purge_number;
            holds = true;
        }
    lock_release(lock);
    return holds;
}

bool lease_return(struct leases *leases, uint64_t hash, uint64_t token)
{
    struct lock *lock;
    struct lease *set = lock_set(leases, hash, &lock);
    bool is_there = false;

    for (unsigned i = 0; i < LEASE_SET && token != 0; i++)
        if (set[i].token == token && set[i].hash == hash) {
            forget(leases, &set[i]);
            is_there = true;
        }
    lock_release(lock);
    return is_there;
}

void lease_end(struct leases *leases, uint64_t hash)
{
    struct lock *lock;
    struct lease *set;

    if (atomic_load_explicit(&leases->given_count, memory_order_seq_cst) == 0)
        return;
    set = lock_set(leases, hash, &lock);
    for (unsigned i = 0; i < LEASE_SET; i++)
        if (set[i].token != 0 && set[i].hash == hash)
            forget(leases, &set[i]);
    lock_release(lock);
}

void lease_end_all(struct leases *leases, uint32_t space)
{
    if (atomic_load_explicit(&leases->given_count, memory_order_seq_cst) == 0)
        return;
    for (uint32_t set = 0; set < leases->set_count; set++) {
        struct lock *lock = &leases->locks[set % LEASE_LOCKS];
        lock_acquire(lock);
        for (struct lease *row = &leases->rows[set * LEASE_SET], *end = row + LEASE_SET; row < end; row++)
            if (row->token != 0 && (space == NH_SPACE_ALL || row->space == space))
                forget(leases, row);
        lock_release(lock);
    }
}
