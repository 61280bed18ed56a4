/* kv_info.c — INFO: lines of name:value in sections, under the names that dashboards and client libraries
 * read from Redis. What this server does not have is left out, but for fields that readers insist on. */
#include "engine/kv/kv_info.h"
#include "engine/kv/kv_tracking.h"
#include "engine/kv/kv_version.h"
#include <stdio.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

/* "1.50M", as Redis writes it. */
static void line_human(struct kv_info *info, const char *name, uint64_t bytes)
{
    static const char units[] = "KMGTP";
    double size = (double)bytes / 1024;
    size_t unit = 0;

    if (bytes < 1024) {
        INFO_LINE(info, "%s:%lluB", name, (unsigned long long)bytes);
        return;
    }
    for (; size >= 1024 && unit < sizeof units - 2; unit++)
        size /= 1024;
    INFO_LINE(info, "%s:%.2f%c", name, size, units[unit]);
}

static void write_server(struct kv_info *info)
{
    int64_t uptime_s = (info->call->now.mono_ms - info->facts.started_mono_ms) / 1000;
    struct utsname system;

    INFO_LINE(info, "redis_version:%s", KV_REDIS_VERSION);
    INFO_LINE(info, "redis_git_sha1:%s", "00000000");
    INFO_LINE(info, "redis_git_dirty:%d", 0);
    INFO_LINE(info, "redis_build_id:%s", "0");
    INFO_LINE(info, "nuthatch_version:%s", NUTHATCH_VERSION);
    INFO_LINE(info, "redis_mode:%s", "standalone");
    if (uname(&system) == 0)
        INFO_LINE(info, "os:%s %s %s", system.sysname, system.release, system.machine);
    INFO_NUMBER(info, "arch_bits", 8 * sizeof(void *));
    INFO_LINE(info, "multiplexing_api:%s", info->facts.loop_name != NULL ? info->facts.loop_name : "");
    INFO_LINE(info, "gcc_version:%s", __VERSION__);
    INFO_LINE(info, "process_id:%d", (int)getpid());
    INFO_LINE(info, "process_supervised:%s", "no");
    INFO_LINE(info, "run_id:%s", info->call->kv->hub->admin->run_id);
    INFO_LINE(info, "tcp_port:%d", info->facts.tcp_port);
    INFO_LINE(info, "server_time_usec:%lld", (long long)info->call->now.wall_ms * 1000);
    INFO_LINE(info, "uptime_in_seconds:%lld", (long long)uptime_s);
    INFO_LINE(info, "uptime_in_days:%lld", (long long)uptime_s / 86400);
    INFO_LINE(info, "hz:%d", 10);
    INFO_LINE(info, "configured_hz:%d", 10);
    INFO_LINE(info, "lru_clock:%lld", (long long)(info->call->now.wall_ms / 1000 & 0xffffff));
    INFO_LINE(info, "executable:%s", "");
    INFO_LINE(info, "config_file:%s", "");
    INFO_LINE(info, "io_threads_active:%d", info->facts.thread_count > 1);
    INFO_LINE(info, "threads:%u", info->facts.thread_count);
}

static void write_clients(struct kv_info *info)
{
    INFO_NUMBER(info, "connected_clients", info->facts.connections_now);
    INFO_LINE(info, "cluster_connections:%d", 0);
    INFO_NUMBER(info, "maxclients", info->facts.connections_max);
    INFO_LINE(info, "client_recent_max_input_buffer:%d", 0);
    INFO_LINE(info, "client_recent_max_output_buffer:%d", 0);
    INFO_LINE(info, "blocked_clients:%d", 0);
    INFO_NUMBER(info, "tracking_clients",
                atomic_load_explicit(&info->call->kv->hub->tracker_count, memory_order_relaxed));
    INFO_LINE(info, "clients_in_timeout_table:%d", 0);
}

static void bytes_lines(struct kv_info *info, const char *name, uint64_t bytes)
{
    char human[64];

    INFO_LINE(info, "%s:%llu", name, (unsigned long long)bytes);
    snprintf(human, sizeof human, "%s_human", name);
    line_human(info, human, bytes);
}

