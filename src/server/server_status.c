#include "base/compiler.h"
#include "engine/gateway/upstream_report.h"
#include "server/prometheus.h"
#include "server/prometheus_upstreams.h"
#include "server/server_state.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void set_number(json_t *object, const char *name, uint64_t value)
{
    json_object_set_new(object, name, json_integer((json_int_t)value));
}

/* A share of 0 to 1; null while there is nothing to be a share of. */
static void set_ratio(json_t *object, const char *name, uint64_t part, uint64_t other)
{
    json_object_set_new(object, name,
                        part + other > 0 ? json_real((double)part / (double)(part + other)) : json_null());
}

static json_t *memory_of(const struct server *server, const struct kv_facts *facts)
{
    nh_stats stats = {.size = sizeof stats};
    json_t *memory = json_object();

    set_number(memory, "resident_bytes", facts->resident_bytes);
    if (server->store == NULL)
        return memory;
    nh_stats_read(server->store, &stats);
    set_number(memory, "store_bytes", stats.memory_bytes);
    set_number(memory, "store_bytes_max", stats.memory_bytes_max);
    set_number(memory, "values", stats.items);
    set_number(memory, "expired", stats.expired);
    set_number(memory, "evicted", stats.evicted);
    return memory;
}

static json_t *connections_of(const struct kv_facts *facts)
{
    json_t *connections = json_object();

    set_number(connections, "now", facts->connections_now);
    set_number(connections, "max", facts->connections_max);
    set_number(connections, "accepted", facts->metrics[METRIC_connections_accepted]);
    set_number(connections, "refused", facts->metrics[METRIC_connections_refused]);
    set_number(connections, "too_slow", facts->metrics[METRIC_deadlines_missed]);
    return connections;
}

/* What each thread has done since the start. */
static json_t *workers_of(const struct server *server)
{
    json_t *workers = json_array();

    for (size_t i = 0; i < server->worker_count; i++) {
        const struct counters *counters = &server->workers[i].counters;
        uint64_t closed = counters_read(counters, METRIC_connections_closed); /* before it is exceeded */
        uint64_t accepted = counters_read(counters, METRIC_connections_accepted);
        json_t *worker = json_object();

        set_number(worker, "connections", accepted > closed ? accepted - closed : 0);
        set_number(worker, "commands", counters_read(counters, METRIC_commands));
        set_number(worker, "http_requests", counters_read(counters, METRIC_http_requests));
        json_array_append_new(workers, worker);
    }
    return workers;
}

/* ---- roles --------------------------------------------------------------------------------------- */

static json_t *cache_of(const struct kv_facts *facts)
{
    uint64_t hits = facts->metrics[METRIC_get_hits], misses = facts->metrics[METRIC_get_misses];
    json_t *cache = json_object();

    set_number(cache, "commands", facts->metrics[METRIC_commands]);
    set_number(cache, "hits", hits);
    set_number(cache, "misses", misses);
    set_ratio(cache, "hit_ratio", hits, misses);
    return cache;
}

/* How many of those who came have not gone: the two are not counted at one moment. */
static uint64_t now_of(uint64_t came, uint64_t gone) { return came > gone ? came - gone : 0; }

