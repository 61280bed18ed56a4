/* socket.c — a rule's WebSocket: its script, its replies and the writes it listens to, on their way out.
 *
 * What is due is said while output has room; with none the client is not listened to (held): then its
 * connection's write deadline notices if it is gone. It is listened to while replies wait for their time,
 * so that its end is heard; with too many of them it is closed. So what waits has a bound. (1) `waiting`
 * has the scripts whose next step is not due or has no room, the soonest first. */
#include "front_call.h"
#include "protocol/http/websocket_handshake.h"
#include <stdlib.h>

enum {
    OUTPUT_ROOM_BYTES = 64 << 10, /* nothing is said while more than this waits to be sent */
    WAITING_MAX = 1000,
    WAITING_BYTES_MAX = 1 << 20, /* of the messages that are replied to */
    STOP_CLOSE_MS = 1000,        /* how long a close is waited for while the server stops */
};

/* A script on its way. */
struct recital {
    struct list in_socket;
    int64_t due_ms; /* of the next step */
    const struct socket_script *script;
    size_t step;
    bool cycles;
    enum websocket_kind kind; /* of the message that is replied to, if it is one */
    size_t message_bytes;
    char message[];
};

struct front_socket {
    struct front_call *call;
    struct websocket *websocket;
    struct websocket_limits limits; /* of the rule, until the server stops */
    struct timer timer;
    struct list waiting; /* (1) */
    size_t waiting_count, waiting_bytes;
    uint64_t journal_number;
    bool is_read;     /* the connection was asked for more */
    bool is_stopping; /* the server */
};

static int64_t now_ms(const struct front_socket *socket)
{
    return loop_now(socket->call->worker->loop).mono_ms;
}

/* ---- saying ---------------------------------------------------------------------------------------- */

static bool has_room(const struct front_socket *socket)
{
    return websocket_output(socket->websocket).size < OUTPUT_ROOM_BYTES;
}

static void close_with(struct front_socket *socket, int code, struct bytes reason)
{
    websocket_close(socket->websocket, code, reason, now_ms(socket));
}

static void say(struct front_socket *socket, enum websocket_kind kind, struct bytes bytes)
{
    bool was_open = websocket_is_open(socket->websocket);

    if (!websocket_send(socket->websocket, kind, bytes, now_ms(socket)) && was_open &&
        websocket_was_too_slow(socket->websocket))
        counters_add(socket->call->worker->counters, METRIC_mock_websockets_slow, 1);
}

static void say_step(struct front_socket *socket, const struct socket_step *step, enum websocket_kind kind,
                     struct bytes message)
{
    struct front_call *call = socket->call;
    struct template_facts facts = front_facts(call);
    struct request_view view = {.request = call->view.request, .body = message};

    facts.message = &view;
    buffer_clear(&call->answer);
    if (!template_render(&step->text, &facts, &call->answer)) {
        close_with(socket, WEBSOCKET_INTERNAL, BYTES("the message that the rule makes is too large"));
    } else {
        switch (step->kind) {
        case SOCKET_STEP_TEXT: say(socket, WEBSOCKET_TEXT, buffer_bytes(&call->answer)); break;
        case SOCKET_STEP_BINARY: say(socket, WEBSOCKET_BINARY, buffer_bytes(&step->binary)); break;
        case SOCKET_STEP_ECHO: say(socket, kind, message); break;
        case SOCKET_STEP_CLOSE: close_with(socket, step->close_code, buffer_bytes(&call->answer)); break;
        }
    }
    buffer_fini(&call->answer); /* an idle one holds no memory */
    request_view_fini(&view);
}

/* ---- scripts --------------------------------------------------------------------------------------- */

static void drop(struct front_socket *socket, struct recital *recital)
{
    list_remove(&recital->in_socket);
    socket->waiting_count--;
    socket->waiting_bytes -= recital->message_bytes;
    free(recital);
}

static void drop_all(struct front_socket *socket)
{
    for (struct list *node = socket->waiting.next, *next; node != &socket->waiting; node = next) {
        next = node->next;
        drop(socket, CONTAINER_OF(node, struct recital, in_socket));
    }
}

