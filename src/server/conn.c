#include "server/conn.h"
#include "net/listen.h"
#include "server/detect.h"
#include <stdlib.h>
#include <unistd.h>

enum { HELD_BYTES_MAX = 64 * 1024 }; /* more than this is left with the kernel while input is held */

static void feed(struct conn *conn, struct bytes bytes);

/* ---- deadlines --------------------------------------------------------------------------------- */

/* When output must have moved. What was appended in this very turn has not had its chance yet: its time
 * begins now, whenever the last output moved. */
static int64_t silent_due_ms(const struct conn *conn)
{
    int64_t since_ms = loop_now(conn->worker->loop).mono_ms;

    if (stream_queued_bytes(&conn->stream) == 0)
        return INT64_MAX;
    if (stream_is_blocked(&conn->stream))
        since_ms = conn->taken_ms > conn->stream.progress_ms ? conn->taken_ms : conn->stream.progress_ms;
    return since_ms + conn->worker->limits->write_ms;
}

/* When so little of HTTP's answers was taken that it is too little on average. While nothing waits to be
 * taken no time passes. */
static int64_t slow_due_ms(const struct conn *conn)
{
    int64_t pace_ms = pace_due_ms(&conn->answer_pace);

    if (pace_ms == INT64_MAX || !stream_is_blocked(&conn->stream))
        return INT64_MAX;
    return loop_now(conn->worker->loop).mono_ms + pace_ms - stream_waited_ms(&conn->stream);
}

static int64_t write_due_ms(const struct conn *conn)
{
    int64_t silent_ms = silent_due_ms(conn), slow_ms = slow_due_ms(conn);

    return silent_ms < slow_ms ? silent_ms : slow_ms;
}

static void look_at_output(struct conn *conn)
{
    uint64_t taken = stream_taken_bytes(&conn->stream);

    if (!stream_is_blocked(&conn->stream) || taken <= conn->taken_bytes)
        return;
    pace_note(&conn->answer_pace, stream_waited_ms(&conn->stream), taken - conn->taken_bytes);
    conn->taken_bytes = taken;
    conn->taken_ms = loop_now(conn->worker->loop).mono_ms;
}

int64_t conn_cache_idle_due_ms(const struct conn *conn, int64_t since_ms)
{
    int64_t idle_ms = kv_setting(&conn->worker->kv.hub->settings, KV_SETTING_idle_timeout_ms);

    return idle_ms > 0 ? since_ms + idle_ms : INT64_MAX;
}

/* Until the protocol is known. A cache client that opens connections before it needs them is merely idle.
 */
static int64_t first_bytes_due_ms(const struct conn *conn)
{
    const struct conn_limits *limits = conn->worker->limits;

    if (conn->input.size > 0)
        return conn->opened_ms + limits->head_ms;
    return conn_cache_idle_due_ms(conn, conn->opened_ms);
}

static int64_t due_ms(const struct conn *conn)
{
    int64_t write_ms = write_due_ms(conn);
    int64_t kind_ms;

    if (conn->closing)
        return write_ms;
    kind_ms = conn->kind != NULL ? conn->kind->due_ms(conn) : first_bytes_due_ms(conn);
    return write_ms < kind_ms ? write_ms : kind_ms;
}

void conn_update_deadline(struct conn *conn)
{
    int64_t due = due_ms(conn);
    if (due != INT64_MAX && (!timer_is_set(&conn->deadline) || due < conn->deadline.due_ms))
        timer_set(conn->worker->loop, &conn->deadline, due);
}

void conn_note_slowness(struct conn *conn, const char *why)
{
    counters_add(&conn->worker->counters, METRIC_deadlines_missed, 1);
    log_write_limited(conn->worker->log, LOG_INFO, LOG_KIND_DEADLINE, "a client was too slow: %s", why);
}

/* The timer is set early rather than moved at every request: here it is found out what is really due. */
static void deadline_fired(struct timer *timer)
{
    struct conn *conn = CONTAINER_OF(timer, struct conn, deadline);
    int64_t now_ms = loop_now(conn->worker->loop).mono_ms;
    bool write_is_late;

    if (conn->gone)
        return;
    if (write_due_ms(conn) <= now_ms)
        look_at_output(conn);
    write_is_late = write_due_ms(conn) <= now_ms;
    if (due_ms(conn) > now_ms) {
        conn_update_deadline(conn);
        return;
    }
    if (write_is_late) {
        conn_note_slowness(conn, silent_due_ms(conn) <= now_ms ? "it does not read its answers"
                                                               : "it reads its answers too slowly");
        conn->closing = true;
        stream_abort(&conn->stream);
    } else if (conn->kind == NULL) {
        conn_close(conn);
    } else {
        conn->kind->too_slow(conn);
    }
}