static void write_memory(struct kv_info *info)
{
    uint64_t used = info->stats.memory_bytes;
    uint64_t peak =
        atomic_load_explicit(&info->call->kv->hub->admin->pulse.memory_bytes_peak, memory_order_relaxed);
    long long machine_pages = sysconf(_SC_PHYS_PAGES);

    if (peak < used)
        peak = used;
    bytes_lines(info, "used_memory", used);
    bytes_lines(info, "used_memory_rss", info->facts.resident_bytes);
    bytes_lines(info, "used_memory_peak", peak);
    INFO_LINE(info, "used_memory_peak_perc:%.2f%%", peak > 0 ? 100.0 * (double)used / (double)peak : 0.0);
    INFO_NUMBER(info, "used_memory_overhead",
                used > info->stats.item_bytes ? used - info->stats.item_bytes : 0);
    INFO_LINE(info, "used_memory_startup:%d", 0);
    INFO_NUMBER(info, "used_memory_dataset", info->stats.item_bytes);
    INFO_LINE(info, "used_memory_dataset_perc:%.2f%%",
              used > 0 ? 100.0 * (double)info->stats.item_bytes / (double)used : 0.0);
    bytes_lines(info, "total_system_memory",
                machine_pages > 0 ? (uint64_t)machine_pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0);
    INFO_LINE(info, "used_memory_lua:%d", 0);
    INFO_LINE(info, "used_memory_scripts:%d", 0);
    bytes_lines(info, "maxmemory", info->stats.memory_bytes_max);
    INFO_LINE(info, "maxmemory_policy:%s", "allkeys-lru");
    INFO_LINE(info, "mem_fragmentation_ratio:%.2f",
              used > 0 ? (double)info->facts.resident_bytes / (double)used : 0.0);
    INFO_LINE(info, "mem_fragmentation_bytes:%lld", (long long)(info->facts.resident_bytes - used));
    INFO_LINE(info, "mem_not_counted_for_evict:%d", 0);
    INFO_LINE(info, "mem_replication_backlog:%d", 0);
    INFO_LINE(info, "mem_clients_slaves:%d", 0);
    INFO_LINE(info, "mem_clients_normal:%d", 0);
    INFO_LINE(info, "mem_aof_buffer:%d", 0);
    INFO_LINE(info, "mem_allocator:%s", "nuthatch");
    INFO_LINE(info, "active_defrag_running:%d", 0);
    INFO_LINE(info, "lazyfree_pending_objects:%d", 0);
    INFO_LINE(info, "lazyfreed_objects:%d", 0);
    INFO_NUMBER(info, "index_bytes", info->stats.index_bytes);
    INFO_NUMBER(info, "segment_bytes", info->stats.segment_bytes);
    INFO_NUMBER(info, "pinned_bytes", info->stats.pinned_bytes);
    INFO_NUMBER(info, "borrowed_copied_bytes", info->stats.borrowed_copied_bytes);
}

/* Libraries wait until loading is 0; dashboards want a save that went well. */
static void write_persistence(struct kv_info *info)
{
    INFO_LINE(info, "loading:%d", 0);
    INFO_LINE(info, "async_loading:%d", 0);
    INFO_LINE(info, "rdb_changes_since_last_save:%d", 0);
    INFO_LINE(info, "rdb_bgsave_in_progress:%d", 0);
    INFO_LINE(info, "rdb_last_save_time:%lld", (long long)info->facts.started_wall_ms / 1000);
    INFO_LINE(info, "rdb_last_bgsave_status:%s", "ok");
    INFO_LINE(info, "rdb_last_bgsave_time_sec:%d", -1);
    INFO_LINE(info, "rdb_current_bgsave_time_sec:%d", -1);
    INFO_LINE(info, "aof_enabled:%d", 0);
    INFO_LINE(info, "aof_rewrite_in_progress:%d", 0);
    INFO_LINE(info, "aof_rewrite_scheduled:%d", 0);
    INFO_LINE(info, "aof_last_rewrite_time_sec:%d", -1);
    INFO_LINE(info, "aof_current_rewrite_time_sec:%d", -1);
    INFO_LINE(info, "aof_last_bgrewrite_status:%s", "ok");
    INFO_LINE(info, "aof_last_write_status:%s", "ok");
}

static double kilobytes(const _Atomic uint64_t *bytes)
{
    return (double)atomic_load_explicit(bytes, memory_order_relaxed) / 1024;
}

static void write_tracking(struct kv_info *info)
{
    uint64_t keys, readers;

    kv_tracking_count(info->call->kv->hub, &keys, &readers);
    INFO_NUMBER(info, "tracking_total_keys", keys);
    INFO_NUMBER(info, "tracking_total_items", readers);
    INFO_NUMBER(info, "tracking_total_prefixes", kv_tracking_prefix_count(info->call->kv));
}

