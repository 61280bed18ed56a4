/* conn_http.c — a connection that speaks HTTP/1.1 (RFC 9112): one exchange at a time, answers in order.
 *
 *   head ──► begun ──► (body) ──► answered ──► head …
 *
 * A request that follows before the answer is complete waits in the connection's input. */
#include "base/pace.h"
#include "message/http_date.h"
#include "message/problem.h"
#include "server/conn.h"
#include <assert.h>
#include <stdlib.h>

struct http_conn {
    struct exchange exchange;
    struct http_request request;
    struct http1_parser parser;
    struct http1_body body; /* of the request in hand */
    struct conn *conn;
    void *kept;                  /* the request's head and fields, once it outlives the bytes it came in */
    int64_t response_left_bytes; /* or HTTP_BODY_UNKNOWN */
    struct pace body_pace;       /* of it, while it is wanted */
    int64_t head_began_ms;       /* when the first byte of a head that is not whole came; 0: none */
    bool active;                 /* an exchange is in hand */
    bool in_begin;
    bool responded;
    bool no_body; /* HEAD, 204, 304 */
    bool chunked;
    bool keep_alive;
    bool body_wanted;
    bool is_switched;   /* to another protocol: what comes is the engine's as it is */
    bool continue_owed; /* 100 Continue was asked for and not sent */
    bool writable_wanted;
};

static struct http_conn *http_of(const struct exchange *x)
{
    return (struct http_conn *)(void *)((char *)(uintptr_t)x - offsetof(struct http_conn, exchange));
}

/* ---- answering --------------------------------------------------------------------------------- */

static void respond(struct conn *conn, const struct http_response *response, bool keep_alive, bool chunked,
                    bool no_content_length, uint8_t minor_version)
{
    struct http1_response_framing framing = {
        .minor_version = minor_version,
        .keep_alive = keep_alive,
        .chunked = chunked,
        .no_content_length = no_content_length,
        .add_date =
            !response->rendered_has_date && http_fields_find(&response->fields, HTTP_HEADER_DATE) == NULL,
    };
    if (framing.add_date)
        memcpy(framing.date, worker_date(conn->worker), sizeof framing.date);
    http1_render_response_head(stream_output(&conn->stream), response, &framing);
}

/* The connection's own refusal of what is not a request: a problem document, then the end. */
static void refuse(struct conn *conn, int status)
{
    struct http_field type = {HTTP_HEADER_CONTENT_TYPE, BYTES("Content-Type"),
                              BYTES("application/problem+json")};
    struct http_response response = {.status = status, .fields = {&type, 1}};
    struct buffer body = {0};

    problem_render(&body, status, (struct bytes){0}, (struct bytes){0});
    response.body_bytes = (int64_t)body.size;
    respond(conn, &response, false, false, false, 1);
    buffer_append(stream_output(&conn->stream), buffer_bytes(&body));
    buffer_fini(&body);
    conn_note_refusal(conn, http_status_reason(status));
    conn_close(conn);
}

static void client_read(struct exchange *x, bool wanted)
{
    struct http_conn *http = http_of(x);

    int64_t now_ms = loop_now(http->conn->worker->loop).mono_ms;

    http->body_wanted = wanted && !http1_body_is_done(&http->body);
    if (!http->body_wanted) {
        pace_rest(&http->body_pace, now_ms);
        return;
    }
    pace_wait(&http->body_pace, now_ms);
    if (http->continue_owed && !http->responded) {
        http->continue_owed = false;
        buffer_append_literal(stream_output(&http->conn->stream), "HTTP/1.1 100 Continue\r\n\r\n");
    }
    http->conn->active_ms = now_ms;
    conn_release_input(http->conn);
    conn_go_on(http->conn);
}

static void client_inform(struct exchange *x, int status, const struct http_fields *fields)
{
    struct http_conn *http = http_of(x);
    struct http_response response = {.status = status, .fields = *fields};
    struct http1_response_framing framing = {
        .minor_version = 1, .keep_alive = true, .no_content_length = true};

    if (http->request.minor_version == 0 || http->responded)
        return;
    http->continue_owed = false; /* the client hears that it is being dealt with */
    http1_render_response_head(stream_output(&http->conn->stream), &response, &framing);
}

/* RFC 9110 §7.8: behind this head the bytes both ways are another protocol's, until either side ends. */
static void switch_protocol(struct http_conn *http, const struct http_response *response)
{
    http->responded = http->is_switched = true;
    http->no_body = http->chunked = http->keep_alive = false;
    http->response_left_bytes = HTTP_BODY_UNKNOWN;
    http1_body_init(&http->body, INT64_MAX);
    respond(http->conn, response, true, false, true, http->request.minor_version);
}

