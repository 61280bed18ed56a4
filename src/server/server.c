#include "server/server.h"
#include "base/thread.h"
#include "engine/gateway/gateway.h"
#include "engine/kv/kv_notify.h"
#include "engine/live/live.h"
#include "engine/mock/mock.h"
#include "server/gateway_plan.h"
#include "server/mock_plan.h"
#include "server/mock_save.h"
#include "server/record_plan.h"
#include "server/reload.h"
#include "server/server_state.h"
#include "server/users.h"
#include <sched.h>
#include <stdlib.h>

/* The store's spaces: 0 to 15 are the cache's databases, from these on are gateways' entries, and what is
 * near of the tier for them. */
enum { HTTP_SPACE = 256, NEAR_SPACE = 512 };

/* ---- making ------------------------------------------------------------------------------------ */

static uint64_t memcached_value_bytes_max(const struct options *options)
{
    return (uint64_t)(options->max_item_bytes < options->value_bytes_max ? options->max_item_bytes
                                                                         : options->value_bytes_max);
}

static void set_limits(struct server *server)
{
    const struct options *options = server->options;

    server->limits = (struct conn_limits){
        .http = {.line_bytes_max = 16 * 1024, .head_bytes_max = 64 * 1024, .fields_max = 100},
        .resp = {.arguments_max = 1024 * 1024,
                 .bulk_bytes_max = (uint64_t)options->value_bytes_max,
                 .inline_bytes_max = 64 * 1024},
        .memcached = {.line_bytes_max = 64 * 1024, .value_bytes_max = memcached_value_bytes_max(options)},
        .stranger_resp = {.are_for_strangers = true,
                          .arguments_max = 10, /* as Redis has it */
                          .bulk_bytes_max = 16 * 1024,
                          .inline_bytes_max = 16 * 1024},
        .stranger_memcached = {.line_bytes_max = 2 * 1024, .value_bytes_max = 2 * 1024},
        .stranger_answer_bytes_max = 16 * 1024,
        .input_bytes_max = (uint64_t)options->connection_buffer_bytes,
        .output_bytes_max = 1024 * 1024,
        .answer_bytes_max = (uint64_t)options->connection_buffer_bytes,
        .pushed_bytes_max = (uint64_t)options->pubsub_output_bytes_max,
        .http_idle_ms = options->idle_timeout_ms,
        .head_ms = options->header_timeout_ms,
        .body_ms = options->body_timeout_ms,
        .body_rate = options->body_rate_min,
        .answer_rate = options->answer_rate_min,
        .write_ms = options->write_timeout_ms,
    };
}

static size_t thread_count(const struct options *options)
{
    cpu_set_t cores;

    if (options->threads > 0)
        return (size_t)options->threads;
    if (sched_getaffinity(0, sizeof cores, &cores) == 0 && CPU_COUNT(&cores) > 0)
        return (size_t)CPU_COUNT(&cores);
    return 1;
}

/* The store's `dropped`: any thread, inside the store. */
static void note_dropped(void *context, nh_key key, int32_t cause)
{
    kv_notify_dropped(context, key, cause == NH_DROPPED_EXPIRED ? KV_EVENT_expired : KV_EVENT_evicted);
}

static enum err create_tls(struct server *server, struct buffer *message)
{
    const struct options *options = server->options;
    struct buffer why = {0};
    bool is_needed = false;
    enum err err;

    for (size_t i = 0; i < server->port_count; i++)
        is_needed |= server->ports[i].transport == LISTEN_TLS;
    if (!is_needed)
        return OK;
    err = tls_server_create(&(struct tls_files){.certificates = options->tls_certificate_paths.items,
                                                .keys = options->tls_key_paths.items,
                                                .count = options->tls_certificate_paths.count,
                                                .authorities = options->tls_authorities_path,
                                                .client_auth = options->tls_client_auth},
                            &why, &server->tls);
    if (why.size > 0)
        buffer_append_format(message, "TLS: %.*s\n", BYTES_PRINTF(buffer_bytes(&why)));
    buffer_fini(&why);
    return err;
}

static enum err create_store(struct server *server, struct buffer *message)
{
    const struct options *options = server->options;
    nh_options store = {.size = sizeof store,
                        .memory_bytes = (uint64_t)options->memory_bytes,
                        .value_bytes_max = (uint64_t)options->value_bytes_max,
                        .insight_spaces = (uint32_t)options->insight_spaces,
                        .huge_pages = 1,
                        .dropped = note_dropped,
                        .dropped_context = server->hub};
    nh_result result;

    /* A small memory with the default largest value is no mistake of the operator's. */
    if (store.value_bytes_max > store.memory_bytes / 2)
        store.value_bytes_max = store.memory_bytes / 2;
    result = nh_create(&store, &server->store);
    if (result == NH_OK)
        return OK;
    buffer_append_format(message, "cannot make a store of %lld bytes: %s%s\n",
                         (long long)options->memory_bytes, nh_result_text(result),
                         result == NH_RANGE && options->insight_spaces > 0
                             ? "; insight leaves too little of it: lower the one or raise the other"
                             : "");
    return result == NH_NO_MEMORY ? ERR_NO_MEMORY : ERR_RANGE;
}

