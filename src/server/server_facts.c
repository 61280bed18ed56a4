#include "server/server_state.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static uint64_t resident_bytes(void)
{
    unsigned long long total_pages, resident_pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file == NULL)
        return 0;
    if (fscanf(file, "%llu %llu", &total_pages, &resident_pages) != 2)
        resident_pages = 0;
    fclose(file);
    return (uint64_t)resident_pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void server_read_facts(void *context, struct kv_facts *facts)
{
    struct server *server = context;

    *facts = (struct kv_facts){
        .started_wall_ms = server->started.wall_ms,
        .started_mono_ms = server->started.mono_ms,
        .thread_count = (unsigned)server->worker_count,
        .connections_now = (uint64_t)atomic_load(&server->connection_count),
        .connections_max = (uint64_t)kv_setting(&server->hub->settings, KV_SETTING_connections_max),
        .resident_bytes = resident_bytes(),
        .loop_name = server_loop_name(server),
    };
    for (size_t i = 0; i < server->worker_count; i++)
        for (int metric = 0; metric < METRIC_COUNT; metric++)
            facts->metrics[metric] += counters_read(&server->workers[i].counters, (enum metric)metric);
    for (int metric = 0; metric < METRIC_COUNT; metric++)
        facts->metrics[metric] -= atomic_load(&server->metrics_forgotten[metric]);
    for (size_t i = 0; i < server->port_count && facts->tcp_port == 0; i++)
        if (server_role_of_port(server, &server->ports[i]) == ROLE_CACHE &&
            server->ports[i].protocol != LISTEN_KV_HTTP)
            facts->tcp_port = address_port(&server->ports[i].address);
}

/* Counters are their workers' own: what they were at is taken off from now on. */
void server_reset_facts(void *context)
{
    struct server *server = context;
    struct kv_facts facts;

    server_read_facts(server, &facts);
    for (int metric = 0; metric < METRIC_COUNT; metric++)
        atomic_fetch_add(&server->metrics_forgotten[metric], facts.metrics[metric]);
}

/* What CONFIG shows; some of it is read from there, since it can be set. */
void server_set_settings(struct server *server)
{
    const struct options *options = server->options;
    struct kv_settings *settings = &server->hub->settings;

    kv_set_setting(settings, KV_SETTING_memory_bytes, options->memory_bytes);
    kv_set_setting(settings, KV_SETTING_connections_max, options->connections_max);
    kv_set_setting(settings, KV_SETTING_idle_timeout_ms, options->cache_idle_timeout_ms);
    kv_set_setting(settings, KV_SETTING_value_bytes_max, options->value_bytes_max);
    kv_set_setting(settings, KV_SETTING_thread_count, (int64_t)server->worker_count);
    settings->is_protected = options->is_protected == ANSWER_YES;
    for (size_t i = 0; i < server->port_count; i++) {
        const struct shared_port *port = &server->ports[i];
        const char *colon = strrchr(port->text, ':');
        if (server_role_of_port(server, port) != ROLE_CACHE || colon == NULL)
            continue;
        if (server->bind_text.size == 0)
            kv_set_setting(settings, KV_SETTING_port, address_port(&port->address));
        else
            buffer_append_byte(&server->bind_text, ' ');
        buffer_append(&server->bind_text, bytes_of(port->text, (size_t)(colon - port->text)));
    }
    buffer_append_byte(&server->bind_text, '\0');
    settings->bind = server->bind_text.failed ? NULL : server->bind_text.data;
}