static json_t *gateway_of(const struct kv_facts *facts)
{
    const uint64_t *metrics = facts->metrics;
    json_t *gateway = json_object();

    set_number(gateway, "hits", metrics[METRIC_gateway_hits]);
    set_number(gateway, "stale", metrics[METRIC_gateway_stale]);
    set_number(gateway, "collapsed", metrics[METRIC_gateway_collapsed]);
    set_number(gateway, "fetches", metrics[METRIC_gateway_fetches]);
    set_number(gateway, "revalidations", metrics[METRIC_gateway_revalidations]);
    set_number(gateway, "not_modified", metrics[METRIC_gateway_not_modified]);
    set_number(gateway, "limit_waits", metrics[METRIC_gateway_limit_waits]);
    set_number(gateway, "limited", metrics[METRIC_gateway_limited]);
    set_number(gateway, "origin_errors", metrics[METRIC_gateway_origin_errors]);
    set_number(gateway, "purges", metrics[METRIC_gateway_purges]);
    set_number(gateway, "composed", metrics[METRIC_compose_requests]);
    set_number(gateway, "parts_failed", metrics[METRIC_compose_parts_failed]);
    set_number(gateway, "watchers",
               now_of(metrics[METRIC_live_watchers], metrics[METRIC_live_watchers_gone]));
    set_number(gateway, "changes", metrics[METRIC_live_changes]);
    set_ratio(gateway, "hit_ratio",
              metrics[METRIC_gateway_hits] + metrics[METRIC_gateway_stale] +
                  metrics[METRIC_gateway_collapsed],
              metrics[METRIC_gateway_fetches]);
    return gateway;
}

static json_t *mock_of(const struct kv_facts *facts)
{
    json_t *mock = json_object();

    set_number(mock, "requests", facts->metrics[METRIC_mock_requests]);
    set_number(mock, "websockets", facts->metrics[METRIC_mock_websockets]);
    return mock;
}

/* Each once, however many of a kind run: what they count is counted together. */
static void add_roles(const struct server *server, const struct kv_facts *facts, json_t *status)
{
    static json_t *(*const tellers[ROLE_COUNT])(const struct kv_facts *) = {
        [ROLE_CACHE] = cache_of, [ROLE_GATEWAY] = gateway_of, [ROLE_MOCK] = mock_of};

    for (size_t i = 0; i < server->options->role_count; i++) {
        enum role role = server->options->roles[i].role;
        if (json_object_get(status, role_row(role)->name) == NULL)
            json_object_set_new(status, role_row(role)->name, tellers[role](facts));
    }
}

/* ---- upstreams ----------------------------------------------------------------------------------- */

static const char *breaker_word(enum breaker_state state)
{
    switch (state) {
    case BREAKER_CLOSED: return "closed";
    case BREAKER_OPEN: return "open";
    case BREAKER_HALF_OPEN: return "half open";
    }
    UNREACHABLE();
}

/* Null where there is no such limit. */
static void set_limit(json_t *object, const char *name, int64_t value)
{
    json_object_set_new(object, name, value >= 0 ? json_integer(value) : json_null());
}

static void set_text(json_t *object, const char *name, const char *text)
{
    json_object_set_new(object, name, text != NULL ? json_string(text) : json_null());
}

static void tell_upstream(void *list, const struct upstream_report *report)
{
    const struct quota_facts *facts = &report->facts;
    json_t *object = json_object();

    set_text(object, "name", report->name);
    json_object_set_new(object, "origin",
                        json_stringn_nocheck(report->authority.data, report->authority.size));
    json_object_set_new(object, "breaker", json_string(breaker_word(facts->breaker)));
    set_limit(object, "open_for_ms", facts->open_ms);
    set_limit(object, "limited_for_ms", facts->told_ms);
    set_limit(object, "tokens", facts->tokens);
    set_limit(object, "tokens_max", facts->tokens >= 0 ? facts->tokens_max : -1);
    set_limit(object, "said_left", facts->left);
    set_limit(object, "said_limit", facts->left >= 0 && facts->limit > 0 ? facts->limit : -1);
    set_limit(object, "said_reset_ms", facts->left >= 0 ? facts->reset_ms : -1);
    set_limit(object, "under_way", facts->under_way);
    set_limit(object, "concurrency_limit", facts->concurrency_limit);
    set_limit(object, "waiting", facts->waiting);
    set_limit(object, "credentials", facts->credentials);
    json_array_append_new(list, object);
}

static void tell_route(void *list, const struct route_report *report)
{
    json_t *object = json_object();

    set_text(object, "host", report->host);
    set_text(object, "path", report->path);
    set_text(object, "upstream", report->upstream);
    set_number(object, "revalidations", report->revalidations);
    set_number(object, "not_modified", report->not_modified);
    set_ratio(object, "not_modified_ratio", report->not_modified,
              report->revalidations > report->not_modified ? report->revalidations - report->not_modified
                                                           : 0);
    json_array_append_new(list, object);
}

