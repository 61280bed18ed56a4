/* kv_info.c — INFO: lines of name:value in sections, under the names that dashboards and client libraries
 * read from Redis. What this server does not have is left out, but for fields that readers insist on. */
#include "base/buffer.h"
#include "engine/kv/kv_call.h"
#include "engine/kv/kv_version.h"
#include <unistd.h>

struct info {
    const struct kv_call *call;
    struct kv_facts facts;
    nh_stats stats;
    struct buffer text;
};

#define LINE(info, format, ...)   buffer_append_format(&(info)->text, format "\r\n", __VA_ARGS__)
#define NUMBER(info, name, value) LINE(info, name ":%llu", (unsigned long long)(value))

/* "1.50M", as Redis writes it. */
static void line_human(struct info *info, const char *name, uint64_t bytes)
{
    static const char units[] = "KMGTP";
    double size = (double)bytes / 1024;
    size_t unit = 0;

    if (bytes < 1024) {
        LINE(info, "%s:%lluB", name, (unsigned long long)bytes);
        return;
    }
    for (; size >= 1024 && unit < sizeof units - 2; unit++)
        size /= 1024;
    LINE(info, "%s:%.2f%c", name, size, units[unit]);
}

static void write_server(struct info *info)
{
    int64_t uptime_s = (info->call->now.mono_ms - info->facts.started_mono_ms) / 1000;

    LINE(info, "redis_version:%s", KV_REDIS_VERSION);
    LINE(info, "nuthatch_version:%s", NUTHATCH_VERSION);
    LINE(info, "redis_mode:%s", "standalone");
    LINE(info, "os:%s", "Linux");
    NUMBER(info, "arch_bits", 8 * sizeof(void *));
    LINE(info, "multiplexing_api:%s", info->facts.loop_name != NULL ? info->facts.loop_name : "");
    LINE(info, "process_id:%d", (int)getpid());
    LINE(info, "tcp_port:%d", info->facts.tcp_port);
    LINE(info, "server_time_usec:%lld", (long long)info->call->now.wall_ms * 1000);
    LINE(info, "uptime_in_seconds:%lld", (long long)uptime_s);
    LINE(info, "uptime_in_days:%lld", (long long)uptime_s / 86400);
    LINE(info, "io_threads_active:%d", info->facts.thread_count > 1);
    LINE(info, "threads:%u", info->facts.thread_count);
}

static void write_clients(struct info *info)
{
    NUMBER(info, "connected_clients", info->facts.connections_now);
    NUMBER(info, "maxclients", info->facts.connections_max);
    LINE(info, "blocked_clients:%d", 0);
}

static void write_memory(struct info *info)
{
    NUMBER(info, "used_memory", info->stats.memory_bytes);
    line_human(info, "used_memory_human", info->stats.memory_bytes);
    NUMBER(info, "used_memory_rss", info->facts.resident_bytes);
    line_human(info, "used_memory_rss_human", info->facts.resident_bytes);
    NUMBER(info, "maxmemory", info->stats.memory_bytes_max);
    line_human(info, "maxmemory_human", info->stats.memory_bytes_max);
    LINE(info, "maxmemory_policy:%s", "allkeys-lru");
    LINE(info, "mem_fragmentation_ratio:%.2f",
         info->stats.memory_bytes > 0
             ? (double)info->facts.resident_bytes / (double)info->stats.memory_bytes
             : 0.0);
    NUMBER(info, "index_bytes", info->stats.index_bytes);
    NUMBER(info, "segment_bytes", info->stats.segment_bytes);
    NUMBER(info, "pinned_bytes", info->stats.pinned_bytes);
    NUMBER(info, "borrowed_copied_bytes", info->stats.borrowed_copied_bytes);
}

/* Libraries wait until loading is 0. */
static void write_persistence(struct info *info)
{
    LINE(info, "loading:%d", 0);
    LINE(info, "aof_enabled:%d", 0);
}