static struct recital *first_waiting(const struct front_socket *socket)
{
    /* What was dropped is in the list no more. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
    return list_is_empty(&socket->waiting) ? NULL
                                           : CONTAINER_OF(socket->waiting.next, struct recital, in_socket);
}

/* Puts it behind all that are due no later. */
static void put_in_order(struct front_socket *socket, struct recital *recital)
{
    struct list *before = socket->waiting.previous;

    while (before != &socket->waiting &&
           CONTAINER_OF(before, struct recital, in_socket)->due_ms > recital->due_ms)
        before = before->previous;
    list_append(before->next, &recital->in_socket);
}

/* Begins one that is `like` this, said to `message`, of which it has a copy; it may be empty. */
static void begin_recital(struct front_socket *socket, const struct recital *like, struct bytes message)
{
    struct recital *recital = malloc(sizeof *recital + message.size);

    if (recital == NULL) {
        close_with(socket, WEBSOCKET_INTERNAL, BYTES("out of memory"));
        return;
    }
    *recital = *like;
    recital->message_bytes = message.size;
    if (message.size > 0)
        memcpy(recital->message, message.data, message.size);
    socket->waiting_count++;
    socket->waiting_bytes += message.size;
    put_in_order(socket, recital);
}

/* The step is said: moves on. False if it was the last. */
static bool move_on(struct recital *recital)
{
    recital->step++;
    if (recital->step == recital->script->count && recital->cycles)
        recital->step = 0;
    if (recital->step == recital->script->count)
        return false;
    recital->due_ms += recital->script->steps[recital->step].after_ms;
    return true;
}

/* Says what is due, while there is room. Steps that follow at once are not parted by another reply. */
static void say_what_is_due(struct front_socket *socket)
{
    int64_t now = now_ms(socket);
    struct recital *recital;

    while ((recital = first_waiting(socket)) != NULL && websocket_is_open(socket->websocket) &&
           recital->due_ms <= now && has_room(socket)) {
        say_step(socket, &recital->script->steps[recital->step], recital->kind,
                 bytes_of(recital->message, recital->message_bytes));
        if (!move_on(recital)) {
            drop(socket, recital);
            continue;
        }
        if (recital->step > 0 && recital->script->steps[recital->step].after_ms == 0)
            continue; /* (1) holds: it is due no later than it was */
        if (recital->due_ms < now - 1000 && recital->cycles)
            recital->due_ms = now; /* nobody hurries to make up for a slow reader */
        list_remove(&recital->in_socket);
        put_in_order(socket, recital);
    }
}

/* ---- hearing --------------------------------------------------------------------------------------- */

static bool may_hear(const struct front_socket *socket)
{
    return !websocket_is_open(socket->websocket) || has_room(socket);
}

static void note_message(const struct front_socket *socket, enum journal_message_kind kind, int code,
                         struct bytes bytes)
{
    const struct front_worker *worker = socket->call->worker;