enum { POLLS_SHOWN = 1000 };

static void tell_poll(void *list, const struct poll_report *report)
{
    json_t *object;

    if (json_array_size(list) >= POLLS_SHOWN)
        return;
    object = json_object();
    json_object_set_new(object, "url", json_stringn_nocheck(report->url.data, report->url.size));
    set_number(object, "polls", report->polls);
    set_number(object, "changes", report->changes);
    set_number(object, "unchanged", report->unchanged);
    set_number(object, "unkept", report->unkept);
    set_number(object, "failures", report->failures);
    set_number(object, "seen", report->seen);
    json_object_set_new(object, "by_another_node", json_boolean(report->is_anothers));
    set_limit(object, "status", report->status != 0 ? report->status : -1);
    set_number(object, "interval_ms", (uint64_t)report->interval_ms);
    set_number(object, "due_in_ms", (uint64_t)report->due_ms);
    json_array_append_new(list, object);
}

static void add_upstreams(const struct server *server, int64_t now_mono_ms, json_t *status)
{
    json_t *gateway = json_object_get(status, role_row(ROLE_GATEWAY)->name), *upstreams, *routes, *polls;

    if (gateway == NULL)
        return;
    upstreams = json_array();
    routes = json_array();
    polls = json_array();
    for (size_t i = 0; i < server->options->role_count; i++) {
        if (server->roles[i].gateway == NULL)
            continue;
        upstreams_report(server->roles[i].gateway, now_mono_ms, tell_upstream, upstreams);
        routes_report(server->roles[i].gateway, tell_route, routes);
        if (server->roles[i].polls != NULL)
            polls_report(server->roles[i].polls, now_mono_ms, tell_poll, polls);
    }
    json_object_set_new(gateway, "upstreams", upstreams);
    json_object_set_new(gateway, "routes", routes);
    json_object_set_new(gateway, "polls", polls);
}

/* ---- the shared tier ------------------------------------------------------------------------------ */

static const char tier_prefix[] = "tier_", fleet_prefix[] = "fleet_";

static const char *state_of(const struct tier_board_node *node)
{
    return node->open_count == node->thread_count ? "open"
           : node->left_alone_count > 0           ? "left alone"
           : node->open_count > 0                 ? "open in part"
                                                  : "connecting";
}

static json_t *tier_server(const struct tier_board_node *node)
{
    const struct tier_node_facts *facts = &node->facts;
    json_t *object = json_object();

    json_object_set_new(object, "address", json_string(facts->address));
    json_object_set_new(object, "role", json_string(facts->is_primary ? "primary" : "replica"));
    json_object_set_new(object, "state", json_string(state_of(node)));
    set_number(object, "threads_open", node->open_count);
    json_object_set_new(object, "slots", json_string(facts->slots));
    set_number(object, "slot_count", facts->slot_count);
    json_object_set_new(object, "coherence_age_ms",
                        facts->coherence_age_ms != INT64_MAX ? json_integer(facts->coherence_age_ms)
                                                             : json_null());
    set_number(object, "in_flight", facts->in_flight);
    set_number(object, "round_trips", facts->round_trips);
    set_number(object, "p50_us", facts->p50_us);
    set_number(object, "p99_us", facts->p99_us);
    set_number(object, "max_us", facts->max_us);
    return object;
}

/* What workers count by names that begin so in tables/metrics.def, without that beginning. */
static json_t *counts_of(const struct kv_facts *facts, const char *prefix)
{
    json_t *counts = json_object();

    for (int i = 0; i < METRIC_COUNT; i++) {
        const char *name = metric_name((enum metric)i);
        if (strncmp(name, prefix, strlen(prefix)) == 0)
            set_number(counts, name + strlen(prefix), facts->metrics[i]);
    }
    return counts;
}