static enum err create_tier(struct server *server, struct buffer *message)
{
    struct tier_options options;
    enum err err = tier_plan_create(server->options, server->log, message, &server->tier_plan);

    if (err != OK || server->tier_plan == NULL)
        return err;
    options = tier_plan_options(server->tier_plan, server->options);
    options.store = server->store;
    options.worker_count = (unsigned)server->worker_count;
    err = tier_create(&options, &server->tier);
    return err == OK ? tier_board_create((unsigned)server->worker_count, &server->tier_board) : err;
}

static enum err create_gateway(struct server *server, size_t index, struct buffer *message)
{
    const struct role_options *role = &server->options->roles[index];
    struct gateway_options options = {
        .store = server->store,
        .space = HTTP_SPACE + (uint32_t)index,
        .tier = server->tier,
        .near_space = NEAR_SPACE + (uint32_t)index,
        .tier_timeout_ms = server->options->tier_timeout_ms,
        .purge_token =
            bytes_of_text(server->options->admin_token != NULL ? server->options->admin_token : ""),
        .log = server->log,
        .access_log = server->access_log,
        .access_format = server->options->access_log_format};
    enum err err = plan_spec_init(&options.plan, server->options, role, message);

    if (err != OK)
        return err;
    err = gateway_create(&options, &server->roles[index].gateway);
    plan_spec_fini(&options.plan);
    plan_report(server->options, role, err, message);
    return err == OK ? live_create(&server->roles[index].live) : err;
}

static enum err open_access_log(struct server *server, struct buffer *message)
{
    const char *path = server->options->access_log_path;
    enum err err = path != NULL ? line_sink_open(path, &server->access_log) : OK;

    if (err != OK)
        buffer_append_format(message, "access-log: %s cannot be opened: %s\n", path, err_text(err));
    return err;
}

static enum err create_role(struct server *server, size_t index, struct buffer *message)
{
    const struct role_options *role = &server->options->roles[index];
    enum err err = OK;

    switch (role->role) {
    case ROLE_CACHE: break;
    case ROLE_GATEWAY: err = create_gateway(server, index, message); break;
    case ROLE_MOCK:
        if (role->record_url != NULL) {
            err = record_plan_create(role, server_is_on_loopback(server, index), server->log,
                                     &server->roles[index].recorder, message);
            break;
        }
        err = mock_plan_create(role, server->options->admin_token, server_is_on_loopback(server, index),
                               server->log, &server->roles[index].mock, message);
        break;
    case ROLE_COUNT: UNREACHABLE();
    }
    return err;
}

static bool keeps_something(const struct options *options)
{
    for (size_t i = 0; i < options->role_count; i++)
        if (options->roles[i].role != ROLE_MOCK)
            return true;
    return false;
}

enum err server_create(const struct options *options, struct log *log, const struct clock *clock,
                       struct buffer *message, struct server **result)
{
    struct server *server = calloc(1, sizeof *server);
    enum err err = ERR_NO_MEMORY;

    if (server == NULL)
        return ERR_NO_MEMORY;
    server->options = options;
    server->log = log;
    server->clock = clock;
    server->started = clock_read(clock);
    pthread_mutex_init(&server->reload_lock, NULL);
    server->worker_count = thread_count(options);
    server->workers = calloc(server->worker_count, sizeof *server->workers);
    server->roles = calloc(options->role_count + 1, sizeof *server->roles);
    if (server->workers == NULL || server->roles == NULL)
        goto destroy;
    set_limits(server);
    err = config_shown_init(&server->shown, options);
    if (err == OK)
        err = server_check_persist(options, message);
    if (err == OK)
        err = kv_hub_create((unsigned)server->worker_count, server_call_worker, server, &server->hub);
    if (err == OK)
        err = users_take(options, server->hub->acl, message);
    if (err == OK)
        err = server_open_ports(server, message);
    if (err == OK)
        err = create_tls(server, message);
    if (err == OK)
        kv_notify_begin(server->hub, options->notify_events);
    if (err == OK) {
        server->hub->tracking_keys_max = (uint64_t)options->tracking_table_keys_max;
        kv_slowlog_set(server->hub, options->slowlog_slower_than_us,
                       (uint64_t)options->slowlog_entries_max);
        kv_latency_set(server->hub, options->latency_threshold_ms);
    }
    if (err == OK && keeps_something(options))
        err = create_store(server, message);
    if (err == OK)
        err = create_tier(server, message);
    if (err == OK)
        server_set_settings(server);
    if (err == OK)
        err = open_access_log(server, message);
    for (size_t i = 0; i < options->role_count && err == OK; i++)
        err = create_role(server, i, message);
    for (size_t i = 0; i < server->worker_count && err == OK; i++)
        err = server_create_worker(server, i, message);
    if (err != OK)
        goto destroy;
    *result = server;
    return OK;

destroy:
    server_destroy(server);
    return err;
}

