/* shaped.c — answers on their way out: slowed down, cut off, made malformed. What the next engine says
 * comes by here, as does what rules say. */
#include "front_call.h"

enum { PACE_MS = 20, UNKNOWN_BODY_CUT_BYTES = 64 };

static struct front_call *call_of(const struct exchange *x)
{
    return (struct front_call *)(void *)((char *)(uintptr_t)x - offsetof(struct front_call, inner));
}

/* Whether the body is to come out wrong; decides where. */
static void choose_cut(struct front_call *call, const struct http_response *response)
{
    const struct fault *fault = call->fault;
    bool is_known = response->body_bytes != HTTP_BODY_UNKNOWN;

    if (fault == NULL || (fault->kind != FAULT_TRUNCATE && fault->kind != FAULT_MALFORMED) ||
        response->body_bytes == 0 || response->status == 204 || response->status == 304 ||
        call->x->request->method == HTTP_METHOD_HEAD)
        return;
    call->is_cut = true;
    if (fault->after_bytes >= 0)
        call->body_cut = (uint64_t)fault->after_bytes;
    else
        call->body_cut = is_known ? (uint64_t)response->body_bytes / 2 : UNKNOWN_BODY_CUT_BYTES;
    if (is_known && call->body_cut >= (uint64_t)response->body_bytes)
        call->body_cut = (uint64_t)response->body_bytes - 1;
}

void shaped_respond(struct front_call *call, const struct http_response *response)
{
    struct http_response shaped = *response;
    struct buffer lines = {0};

    choose_cut(call, response);
    if (call->is_cut && call->fault->kind == FAULT_MALFORMED)
        shaped.body_bytes = HTTP_BODY_UNKNOWN; /* in chunks, between which what is wrong can stand */
    if (call->added_lines.size > 0) {
        buffer_append(&lines, response->rendered);
        buffer_append(&lines, buffer_bytes(&call->added_lines));
        if (!lines.failed)
            shaped.rendered = buffer_bytes(&lines);
    }
    call->inner.status = response->status;
    front_note(call, response->status);
    exchange_respond(call->x, &shaped);
    buffer_fini(&lines);
}

void shaped_send(struct front_call *call, struct bytes bytes)
{
    if (call->began_ms == 0)
        call->began_ms = loop_now(call->worker->loop).mono_ms;
    if (call->is_cut && bytes.size > call->body_cut - call->body_passed)
        bytes.size = (size_t)(call->body_cut - call->body_passed);
    call->body_passed += bytes.size;
    if (bytes.size > 0)
        exchange_send(call->x, bytes);
}

/* How many bytes the bandwidth allows now; 0 sets the timer for when it allows more. */
static size_t paced_room(struct front_call *call)
{
    int64_t rate = call->shape->bandwidth, now_ms = loop_now(call->worker->loop).mono_ms;
    int64_t since_ms, allowed, burst = rate * PACE_MS / 1000;

    if (burst == 0)
        burst = 1;
    if (call->began_ms == 0)
        call->began_ms = now_ms;
    since_ms = now_ms - call->began_ms;
    allowed = rate / 1000 * since_ms + rate % 1000 * since_ms / 1000 + burst - (int64_t)call->body_passed;
    if (allowed > 0)
        return (size_t)allowed;
    call->waits_for_room = true;
    /* Until a burst is allowed, rounded up: what is missing, at so many bytes a second. */
    timer_set(call->worker->loop, &call->timer, now_ms + (burst - allowed) * 1000 / rate + 1);
    return 0;
}

size_t shaped_room(struct front_call *call)
{
    size_t room = exchange_room(call->x), paced;

    if (room == 0)
        call->waits_for_room = true;
    if (room == 0 || call->shape->bandwidth == 0)
        return room;
    paced = paced_room(call);
    return paced < room ? paced : room;
}

void front_break_off(struct front_call *call, enum exchange_breakage how)
{
    struct exchange *x = call->x;

    front_call_destroy(call);
    exchange_break_off(x, how);
}

void shaped_end(struct front_call *call)
{
    struct exchange *x = call->x;

    if (call->is_cut) {
        front_break_off(call, call->fault->kind == FAULT_MALFORMED ? EXCHANGE_GARBAGE : EXCHANGE_CLOSE);
        return;
    }
    front_call_destroy(call);
    exchange_end(x);
}

void shaped_go_on(struct front_call *call)
{
    if (!call->waits_for_room)
        return;
    call->waits_for_room = false;
    timer_cancel(call->worker->loop, &call->timer);
    if (call->stage == FRONT_PASSING)
        call->inner.engine->writable(&call->inner);
    else if (call->stage == FRONT_STREAMING)
        front_stream_step(call);
    else if (call->stage == FRONT_SOCKET)
        front_socket_go_on(call);
    else
        front_send_answer(call);
}

/* ---- what the next engine calls ------------------------------------------------------------------ */

static void inner_read(struct exchange *x, bool wanted)
{
    struct front_call *call = call_of(x);
    struct buffer body = call->body;
    bool is_gone = false;

    if (!wanted || call->body_was_read || x->request->body_bytes == HTTP_BODY_NONE)
        return;
    call->body_was_read = true;
    call->body = (struct buffer){0}; /* the exchange, and the call with it, may end inside */
    call->is_gone = &is_gone;
    if (body.size > 0)
        x->engine->body(x, buffer_bytes(&body));
    if (!is_gone)
        x->engine->body_end(x);
    if (is_gone) {
        buffer_fini(&body);
    } else {
        call->is_gone = NULL;
        call->body = body;
    }
}

static void inner_inform(struct exchange *x, int status, const struct http_fields *fields)
{
    exchange_inform(call_of(x)->x, status, fields);
}

static void inner_respond(struct exchange *x, const struct http_response *response)
{
    shaped_respond(call_of(x), response);
}

static void inner_send(struct exchange *x, struct bytes bytes) { shaped_send(call_of(x), bytes); }

static size_t inner_room(const struct exchange *x) { return shaped_room(call_of(x)); }

static void inner_end(struct exchange *x)
{
    exchange_note_over(x, true);
    shaped_end(call_of(x));
}

static void inner_abort(struct exchange *x)
{
    struct front_call *call = call_of(x);
    struct exchange *outer = call->x;

    exchange_note_over(x, false);
    front_call_destroy(call);
    exchange_abort(outer);
}

static bool inner_lend(struct exchange *x, struct loan *loan)
{
    struct front_call *call = call_of(x);

    if (call->is_cut || call->shape->bandwidth > 0 || !exchange_lend(call->x, loan))
        return false;
    return true;
}

static void inner_break_off(struct exchange *x, enum exchange_breakage how)
{
    exchange_note_over(x, false);
    front_break_off(call_of(x), how);
}

const struct exchange_client shaped_client = {inner_read,  inner_inform, inner_respond,
                                              inner_send,  inner_room,   inner_end,
                                              inner_abort, inner_lend,   inner_break_off};
