/* conn_http2.c — a connection that speaks HTTP/2: a session (protocol/http/http2_session.h) on a stream.
 *
 * It begins as a connection of HTTP/1.1, whose first bytes tell (see conn_http.c), or TLS has told. */
#include "server/conn.h"

enum { WINDOW_BYTES = 256 * 1024 /* queued for the socket */ };

static struct now now(void *owner)
{
    struct conn *conn = owner;
    return loop_now(conn->worker->loop);
}

static const char *date(void *owner)
{
    struct conn *conn = owner;
    return worker_date(conn->worker);
}

static struct buffer *output(void *owner)
{
    struct conn *conn = owner;
    return stream_output(&conn->stream);
}

static size_t room(void *owner)
{
    struct conn *conn = owner;
    size_t queued = stream_queued_bytes(&conn->stream);

    if (queued < WINDOW_BYTES)
        return WINDOW_BYTES - queued;
    stream_want_drained(&conn->stream);
    conn_update_deadline(conn);
    return 0;
}

static void go_on(void *owner) { conn_go_on(owner); }

static void due(void *owner)
{
    struct conn *conn = owner;
    if (conn->kind_state != NULL) /* the session is made */
        conn_update_deadline(conn);
}

static void answered(void *owner)
{
    struct conn *conn = owner;
    counters_add(&conn->worker->counters, METRIC_http_requests, 1);
}

static void refused(void *owner, struct bytes why) { conn_note_refusal(owner, why); }

static void slow(void *owner, const char *why) { conn_note_slowness(owner, why); }

static void over(void *owner) { conn_close(owner); }

static const struct http2_callbacks callbacks = {now, date,     output,  room, go_on,
                                                 due, answered, refused, slow, over};

static struct http2_session *create(struct conn *conn)
{
    const struct conn_limits *limits = conn->worker->limits;

    counters_add(&conn->worker->counters, METRIC_http2_connections, 1);
    return http2_session_create(&(struct http2_options){.callbacks = &callbacks,
                                                        .owner = conn,
                                                        .engine = conn->port->engine,
                                                        .engine_worker = conn->port->engine_worker,
                                                        .client_fd = conn->stream.fd,
                                                        .limits = &limits->http,
                                                        .fields = conn->worker->fields,
                                                        .idle_ms = limits->http_idle_ms,
                                                        .head_ms = limits->head_ms,
                                                        .body_ms = limits->body_ms,
                                                        .body_rate = limits->body_rate,
                                                        .write_ms = limits->write_ms,
                                                        .answer_rate = limits->answer_rate});
}

enum http2_preface conn_http2_look(const struct conn *conn, struct bytes input)
{
    if (!conn->port->has_http2)
        return HTTP2_PREFACE_NONE;
    if (conn->port->tls != NULL) /* RFC 9113 §3.2: ALPN alone decides */
        return tls_stream_speaks_http2(&conn->stream) ? HTTP2_PREFACE_WHOLE : HTTP2_PREFACE_NONE;
    return http2_preface_look(input);
}

static size_t received(struct conn *conn, struct bytes input)
{
    if (conn->kind_state == NULL) {
        conn->kind_state = create(conn);
        if (conn->kind_state == NULL) {
            conn->closing = true;
            stream_abort(&conn->stream);
            return input.size;
        }
        if (conn->worker->draining)
            http2_session_drain(conn->kind_state);
    }
    http2_session_receive(conn->kind_state, input);
    if (conn->closing)
        return input.size;
    if (!http2_session_wants_input(conn->kind_state))
        conn_hold_input(conn); /* until drained */
    if (conn->peer_ended)
        http2_session_ended(conn->kind_state);
    return input.size;
}

static void ended(struct conn *conn)
{
    if (!conn->held)
        http2_session_ended(conn->kind_state);
}

static void drained(struct conn *conn)
{
    conn_release_input(conn);
    http2_session_drained(conn->kind_state);
}

static void closed(struct conn *conn)
{
    if (conn->kind_state != NULL)
        http2_session_destroy(conn->kind_state);
}

static void drain(struct conn *conn) { http2_session_drain(conn->kind_state); }

static int64_t due_ms(const struct conn *conn) { return http2_session_due_ms(conn->kind_state); }

static void too_slow(struct conn *conn)
{
    http2_session_look_at_time(conn->kind_state);
    conn_update_deadline(conn);
}

const struct conn_kind conn_kind_http2 = {received, ended, drained, closed, drain, due_ms, too_slow};
