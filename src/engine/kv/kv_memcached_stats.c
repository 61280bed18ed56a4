/* kv_memcached_stats.c — what stats tells, by memcached's names where there is such a thing here. */
#include "base/number.h"
#include "engine/kv/kv_memcached.h"
#include "engine/kv/kv_version.h"
#include <stdio.h>
#include <unistd.h>

static void stat_text(const struct kv_call *call, const char *name, const char *text)
{
    reply_say(call->reply,
              &(struct outcome){.kind = OUTCOME_stat,
                                .item = {.key = bytes_of_text(name), .value = bytes_of_text(text)}});
}

static void stat_number(const struct kv_call *call, const char *name, uint64_t number)
{
    char text[NUMBER_TEXT_BYTES];
    size_t size = uint64_format(text, number);

    reply_say(call->reply,
              &(struct outcome){.kind = OUTCOME_stat,
                                .item = {.key = bytes_of_text(name), .value = bytes_of(text, size)}});
}

static nh_stats stats_of(const struct kv_call *call)
{
    nh_stats stats = {.size = sizeof stats};

    nh_stats_read(call->kv->store, &stats);
    return stats;
}

static void stats_general(const struct kv_call *call, const struct kv_facts *facts)
{
    const uint64_t *metrics = facts->metrics;
    const nh_stats stats = stats_of(call);

    stat_number(call, "pid", (uint64_t)getpid());
    stat_number(call, "uptime", (uint64_t)(call->now.mono_ms - facts->started_mono_ms) / 1000);
    stat_number(call, "time", (uint64_t)call->now.wall_ms / 1000);
    stat_text(call, "version", KV_MEMCACHED_VERSION);
    stat_text(call, "nuthatch_version", NUTHATCH_VERSION);
    stat_number(call, "pointer_size", 8 * sizeof(void *));
    stat_number(call, "max_connections", facts->connections_max);
    stat_number(call, "curr_connections", facts->connections_now);
    stat_number(call, "total_connections", metrics[METRIC_connections_accepted]);
    stat_number(call, "rejected_connections", metrics[METRIC_connections_refused]);
    stat_number(call, "cmd_get", metrics[METRIC_get_hits] + metrics[METRIC_get_misses]);
    stat_number(call, "cmd_set", stats.puts);
    stat_number(call, "get_hits", metrics[METRIC_get_hits]);
    stat_number(call, "get_misses", metrics[METRIC_get_misses]);
    stat_number(call, "delete_hits", stats.deletes);
    stat_number(call, "bytes_read", metrics[METRIC_bytes_received]);
    stat_number(call, "bytes_written", metrics[METRIC_bytes_sent]);
    stat_number(call, "limit_maxbytes", stats.memory_bytes_max);
    stat_number(call, "threads", facts->thread_count);
    stat_number(call, "bytes", stats.memory_bytes);
    stat_number(call, "curr_items", nh_count(call->kv->store, kv_space(call)));
    stat_number(call, "total_items", stats.puts);
    stat_number(call, "evictions", stats.evicted);
    stat_number(call, "expired", stats.expired);
}

static void stats_settings(const struct kv_call *call, const struct kv_facts *facts)
{
    const nh_stats stats = stats_of(call);

    stat_number(call, "maxbytes", stats.memory_bytes_max);
    stat_number(call, "maxconns", facts->connections_max);
    stat_number(call, "tcpport", (uint64_t)facts->tcp_port);
    stat_number(call, "udpport", 0);
    stat_text(call, "evictions", "on");
    stat_number(call, "num_threads", facts->thread_count);
    stat_text(call, "cas_enabled", "yes");
    stat_text(call, "flush_enabled", "yes");
    stat_text(call, "shutdown_command", "no");
    stat_number(call, "item_size_max", call->kv->memcached_value_bytes_max);
    stat_text(call, "binding_protocol", "ascii");
    stat_text(call, "auth_enabled_ascii", "no");
    stat_text(call, "detail_enabled", "no");
}

/* This connection: others belong to other threads. */
static void stats_conns(const struct kv_call *call, const struct kv_facts *facts)
{
    const struct session *session = call->session;
    char name[64], address[sizeof "tcp:" + SESSION_ADDRESS_BYTES];

    (void)facts;
    snprintf(name, sizeof name, "%llu:addr", (unsigned long long)session->id);
    snprintf(address, sizeof address, "tcp:%s", session->peer);
    stat_text(call, name, address);
    snprintf(name, sizeof name, "%llu:listen_addr", (unsigned long long)session->id);
    snprintf(address, sizeof address, "tcp:%s", session->local);
    stat_text(call, name, address);
    snprintf(name, sizeof name, "%llu:state", (unsigned long long)session->id);
    stat_text(call, name, "conn_parse_cmd");
    snprintf(name, sizeof name, "%llu:secs_since_last_cmd", (unsigned long long)session->id);
    stat_number(call, name, 0);
}

static void stats_sizes(const struct kv_call *call, const struct kv_facts *facts)
{
    (void)facts;
    stat_text(call, "sizes_status", "disabled");
}

/* There are no slabs to tell about, and so no items of slabs. */
static void stats_nothing(const struct kv_call *call, const struct kv_facts *facts)
{
    (void)call;
    (void)facts;
}

static const struct {
    const char *name;
    void (*say)(const struct kv_call *call, const struct kv_facts *facts);
} parts[] = {
    {"settings", stats_settings}, {"conns", stats_conns},   {"sizes", stats_sizes},
    {"items", stats_nothing},     {"slabs", stats_nothing},
};

void kv_memcached_stats(const struct kv_call *call)
{
    struct kv_facts facts = {0};

    call->kv->read_facts(call->kv->facts_context, &facts);
    if (call->argument_count == 1) {
        stats_general(call, &facts);
        reply_kind(call->reply, OUTCOME_end);
        return;
    }
    if (bytes_equal(call->arguments[1], BYTES("reset"))) {
        /* The counters are those that the whole process goes by: they go on. */
        reply_say(call->reply, &(struct outcome){.kind = OUTCOME_text, .bytes = BYTES("RESET")});
        return;
    }
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        if (bytes_equal(call->arguments[1], bytes_of_text(parts[i].name))) {
            parts[i].say(call, &facts);
            reply_kind(call->reply, OUTCOME_end);
            return;
        }
    reply_kind(call->reply, OUTCOME_unknown);
}
