#include "server/server.h"
#include "engine/kv/kv_admin.h"
#include "engine/kv/kv_database.h"
#include "engine/kv/kv_notify.h"
#include "net/listen.h"
#include "server/config_show.h"
#include "server/file.h"
#include "server/gateway_plan.h"
#include "server/mock_plan.h"
#include "server/mock_save.h"
#include "server/record_plan.h"
#include "server/reload.h"
#include "server/users.h"
#include "server/worker.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A port of the whole server: each worker listens on a socket of its own, all on the same address; on a
 * Unix socket the first listens for all. */
struct shared_port {
    size_t role_index; /* the options' role_count: of the administrator's API */
    enum listen_protocol protocol;
    enum listen_transport transport;
    struct address address;
    struct socket_file file; /* of a Unix socket */
    char text[ADDRESS_TEXT_BYTES];
    int *fds; /* one per worker; -1 for none */
};

struct shared_role {
    struct gateway *gateway;
    struct mock *mock;
    struct recorder *recorder;
};

struct server {
    const struct options *options;
    struct log *log;
    const struct clock *clock;
    struct conn_limits limits;
    nh_store *store;
    struct tls_server *tls;       /* null if no port has TLS */
    struct line_sink *access_log; /* or null */
    struct kv_hub *hub;
    struct shared_role *roles;
    struct shared_port *ports;
    size_t port_count;
    struct worker *workers;
    size_t worker_count;
    size_t loop_count; /* workers whose loop was made */
    atomic_int connection_count;
    _Atomic uint64_t last_connection_id;
    struct now started;
    _Atomic uint64_t metrics_forgotten[METRIC_COUNT]; /* by CONFIG RESETSTAT */
    struct buffer bind_text;
    pthread_mutex_t reload_lock;
    struct config_shown shown;
};

enum { HTTP_SPACE = 256 }; /* the store's space of gateway entries; 0 to 15 are the cache's databases */

static bool is_admin(const struct server *server, const struct shared_port *port)
{
    return port->role_index == server->options->role_count;
}

/* ROLE_COUNT for the administrator's API. */
static enum role role_of(const struct server *server, const struct shared_port *port)
{
    return is_admin(server, port) ? ROLE_COUNT : server->options->roles[port->role_index].role;
}

/* ---- insight ----------------------------------------------------------------------------------- */

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

static void read_facts(void *context, struct kv_facts *facts)
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
        if (role_of(server, &server->ports[i]) == ROLE_CACHE && server->ports[i].protocol != LISTEN_KV_HTTP)
            facts->tcp_port = address_port(&server->ports[i].address);
}

/* Counters are their workers' own: what they were at is taken off from now on. */
static void reset_facts(void *context)
{
    struct server *server = context;
    struct kv_facts facts;

    read_facts(server, &facts);
    for (int metric = 0; metric < METRIC_COUNT; metric++)
        atomic_fetch_add(&server->metrics_forgotten[metric], facts.metrics[metric]);
}

size_t server_port_count(const struct server *server) { return server->port_count; }

struct server_port server_port(const struct server *server, size_t index)
{
    const struct shared_port *port = &server->ports[index];
    return (struct server_port){role_of(server, port), port->protocol, port->transport, port->text,
                                address_port(&port->address)};
}

const char *server_loop_name(const struct server *server)
{
    return loop_kind(server->workers[0].loop) == LOOP_URING ? "io_uring" : "epoll";
}

unsigned server_thread_count(const struct server *server) { return (unsigned)server->worker_count; }

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

uint64_t server_next_connection_id(struct server *server)
{
    return atomic_fetch_add(&server->last_connection_id, 1) + 1;
}

struct worker *server_next_worker(struct server *server, size_t *turn)
{
    return &server->workers[(*turn)++ % server->worker_count];
}

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

static void refuse_to_listen(const struct listen_option *listen, enum err err, struct buffer *message)
{
    bool is_unix = listen->transport == LISTEN_UNIX;
    const char *hint = "";

    if (err == ERR_ADDRESS_IN_USE)
        hint = is_unix ? "; stop what listens there, or choose another with --listen"
                       : "; stop what listens there, or choose another with --listen (port 0 takes any "
                         "free one)";
    else if (err == ERR_FORBIDDEN)
        hint = is_unix ? "; this user must be allowed to write in its folder"
                       : "; ports below 1024 need root, or choose a higher one with --listen";
    else if (err == ERR_EXISTS)
        hint = ", and it is no socket; move it away, or choose another path with --listen";
    else if (err == ERR_MISSING)
        hint = "; its folder must be there";
    buffer_append_format(message, "cannot listen on %s: %s%s\n", listen->address, err_text(err), hint);
}