static void client_respond(struct exchange *x, const struct http_response *response)
{
    struct http_conn *http = http_of(x);
    struct worker *worker = http->conn->worker;
    bool unknown = response->body_bytes == HTTP_BODY_UNKNOWN;
    bool no_length = response->status == 204 || response->status == 304 || response->status < 200;

    assert(!http->responded);
    x->status = response->status;
    if (response->status == 101) {
        switch_protocol(http, response);
        return;
    }
    http->responded = true;
    http->no_body = no_length || http->request.method == HTTP_METHOD_HEAD;
    http->chunked = unknown && http->request.minor_version >= 1 && !http->no_body;
    http->response_left_bytes = http->no_body ? 0 : response->body_bytes;
    http->keep_alive = http->request.keep_alive && !worker->draining && http1_body_is_done(&http->body) &&
                       !http->conn->peer_ended && (!unknown || http->chunked || http->no_body);
    respond(http->conn, response, http->keep_alive,
            unknown && http->request.minor_version >= 1 && !no_length, no_length,
            http->request.minor_version);
}

static void client_send(struct exchange *x, struct bytes bytes)
{
    struct http_conn *http = http_of(x);
    struct buffer *output;

    if (http->no_body || bytes.size == 0)
        return;
    x->sent_bytes += bytes.size;
    output = stream_output(&http->conn->stream);
    if (http->chunked) {
        http1_render_chunk(output, bytes);
        return;
    }
    if (http->response_left_bytes != HTTP_BODY_UNKNOWN) {
        assert((int64_t)bytes.size <= http->response_left_bytes);
        http->response_left_bytes -= (int64_t)bytes.size;
    }
    buffer_append(output, bytes);
}

static bool client_lend(struct exchange *x, struct loan *loan)
{
    struct http_conn *http = http_of(x);
    struct stream *stream = &http->conn->stream;

    if (http->no_body || !stream_may_lend(stream))
        return false;
    x->sent_bytes += loan->size;
    if (http->chunked)
        http1_render_chunk_head(stream_output(stream), loan->size);
    else if (http->response_left_bytes != HTTP_BODY_UNKNOWN) {
        assert(loan->size <= (uint64_t)http->response_left_bytes);
        http->response_left_bytes -= (int64_t)loan->size;
    }
    stream_lend(stream, loan);
    if (http->chunked)
        http1_render_chunk_end(stream_output(stream));
    return true;
}

static size_t client_room(const struct exchange *x)
{
    enum { WINDOW_BYTES = 256 * 1024 };
    struct http_conn *http = http_of(x);
    size_t queued = stream_queued_bytes(&http->conn->stream);

    if (queued < WINDOW_BYTES)
        return WINDOW_BYTES - queued;
    http->writable_wanted = true;
    stream_want_drained(&http->conn->stream);
    conn_update_deadline(http->conn);
    return 0;
}

/* The exchange is over: ready for the next request, or close. */
static void finish(struct http_conn *http)
{
    struct conn *conn = http->conn;

    http->active = false;
    http->writable_wanted = false;
    free(http->kept);
    http->kept = NULL;
    conn->active_ms = loop_now(conn->worker->loop).mono_ms;
    counters_add(&conn->worker->counters, METRIC_http_requests, 1);
    if (!http->keep_alive || conn->worker->draining) {
        conn_close(conn);
    } else if (!http->in_begin) {
        conn_release_input(conn);
        conn_go_on(conn);
    }
}

static void client_end(struct exchange *x)
{
    struct http_conn *http = http_of(x);

    assert(http->responded);
    assert(http->response_left_bytes == HTTP_BODY_UNKNOWN || http->response_left_bytes == 0);
    if (http->chunked)
        http1_render_last_chunk(stream_output(&http->conn->stream));
    exchange_note_over(x, true);
    finish(http);
}

/* Cuts the connection in the midst of an answer. Where the connection's end is the body's end, only a reset
 * tells the client that the body is not whole. */
static void cut(struct http_conn *http, bool must_reset)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};

    if (must_reset || (http->responded && !http->chunked && http->response_left_bytes == HTTP_BODY_UNKNOWN))
        setsockopt(http->conn->stream.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    http->conn->closing = true;
    stream_abort(&http->conn->stream);
}

/* The exchange is over in another way than by its answer's end. */
static void forget(struct http_conn *http)
{
    exchange_note_over(&http->exchange, false);
    http->active = false;
    free(http->kept);
    http->kept = NULL;
}

static void client_abort(struct exchange *x)
{
    struct http_conn *http = http_of(x);

    forget(http);
    cut(http, false);
}

static void client_break_off(struct exchange *x, enum exchange_breakage how)
{
    struct http_conn *http = http_of(x);

    forget(http);
    switch (how) {
    case EXCHANGE_RESET: cut(http, true); return;
    case EXCHANGE_GARBAGE: /* where a status line or a chunk's size should be */
        buffer_append_literal(stream_output(&http->conn->stream), "\x7f\x7fthis is not HTTP\r\n");
        break;
    case EXCHANGE_CLOSE: break;
    }
    conn_close(http->conn);
}

