#include "upstream_call.h"
#include "base/compiler.h"
#include <assert.h>
#include <stdlib.h>

static int64_t now_of(const struct upstream_call *call) { return loop_now(call->loop).mono_ms; }

static struct origin_set *origins_of(const struct upstream_call *call)
{
    return &call->by->upstream->origins;
}

static void note(struct upstream_call *call, const char *failure)
{
    if (origin_set_note(origins_of(call), call->place, now_of(call), failure))
        counters_add(call->counters, METRIC_gateway_origins_left_out, 1);
}

/* What the upstream as a whole makes of it. */
static void tell_news(struct upstream_call *call, enum quota_news news)
{
    struct upstream *upstream = call->by->upstream;
    struct log *log = upstream->origins.log;

    switch (news) {
    case QUOTA_SAME: return;
    case QUOTA_OPENED:
        counters_add(call->counters, METRIC_gateway_breakers_opened, 1);
        log_write(log, LOG_WARNING, "upstream %.*s fails: it is left alone for a while",
                  BYTES_PRINTF(upstream->authority));
        return;
    case QUOTA_CLOSED:
        log_write(log, LOG_INFO, "upstream %.*s answers again", BYTES_PRINTF(upstream->authority));
        return;
    }
    UNREACHABLE();
}

static void leave_origin(struct upstream_call *call)
{
    if (call->is_under_way)
        origin_set_release(origins_of(call), call->place);
    call->is_under_way = false;
}

static void release(struct upstream_call *call)
{
    leave_origin(call);
    if (call->request.ticket != NULL)
        quota_leave(call->request.ticket);
    free(call->request.fields.list);
    buffer_fini(&call->text);
    call->request = (struct upstream_request){0};
}

/* ---- what came of an attempt --------------------------------------------------------------------- */

/* Whether it is the origin that failed: not our own want of something, not a place that never came free. */
static bool is_origin_to_blame(const struct upstream_call *call, enum err err, enum origin_reach reach)
{
    switch (err) { /* the default: what says nothing of the origin */
    case ERR_REFUSED:
    case ERR_UNREACHABLE:
    case ERR_TLS:
    case ERR_SYNTAX:
    case ERR_TOO_LARGE: return true;
    case ERR_TIMEOUT: return reach != ORIGIN_WAITING;
    case ERR_TRUNCATED:
        return call->request.body_bytes == HTTP_BODY_NONE; /* else it may be the body that was short */
    default: return false;
    }
}

static bool is_idempotent(struct bytes method_name)
{
    enum http_method method = http_method_find(method_name);
    return http_method_is_safe(method) || method == HTTP_METHOD_PUT || method == HTTP_METHOD_DELETE;
}

static bool may_be_sent_again(const struct upstream_call *call, enum err err, enum origin_reach reach)
{
    if (call->body_was_asked)
        return false;
    switch (reach) {
    case ORIGIN_WAITING: return false;
    case ORIGIN_CONNECTING:
        return origins_of(call)->count > 1 &&
               (err == ERR_REFUSED || err == ERR_UNREACHABLE || err == ERR_TLS || err == ERR_TIMEOUT);
    case ORIGIN_SENT:
        return err == ERR_TRUNCATED && call->request.body_bytes == HTTP_BODY_NONE &&
               is_idempotent(call->request.method);
    case ORIGIN_HEARD: return false;
    }
    UNREACHABLE();
}

static enum err attempt(struct upstream_call *call);

/* True if it is under way again. */
static bool send_again(struct upstream_call *call, enum err err, enum origin_reach reach)
{
    if (call->retries_left == 0 || !may_be_sent_again(call, err, reach) ||
        (call->total_due_ms != 0 && now_of(call) >= call->total_due_ms) ||
        !origin_set_may_retry(origins_of(call), now_of(call)) ||
        (call->request.ticket != NULL && !quota_ask_again(call->request.ticket, now_of(call))))
        return false;
    call->retries_left--;
    leave_origin(call);
    if (attempt(call) != OK)
        return false;
    counters_add(call->counters, METRIC_gateway_retries, 1);
    return true;
}

static void on_interim(void *owner, int status, const struct http_fields *fields)
{
    struct upstream_call *call = owner;
    call->callbacks->interim(call->owner, status, fields);
}

static void on_head(void *owner, int status, struct bytes reason, const struct http_fields *fields,
                    int64_t body_bytes)
{
    struct upstream_call *call = owner;
    char failure[32];

    if (status >= 500) {
        snprintf(failure, sizeof failure, "it answered %d", status);
        call->is_noted = true;
        note(call, failure);
    }
    if (call->request.ticket != NULL) {
        struct now now = loop_now(call->loop);
        tell_news(call, quota_heed(call->request.ticket, now.mono_ms, now.wall_ms, status, fields,
                                   &call->is_limited));
        if (call->is_limited) {
            counters_add(call->counters, METRIC_gateway_told_limited, 1);
            log_write_limited(origins_of(call)->log, LOG_WARNING, LOG_KIND_ORIGIN,
                              "upstream %.*s says that there are too many requests",
                              BYTES_PRINTF(call->by->upstream->authority));
        }
    }
    call->callbacks->head(call->owner, status, reason, fields, body_bytes);
}