/* ---- input ------------------------------------------------------------------------------------- */

void conn_note_refusal(struct conn *conn, struct bytes why)
{
    char peer[ADDRESS_TEXT_BYTES];

    counters_add(&conn->worker->counters, METRIC_protocol_errors, 1);
    address_of_peer(conn->stream.fd, peer);
    log_write_limited(conn->worker->log, LOG_INFO, LOG_KIND_REFUSED_INPUT, "refused input from %s: %.*s",
                      peer, BYTES_PRINTF(why));
}

void conn_close(struct conn *conn)
{
    if (conn->closing)
        return;
    conn->closing = true;
    stream_close(&conn->stream);
    conn_update_deadline(conn);
}

void conn_hold_input(struct conn *conn)
{
    conn->held = true;
    stream_pause(&conn->stream);
}

void conn_hold_input_listening(struct conn *conn) { conn->held = true; }

void conn_release_input(struct conn *conn)
{
    if (!conn->held)
        return;
    conn->held = false;
    conn_go_on(conn); /* the stream is resumed behind it: its end must not overtake what came before */
}

static void run_go_on(struct task *task)
{
    struct conn *conn = CONTAINER_OF(task, struct conn, go_on);

    conn->go_on_posted = false;
    if (conn->gone) {
        free(conn);
        return;
    }
    feed(conn, (struct bytes){NULL, 0});
    if (!conn->held && !conn->closing)
        stream_resume(&conn->stream);
}

void conn_go_on(struct conn *conn)
{
    if (conn->go_on_posted || conn->gone)
        return;
    conn->go_on_posted = true;
    conn->go_on.run = run_go_on;
    loop_post(conn->worker->loop, &conn->go_on);
}

/* Finds out which protocol the first bytes speak. False if more are needed, or the connection was closed.
 */
static bool choose_kind(struct conn *conn, struct bytes input)
{
    enum wire wire = conn->port->wire != WIRE_DETECT ? conn->port->wire : detect_wire(input);

    switch (wire) {
    case WIRE_DETECT: return false;
    case WIRE_HTTP:
        if (conn->port->wire == WIRE_HTTP) {
            conn->kind = &conn_kind_http;
            return true;
        }
        conn_note_refusal(conn, BYTES("HTTP on a cache port"));
        stream_abort(&conn->stream);
        conn->closing = true;
        return false;
    case WIRE_RESP:
    case WIRE_MEMCACHED: conn->kind = &conn_kind_cache; return true;
    }
    UNREACHABLE();
}

/* Has `bytes`, behind what is left from before, looked at; keeps what is not consumed. */
static void feed(struct conn *conn, struct bytes bytes)
{
    bool kept = conn->input.size > 0;
    struct bytes input;
    size_t consumed = 0;

    if (kept || conn->held)
        buffer_append(&conn->input, bytes);
    if (UNLIKELY(conn->held && conn->input.size > HELD_BYTES_MAX))
        stream_pause(&conn->stream);
    input = kept || conn->held ? buffer_bytes(&conn->input) : bytes;
    if (conn->closing || conn->held || conn->in_received)
        return;
    conn->in_received = true;
    if ((input.size > 0 || conn->kind != NULL) && (conn->kind != NULL || choose_kind(conn, input)))
        consumed = conn->kind->received(conn, input);
    conn->in_received = false;

    if (conn->closing) {
        buffer_fini(&conn->input);
        return;
    }
    if (kept)
        buffer_consume(&conn->input, consumed);
    else if (consumed < input.size)
        buffer_append(&conn->input, bytes_after(input, consumed));
    if (conn->input.failed || conn->input.size > conn->worker->limits->input_bytes_max) {
        log_write_limited(conn->worker->log, LOG_WARNING, LOG_KIND_CAP,
                          "a connection was cut: its request is larger than a connection may buffer");
        conn->closing = true;
        stream_abort(&conn->stream);
        return;
    }
    if (conn->input.size == 0 && conn->input.capacity > 0)
        buffer_fini(&conn->input);
    if (conn->peer_ended && conn->kind == NULL)
        conn_close(conn);
    conn_update_deadline(conn);
}

static void on_received(struct stream *stream, struct bytes bytes)
{
    struct conn *conn = CONTAINER_OF(stream, struct conn, stream);

    counters_add(&conn->worker->counters, METRIC_bytes_received, bytes.size);
    conn->active_ms = loop_now(conn->worker->loop).mono_ms;
    feed(conn, bytes);
}