    if (worker->front->journal != NULL)
        journal_add_message(worker->front->journal, socket->journal_number, loop_now(worker->loop), kind,
                            code, bytes);
}

static void on_message(void *owner, enum websocket_kind kind, struct bytes bytes)
{
    struct front_socket *socket = owner;
    const struct front_call *call = socket->call;
    struct request_view view = {.request = call->view.request, .body = bytes};
    const struct socket_script *script;

    note_message(socket, kind == WEBSOCKET_TEXT ? JOURNAL_TEXT : JOURNAL_BINARY, 0, bytes);
    script = rule_socket_reply(&front_rule(call)->socket, &view);
    request_view_fini(&view);
    if (script != NULL) {
        struct recital recital = {
            .due_ms = now_ms(socket) + script->steps[0].after_ms, .script = script, .kind = kind};
        begin_recital(socket, &recital, bytes);
        say_what_is_due(socket);
        if (socket->waiting_count > WAITING_MAX || socket->waiting_bytes > WAITING_BYTES_MAX)
            close_with(socket, WEBSOCKET_POLICY, BYTES("too many replies wait for their time"));
    }
    if (!may_hear(socket))
        websocket_hold(socket->websocket);
}

static void on_closed(void *owner, int code, struct bytes reason)
{
    note_message(owner, JOURNAL_CLOSE, code == WEBSOCKET_NO_CODE ? 0 : code, reason);
}

static const struct websocket_callbacks callbacks = {on_message, on_closed};

/* ---- on the connection ----------------------------------------------------------------------------- */

/* Breaks off a client that is not there. */
static void lose(struct front_call *call)
{
    struct exchange *x = call->x;

    front_call_destroy(call);
    exchange_abort(x);
}

/* Sends what waits, as far as there is room. False if the call is gone. */
static bool flush(struct front_socket *socket)
{
    struct front_call *call = socket->call;

    for (;;) {
        struct bytes output = websocket_output(socket->websocket);
        size_t room;
        if (output.size == 0)
            break;
        room = shaped_room(call);
        if (room == 0)
            return true;
        if (output.size > room)
            output.size = room;
        shaped_send(call, output);
        websocket_note_sent(socket->websocket, output.size, now_ms(socket));
        if (call->is_cut && call->body_passed == call->body_cut) {
            shaped_end(call);
            return false;
        }
    }
    if (!websocket_is_over(socket->websocket))
        return true;
    if (socket->is_stopping && websocket_is_lost(socket->websocket))
        lose(call); /* an end in order would linger for it */
    else
        shaped_end(call);
    return false;
}

static void set_timer(struct front_socket *socket)
{
    const struct recital *recital = first_waiting(socket);
    int64_t due_ms = websocket_due_ms(socket->websocket);

    if (recital != NULL && has_room(socket) && recital->due_ms < due_ms)
        due_ms = recital->due_ms;
    if (due_ms == INT64_MAX)
        timer_cancel(socket->call->worker->loop, &socket->timer);
    else
        timer_set(socket->call->worker->loop, &socket->timer, due_ms);
}

void front_socket_go_on(struct front_call *call)
{
    struct front_socket *socket = call->socket;
    bool is_wanted;

    websocket_tick(socket->websocket, now_ms(socket));
    do {
        say_what_is_due(socket);
        while (websocket_is_held(socket->websocket) && may_hear(socket))
            websocket_go_on(socket->websocket, now_ms(socket));
        if (!flush(socket))
            return;
    } while (websocket_output(socket->websocket).size == 0 && websocket_is_held(socket->websocket) &&
             may_hear(socket));
    if (websocket_is_lost(socket->websocket)) {
        lose(call);
        return;
    }
    if (!websocket_is_open(socket->websocket))
        drop_all(socket);
    set_timer(socket);
    if (!may_hear(socket))
        websocket_hold(socket->websocket);
    is_wanted = !websocket_is_held(socket->websocket);
    if (is_wanted != socket->is_read) {
        socket->is_read = is_wanted;
        exchange_read(call->x, is_wanted);
    }
}

static void on_timer(struct timer *timer)
{
    front_socket_go_on(CONTAINER_OF(timer, struct front_socket, timer)->call);
}

void front_socket_received(struct front_call *call, struct bytes bytes)
{
    websocket_receive(call->socket->websocket, bytes, now_ms(call->socket));
    front_socket_go_on(call);
}

void front_socket_ended(struct front_call *call)
{
    websocket_receive_end(call->socket->websocket, now_ms(call->socket));
    front_socket_go_on(call);
}

void front_socket_tell(struct front_call *call, const struct change_note *note)
{
    struct buffer text = {0};

    change_note_append_json(note, &text);
    if (text.failed)
        close_with(call->socket, WEBSOCKET_INTERNAL, BYTES("out of memory"));
    else
        say(call->socket, WEBSOCKET_TEXT, buffer_bytes(&text));
    buffer_fini(&text);
    front_socket_go_on(call);
}

void front_socket_miss(struct front_call *call)
{
    close_with(call->socket, WEBSOCKET_INTERNAL, BYTES("more was written than could be told"));
    front_socket_go_on(call);
}

static void on_stop(struct exchange *x)
{
    struct front_call *call = x->engine_state;

    call->socket->is_stopping = true;
    call->socket->limits.close_ms = STOP_CLOSE_MS;
    close_with(call->socket, WEBSOCKET_GOING_AWAY, BYTES("the server is stopping"));
    front_socket_go_on(call);
}

void front_socket_end(struct front_call *call)
{
    struct front_socket *socket = call->socket;

    if (socket == NULL)
        return;
    call->socket = NULL;
    timer_cancel(call->worker->loop, &socket->timer);
    drop_all(socket);
    websocket_destroy(socket->websocket);
    free(socket);
}

void front_socket_begin(struct front_call *call)
{
    const struct rule_socket *said = &front_rule(call)->socket;
    struct websocket_handshake handshake =
        websocket_handshake(call->x->request, said->protocols, said->protocol_count);
    struct http_response response = {.status = 101, .body_bytes = HTTP_BODY_UNKNOWN};
    struct front_socket *socket = NULL;
    int64_t now = loop_now(call->worker->loop).mono_ms;

    if (handshake.status != 101) {
        websocket_handshake_render(&handshake, &call->added_lines);
        front_answer_problem(call, handshake.status, handshake.detail);
        return;
    }
    call->socket = socket = calloc(1, sizeof *socket);
    if (socket != NULL) {
        socket->call = call;
        timer_init(&socket->timer, on_timer);
        list_init(&socket->waiting);
        socket->limits = said->limits;
        socket->websocket = websocket_create(&socket->limits, &callbacks, socket, now);
    }
    if (socket == NULL || socket->websocket == NULL) {
        front_socket_end(call);
        front_answer_problem(call, 503, "out of memory");
        return;
    }
    call->stage = FRONT_SOCKET;
    websocket_handshake_render(&handshake, &call->lines);
    response.rendered = buffer_bytes(&call->lines);
    counters_add(call->worker->counters, METRIC_mock_requests, 1);
    counters_add(call->worker->counters, METRIC_mock_websockets, 1);
    shaped_respond(call, &response);
    socket->journal_number = call->journal_number;
    buffer_fini(&call->lines);
    call->x->stop = on_stop;
    if (said->changes.size > 0)
        front_listen(call);
    if (said->messages.count > 0) {
        struct recital recital = {.due_ms = now + said->messages.steps[0].after_ms,
                                  .script = &said->messages,
                                  .cycles = front_rule(call)->cycles};
        begin_recital(socket, &recital, (struct bytes){NULL, 0});
    }
    front_socket_go_on(call);
}
