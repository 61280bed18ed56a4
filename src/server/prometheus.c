#include "server/prometheus.h"
#include "base/compiler.h"
#include <inttypes.h>

static void append(struct buffer *out, const char *name, const char *type, const char *help, uint64_t value)
{
    buffer_append_format(out, "# HELP nuthatch_%s %s\n# TYPE nuthatch_%s %s\nnuthatch_%s %" PRIu64 "\n",
                         name, help, name, type, name, value);
}

void prometheus_append(struct buffer *out, const struct kv_facts *facts, const nh_stats *store,
                       int64_t now_mono_ms)
{
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } rows[] = {
        {"uptime_seconds", "gauge", "time since the start",
         (uint64_t)(now_mono_ms - facts->started_mono_ms) / 1000},
        {"threads", "gauge", "worker threads", facts->thread_count},
        {"connections", "gauge", "client connections", facts->connections_now},
        {"resident_memory_bytes", "gauge", "memory of the process", facts->resident_bytes},
        {"store_items", "gauge", "values in the store", store->items},
        {"store_memory_bytes", "gauge", "memory of the store in use", store->memory_bytes},
        {"store_memory_max_bytes", "gauge", "memory of the store at most", store->memory_bytes_max},
        {"store_hits_total", "counter", "reads of the store that found a value", store->hits},
        {"store_misses_total", "counter", "reads of the store that found none", store->misses},
        {"store_expired_total", "counter", "values freed because their time had come", store->expired},
        {"store_evicted_total", "counter", "values freed to make room", store->evicted},
        {"store_purged_total", "counter", "values freed because of a tag", store->purged},
    };

#define METRIC(name, help) append(out, #name "_total", "counter", help, facts->metrics[METRIC_##name]);
#include "tables/metrics.def"
#undef METRIC
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        append(out, rows[i].name, rows[i].type, rows[i].help, rows[i].value);
}