static void write_stats(struct kv_info *info)
{
    const uint64_t *metrics = info->facts.metrics;
    const struct kv_pulse *pulse = &info->call->kv->hub->admin->pulse;

    INFO_NUMBER(info, "total_connections_received", metrics[METRIC_connections_accepted]);
    INFO_NUMBER(info, "total_commands_processed", metrics[METRIC_commands]);
    INFO_NUMBER(info, "instantaneous_ops_per_sec",
                atomic_load_explicit(&pulse->commands_per_s, memory_order_relaxed));
    INFO_NUMBER(info, "total_net_input_bytes", metrics[METRIC_bytes_received]);
    INFO_NUMBER(info, "total_net_output_bytes", metrics[METRIC_bytes_sent]);
    INFO_LINE(info, "instantaneous_input_kbps:%.2f", kilobytes(&pulse->received_bytes_per_s));
    INFO_LINE(info, "instantaneous_output_kbps:%.2f", kilobytes(&pulse->sent_bytes_per_s));
    INFO_NUMBER(info, "rejected_connections", metrics[METRIC_connections_refused]);
    INFO_LINE(info, "sync_full:%d", 0);
    INFO_LINE(info, "sync_partial_ok:%d", 0);
    INFO_LINE(info, "sync_partial_err:%d", 0);
    INFO_NUMBER(info, "expired_keys", info->stats.expired);
    INFO_LINE(info, "expired_stale_perc:%.2f", 0.0);
    INFO_LINE(info, "expired_time_cap_reached_count:%d", 0);
    INFO_NUMBER(info, "evicted_keys", info->stats.evicted);
    INFO_LINE(info, "evicted_clients:%d", 0);
    INFO_NUMBER(info, "moved_keys", info->stats.moved);
    INFO_NUMBER(info, "stale_served", info->stats.stale_served);
    INFO_NUMBER(info, "keyspace_hits", metrics[METRIC_get_hits]);
    INFO_NUMBER(info, "keyspace_misses", metrics[METRIC_get_misses]);
    INFO_NUMBER(info, "pubsub_channels",
                kv_pubsub_table_topics(info->call->kv->hub->topics, KV_TOPIC_CHANNEL));
    INFO_NUMBER(info, "pubsub_patterns",
                kv_pubsub_table_topics(info->call->kv->hub->topics, KV_TOPIC_PATTERN));
    INFO_NUMBER(info, "pubsubshard_channels",
                kv_pubsub_table_topics(info->call->kv->hub->topics, KV_TOPIC_SHARD));
    INFO_LINE(info, "latest_fork_usec:%d", 0);
    INFO_LINE(info, "total_forks:%d", 0);
    INFO_LINE(info, "migrate_cached_sockets:%d", 0);
    INFO_LINE(info, "slave_expires_tracked_keys:%d", 0);
    INFO_LINE(info, "active_defrag_hits:%d", 0);
    INFO_LINE(info, "active_defrag_misses:%d", 0);
    INFO_LINE(info, "active_defrag_key_hits:%d", 0);
    INFO_LINE(info, "active_defrag_key_misses:%d", 0);
    write_tracking(info);
    INFO_LINE(info, "unexpected_error_replies:%d", 0);
    INFO_NUMBER(info, "total_error_replies", kv_info_error_count(info));
    INFO_LINE(info, "dump_payload_sanitizations:%d", 0);
    INFO_NUMBER(info, "rejected_writes", info->stats.rejected);
    INFO_NUMBER(info, "protocol_errors", metrics[METRIC_protocol_errors]);
}

static void write_replication(struct kv_info *info)
{
    INFO_LINE(info, "role:%s", "master");
    INFO_LINE(info, "connected_slaves:%d", 0);
    INFO_LINE(info, "master_failover_state:%s", "no-failover");
    INFO_LINE(info, "master_replid:%s", info->call->kv->hub->admin->run_id);
    INFO_LINE(info, "master_replid2:%040d", 0);
    INFO_LINE(info, "master_repl_offset:%d", 0);
    INFO_LINE(info, "second_repl_offset:%d", -1);
    INFO_LINE(info, "repl_backlog_active:%d", 0);
    INFO_LINE(info, "repl_backlog_size:%d", 0);
    INFO_LINE(info, "repl_backlog_first_byte_offset:%d", 0);
    INFO_LINE(info, "repl_backlog_histlen:%d", 0);
}

static void cpu_lines(struct kv_info *info, const char *of, const struct rusage *usage)
{
    INFO_LINE(info, "used_cpu_sys%s:%lld.%06ld", of, (long long)usage->ru_stime.tv_sec,
              (long)usage->ru_stime.tv_usec);
    INFO_LINE(info, "used_cpu_user%s:%lld.%06ld", of, (long long)usage->ru_utime.tv_sec,
              (long)usage->ru_utime.tv_usec);
}

