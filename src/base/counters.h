/* counters.h — this worker's counters, one per row of tables/metrics.def.
 *
 * Only the owning worker writes; any thread may read a value that is a moment old. */
#pragma once
#include <stdatomic.h>
#include <stdint.h>

enum metric {
#define METRIC(name, help) METRIC_##name,
#include "tables/metrics.def"
#undef METRIC
    METRIC_COUNT
};

struct counters {
    _Atomic uint64_t of[METRIC_COUNT];
};

static inline void counters_add(struct counters *counters, enum metric metric, uint64_t amount)
{
    uint64_t before = atomic_load_explicit(&counters->of[metric], memory_order_relaxed);
    atomic_store_explicit(&counters->of[metric], before + amount, memory_order_relaxed);
}

static inline uint64_t counters_read(const struct counters *counters, enum metric metric)
{
    return atomic_load_explicit(&counters->of[metric], memory_order_relaxed);
}

/* The metric's name as the table writes it, and what it counts. Static. */
const char *metric_name(enum metric metric);
const char *metric_help(enum metric metric);
