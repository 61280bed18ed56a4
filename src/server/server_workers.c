#include "engine/compose/compose.h"
#include "engine/gateway/gateway.h"
#include "engine/kv/tier/kv_tier.h"
#include "engine/kv/tier/kv_tier_http.h"
#include "engine/live/live.h"
#include "engine/mock/mock.h"
#include "engine/mock/record/recorder.h"
#include "server/live_channels.h"
#include "server/poll_plan.h"
#include "server/server_state.h"
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

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

void server_call_worker(void *context, unsigned number)
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
    port->engine = worker->kv.elsewhere != NULL ? &kv_tier_http_engine : &kv_http_engine;
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

/* One worker asks for what is polled. */
static enum err create_polls(struct worker *worker, size_t index)
{
    struct server *server = worker->server;
    enum err err =
        polls_create(worker->gateways[index], worker->loop, &worker->counters, &worker->polls[index]);

    if (err != OK)
        return err;
    server->roles[index].polls = worker->polls[index];
    return poll_plan_follow(worker->polls[index], &server->options->roles[index]);
}

static enum err create_gateway_worker(struct worker *worker, size_t index)
{
    struct gateway_worker **made = &worker->gateways[index];
    enum err err =
        gateway_worker_create(worker->server->roles[index].gateway, worker->loop, &worker->counters, made);

    if (err == OK && worker->tier != NULL)
        err = gateway_worker_use_tier(*made, worker->tier);
    if (err == OK)
        err = compose_worker_create(*made, worker->loop, &worker->counters, &worker->composes[index]);
    if (err == OK)
        err = live_worker_create(worker->server->roles[index].live, *made, worker->loop, &worker->counters,
                                 &worker->lives[index]);
    if (err == OK)
        live_worker_put_before(worker->lives[index], &compose_engine, worker->composes[index]);
    return err == OK && worker == worker->server->workers ? create_polls(worker, index) : err;
}

static enum err create_engines(struct server *server, struct worker *worker)
{
    enum err err = OK;

    if (server->tier != NULL) /* before the engines, which ask it */
        err = tier_worker_create(server->tier, (unsigned)(worker - server->workers), worker->loop,
                                 &worker->counters, &worker->tier);
    if (err == OK && server->tier != NULL)
        err = kv_tier_begin(&worker->kv, worker->tier, worker->loop);
    worker->board = server->tier_board;
    for (size_t i = 0; i < worker->role_count && err == OK; i++) {
        if (server->roles[i].gateway != NULL)
            err = create_gateway_worker(worker, i);
        else if (server->roles[i].mock != NULL)
            err = mock_worker_create(server->roles[i].mock, worker->loop, &worker->counters,
                                     &worker->mocks[i]);
        else if (server->roles[i].recorder != NULL)
            err = recorder_worker_create(server->roles[i].recorder, worker->loop, &worker->counters,
                                         &worker->recorders[i]);
    }
    return err;
}

/* The worker's own of each port, with a socket and an engine. */
static void init_ports(struct server *server, struct worker *worker, size_t index)
{
    for (size_t i = 0; i < server->port_count; i++) {
        const struct shared_port *shared = &server->ports[i];
        enum role role = server_role_of_port(server, shared);
        struct port *port = &worker->ports[i];

        port->worker = worker;
        port->wire = wire_of(role, shared->protocol);
        port->fd = shared->fds[index];
        port->tls = shared->transport == LISTEN_TLS ? server->tls : NULL;
        port->has_http2 = server->options->has_http2 == ANSWER_YES;
        port->is_for_all = shared->transport == LISTEN_UNIX;
        if (role == ROLE_GATEWAY) {
            port->engine = &live_engine;
            port->engine_worker = worker->lives[shared->role_index];
        } else if (role == ROLE_MOCK && worker->recorders[shared->role_index] != NULL) {
            port->engine = &recorder_engine;
            port->engine_worker = worker->recorders[shared->role_index];
        } else if (role == ROLE_MOCK) {
            port->engine = &mock_engine;
            port->engine_worker = worker->mocks[shared->role_index];
        } else if (shared->protocol == LISTEN_KV_HTTP) {
            init_kv_http(port, shared, server_token_of_port(server, shared));
        } else if (server_is_admin_port(server, shared)) {
            init_admin(port, shared, server_token_of_port(server, shared));
        }
    }
    worker->port_count = server->port_count;
}