static enum err open_sockets(struct server *server, struct shared_port *port,
                             const struct listen_option *listen)
{
    enum err err = OK;

    if (listen->transport == LISTEN_UNIX)
        return listen_open_unix(&port->address, listen->mode, &port->file, &port->fds[0]);
    for (size_t i = 0; i < server->worker_count && err == OK; i++)
        err = listen_open(&port->address, server->worker_count > 1, &port->fds[i]);
    return err;
}

/* Whether the port goes by a token of its own rather than by the users of the cache. */
static bool wants_token(const struct server *server, const struct shared_port *port,
                        enum listen_protocol protocol)
{
    return is_admin(server, port) || protocol == LISTEN_KV_HTTP;
}

static const char *token_of(const struct server *server, const struct shared_port *port)
{
    return is_admin(server, port) ? server->options->admin_token
                                  : server->options->roles[port->role_index].http_token;
}

static enum err open_port(struct server *server, size_t role_index, const struct listen_option *listen,
                          struct buffer *message)
{
    struct shared_port *port = &server->ports[server->port_count];
    struct bytes text = bytes_of_text(listen->address);
    enum err err = listen->transport == LISTEN_UNIX ? address_of_path(text, &port->address)
                                                    : address_parse(text, &port->address);

    if (err != OK) {
        buffer_append_format(message, "%s: %s\n", listen->address,
                             err == ERR_MISSING ? "there is no such host" : err_text(err));
        return err;
    }
    port->role_index = role_index;
    if (wants_token(server, port, listen->protocol) && !address_is_loopback(&port->address) &&
        token_of(server, port) == NULL) {
        buffer_append_format(
            message, "%s at %s can be reached from other machines; set %s, or listen at 127.0.0.1\n",
            is_admin(server, port) ? "admin" : "kv+http", listen->address,
            is_admin(server, port) ? "admin-token" : "http-token");
        return ERR_FORBIDDEN;
    }
    if (!wants_token(server, port, listen->protocol) &&
        !users_allow_listening(server->options, server->hub, role_index, &port->address, listen->address,
                               message))
        return ERR_FORBIDDEN;
    port->protocol = listen->protocol;
    port->transport = listen->transport;
    port->fds = malloc(server->worker_count * sizeof *port->fds);
    if (port->fds == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < server->worker_count; i++)
        port->fds[i] = -1;
    server->port_count++;
    err = open_sockets(server, port, listen);
    if (err != OK) {
        refuse_to_listen(listen, err, message);
        return err;
    }
    address_format(&port->address, port->text);
    return OK;
}

/* A successor may have the Unix sockets' paths. Repeated, it does nothing. */
static void remove_socket_files(struct server *server)
{
    for (size_t i = 0; i < server->port_count; i++)
        if (server->ports[i].transport == LISTEN_UNIX && server->ports[i].fds[0] >= 0)
            socket_file_remove(&server->ports[i].address, &server->ports[i].file);
}

static enum err open_list(struct server *server, size_t role_index, const struct listen_list *list,
                          struct buffer *message)
{
    enum err err = OK;

    for (size_t i = 0; i < list->count && err == OK; i++)
        err = open_port(server, role_index, &list->items[i], message);
    return err;
}

static enum err open_ports(struct server *server, struct buffer *message)
{
    const struct options *options = server->options;
    size_t count = options->admin_listens.count;
    enum err err = OK;

    for (size_t i = 0; i < options->role_count; i++)
        count += options->roles[i].listens.count;
    server->ports = calloc(count > 0 ? count : 1, sizeof *server->ports);
    if (server->ports == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < options->role_count && err == OK; i++)
        err = open_list(server, i, &options->roles[i].listens, message);
    return err == OK ? open_list(server, options->role_count, &options->admin_listens, message) : err;
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

static enum err create_gateway(struct server *server, size_t index, struct buffer *message)
{
    const struct role_options *role = &server->options->roles[index];
    struct gateway_options options = {
        .store = server->store,
        .space = HTTP_SPACE + (uint32_t)index,
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
    return err;
}

static enum err open_access_log(struct server *server, struct buffer *message)
{
    const char *path = server->options->access_log_path;
    enum err err = path != NULL ? line_sink_open(path, &server->access_log) : OK;