static const struct exchange_client client = {client_read,  client_inform, client_respond,
                                              client_send,  client_room,   client_end,
                                              client_abort, client_lend,   client_break_off};

/* The client has left, or is left: the engine forgets the exchange. */
static void leave(struct http_conn *http)
{
    exchange_note_over(&http->exchange, false);
    http->exchange.engine->gone(&http->exchange);
}

/* ---- asking ------------------------------------------------------------------------------------ */

/* The exchange goes on after the bytes it came in are gone: copies its head and fields. */
static bool keep_request(struct http_conn *http, struct bytes head)
{
    size_t fields_size = http->request.fields.count * sizeof *http->request.fields.list;
    char *kept = malloc(fields_size + head.size);

    if (kept == NULL)
        return false;
    memcpy(kept, http->request.fields.list, fields_size);
    memcpy(kept + fields_size, head.data, head.size);
    http->request.fields.list = (struct http_field *)(void *)kept;
    http_request_rebase(&http->request, head.data, head.size, kept + fields_size);
    http->kept = kept;
    return true;
}

static void begin(struct http_conn *http, struct bytes head)
{
    struct conn *conn = http->conn;

    http->exchange = (struct exchange){.engine = conn->port->engine,
                                       .client = &client,
                                       .request = &http->request,
                                       .client_fd = conn->stream.fd,
                                       .now = loop_now(conn->worker->loop)};
    http->active = true;
    http->responded = http->no_body = http->chunked = http->body_wanted = http->writable_wanted = false;
    http->is_switched = false;
    http->continue_owed = http->request.expects_continue;
    http->head_began_ms = 0;
    http1_body_init(&http->body, http->request.body_bytes);
    pace_begin(&http->body_pace, conn->worker->limits->body_ms, conn->worker->limits->body_rate);
    http->in_begin = true;
    conn->port->engine->begin(conn->port->engine_worker, &http->exchange);
    http->in_begin = false;
    if (http->active && !keep_request(http, head)) {
        http->active = false;
        leave(http);
        conn->closing = true;
        stream_abort(&conn->stream);
    }
}

/* The client's request turned out to be none while the engine has it: refuse it, or, when it is too late
 * for that, cut the connection. */
static void give_up(struct http_conn *http, int status)
{
    http->active = false;
    leave(http);
    free(http->kept);
    http->kept = NULL;
    if (http->responded)
        cut(http, false);
    else
        refuse(http->conn, status);
}

/* Hands the engine what of the request's body is there and wanted. Returns how much was consumed. */
static size_t read_body(struct http_conn *http, struct bytes input)
{
    size_t offset = 0;

    while (http->active && http->body_wanted && !http1_body_is_done(&http->body)) {
        struct bytes data = {NULL, 0};
        size_t consumed = 0;
        int status = 400;
        enum http1_result result =
            http1_body_read(&http->body, bytes_after(input, offset), &data, &consumed, &status);

        offset += consumed;
        if (data.size > 0) {
            pace_note(&http->body_pace, loop_now(http->conn->worker->loop).mono_ms, data.size);
            http->exchange.engine->body(&http->exchange, data);
        }
        if (!http->active || http->conn->closing)
            break;
        if (result == HTTP1_BAD) {
            give_up(http, status);
            break;
        }
        if (http1_body_is_done(&http->body)) {
            http->body_wanted = false;
            http->continue_owed = false;
            http->exchange.engine->body_end(&http->exchange);
            break;
        }
        if (consumed == 0)
            break;
    }
    return offset;
}

/* All that came was looked at: a protocol that we do not know is told when nothing more will come. */
static void note_end(struct http_conn *http)
{
    if (!http->is_switched || !http->body_wanted || !http->conn->peer_ended)
        return;
    http->body_wanted = false;
    http->exchange.engine->body_end(&http->exchange);
}

/* The client has sent its last byte, and its request's body, which is wanted, is not whole: nobody waits
 * for its answer. */
static bool is_cut_short(const struct http_conn *http)
{
    return http->conn->peer_ended && !http->is_switched && http->body_wanted &&
           !http1_body_is_done(&http->body);
}

/* The server is stopping: the exchange is told, once. */
static void tell_stop(struct http_conn *http)
{
    void (*stop)(struct exchange * x) = http->exchange.stop;

    http->exchange.stop = NULL;
    if (stop != NULL)
        stop(&http->exchange);
}

