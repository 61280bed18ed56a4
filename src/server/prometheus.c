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

/* ---- servers of the shared tier ------------------------------------------------------------------- */

static void begin_gauge(struct buffer *out, const char *name, const char *help)
{
    buffer_append_format(out, "# HELP nuthatch_tier_server_%s %s\n# TYPE nuthatch_tier_server_%s gauge\n",
                         name, help, name);
}

/* The name of a series, up to where its value begins; `more`: further labels. */
static void begin_series(struct buffer *out, const char *name, const struct tier_board_node *node,
                         const char *more)
{
    buffer_append_format(out, "nuthatch_tier_server_%s{server=\"", name);
    for (const char *at = node->facts.address; *at != '\0'; at++) { /* what a cluster calls it */
        if (*at == '"' || *at == '\\')
            buffer_append_byte(out, '\\');
        buffer_append_byte(out, *at == '\n' ? ' ' : *at);
    }
    buffer_append_format(out, "\"%s} ", more);
}

static void append_round_trips(struct buffer *out, const struct tier_board_node *node)
{
    const struct {
        const char *label;
        uint32_t us;
    } quantiles[] = {{",quantile=\"0.5\"", node->facts.p50_us},
                     {",quantile=\"0.99\"", node->facts.p99_us},
                     {",quantile=\"1\"", node->facts.max_us}};

    for (size_t i = 0; i < COUNT_OF(quantiles) && node->facts.round_trips > 0; i++) {
        begin_series(out, "round_trip_seconds", node, quantiles[i].label);
        buffer_append_format(out, "%.6f\n", (double)quantiles[i].us / 1e6);
    }
}

void prometheus_append_tier(struct buffer *out, const struct tier_board_node *nodes, size_t count)
{
    begin_gauge(out, "open", "threads whose connection to the server is open");
    for (size_t i = 0; i < count; i++) {
        begin_series(out, "open", &nodes[i],
                     nodes[i].facts.is_primary ? ",role=\"primary\"" : ",role=\"replica\"");
        buffer_append_format(out, "%u\n", nodes[i].open_count);
    }
    begin_gauge(out, "left_alone", "threads that leave the server alone because it failed too often");
    for (size_t i = 0; i < count; i++) {
        begin_series(out, "left_alone", &nodes[i], "");
        buffer_append_format(out, "%u\n", nodes[i].left_alone_count);
    }
    begin_gauge(out, "slots", "slots that the server has");
    for (size_t i = 0; i < count; i++) {
        begin_series(out, "slots", &nodes[i], "");
        buffer_append_format(out, "%u\n", nodes[i].facts.slot_count);
    }
    begin_gauge(out, "in_flight", "calls under way at the server");
    for (size_t i = 0; i < count; i++) {
        begin_series(out, "in_flight", &nodes[i], "");
        buffer_append_format(out, "%u\n", nodes[i].facts.in_flight);
    }
    begin_gauge(out, "coherence_age_seconds",
                "how long ago the moment is up to which all changes of the server are known");
    for (size_t i = 0; i < count; i++) {
        begin_series(out, "coherence_age_seconds", &nodes[i], "");
        if (nodes[i].facts.coherence_age_ms == INT64_MAX)
            buffer_append_literal(out, "+Inf\n");
        else
            buffer_append_format(out, "%.3f\n", (double)nodes[i].facts.coherence_age_ms / 1e3);
    }
    begin_gauge(out, "round_trip_seconds", "how long the server took to answer");
    for (size_t i = 0; i < count; i++)
        append_round_trips(out, &nodes[i]);
}