    if (err != OK)
        buffer_append_format(message, "access-log: %s cannot be opened: %s\n", path, err_text(err));
    return err;
}

/* Whether no other machine reaches the role, and a browser on this one does: not by a Unix socket. */
static bool is_on_loopback(const struct server *server, size_t role_index)
{
    bool is_reached = false;

    for (size_t i = 0; i < server->port_count; i++) {
        const struct shared_port *port = &server->ports[i];
        if (port->role_index != role_index || port->transport == LISTEN_UNIX)
            continue;
        if (!address_is_loopback(&port->address))
            return false;
        is_reached = true;
    }
    return is_reached;
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
            err = record_plan_create(role, server->log, &server->roles[index].recorder, message);
            break;
        }
        err = mock_plan_create(role, server->options->admin_token, is_on_loopback(server, index),
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

static enum wire wire_of(enum role role, enum listen_protocol protocol)
{
    switch (protocol) {
    case LISTEN_RESP: return WIRE_RESP;
    case LISTEN_MEMCACHED: return WIRE_MEMCACHED;
    case LISTEN_HTTP:
    case LISTEN_KV_HTTP: return WIRE_HTTP;
    case LISTEN_AUTO: return role == ROLE_CACHE ? WIRE_DETECT : WIRE_HTTP;
    }
    UNREACHABLE();
}

static void read_letters(struct task *task)
{
    kv_read_letters(&CONTAINER_OF(task, struct worker, letters)->kv);
}

/* The hub's `call`: any thread. */
static void call_worker(void *context, unsigned number)
{
    struct worker *worker = &((struct server *)context)->workers[number];
    loop_post(worker->loop, &worker->letters);
}

static struct now read_now(void *context) { return loop_now(((struct worker *)context)->loop); }

static void init_kv_http(struct port *port, const struct shared_port *shared, const char *token)
{
    struct worker *worker = port->worker;

    port->kv_http = (struct kv_http){
        .kv = &worker->kv,
        .token = token != NULL ? bytes_of_text(token) : (struct bytes){NULL, 0},
        .value_bytes_max = (uint64_t)worker->server->options->value_bytes_max,
        /* No browser reaches a Unix socket. */
        .is_local = shared->transport != LISTEN_UNIX && address_is_loopback(&shared->address),
        .read_now = read_now,
        .now_context = worker,
    };
    port->engine = &kv_http_engine;
    port->engine_worker = &port->kv_http;
}

static void init_admin(struct port *port, const struct shared_port *shared, const char *token)
{
    port->admin = (struct admin){
        .worker = port->worker,
        .token = token != NULL ? bytes_of_text(token) : (struct bytes){NULL, 0},
        .is_local = shared->transport != LISTEN_UNIX && address_is_loopback(&shared->address),
    };
    port->engine = &admin_engine;
    port->engine_worker = &port->admin;
}

/* SHUTDOWN: whoever waits for the signal that ends the process does what is to be done (see run.c). */
static void stop(void *context)
{
    (void)context;
    kill(getpid(), SIGTERM);
}

static enum err create_worker(struct server *server, size_t index, struct buffer *message)
{
    const struct options *options = server->options;
    struct worker *worker = &server->workers[index];
    enum err err;

    worker->server = server;
    worker->limits = &server->limits;
    worker->log = server->log;
    worker->clock = server->clock;
    worker->store = server->store;
    worker->server_connection_count = &server->connection_count;
    worker->role_count = options->role_count;
    worker->date_second = -1;
    list_init(&worker->connections);
    intake_init(&worker->intake);
    worker->letters.run = read_letters;
    worker->kv = (struct kv){.store = server->store,
                             .hub = server->hub,
                             .number = (unsigned)index,
                             .counters = &worker->counters,
                             .read_facts = read_facts,
                             .reset_facts = reset_facts,
                             .facts_context = server,
                             .kept_bytes_max = server->limits.input_bytes_max,
                             .memcached_value_bytes_max = memcached_value_bytes_max(server->options),
                             .stop = stop};
    kv_join(&worker->kv);
    worker->fields = calloc(server->limits.http.fields_max, sizeof *worker->fields);
    worker->ports = calloc(server->port_count + 1, sizeof *worker->ports);
    worker->gateways = calloc(options->role_count + 1, sizeof *worker->gateways);
    worker->mocks = calloc(options->role_count + 1, sizeof *worker->mocks);
    worker->recorders = calloc(options->role_count + 1, sizeof *worker->recorders);
    if (worker->fields == NULL || worker->ports == NULL || worker->gateways == NULL ||
        worker->mocks == NULL || worker->recorders == NULL)
        return ERR_NO_MEMORY;
    /* Only the first loop's falling back to epoll is worth a line. */
    err = loop_create(&(struct loop_options){index == 0                ? options->loop
                                             : server->loop_count == 0 ? options->loop
                                                                       : loop_kind(server->workers[0].loop),
                                             server->clock, server->log},
                      &worker->loop);
    if (err != OK) {
        buffer_append_format(message, "cannot make an event loop: %s%s\n", err_text(err),
                             err == ERR_UNSUPPORTED ? "; try --loop auto" : "");
        return err;
    }
    server->loop_count++;
    for (size_t i = 0; i < options->role_count && err == OK; i++) {
        if (server->roles[i].gateway != NULL)
            err = gateway_worker_create(server->roles[i].gateway, worker->loop, &worker->counters,
                                        &worker->gateways[i]);
        else if (server->roles[i].mock != NULL)
            err = mock_worker_create(server->roles[i].mock, worker->loop, &worker->counters,
                                     &worker->mocks[i]);
        else if (server->roles[i].recorder != NULL)
            err = recorder_worker_create(server->roles[i].recorder, worker->loop, &worker->counters,
                                         &worker->recorders[i]);
    }
    if (err != OK)
        return err;
    for (size_t i = 0; i < server->port_count; i++) {
        const struct shared_port *shared = &server->ports[i];
        enum role role = role_of(server, shared);
        struct port *port = &worker->ports[i];

        port->worker = worker;
        port->wire = wire_of(role, shared->protocol);
        port->fd = shared->fds[index];
        port->tls = shared->transport == LISTEN_TLS ? server->tls : NULL;
        port->has_http2 = options->has_http2 == ANSWER_YES;
        port->is_for_all = shared->transport == LISTEN_UNIX;
        if (role == ROLE_GATEWAY) {
            port->engine = &gateway_engine;
            port->engine_worker = worker->gateways[shared->role_index];
        } else if (role == ROLE_MOCK && worker->recorders[shared->role_index] != NULL) {
            port->engine = &recorder_engine;
            port->engine_worker = worker->recorders[shared->role_index];
        } else if (role == ROLE_MOCK) {
            port->engine = &mock_engine;
            port->engine_worker = worker->mocks[shared->role_index];
        } else if (shared->protocol == LISTEN_KV_HTTP) {
            init_kv_http(port, shared, token_of(server, shared));
        } else if (is_admin(server, shared)) {
            init_admin(port, shared, token_of(server, shared));
        }
    }
    worker->port_count = server->port_count;
    return OK;
}

static enum err check_persist(const struct options *options, struct buffer *message)
{
    struct buffer why = {0};
    enum err err;

    if (options->persist_path == NULL)
        return OK;
    err = file_check_place(options->persist_path, &why);
    if (why.size > 0)
        buffer_append_format(message, "persist: %.*s", BYTES_PRINTF(buffer_bytes(&why)));
    buffer_fini(&why);
    return err;
}

/* What CONFIG shows; some of it is read from there, since it can be set. */
static void set_settings(struct server *server)
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
        if (role_of(server, port) != ROLE_CACHE || colon == NULL)
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
        err = check_persist(options, message);
    if (err == OK)
        err = kv_hub_create((unsigned)server->worker_count, call_worker, server, &server->hub);
    if (err == OK)
        err = users_take(options, server->hub->acl, message);
    if (err == OK)
        err = open_ports(server, message);
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
        set_settings(server);
    if (err == OK)
        err = open_access_log(server, message);
    for (size_t i = 0; i < options->role_count && err == OK; i++)
        err = create_role(server, i, message);
    for (size_t i = 0; i < server->worker_count && err == OK; i++)
        err = create_worker(server, i, message);
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
    sigset_t all, before;
    enum err err = OK;

    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (size_t i = 0; i < server->worker_count && err == OK; i++) {
        struct worker *worker = &server->workers[i];
        worker_listen(worker);
        if (pthread_create(&worker->thread, NULL, run_worker, worker) == 0)
            worker->thread_started = true;
        else
            err = ERR_SYSTEM;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
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
    enum err err;

    if (gateways == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < role_count; i++)
        gateways[i] = server->roles[i].gateway;
    pthread_mutex_lock(&server->reload_lock);
    err = reload(&(struct reloadable){server->options, gateways, server->tls, server->log, &server->shown},
                 report);
    pthread_mutex_unlock(&server->reload_lock);
    if (server->access_log != NULL)
        line_sink_reopen(
            server->access_log); /* also if no file was taken up: logs are moved all the same */
    free(gateways);
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
    remove_socket_files(server);
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

/* ---- ending ------------------------------------------------------------------------------------ */

static void destroy_worker(struct worker *worker)
{
    for (size_t i = 0; i < worker->role_count; i++) {
        if (worker->gateways != NULL && worker->gateways[i] != NULL)
            gateway_worker_destroy(worker->gateways[i]);
        if (worker->mocks != NULL && worker->mocks[i] != NULL)
            mock_worker_destroy(worker->mocks[i]);
        if (worker->recorders != NULL)
            recorder_worker_destroy(worker->recorders[i]);
    }
    if (worker->loop != NULL)
        loop_destroy(worker->loop);
    if (worker->server != NULL) /* its making had begun */
        intake_fini(&worker->intake);
    free(worker->gateways);
    free(worker->mocks);
    free(worker->recorders);
    free(worker->ports);
    free(worker->fields);
}

static void end_workers(struct server *server)
{
    for (size_t i = 0; server->workers != NULL && i < server->worker_count; i++)
        destroy_worker(&server->workers[i]);
    free(server->workers);
    server->workers = NULL;
    line_sink_close(server->access_log);
    server->access_log = NULL;
}

void server_destroy(struct server *server)
{
    end_workers(server);
    for (size_t i = 0; server->roles != NULL && i < server->options->role_count; i++) {
        if (server->roles[i].gateway != NULL)
            gateway_destroy(server->roles[i].gateway);
        if (server->roles[i].mock != NULL)
            mock_destroy(server->roles[i].mock);
        recorder_destroy(server->roles[i].recorder);
    }
    remove_socket_files(server); /* of a start that failed; else they are gone */
    for (size_t i = 0; i < server->port_count; i++) {
        for (size_t j = 0; j < server->worker_count; j++)
            if (server->ports[i].fds[j] >= 0)
                close(server->ports[i].fds[j]);
        free(server->ports[i].fds);
    }
    if (server->tls != NULL)
        tls_server_destroy(server->tls);
    if (server->store != NULL)
        nh_destroy(server->store);
    kv_hub_destroy(server->hub);
    buffer_fini(&server->bind_text);
    pthread_mutex_destroy(&server->reload_lock);
    if (server->shown.options != NULL)
        config_shown_fini(&server->shown);
    free(server->ports);
    free(server->roles);
    free(server);
}

/* ---- warm restart ------------------------------------------------------------------------------ */

static const char *reason_text(nh_result result)
{
    return result == NH_IO ? strerror(errno) : nh_result_text(result);
}

void server_restore(struct server *server)
{
    const char *path = server->options->persist_path;
    struct now now = clock_read(server->clock);
    nh_result result;

    if (path == NULL)
        return;
    if (server->store == NULL) {
        log_write(server->log, LOG_WARNING,
                  "persist: there are no values to keep in %s without a cache or gateway", path);
        return;
    }
    result = nh_restore(server->store, path, now.mono_ms, now.wall_ms, NULL);
    if (result == NH_MISSING) {
        log_write(server->log, LOG_INFO, "no values to restore: there is no %s yet", path);
        return;
    }
    if (result != NH_OK) {
        log_write(
            server->log, LOG_WARNING,
            "cannot restore values from %s: %s; starting empty. The file stays as it is until the next "
            "clean stop overwrites it: move it away if you want it, or remove it",
            path, reason_text(result));
        return;
    }
    kv_databases_take_over(server->hub, server->store, now);
    for (size_t i = 0; i < server->options->role_count; i++)
        if (server->roles[i].gateway != NULL)
            gateway_take_over(server->roles[i].gateway, now);
    log_write(server->log, LOG_INFO, "restored %llu values from %s, %lld ms",
              (unsigned long long)nh_count(server->store, NH_SPACE_ALL), path,
              (long long)(clock_read(server->clock).mono_ms - now.mono_ms));
}

bool server_save(struct server *server)
{
    const char *path = server->options->persist_path;
    struct now now = clock_read(server->clock);
    unsigned long long count;
    nh_result result;

    if (path == NULL || server->store == NULL)
        return true;
    end_workers(server); /* which may have borrowed from the store */
    /* What has expired and was not freed yet is counted, though not saved. */
    count = nh_count(server->store, NH_SPACE_ALL);
    kv_databases_hand_over(server->hub, server->store, now);
    for (size_t i = 0; i < server->options->role_count; i++)
        if (server->roles[i].gateway != NULL)
            gateway_hand_over(server->roles[i].gateway, now);
    result = nh_save(server->store, path, now.mono_ms, now.wall_ms);
    if (result == NH_OK)
        log_write(server->log, LOG_INFO, "saved %llu values to %s, %lld ms", count, path,
                  (long long)(clock_read(server->clock).mono_ms - now.mono_ms));
    else
        log_write(server->log, LOG_ERROR, "cannot save %llu values to %s: %s; the next start will be cold",
                  count, path, reason_text(result));
    return result == NH_OK;
}