static void on_ended(struct stream *stream)
{
    struct conn *conn = CONTAINER_OF(stream, struct conn, stream);

    conn->peer_ended = true;
    if (conn->closing)
        return;
    if (conn->kind != NULL)
        conn->kind->ended(conn);
    else
        conn_close(conn);
}

static void on_drained(struct stream *stream)
{
    struct conn *conn = CONTAINER_OF(stream, struct conn, stream);
    if (conn->kind != NULL && !conn->closing)
        conn->kind->drained(conn);
}

static void on_closed(struct stream *stream, enum err why)
{
    struct conn *conn = CONTAINER_OF(stream, struct conn, stream);
    struct worker *worker = conn->worker;

    (void)why; /* a client that leaves is not news */
    conn->gone = conn->closing = true;
    if (conn->kind != NULL)
        conn->kind->closed(conn);
    timer_cancel(worker->loop, &conn->deadline);
    list_remove(&conn->in_worker);
    worker->connection_count--;
    atomic_fetch_sub(worker->server_connection_count, 1);
    worker_note_closed(worker);
    counters_add(&worker->counters, METRIC_connections_closed, 1);
    counters_add(&worker->counters, METRIC_bytes_sent, conn->stream.sent_bytes);
    buffer_fini(&conn->input);
    if (!conn->go_on_posted)
        free(conn);
}

/* ---- beginning --------------------------------------------------------------------------------- */

static const struct stream_callbacks callbacks = {on_received, on_ended, on_drained, on_closed};

/* Over the cap: one plain sentence in the port's protocol, then the door. */
static int64_t connections_max(const struct worker *worker)
{
    return kv_setting(&worker->kv.hub->settings, KV_SETTING_connections_max);
}

static void refuse(struct port *port, int fd)
{
    static const struct bytes words[] = {
        [WIRE_DETECT] = BYTES_INIT("-ERR max number of clients reached\r\n"),
        [WIRE_RESP] = BYTES_INIT("-ERR max number of clients reached\r\n"),
        [WIRE_MEMCACHED] = BYTES_INIT("SERVER_ERROR max number of clients reached\r\n"),
        [WIRE_HTTP] =
            BYTES_INIT("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"
                       "Content-Type: application/problem+json\r\nContent-Length: 86\r\n\r\n"
                       "{\"title\":\"Service Unavailable\",\"status\":503,\"detail\":\"max number of "
                       "clients reached\"}\n"),
    };
    struct worker *worker = port->worker;
    ssize_t sent = 0;

    if (port->tls == NULL) /* a handshake only to say no would be dear */
        sent = send(fd, words[port->wire].data, words[port->wire].size, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent; /* a courtesy; the kernel's empty buffer takes it */
    close(fd);
    counters_add(&worker->counters, METRIC_connections_refused, 1);
    log_write_limited(worker->log, LOG_WARNING, LOG_KIND_CAP,
                      "a client was refused: there are %lld connections already (see --max-connections)",
                      (long long)connections_max(worker));
}

void conn_accept(struct listener *listener, int fd)
{
    struct port *port = CONTAINER_OF(listener, struct port, listener);
    struct worker *worker = port->worker;
    struct conn *conn;

    if (atomic_fetch_add(worker->server_connection_count, 1) >= connections_max(worker) ||
        (conn = calloc(1, sizeof *conn)) == NULL) {
        atomic_fetch_sub(worker->server_connection_count, 1);
        refuse(port, fd);
        return;
    }
    conn->worker = worker;
    conn->port = port;
    conn->opened_ms = conn->active_ms = loop_now(worker->loop).mono_ms;
    if (port->wire == WIRE_HTTP) {
        conn->kind = &conn_kind_http;
        pace_begin(&conn->answer_pace, worker->limits->write_ms, worker->limits->answer_rate);
        pace_wait(&conn->answer_pace, 0);
    }
    timer_init(&conn->deadline, deadline_fired);
    list_append(&worker->connections, &conn->in_worker);
    worker->connection_count++;
    counters_add(&worker->counters, METRIC_connections_accepted, 1);
    if (port->tls != NULL)
        tls_stream_open(worker->loop, &conn->stream, fd, &callbacks, port->tls,
                        port->wire != WIRE_HTTP ? TLS_ALPN_NONE
                        : port->has_http2       ? TLS_ALPN_HTTP
                                                : TLS_ALPN_HTTP1,
                        worker->limits->head_ms);
    else
        stream_open(worker->loop, &conn->stream, fd, &callbacks);
    conn_update_deadline(conn);
}