static void write_cpu(struct kv_info *info)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) == 0)
        cpu_lines(info, "", &usage);
    if (getrusage(RUSAGE_CHILDREN, &usage) == 0)
        cpu_lines(info, "_children", &usage);
    /* Of the worker that answers. */
    if (getrusage(RUSAGE_THREAD, &usage) == 0)
        cpu_lines(info, "_main_thread", &usage);
}

static void write_tier(struct kv_info *info)
{
    const struct kv_elsewhere *elsewhere = info->call->kv->elsewhere;

    INFO_LINE(info, "tier_enabled:%d", elsewhere != NULL);
    if (elsewhere != NULL)
        elsewhere->add_info(info->call, &info->text);
}

static void write_nothing(struct kv_info *info) { (void)info; }

static void write_cluster(struct kv_info *info) { INFO_LINE(info, "cluster_enabled:%d", 0); }

/* Readers take a line apart at "expires" and "avg_ttl"; the store does not count what has an expiry, so
 * both say 0. */
static void write_keyspace(struct kv_info *info)
{
    if (info->call->kv->elsewhere != NULL) /* here is a part of the keys, and which is not told */
        return;
    for (uint32_t database = 0; database < KV_DATABASES; database++) {
        uint64_t count = nh_count(info->call->kv->store, kv_space_of(info->call->kv, database));
        if (count > 0)
            INFO_LINE(info, "db%u:keys=%llu,expires=0,avg_ttl=0", database, (unsigned long long)count);
    }
}

/* Everything that workers count, by the names of the table. */
static void write_nuthatch(struct kv_info *info)
{
    for (int metric = 0; metric < METRIC_COUNT; metric++)
        INFO_LINE(info, "%s:%llu", metric_name((enum metric)metric),
                  (unsigned long long)info->facts.metrics[metric]);
}

enum { BY_DEFAULT = 1 }; /* else only by name, or with "all" and "everything" */

static const struct section {
    const char *name, *title;
    void (*write)(struct kv_info *info);
    unsigned flags;
} sections[] = {
    {"server", "Server", write_server, BY_DEFAULT},
    {"clients", "Clients", write_clients, BY_DEFAULT},
    {"memory", "Memory", write_memory, BY_DEFAULT},
    {"persistence", "Persistence", write_persistence, BY_DEFAULT},
    {"stats", "Stats", write_stats, BY_DEFAULT},
    {"replication", "Replication", write_replication, BY_DEFAULT},
    {"cpu", "CPU", write_cpu, BY_DEFAULT},
    {"modules", "Modules", write_nothing, BY_DEFAULT},
    {"commandstats", "Commandstats", kv_info_commandstats, 0},
    {"errorstats", "Errorstats", kv_info_errorstats, BY_DEFAULT},
    {"latencystats", "Latencystats", kv_info_latencystats, 0},
    {"cluster", "Cluster", write_cluster, BY_DEFAULT},
    {"tier", "Tier", write_tier, BY_DEFAULT},
    {"nuthatch", "Nuthatch", write_nuthatch, BY_DEFAULT},
    {"keyspace", "Keyspace", write_keyspace, BY_DEFAULT},
};

static bool is_asked_for(const struct kv_call *call, const struct section *section)
{
    bool is_default = (section->flags & BY_DEFAULT) != 0;

    if (call->argument_count == 1)
        return is_default;
    for (uint32_t i = 1; i < call->argument_count; i++)
        if (kv_argument_is(call, i, bytes_of_text(section->name)) ||
            kv_argument_is(call, i, BYTES("all")) || kv_argument_is(call, i, BYTES("everything")) ||
            (is_default && kv_argument_is(call, i, BYTES("default"))))
            return true;
    return false;
}

void kv_info(const struct kv_call *call)
{
    struct kv_info info = {.call = call, .stats = {.size = sizeof info.stats}};

    call->kv->read_facts(call->kv->facts_context, &info.facts);
    nh_stats_read(call->kv->store, &info.stats);
    for (size_t i = 0; i < COUNT_OF(sections); i++) {
        if (!is_asked_for(call, &sections[i]))
            continue;
        if (info.text.size > 0)
            buffer_append_literal(&info.text, "\r\n");
        INFO_LINE(&info, "# %s", sections[i].title);
        sections[i].write(&info);
    }
    if (info.text.failed)
        kv_refused(call, NH_NO_MEMORY);
    else
        reply_say(call->reply,
                  &(struct outcome){.kind = OUTCOME_verbatim, .bytes = buffer_bytes(&info.text)});
    buffer_fini(&info.text);
}
