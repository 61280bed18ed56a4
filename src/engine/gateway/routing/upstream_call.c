#include "upstream_call.h"
#include "base/compiler.h"
#include <assert.h>
#include <stdlib.h>

static int64_t now_of(const struct upstream_call *call) { return loop_now(call->loop).mono_ms; }

static struct origin_set *origins_of(const struct upstream_call *call)
{
    return &call->by->upstream->origins;
}

static void note(struct upstream_call *call, const struct upstream_attempt *attempt, const char *failure)
{
    if (origin_set_note(origins_of(call), attempt->place, now_of(call), failure))
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

static void leave_origin(struct upstream_attempt *attempt)
{
    if (attempt->is_at_place)
        origin_set_release(origins_of(attempt->call), attempt->place);
    attempt->is_at_place = false;
}

static void give_up(struct upstream_attempt *attempt)
{
    if (attempt->origin != NULL)
        origin_cancel(attempt->origin);
    attempt->origin = NULL;
    leave_origin(attempt);
}

static struct upstream_attempt *other_of(struct upstream_attempt *attempt)
{
    struct upstream_call *call = attempt->call;

    return attempt == &call->first ? &call->second : &call->first;
}

static void release(struct upstream_call *call)
{
    timer_cancel(call->loop, &call->hedge);
    leave_origin(&call->first);
    leave_origin(&call->second);
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

static enum err try_origin(struct upstream_attempt *attempt);

/* True if it is under way again. */
static bool send_again(struct upstream_attempt *attempt, enum err err, enum origin_reach reach)
{
    struct upstream_call *call = attempt->call;

    if (call->retries_left == 0 || !may_be_sent_again(call, err, reach) ||
        (call->total_due_ms != 0 && now_of(call) >= call->total_due_ms) ||
        !origin_set_may_retry(origins_of(call), now_of(call)) ||
        (call->request.ticket != NULL &&
         !quota_ask_again(call->request.ticket, reach >= ORIGIN_SENT, now_of(call))))
        return false;
    call->retries_left--;
    leave_origin(attempt);
    if (try_origin(attempt) != OK)
        return false;
    *call->current = attempt->origin;
    counters_add(call->counters, METRIC_gateway_retries, 1);
    return true;
}

/* This attempt's answer counts. The second has won if the first had not failed. */
static void decide(struct upstream_attempt *attempt)
{
    struct upstream_call *call = attempt->call;

    timer_cancel(call->loop, &call->hedge);
    if (call->may_hedge)
        hedge_note_time(&call->by->hedge, now_of(call) - call->begun_ms);
    if (attempt == &call->second && call->first.origin != NULL)
        counters_add(call->counters, METRIC_gateway_hedges_won, 1);
    give_up(other_of(attempt));
    *call->current = attempt->origin;
    call->has_head = true;
}

static void on_interim(void *owner, int status, const struct http_fields *fields)
{
    struct upstream_attempt *attempt = owner;
    struct upstream_call *call = attempt->call;

    if (*call->current == attempt->origin)
        call->callbacks->interim(call->owner, status, fields);
}

static void on_head(void *owner, int status, struct bytes reason, const struct http_fields *fields,
                    int64_t body_bytes)
{
    struct upstream_attempt *attempt = owner;
    struct upstream_call *call = attempt->call;
    char failure[32];

    decide(attempt);
    if (status >= 500) {
        snprintf(failure, sizeof failure, "it answered %d", status);
        call->is_noted = true;
        note(call, attempt, failure);
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
    struct upstream_call *call = ((struct upstream_attempt *)owner)->call;
    call->callbacks->body(call->owner, bytes);
}

static void on_want_body(void *owner, size_t room)
{
    struct upstream_call *call = ((struct upstream_attempt *)owner)->call;

    call->body_was_asked = true;
    call->callbacks->want_body(call->owner, room);
}

static void note_failure(struct upstream_attempt *attempt, enum err err, enum origin_reach reach)
{
    struct upstream_call *call = attempt->call;
    const struct origin_set *origins = origins_of(call);

    log_write_limited(origins->log, LOG_WARNING, LOG_KIND_ORIGIN, "origin %.*s: %s",
                      BYTES_PRINTF(origins->places[attempt->place].authority), err_text(err));
    if (is_origin_to_blame(call, err, reach) && !call->is_noted)
        note(call, attempt, err_text(err));
}

static void on_done(void *owner, enum err err, enum origin_reach reach)
{
    struct upstream_attempt *attempt = owner, *other = other_of(attempt);
    struct upstream_call *call = attempt->call;

    attempt->origin = NULL;
    if (err != OK)
        note_failure(attempt, err, reach);
    if (other->origin != NULL) { /* which may do better */
        leave_origin(attempt);
        *call->current = other->origin;
        return;
    }
    *call->current = NULL;
    if (err != OK) {
        if (is_origin_to_blame(call, err, reach) && call->request.ticket != NULL)
            tell_news(call, quota_fail(call->request.ticket, now_of(call)));
        if (send_again(attempt, err, reach))
            return;
    } else if (!call->is_noted) {
        note(call, attempt, NULL); /* not before all has come: an origin that cuts each body fails */
    }
    release(call);
    call->callbacks->done(call->owner, err, reach);
}

static const struct origin_callbacks our_callbacks = {
    .interim = on_interim, .head = on_head, .body = on_body, .want_body = on_want_body, .done = on_done};

/* ---- sending ------------------------------------------------------------------------------------- */

static enum err try_origin(struct upstream_attempt *attempt)
{
    struct upstream_call *call = attempt->call;
    struct origin_set *origins = origins_of(call);
    const struct upstream_request *request = &call->request;
    struct origin_timeouts timeouts = request->timeouts;
    struct buffer url = {0};
    enum err err;

    attempt->place = origin_set_choose(origins, now_of(call), call->tried);
    call->tried |= UINT64_C(1) << attempt->place;
    attempt->is_at_place = true;
    if (call->total_due_ms != 0)
        timeouts.total_ms = call->total_due_ms - now_of(call);
    buffer_append(&url, buffer_bytes(&origins->places[attempt->place].base_url));
    buffer_append(&url, request->target);
    err = url.failed
              ? ERR_NO_MEMORY
              : origin_start(request->upgrade.size > 0 ? call->by->tunnels : call->by->origin,
                             &(struct origin_request){
                                 .method = request->method,
                                 .url = buffer_bytes(&url),
                                 .fields = request->fields,
                                 .host = request->host.size > 0 ? request->host
                                                                : origins->places[attempt->place].authority,
                                 .body_bytes = request->body_bytes,
                                 .upgrade = request->upgrade,
                                 .timeouts = timeouts},
                             &our_callbacks, attempt, &attempt->origin);
    buffer_fini(&url);
    if (err != OK)
        leave_origin(attempt);
    return err;
}

/* The first attempt has no answer for as long as should be. One that waits for a place with us would only
 * have another wait behind it. */
static void on_hedge(struct timer *timer)
{
    struct upstream_call *call = CONTAINER_OF(timer, struct upstream_call, hedge);
    const struct upstream_policy *policy = &call->by->upstream->policy;

    if (call->first.origin == NULL || call->has_head ||
        origin_reach(call->first.origin) == ORIGIN_WAITING ||
        (call->total_due_ms != 0 && now_of(call) >= call->total_due_ms) ||
        !hedge_may(&call->by->hedge, policy->hedge_percent) || /* before it takes up room */
        (call->request.ticket != NULL && !quota_may_hedge(call->request.ticket, now_of(call))) ||
        try_origin(&call->second) != OK)
        return;
    hedge_note_sent(&call->by->hedge);
    counters_add(call->counters, METRIC_gateway_hedges, 1);
}

/* RFC 9110 §9.2.1: what is safe may be carried out twice, and its answer is the same the second time. */
static bool may_hedge(const struct upstream_call *call)
{
    enum http_method method = http_method_find(call->request.method);

    return call->by->upstream->hedge_after_ms != HEDGE_NEVER &&
           (method == HTTP_METHOD_GET || method == HTTP_METHOD_HEAD) &&
           call->request.body_bytes == HTTP_BODY_NONE && call->request.upgrade.size == 0;
}

static void expect_hedge(struct upstream_call *call)
{
    int64_t wait_ms;

    call->may_hedge = may_hedge(call);
    if (!call->may_hedge)
        return;
    hedge_note_request(&call->by->hedge);
    wait_ms = hedge_wait_ms(&call->by->hedge, call->by->upstream->hedge_after_ms);
    if (wait_ms >= 0)
        timer_set(call->loop, &call->hedge, call->begun_ms + wait_ms);
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
    call->first.call = call->second.call = call;
    call->begun_ms = now_of(call);
    timer_init(&call->hedge, on_hedge);
    if (request->timeouts.total_ms > 0)
        call->total_due_ms = call->begun_ms + request->timeouts.total_ms;
    if (keep(call, request))
        err = try_origin(&call->first);
    if (err != OK) {
        release(call);
        return err;
    }
    *current = call->first.origin;
    expect_hedge(call);
    return OK;
}

void upstream_call_cancel(struct upstream_call *call)
{
    if (call->current == NULL || *call->current == NULL) /* it may never have been started */
        return;
    give_up(&call->first);
    give_up(&call->second);
    *call->current = NULL;
    release(call);
}
