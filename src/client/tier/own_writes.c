#include "client/tier/own_writes.h"
#include "base/hash.h"
#include <stdlib.h>

struct own_writes *own_writes_create(void)
{
    struct own_writes *writes = aligned_alloc(_Alignof(struct own_writes), sizeof *writes);

    if (writes == NULL)
        return NULL;
    memset(writes, 0, sizeof *writes);
    writes->seed = hash_seed_random();
    for (size_t i = 0; i < OWN_WRITE_LOCKS; i++)
        pthread_mutex_init(&writes->locks[i].mutex, NULL);
    return writes;
}

void own_writes_destroy(struct own_writes *writes)
{
    if (writes == NULL)
        return;
    for (size_t i = 0; i < OWN_WRITE_LOCKS; i++)
        pthread_mutex_destroy(&writes->locks[i].mutex);
    free(writes);
}

uint64_t own_writes_hash(const struct own_writes *writes, struct bytes key)
{
    return hash_bytes(key, writes->seed);
}

uint32_t own_writes_count(const struct own_writes *writes, uint64_t hash)
{
    return atomic_load_explicit(&writes->counts[hash % OWN_WRITE_COUNTS], memory_order_acquire);
}

void own_writes_lock(struct own_writes *writes, uint64_t hash)
{
    pthread_mutex_lock(&writes->locks[hash % OWN_WRITE_LOCKS].mutex);
}

void own_writes_unlock(struct own_writes *writes, uint64_t hash)
{
    pthread_mutex_unlock(&writes->locks[hash % OWN_WRITE_LOCKS].mutex);
}

void own_writes_add(struct own_writes *writes, uint64_t hash)
{
    atomic_fetch_add_explicit(&writes->counts[hash % OWN_WRITE_COUNTS], 1, memory_order_release);
}
