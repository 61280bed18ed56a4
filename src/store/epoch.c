#include "store/epoch.h"

bool epoch_advance(struct epoch *epoch)
{
    uint64_t now = atomic_load_explicit(&epoch->now, memory_order_relaxed);

    for (unsigned i = 0; i < EPOCH_STRIPES; i++)
        if (atomic_load_explicit(&epoch->stripes[i].inside[(now + 1) & 1], memory_order_seq_cst) != 0)
            return false;
    atomic_store_explicit(&epoch->now, now + 1, memory_order_seq_cst);
    return true;
}