static void write_stats(struct info *info)
{
    const uint64_t *metrics = info->facts.metrics;

    NUMBER(info, "total_connections_received", metrics[METRIC_connections_accepted]);
    NUMBER(info, "total_commands_processed", metrics[METRIC_commands]);
    NUMBER(info, "total_net_input_bytes", metrics[METRIC_bytes_received]);
    NUMBER(info, "total_net_output_bytes", metrics[METRIC_bytes_sent]);
    NUMBER(info, "rejected_connections", metrics[METRIC_connections_refused]);
    NUMBER(info, "expired_keys", info->stats.expired);
    NUMBER(info, "evicted_keys", info->stats.evicted);
    NUMBER(info, "moved_keys", info->stats.moved);
    NUMBER(info, "stale_served", info->stats.stale_served);
    NUMBER(info, "keyspace_hits", metrics[METRIC_get_hits]);
    NUMBER(info, "keyspace_misses", metrics[METRIC_get_misses]);
    NUMBER(info, "pubsub_channels", kv_pubsub_table_topics(info->call->kv->hub->topics, KV_TOPIC_CHANNEL));
    NUMBER(info, "pubsub_patterns", kv_pubsub_table_topics(info->call->kv->hub->topics, KV_TOPIC_PATTERN));
    NUMBER(info, "pubsubshard_channels",
           kv_pubsub_table_topics(info->call->kv->hub->topics, KV_TOPIC_SHARD));
    NUMBER(info, "rejected_writes", info->stats.rejected);
    NUMBER(info, "protocol_errors", metrics[METRIC_protocol_errors]);
}

static void write_replication(struct info *info)
{
    LINE(info, "role:%s", "master");
    LINE(info, "connected_slaves:%d", 0);
}

static void write_cluster(struct info *info) { LINE(info, "cluster_enabled:%d", 0); }

/* Readers take a line apart at "expires" and "avg_ttl"; the store does not count what has an expiry, so
 * both say 0. */
static void write_keyspace(struct info *info)
{
    for (uint32_t space = 0; space < KV_SPACES; space++) {
        uint64_t count = nh_count(info->call->kv->store, space);
        if (count > 0)
            LINE(info, "db%u:keys=%llu,expires=0,avg_ttl=0", space, (unsigned long long)count);
    }
}

/* Everything that workers count, by the names of the table. */
static void write_nuthatch(struct info *info)
{
    for (int metric = 0; metric < METRIC_COUNT; metric++)
        LINE(info, "%s:%llu", metric_name((enum metric)metric),
             (unsigned long long)info->facts.metrics[metric]);
}

static const struct section {
    const char *name, *title;
    void (*write)(struct info *info);
} sections[] = {
    {"server", "Server", write_server},       {"clients", "Clients", write_clients},
    {"memory", "Memory", write_memory},       {"persistence", "Persistence", write_persistence},
    {"stats", "Stats", write_stats},          {"replication", "Replication", write_replication},
    {"cluster", "Cluster", write_cluster},    {"nuthatch", "Nuthatch", write_nuthatch},
    {"keyspace", "Keyspace", write_keyspace},
};

static bool is_asked_for(const struct kv_call *call, const struct section *section)
{
    if (call->argument_count == 1)
        return true;
    for (uint32_t i = 1; i < call->argument_count; i++)
        if (kv_argument_is(call, i, bytes_of_text(section->name)) ||
            kv_argument_is(call, i, BYTES("all")) || kv_argument_is(call, i, BYTES("default")) ||
            kv_argument_is(call, i, BYTES("everything")))
            return true;
    return false;
}

void kv_info(const struct kv_call *call)
{
    struct info info = {.call = call, .stats = {.size = sizeof info.stats}};

    call->kv->read_facts(call->kv->facts_context, &info.facts);
    nh_stats_read(call->kv->store, &info.stats);
    for (size_t i = 0; i < COUNT_OF(sections); i++) {
        if (!is_asked_for(call, &sections[i]))
            continue;
        if (info.text.size > 0)
            buffer_append_literal(&info.text, "\r\n");
        LINE(&info, "# %s", sections[i].title);
        sections[i].write(&info);
    }
    if (info.text.failed)
        kv_refused(call, NH_NO_MEMORY);
    else
        reply_say(call->reply,
                  &(struct outcome){.kind = OUTCOME_verbatim, .bytes = buffer_bytes(&info.text)});
    buffer_fini(&info.text);
}