static size_t received(struct conn *conn, struct bytes input)
{
    struct http_conn *http = conn->kind_state;
    const struct conn_limits *limits = conn->worker->limits;
    size_t offset = 0;

    if (http == NULL) {
        switch (conn_http2_look(conn, input)) {
        case HTTP2_PREFACE_NONE: break;
        case HTTP2_PREFACE_PART: return 0;
        case HTTP2_PREFACE_WHOLE: conn->kind = &conn_kind_http2; return conn->kind->received(conn, input);
        }
        http = conn->kind_state = calloc(1, sizeof *http);
        if (http == NULL) {
            conn->closing = true;
            stream_abort(&conn->stream);
            return input.size;
        }
        http->conn = conn;
    }
    if (http->active && conn->worker->draining)
        tell_stop(http); /* one that only then said that it does not end by itself */
    while (!conn->closing) {
        struct bytes rest = bytes_after(input, offset);
        size_t consumed = 0;
        int status = 400;

        if (http->active) {
            offset += read_body(http, rest);
            if (http->active && offset == input.size)
                note_end(http);
            if (http->active && offset == input.size && is_cut_short(http)) {
                conn->closing = true;
                stream_abort(&conn->stream);
                break;
            }
            if (http->active)
                break;
            continue;
        }
        if (rest.size == 0)
            break;
        if (stream_queued_bytes(&conn->stream) > limits->output_bytes_max) {
            conn_hold_input(conn);
            stream_want_drained(&conn->stream);
            break;
        }
        switch (http1_parse_request(&http->parser, &limits->http, rest, conn->worker->fields,
                                    &http->request, &consumed, &status)) {
        case HTTP1_MORE:
            if (http->head_began_ms == 0)
                http->head_began_ms = conn->active_ms;
            if (conn->peer_ended)
                conn_close(conn);
            return offset;
        case HTTP1_BAD: refuse(conn, status); return input.size;
        case HTTP1_DONE:
            offset += consumed;
            begin(http, bytes_first(rest, consumed));
            break;
        }
    }
    if (conn->closing)
        return input.size;
    if (http->active && offset < input.size && !http->body_wanted)
        conn_hold_input(conn); /* the next request, or a body nobody wants yet: the client may wait */
    else if (!http->active && conn->peer_ended && !conn->held)
        conn_close(conn);
    return offset;
}

static void ended(struct conn *conn)
{
    struct http_conn *http = conn->kind_state;

    if (http == NULL || !http->active) {
        if (!conn->held)
            conn_close(conn);
        return;
    }
    if (http->is_switched) {
        if (conn->input.size == 0)
            note_end(http);
        return;
    }
    if (http->exchange.is_endless || (is_cut_short(http) && conn->input.size == 0)) {
        conn->closing = true;
        stream_abort(&conn->stream);
    }
}

static void drained(struct conn *conn)
{
    struct http_conn *http = conn->kind_state;

    if (http->active && http->writable_wanted) {
        http->writable_wanted = false;
        http->exchange.engine->writable(&http->exchange);
    } else if (!http->active) {
        conn_release_input(conn);
    }
}

static void closed(struct conn *conn)
{
    struct http_conn *http = conn->kind_state;

    if (http == NULL)
        return;
    if (http->active)
        leave(http);
    free(http->kept);
    free(http);
}

static void drain(struct conn *conn)
{
    struct http_conn *http = conn->kind_state;

    if (http == NULL || (!http->active && conn->input.size == 0))
        conn_close(conn);
    else if (http->active)
        tell_stop(http);
}

static int64_t earlier(int64_t one_ms, int64_t other_ms) { return one_ms < other_ms ? one_ms : other_ms; }

static int64_t due_ms(const struct conn *conn)
{
    const struct conn_limits *limits = conn->worker->limits;
    const struct http_conn *http = conn->kind_state;

    if (http == NULL)
        return conn->opened_ms + (conn->input.size > 0 ? limits->head_ms : limits->http_idle_ms);
    if (http->active && (!http->body_wanted || http->is_switched))
        return INT64_MAX; /* it is the engine's turn */
    if (http->active)
        return earlier(conn->active_ms + limits->body_ms, pace_due_ms(&http->body_pace));
    if (http->head_began_ms != 0)
        return http->head_began_ms + limits->head_ms;
    return conn->active_ms + limits->http_idle_ms;
}

static void too_slow(struct conn *conn)
{
    struct http_conn *http = conn->kind_state;

    if (http != NULL && http->active) {
        conn_note_slowness(conn, "its request's body does not end, or comes too slowly");
        give_up(http, 408);
        return;
    }
    if (http != NULL && http->head_began_ms != 0) {
        conn_note_slowness(conn, "its request's head does not end");
        refuse(conn, 408); /* RFC 9110 §15.5.9 */
        return;
    }
    conn_close(conn); /* an idle connection: no words, the client may be about to send (RFC 9112 §9.5) */
}

const struct conn_kind conn_kind_http = {received, ended, drained, closed, drain, due_ms, too_slow};
