/* socket.c — a WebSocket on which resources are watched (the subprotocol nuthatch.live.v1).
 *
 * What the WebSocket itself says (answers to what was wrong, pings, closes) goes through its output; events
 * were framed for all and go around it, when that is empty. Nothing is ended from inside what it calls:
 * is_running says that somebody further out will look (socket_go_on). */
#include "engine/gateway/respond.h"
#include "live_state.h"
#include "message/problem.h"
#include "protocol/http/websocket.h"
#include "protocol/http/websocket_handshake.h"
#include <stdlib.h>

enum { OUTPUT_ROOM_BYTES = 64 << 10 /* with more that waits to be sent the client is not listened to */ };

/* Looked at every BEATS seconds, so each time is a little less than a multiple of that. */
static const struct websocket_limits limits = {
    .message_bytes_max = 64 << 10,
    .output_bytes_max = 256 << 10,
    .ping_ms = (int64_t)2 * BEATS * BEAT_MS - BEAT_MS,
    .pong_ms = (int64_t)BEATS * BEAT_MS - BEAT_MS,
    .close_ms = (int64_t)BEATS * BEAT_MS - BEAT_MS,
};

static int64_t now_of(const struct socket *socket) { return loop_now(socket->worker->loop).mono_ms; }

static size_t output_bytes(const struct socket *socket) { return websocket_output(socket->websocket).size; }

/* ---- its end ------------------------------------------------------------------------------------- */

static void destroy(struct socket *socket)
{
    subscriptions_drop(socket);
    socket_ask_fini(&socket->ask);
    list_remove(&socket->in_worker);
    counters_add(socket->worker->counters, METRIC_live_sockets_gone, 1);
    live_unattend(socket->worker);
    websocket_destroy(socket->websocket);
    free(socket);
}

static void end(struct socket *socket, void (*finish)(struct exchange *x))
{
    struct exchange *x = socket->x;

    destroy(socket);
    finish(x);
}

void socket_fail(struct socket *socket) { socket->has_failed = true; }

/* ---- sending ------------------------------------------------------------------------------------- */

static size_t room_of_connection(struct socket *socket)
{
    size_t room = exchange_room(socket->x);

    if (room == 0 && socket->stuck_since_ms == 0)
        socket->stuck_since_ms = now_of(socket);
    return room;
}

/* Sends what waits, as far as there is room. */
static void flush(struct socket *socket)
{
    struct bytes output;
    size_t room;

    while ((output = websocket_output(socket->websocket)).size > 0) {
        room = room_of_connection(socket);
        if (room == 0)
            return;
        output = bytes_first(output, output.size < room ? output.size : room);
        exchange_send(socket->x, output);
        websocket_note_sent(socket->websocket, output.size, now_of(socket));
    }
}

size_t socket_room(struct socket *socket)
{
    if (socket->has_failed || !websocket_is_open(socket->websocket))
        return 0;
    flush(socket);
    return output_bytes(socket) > 0 ? 0 : room_of_connection(socket);
}

void socket_say(struct socket *socket, const struct buffer *text)
{
    if (text->failed)
        socket_fail(socket);
    else
        websocket_send(socket->websocket, WEBSOCKET_TEXT, buffer_bytes(text), now_of(socket));
}

/* ---- hearing ------------------------------------------------------------------------------------- */

bool socket_has_room_for_answers(const struct socket *socket)
{
    return !websocket_is_open(socket->websocket) || output_bytes(socket) < OUTPUT_ROOM_BYTES;
}

static bool may_hear(const struct socket *socket)
{
    return socket_has_room_for_answers(socket) && !subscriptions_are_due(socket);
}

static void on_message(void *owner, enum websocket_kind kind, struct bytes bytes)
{
    struct socket *socket = owner;

    if (kind == WEBSOCKET_TEXT) {
        subscriptions_take(socket, bytes);
        subscriptions_go_on(socket);
    } else {
        websocket_close(socket->websocket, WEBSOCKET_NOT_ACCEPTED, BYTES("messages are text"),
                        now_of(socket));
    }
    if (!may_hear(socket))
        websocket_hold(socket->websocket);
}

static const struct websocket_callbacks callbacks = {.message = on_message};

/* Does and takes what was held back and sends what is to be said, as far as may be. */
static void talk(struct socket *socket)
{
    socket->is_running = true;
    do {
        subscriptions_go_on(socket);
        while (websocket_is_held(socket->websocket) && may_hear(socket))
            websocket_go_on(socket->websocket, now_of(socket));
        flush(socket);
    } while (websocket_is_held(socket->websocket) && socket_has_room_for_answers(socket));
    socket->is_running = false;
}

void socket_go_on(struct socket *socket)
{
    bool is_wanted;

    websocket_tick(socket->websocket, now_of(socket));
    talk(socket);
    if (!websocket_is_open(socket->websocket))
        subscriptions_drop(socket);
    if (socket->has_failed || websocket_is_lost(socket->websocket)) {
        end(socket, exchange_abort);
        return;
    }
    if (websocket_is_over(socket->websocket) && output_bytes(socket) == 0) {
        end(socket, exchange_end);
        return;
    }
    is_wanted = !websocket_is_held(socket->websocket) && !websocket_is_over(socket->websocket);
    if (is_wanted == socket->is_read)
        return;
    socket->is_read = is_wanted;
    exchange_read(socket->x, is_wanted); /* which may have come already: the socket may be gone */
}

