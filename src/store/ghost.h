/* ghost.h — whom we dropped lately: fingerprints of keys that left the small queue unused. One that comes
 * back goes to the main queue at once (S3-FIFO, SOSP'23, §4.2).
 *
 * Rows of 8 fingerprints, each row first in, first out, so that no order is kept over all. Mistakes are
 * rare and cost only a place in the wrong queue. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { GHOST_ROW = 8 };

struct ghost {
    _Atomic uint16_t (*rows)[GHOST_ROW];
    uint32_t row_count;
};

static inline _Atomic uint16_t *ghost_row(const struct ghost *ghost, uint64_t hash)
{
    return ghost->rows[(hash >> 16 & 0xffffffff) * ghost->row_count >> 32];
}

static inline uint16_t ghost_print(uint64_t hash)
{
    uint16_t print = (uint16_t)(hash >> 48 ^ hash);
    return print != 0 ? print : 1;
}

/* One thread at a time. */
static inline void ghost_remember(struct ghost *ghost, uint64_t hash)
{
    _Atomic uint16_t *row = ghost_row(ghost, hash);

    for (unsigned i = GHOST_ROW - 1; i > 0; i--)
        atomic_store_explicit(&row[i], atomic_load_explicit(&row[i - 1], memory_order_relaxed),
                              memory_order_relaxed);
    atomic_store_explicit(&row[0], ghost_print(hash), memory_order_relaxed);
}

/* True if the key was dropped lately; it is then forgotten. Any thread. */
static inline bool ghost_recall(struct ghost *ghost, uint64_t hash)
{
    _Atomic uint16_t *row = ghost_row(ghost, hash);
    uint16_t print = ghost_print(hash);

    for (unsigned i = 0; i < GHOST_ROW; i++)
        if (atomic_load_explicit(&row[i], memory_order_relaxed) == print) {
            atomic_store_explicit(&row[i], 0, memory_order_relaxed);
            return true;
        }
    return false;
}
