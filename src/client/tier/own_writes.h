/* own_writes.h — this process's own writes, counted by hash of key, so that what any worker read before one
 * is not put near after it.
 *
 * A write is counted, and what is near of its key dropped, under the lock of its key; and under the same
 * lock who puts something near looks whether the count is still what it was when it was asked for. */
#pragma once
#include "base/bytes.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

/* A power of two each: with so many counts two keys seldom share one while a read is under way. */
enum { OWN_WRITE_COUNTS = 16384, OWN_WRITE_LOCKS = 256 };

struct own_writes {
    uint64_t seed;
    _Atomic uint32_t counts[OWN_WRITE_COUNTS];
    struct own_write_lock {
        _Alignas(64) pthread_mutex_t mutex;
    } locks[OWN_WRITE_LOCKS];
};

struct own_writes *own_writes_create(void);
void own_writes_destroy(struct own_writes *writes);

uint64_t own_writes_hash(const struct own_writes *writes, struct bytes key);
uint32_t own_writes_count(const struct own_writes *writes, uint64_t hash);

void own_writes_lock(struct own_writes *writes, uint64_t hash);
void own_writes_unlock(struct own_writes *writes, uint64_t hash);
/* With the lock held. */
void own_writes_add(struct own_writes *writes, uint64_t hash);
