#include "server/worker.h"
#include "engine/kv/kv_admin.h"
#include "message/http_date.h"
#include "server/conn.h"
#include "server/server.h"
#include <stdlib.h>

enum { SWEEP_EVERY_MS = 100, SWEEP_ENTRIES = 2000, SWEEP_PURGED_ENTRIES = 5000, DRAIN_LOOK_EVERY_MS = 20 };

const char *worker_date(struct worker *worker)
{
    int64_t second = loop_now(worker->loop).wall_ms / 1000;

    if (second != worker->date_second) {
        http_date_format(second * 1000, worker->date);
        worker->date_second = second;
    }
    return worker->date;
}

/* Says how the connections to the shared tier are, now and then. */
static void post_tier(struct worker *worker, int64_t now_ms)
{
    struct tier_node_facts *facts;

    if (worker->tier == NULL || now_ms < worker->next_post_ms)
        return;
    worker->next_post_ms = now_ms + TIER_BOARD_EVERY_MS;
    facts = calloc(TIER_BOARD_NODES_MAX, sizeof *facts);
    if (facts == NULL)
        return;
    tier_board_post(worker->board, worker->kv.number, now_ms, facts,
                    tier_worker_facts(worker->tier, facts, TIER_BOARD_NODES_MAX));
    free(facts);
}

static void sweep(struct timer *timer)
{
    struct worker *worker = CONTAINER_OF(timer, struct worker, sweep);
    int64_t now_ms = loop_now(worker->loop).mono_ms;

    nh_sweep(worker->store, now_ms, SWEEP_ENTRIES);
    kv_sweep(&worker->kv, now_ms);
    if (worker->kv.number == 0) /* by one thread */
        for (size_t i = 0; i < worker->role_count; i++)
            if (worker->gateways[i] != NULL)
                gateway_worker_sweep(worker->gateways[i], now_ms, SWEEP_PURGED_ENTRIES);
    if (worker->kv.number == 0)
        kv_tick(&worker->kv, loop_now(worker->loop));
    post_tier(worker, now_ms);
    timer_set(worker->loop, timer, now_ms + SWEEP_EVERY_MS);
}

void worker_listen(struct worker *worker)
{
    for (size_t i = 0; i < worker->port_count; i++) {
        struct port *port = &worker->ports[i];
        if (port->fd >= 0)
            listener_start(worker->loop, &port->listener, port->fd,
                           port->is_for_all ? intake_accept : conn_accept);
    }
    if (worker->store != NULL) {
        timer_init(&worker->sweep, sweep);
        timer_set(worker->loop, &worker->sweep, clock_read(worker->clock).mono_ms + SWEEP_EVERY_MS);
    }
}

static bool is_idle(const struct worker *worker)
{
    if (worker->connection_count > 0)
        return false;
    for (size_t i = 0; i < worker->role_count; i++)
        if (worker->gateways[i] != NULL &&
            !(live_worker_is_idle(worker->lives[i]) && gateway_worker_is_idle(worker->gateways[i])))
            return false;
    return true;
}

static void abort_connections(struct worker *worker)
{
    for (struct list *node = worker->connections.next; node != &worker->connections; node = node->next) {
        struct conn *conn = CONTAINER_OF(node, struct conn, in_worker);
        conn->closing = true;
        stream_abort(&conn->stream);
    }
}

static void stop_loop(void *owner)
{
    struct worker *worker = owner;

    timer_cancel(worker->loop, &worker->sweep);
    loop_stop(worker->loop);
}

/* Nobody is left who might ask the shared tier for something: it goes before the loop does. */
static void end(struct worker *worker)
{
    if (worker->tier == NULL) {
        stop_loop(worker);
    } else if (!worker->tier_is_stopping) {
        worker->tier_is_stopping = true;
        tier_worker_stop(worker->tier, stop_loop, worker);
    }
}

/* Looks now and then whether the worker may end. */
static void look_at_drain(struct timer *timer)
{
    struct worker *worker = CONTAINER_OF(timer, struct worker, drain_check);
    int64_t now_ms = loop_now(worker->loop).mono_ms;

    if (now_ms >= worker->drain_deadline_ms)
        abort_connections(worker);
    if (worker->connection_count == 0)
        for (size_t i = 0; i < worker->role_count; i++)
            if (worker->gateways[i] != NULL)
                gateway_worker_stop(worker->gateways[i]);
    if (is_idle(worker)) {
        end(worker);
        return;
    }
    timer_set(worker->loop, timer, now_ms + DRAIN_LOOK_EVERY_MS);
}

void worker_note_closed(struct worker *worker)
{
    if (worker->draining)
        timer_set(worker->loop, &worker->drain_check, loop_now(worker->loop).mono_ms);
}

void worker_drain(struct worker *worker, int64_t drain_ms)
{
    int64_t deadline_ms = loop_now(worker->loop).mono_ms + drain_ms;

    if (worker->draining) {
        if (deadline_ms < worker->drain_deadline_ms)
            worker->drain_deadline_ms = deadline_ms;
        return;
    }
    timer_init(&worker->drain_check, look_at_drain);
    worker->draining = true;
    worker->drain_deadline_ms = deadline_ms;
    for (size_t i = 0; i < worker->port_count; i++) {
        if (worker->ports[i].fd < 0)
            continue;
        listener_stop(&worker->ports[i].listener);
        /* Newcomers are refused from now on, and a successor may have the port. */
        shutdown(worker->ports[i].fd, SHUT_RDWR);
    }
    for (size_t i = 0; i < worker->role_count; i++)
        if (worker->lives[i] != NULL)
            live_worker_stop(worker->lives[i]);
    for (size_t i = 0; i < worker->role_count; i++)
        if (worker->polls[i] != NULL)
            polls_stop(worker->polls[i]);
    for (struct list *node = worker->connections.next; node != &worker->connections; node = node->next) {
        struct conn *conn = CONTAINER_OF(node, struct conn, in_worker);
        if (conn->kind != NULL && !conn->closing)
            conn->kind->drain(conn);
        else
            conn_close(conn);
    }
    timer_set(worker->loop, &worker->drain_check, loop_now(worker->loop).mono_ms);
}