static void on_body(void *owner, struct bytes bytes)
{
    struct upstream_call *call = owner;
    call->callbacks->body(call->owner, bytes);
}

static void on_want_body(void *owner, size_t room)
{
    struct upstream_call *call = owner;

    call->body_was_asked = true;
    call->callbacks->want_body(call->owner, room);
}

static void on_done(void *owner, enum err err, enum origin_reach reach)
{
    struct upstream_call *call = owner;
    const struct origin_set *origins = origins_of(call);

    *call->current = NULL;
    if (err != OK) {
        log_write_limited(origins->log, LOG_WARNING, LOG_KIND_ORIGIN, "origin %.*s: %s",
                          BYTES_PRINTF(origins->places[call->place].authority), err_text(err));
        if (is_origin_to_blame(call, err, reach)) {
            if (!call->is_noted)
                note(call, err_text(err));
            if (call->request.ticket != NULL)
                tell_news(call, quota_fail(call->request.ticket, now_of(call)));
        }
        if (send_again(call, err, reach))
            return;
    } else if (!call->is_noted) {
        note(call, NULL); /* not before all has come: an origin that cuts each body fails */
    }
    release(call);
    call->callbacks->done(call->owner, err, reach);
}

static const struct origin_callbacks our_callbacks = {
    .interim = on_interim, .head = on_head, .body = on_body, .want_body = on_want_body, .done = on_done};

/* ---- sending ------------------------------------------------------------------------------------- */

static enum err attempt(struct upstream_call *call)
{
    struct origin_set *origins = origins_of(call);
    const struct upstream_request *request = &call->request;
    struct origin_timeouts timeouts = request->timeouts;
    struct buffer url = {0};
    enum err err;

    call->place = origin_set_choose(origins, now_of(call), call->tried);
    call->tried |= UINT64_C(1) << call->place;
    call->is_under_way = true;
    if (call->total_due_ms != 0)
        timeouts.total_ms = call->total_due_ms - now_of(call);
    buffer_append(&url, buffer_bytes(&origins->places[call->place].base_url));
    buffer_append(&url, request->target);
    err = url.failed
              ? ERR_NO_MEMORY
              : origin_start(request->upgrade.size > 0 ? call->by->tunnels : call->by->origin,
                             &(struct origin_request){.method = request->method,
                                                      .url = buffer_bytes(&url),
                                                      .fields = request->fields,
                                                      .host = request->host.size > 0
                                                                  ? request->host
                                                                  : origins->places[call->place].authority,
                                                      .body_bytes = request->body_bytes,
                                                      .upgrade = request->upgrade,
                                                      .timeouts = timeouts},
                             &our_callbacks, call, call->current);
    buffer_fini(&url);
    if (err != OK)
        leave_origin(call);
    return err;
}

/* Copies what may not stay. False if there is no memory. */
static bool keep(struct upstream_call *call, const struct upstream_request *request)
{
    size_t size = request->fields.count * sizeof *request->fields.list;
    const char *text;

    call->request = *request;
    call->request.fields.list = malloc(size + 1);
    if (size > 0 && call->request.fields.list != NULL)
        memcpy(call->request.fields.list, request->fields.list, size);
    buffer_append(&call->text, request->method);
    buffer_append(&call->text, request->target);
    buffer_append(&call->text, request->host);
    buffer_append(&call->text, request->upgrade);
    if (call->text.failed)
        return false;
    text = call->text.data;
    assert(text != NULL); /* a method has a letter */
    call->request.method = bytes_of(text, request->method.size);
    text += request->method.size;
    call->request.target = bytes_of(text, request->target.size);
    text += request->target.size;
    call->request.host = bytes_of(text, request->host.size);
    text += request->host.size;
    call->request.upgrade = bytes_of(text, request->upgrade.size);
    return call->request.fields.list != NULL;
}

enum err upstream_call_start(struct upstream_call *call, struct upstream_worker *by, struct loop *loop,
                             struct counters *counters, const struct upstream_request *request,
                             const struct origin_callbacks *callbacks, void *owner,
                             struct origin_call **current)
{
    enum err err = ERR_NO_MEMORY;

    *call = (struct upstream_call){.callbacks = callbacks,
                                   .owner = owner,
                                   .by = by,
                                   .loop = loop,
                                   .counters = counters,
                                   .current = current,
                                   .retries_left = by->upstream->policy.retries_max};
    if (request->timeouts.total_ms > 0)
        call->total_due_ms = now_of(call) + request->timeouts.total_ms;
    if (keep(call, request))
        err = attempt(call);
    if (err != OK)
        release(call);
    return err;
}

void upstream_call_cancel(struct upstream_call *call)
{
    if (call->current == NULL || *call->current == NULL) /* it may never have been started */
        return;
    origin_cancel(*call->current);
    *call->current = NULL;
    release(call);
}