/* ---- running ----------------------------------------------------------------------------------- */

static void *run_worker(void *argument)
{
    struct worker *worker = argument;
    loop_run(worker->loop);
    return NULL;
}

enum err server_start(struct server *server)
{
    enum err err = OK;

    for (size_t i = 0; i < server->worker_count && err == OK; i++) {
        struct worker *worker = &server->workers[i];
        worker_listen(worker);
        if (thread_start(&worker->thread, run_worker, worker))
            worker->thread_started = true;
        else
            err = ERR_SYSTEM;
    }
    return err;
}

enum err server_append_config(struct server *server, struct buffer *out)
{
    return config_shown_append(&server->shown, out);
}

enum err server_reload(struct server *server, struct buffer *report)
{
    size_t role_count = server->options->role_count;
    struct gateway **gateways = calloc(role_count + 1, sizeof(struct gateway *));
    struct polls **polls = calloc(role_count + 1, sizeof(struct polls *));
    enum err err;

    if (gateways == NULL || polls == NULL) {
        free(gateways);
        free(polls);
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < role_count; i++) {
        gateways[i] = server->roles[i].gateway;
        polls[i] = server->roles[i].polls;
    }
    pthread_mutex_lock(&server->reload_lock);
    err = reload(&(struct reloadable){.running = server->options,
                                      .gateways = gateways,
                                      .polls = polls,
                                      .tls = server->tls,
                                      .log = server->log,
                                      .shown = &server->shown},
                 report);
    pthread_mutex_unlock(&server->reload_lock);
    if (server->access_log != NULL)
        line_sink_reopen(
            server->access_log); /* also if no file was taken up: logs are moved all the same */
    free(gateways);
    free(polls);
    return err;
}

struct drain_task {
    struct task task;
    struct worker *worker;
    int64_t drain_ms;
};

static void run_drain(struct task *task)
{
    struct drain_task *drain = CONTAINER_OF(task, struct drain_task, task);
    worker_drain(drain->worker, drain->drain_ms);
    free(drain);
}

void server_drain(struct server *server, int64_t drain_ms)
{
    server_remove_socket_files(server);
    for (size_t i = 0; i < server->worker_count; i++) {
        struct drain_task *drain = malloc(sizeof *drain);
        if (drain == NULL)
            abort(); /* a stop that cannot be asked for must not become a process that never ends */
        *drain = (struct drain_task){{run_drain, NULL}, &server->workers[i], drain_ms};
        loop_post(server->workers[i].loop, &drain->task);
    }
}

static void run_nothing(struct task *task) { free(task); }

void server_wake(struct server *server)
{
    for (size_t i = 0; i < server->worker_count; i++) {
        struct task *task = malloc(sizeof *task);
        if (task == NULL)
            continue;
        task->run = run_nothing;
        loop_post(server->workers[i].loop, task);
    }
}

void server_join(struct server *server)
{
    for (size_t i = 0; i < server->worker_count; i++)
        if (server->workers[i].thread_started) {
            pthread_join(server->workers[i].thread, NULL);
            server->workers[i].thread_started = false;
        }
}

/* ---- its mocks --------------------------------------------------------------------------------- */

void server_save_mocks(struct server *server)
{
    for (size_t i = 0; i < server->options->role_count; i++)
        if (server->roles[i].mock != NULL)
            mock_save(&server->options->roles[i], server->roles[i].mock, clock_read(server->clock).wall_ms,
                      server->log);
}

uint64_t server_mock_request_count(const struct server *server, struct bytes path)
{
    for (size_t i = 0; i < server->options->role_count; i++)
        if (server->roles[i].mock != NULL)
            return mock_request_count(server->roles[i].mock, path);
    return 0;
}

/* ---- ending ------------------------------------------------------------------------------------ */

void server_destroy(struct server *server)
{
    server_end_workers(server);
    for (size_t i = 0; server->roles != NULL && i < server->options->role_count; i++) {
        if (server->roles[i].live != NULL)
            live_destroy(server->roles[i].live);
        if (server->roles[i].gateway != NULL)
            gateway_destroy(server->roles[i].gateway);
        if (server->roles[i].mock != NULL)
            mock_destroy(server->roles[i].mock);
        recorder_destroy(server->roles[i].recorder);
    }
    if (server->tier != NULL)
        tier_destroy(server->tier);
    tier_plan_destroy(server->tier_plan);
    tier_board_destroy(server->tier_board);
    server_remove_socket_files(server); /* of a start that failed; else they are gone */
    server_close_ports(server);
    if (server->tls != NULL)
        tls_server_destroy(server->tls);
    if (server->store != NULL)
        nh_destroy(server->store);
    kv_hub_destroy(server->hub);
    buffer_fini(&server->bind_text);
    pthread_mutex_destroy(&server->reload_lock);
    if (server->shown.options != NULL)
        config_shown_fini(&server->shown);
    free(server->roles);
    free(server);
}
