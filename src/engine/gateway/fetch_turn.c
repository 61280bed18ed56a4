/* fetch_turn.c — a fetch goes out when its upstream may be asked: at once, a little later, or not at all.
 */
#include "base/compiler.h"
#include "engine/gateway/routing/asker.h"
#include "fetch_state.h"
#include "fleet_limits.h"
#include "respond.h"
#include <stdlib.h>

/* On any thread, and under the quota's lock. */
static void on_wake(struct quota_ticket *ticket)
{
    struct fetch *fetch = CONTAINER_OF(ticket, struct fetch, ticket);

    fetch_lock(fetch);
    fetch_call_for_attention(fetch);
    fetch_unlock(fetch);
}

/* Whoever began it: somebody more urgent may have joined meanwhile. */
static enum quota_class class_of(struct fetch *fetch)
{
    enum quota_class class;

    fetch_lock(fetch);
    class = fetch->quota_class;
    fetch_unlock(fetch);
    return class;
}

static enum err refuse(struct fetch *fetch, enum quota_verdict verdict, int64_t due_mono_ms)
{
    counters_add(fetch->worker->counters, METRIC_gateway_limited, 1);
    fetch->refusal = (struct fetch_refusal){
        .verdict = verdict,
        .retry_after_seconds = retry_after_seconds(loop_now(fetch->worker->loop).mono_ms, due_mono_ms),
        .class = fetch->ticket.class};
    return ERR_LIMITED;
}

/* Only from now on does the answer get older. */
static void note_sent(struct fetch *fetch)
{
    fetch_lock(fetch);
    fetch->requested = loop_now(fetch->worker->loop);
    fetch_unlock(fetch);
}

static enum err ask(struct fetch *fetch, const struct http_request *request)
{
    struct gateway_worker *worker = fetch->worker;
    struct upstream *upstream = fetch->route->upstream;
    int64_t now_mono_ms = loop_now(worker->loop).mono_ms, due_mono_ms;
    enum quota_verdict verdict;
    enum err err;

    if (fetch->ticket.quota == NULL)
        fetch->ticket.class = class_of(fetch);
    verdict = quota_ask(&upstream->quota, &fetch->ticket, now_mono_ms, &due_mono_ms);
    if (worker->fleet != NULL)
        fleet_limits_ask(worker->fleet, upstream, &fetch->ticket, verdict);
    switch (verdict) {
    case QUOTA_GO:
        note_sent(fetch);
        fetch->by = worker_upstream(worker, upstream); /* which may be another than when it began to wait */
        err = fetch->by != NULL ? fetch_send(fetch, request) : ERR_NO_MEMORY;
        if (err != OK)
            quota_leave(&fetch->ticket);
        return err;
    case QUOTA_WAIT:
        if (fetch->waiting == NULL) {
            counters_add(worker->counters, METRIC_gateway_limit_waits, 1);
            fetch->waiting = http_request_copy(request);
            if (fetch->waiting == NULL) {
                quota_leave(&fetch->ticket);
                return ERR_NO_MEMORY;
            }
        }
        timer_set(worker->loop, &fetch->turn, due_mono_ms);
        return OK;
    case QUOTA_LIMITED:
    case QUOTA_TOLD:
    case QUOTA_BUSY:
    case QUOTA_OPEN: return refuse(fetch, verdict, due_mono_ms);
    }
    UNREACHABLE();
}

void fetch_turn_ask_again(struct fetch *fetch)
{
    struct http_request *request = fetch->waiting;
    enum err err;

    timer_cancel(fetch->worker->loop, &fetch->turn);
    err = ask(fetch, request);
    if (err == OK && fetch->call == NULL)
        return; /* it waits on */
    fetch->waiting = NULL;
    free(request);
    if (err != OK)
        fetch_finish(fetch, FETCH_FAILED, err);
    else if (fetch->may_be_shared)
        fetch_limit_hold(fetch); /* from here on the upstream is waited for */
}

void fetch_turn_come(struct timer *timer) { fetch_turn_ask_again(CONTAINER_OF(timer, struct fetch, turn)); }

void fetch_turn_give_up(struct fetch *fetch)
{
    if (fetch->worker != NULL)
        timer_cancel(fetch->worker->loop, &fetch->turn);
    quota_leave(&fetch->ticket);
    free(fetch->waiting);
    fetch->waiting = NULL;
}

enum err fetch_start(struct fetch *fetch, const struct http_request *request)
{
    asker_of(fetch->route, request->path, &fetch->upstream.fields, fetch->gateway->seed, &fetch->ticket);
    fetch->ticket.is_conditional = fetch->is_validation;
    fetch->ticket.is_shared = fetch->worker->fleet != NULL;
    fetch->ticket.wake = on_wake;
    return ask(fetch, request);
}