/* ---- as an engine -------------------------------------------------------------------------------- */

static void never_begun(void *engine, struct exchange *x) { (void)engine, (void)x; }

static void on_body(struct exchange *x, struct bytes bytes)
{
    struct socket *socket = x->engine_state;

    socket->is_running = true;
    websocket_receive(socket->websocket, bytes, now_of(socket));
    socket->is_running = false;
    socket_go_on(socket);
}

static void on_body_end(struct exchange *x)
{
    struct socket *socket = x->engine_state;

    websocket_receive_end(socket->websocket, now_of(socket));
    socket_go_on(socket);
}

static void on_writable(struct exchange *x)
{
    struct socket *socket = x->engine_state;

    socket->stuck_since_ms = 0;
    socket->is_running = true;
    subscriptions_deliver(socket);
    socket->is_running = false;
    socket_go_on(socket);
}

static void on_gone(struct exchange *x) { destroy(x->engine_state); }

static const struct exchange_engine socket_engine = {never_begun, on_body, on_body_end, on_writable,
                                                     on_gone};

/* ---- its begin ----------------------------------------------------------------------------------- */

static void refuse(struct exchange *x, int status, const char *detail,
                   const struct websocket_handshake *handshake)
{
    struct buffer lines = {0}, body = {0};

    if (handshake != NULL)
        websocket_handshake_render(handshake, &lines);
    buffer_append_literal(&lines, "Content-Type: application/problem+json\r\nCache-Control: no-store\r\n");
    problem_render(&body, status, bytes_of_text(detail), (struct bytes){0});
    if (body.failed)
        buffer_clear(&body);
    respond_head(x, lines.failed ? 503 : status, (struct bytes){0}, (int64_t)body.size, 0,
                 lines.failed ? (struct bytes){0} : buffer_bytes(&lines), -1, false,
                 &(struct cache_status){.reason = FORWARD_REFUSED, .detail = "live"});
    exchange_send(x, buffer_bytes(&body));
    buffer_fini(&lines);
    buffer_fini(&body);
    exchange_end(x);
}

static struct socket *create(struct live_worker *worker, struct exchange *x)
{
    struct socket *socket = calloc(1, sizeof *socket);

    if (socket == NULL)
        return NULL;
    socket->worker = worker;
    socket->x = x;
    list_init(&socket->in_worker);
    list_init(&socket->subscriptions);
    socket->websocket = websocket_create(&limits, &callbacks, socket, now_of(socket));
    if (socket->websocket == NULL) {
        free(socket);
        return NULL;
    }
    list_append(&worker->sockets[worker->beat], &socket->in_worker);
    counters_add(worker->counters, METRIC_live_sockets, 1);
    live_attend(worker);
    return socket;
}

void socket_begin(struct live_worker *worker, struct exchange *x)
{
    static const struct bytes protocols[] = {BYTES_INIT("nuthatch.live.v1")};
    struct websocket_handshake handshake = websocket_handshake(x->request, protocols, 1);
    struct http_response response = {.status = 101, .body_bytes = HTTP_BODY_UNKNOWN};
    struct buffer lines = {0};
    struct socket *socket;

    if (handshake.status != 101) {
        refuse(x, handshake.status, handshake.detail, &handshake);
        return;
    }
    if (http_fields_find(&x->request->fields, HTTP_HEADER_AUTHORIZATION) != NULL) {
        refuse(x, 403, "what is watched is one answer for all: it cannot be asked for with Authorization",
               NULL);
        return;
    }
    websocket_handshake_render(&handshake, &lines);
    socket = lines.failed ? NULL : create(worker, x);
    if (socket == NULL) {
        buffer_fini(&lines);
        refuse(x, 503, "out of memory", NULL);
        return;
    }
    x->engine = &socket_engine;
    x->engine_state = socket;
    response.rendered = buffer_bytes(&lines);
    exchange_respond(x, &response);
    buffer_fini(&lines);
    socket_go_on(socket);
}

/* ---- now and then -------------------------------------------------------------------------------- */

void sockets_beat(struct live_worker *worker, int64_t now_ms)
{
    struct list *list = &worker->sockets[worker->beat];

    for (struct list *node = list->next, *next; node != list; node = next) {
        struct socket *socket = CONTAINER_OF(node, struct socket, in_worker);
        next = node->next;
        if (socket->stuck_since_ms != 0 && now_ms - socket->stuck_since_ms >= SLOW_MS) {
            counters_add(worker->counters, METRIC_live_dropped, 1);
            end(socket, exchange_abort);
        } else {
            socket_go_on(socket);
        }
    }
}

/* Says that it ends, and does not wait for an answer. */
static void stop(struct socket *socket)
{
    struct bytes output;

    websocket_close(socket->websocket, WEBSOCKET_GOING_AWAY, BYTES("the server is stopping"),
                    now_of(socket));
    output = websocket_output(socket->websocket);
    exchange_send(socket->x, output);
    end(socket, exchange_end);
}

void sockets_end(struct live_worker *worker)
{
    for (size_t i = 0; i < BEATS; i++)
        for (struct list *node = worker->sockets[i].next, *next; node != &worker->sockets[i]; node = next) {
            next = node->next;
            stop(CONTAINER_OF(node, struct socket, in_worker));
        }
}