static void add_tier(const struct server *server, const struct kv_facts *facts, int64_t now_mono_ms,
                     json_t *status)
{
    const uint64_t *metrics = facts->metrics;
    struct tier_board_node *nodes;
    size_t node_count;
    json_t *tier, *list;

    if (server->tier == NULL)
        return;
    nodes = calloc(TIER_BOARD_NODES_MAX, sizeof *nodes);
    if (nodes == NULL)
        return;
    node_count = tier_board_read(server->tier_board, now_mono_ms, nodes, TIER_BOARD_NODES_MAX);
    tier = json_object();
    list = json_array();
    for (size_t i = 0; i < node_count; i++)
        json_array_append_new(list, tier_server(&nodes[i]));
    free(nodes);
    set_number(tier, "max_staleness_ms", (uint64_t)server->options->tier_staleness_ms_max);
    set_ratio(tier, "near_hit_ratio", metrics[METRIC_tier_near_hits] + metrics[METRIC_tier_near_nothing],
              metrics[METRIC_tier_near_misses] + metrics[METRIC_tier_near_doubted]);
    json_object_set_new(tier, "servers", list);
    json_object_set_new(tier, "counts", counts_of(facts, tier_prefix));
    json_object_set_new(tier, "fleet", counts_of(facts, fleet_prefix));
    json_object_set_new(status, "tier", tier);
}

/* ---- the whole ----------------------------------------------------------------------------------- */

static int append(const char *bytes, size_t size, void *out)
{
    buffer_append(out, bytes_of(bytes, size));
    return ((struct buffer *)out)->failed ? -1 : 0;
}

enum err server_append_status(struct server *server, int64_t now_mono_ms, struct buffer *out)
{
    json_t *status = json_object();
    struct kv_facts facts;
    int result;

    server_read_facts(server, &facts);
    json_object_set_new(status, "version", json_string(NUTHATCH_VERSION));
    set_number(status, "uptime_ms", (uint64_t)(now_mono_ms - facts.started_mono_ms));
    json_object_set_new(status, "loop", json_string(facts.loop_name));
    json_object_set_new(status, "memory", memory_of(server, &facts));
    json_object_set_new(status, "connections", connections_of(&facts));
    json_object_set_new(status, "workers", workers_of(server));
    add_roles(server, &facts, status);
    add_upstreams(server, now_mono_ms, status);
    add_tier(server, &facts, now_mono_ms, status);
    set_number(status, "protocol_errors", facts.metrics[METRIC_protocol_errors]);
    result = json_dump_callback(status, append, out, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_decref(status);
    buffer_append_byte(out, '\n');
    return result == 0 && !out->failed ? OK : ERR_NO_MEMORY;
}

void server_append_upstream_metrics(struct server *server, int64_t now_mono_ms, struct buffer *out)
{
    struct prometheus_upstreams *noted = calloc(1, sizeof *noted);

    out->failed |= noted == NULL;
    if (noted == NULL)
        return;
    for (size_t i = 0; i < server->options->role_count; i++) {
        if (server->roles[i].gateway == NULL)
            continue;
        upstreams_report(server->roles[i].gateway, now_mono_ms, prometheus_note_upstream, noted);
        routes_report(server->roles[i].gateway, prometheus_note_route, noted);
    }
    prometheus_append_upstreams(out, noted);
    prometheus_upstreams_fini(noted);
    free(noted);
}

void server_append_tier_metrics(struct server *server, int64_t now_mono_ms, struct buffer *out)
{
    struct tier_board_node *nodes;

    if (server->tier == NULL)
        return;
    nodes = calloc(TIER_BOARD_NODES_MAX, sizeof *nodes);
    out->failed |= nodes == NULL;
    if (nodes != NULL)
        prometheus_append_tier(
            out, nodes, tier_board_read(server->tier_board, now_mono_ms, nodes, TIER_BOARD_NODES_MAX));
    free(nodes);
}