enum err server_create_worker(struct server *server, size_t index, struct buffer *message)
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
                             .read_facts = server_read_facts,
                             .reset_facts = server_reset_facts,
                             .facts_context = server,
                             .kept_bytes_max = server->limits.input_bytes_max,
                             .memcached_value_bytes_max = server->limits.memcached.value_bytes_max,
                             .stop = stop};
    kv_join(&worker->kv);
    worker->fields = calloc(server->limits.http.fields_max, sizeof *worker->fields);
    worker->ports = calloc(server->port_count + 1, sizeof *worker->ports);
    worker->gateways = calloc(options->role_count + 1, sizeof *worker->gateways);
    worker->lives = calloc(options->role_count + 1, sizeof *worker->lives);
    worker->polls = calloc(options->role_count + 1, sizeof(struct polls *));
    worker->composes = calloc(options->role_count + 1, sizeof *worker->composes);
    worker->mocks = calloc(options->role_count + 1, sizeof *worker->mocks);
    worker->recorders = calloc(options->role_count + 1, sizeof *worker->recorders);
    if (worker->fields == NULL || worker->ports == NULL || worker->gateways == NULL ||
        worker->lives == NULL || worker->polls == NULL || worker->composes == NULL ||
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
    err = create_engines(server, worker);
    if (err == OK) {
        init_ports(server, worker, index);
        live_channels_begin(worker);
    }
    return err;
}

static void destroy_worker(struct worker *worker)
{
    for (size_t i = 0; i < worker->role_count; i++) {
        if (worker->polls != NULL && worker->polls[i] != NULL)
            polls_destroy(worker->polls[i]);
        if (worker->lives != NULL && worker->lives[i] != NULL)
            live_worker_destroy(worker->lives[i]);
        if (worker->composes != NULL && worker->composes[i] != NULL)
            compose_worker_destroy(worker->composes[i]);
        if (worker->gateways != NULL && worker->gateways[i] != NULL)
            gateway_worker_destroy(worker->gateways[i]);
        if (worker->mocks != NULL && worker->mocks[i] != NULL)
            mock_worker_destroy(worker->mocks[i]);
        if (worker->recorders != NULL)
            recorder_worker_destroy(worker->recorders[i]);
    }
    if (worker->tier != NULL) {
        kv_tier_end(&worker->kv);
        tier_worker_destroy(worker->tier);
    }
    if (worker->loop != NULL)
        loop_destroy(worker->loop);
    if (worker->server != NULL) /* its making had begun */
        intake_fini(&worker->intake);
    free(worker->gateways);
    free(worker->composes);
    free(worker->lives);
    free(worker->polls);
    free(worker->mocks);
    free(worker->recorders);
    free(worker->ports);
    free(worker->fields);
}

void server_end_workers(struct server *server)
{
    for (size_t i = 0; server->workers != NULL && i < server->worker_count; i++)
        destroy_worker(&server->workers[i]);
    free(server->workers);
    server->workers = NULL;
    line_sink_close(server->access_log);
    server->access_log = NULL;
}

uint64_t server_next_connection_id(struct server *server)
{
    return atomic_fetch_add(&server->last_connection_id, 1) + 1;
}

struct worker *server_next_worker(struct server *server, size_t *turn)
{
    return &server->workers[(*turn)++ % server->worker_count];
}

const char *server_loop_name(const struct server *server)
{
    return loop_kind(server->workers[0].loop) == LOOP_URING ? "io_uring" : "epoll";
}

unsigned server_thread_count(const struct server *server) { return (unsigned)server->worker_count; }
