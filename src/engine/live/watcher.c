/* watcher.c — who watches: streams of events, and those who wait for another answer than they have. */
#include "engine/gateway/policy/cors.h"
#include "engine/gateway/respond.h"
#include "live_state.h"
#include "message/problem.h"
#include <stdlib.h>

static int64_t now_of(const struct live_worker *worker) { return loop_now(worker->loop).mono_ms; }

/* ---- life ---------------------------------------------------------------------------------------- */

void live_attend(struct live_worker *worker)
{
    if (worker->attended_count++ == 0)
        timer_set(worker->loop, &worker->beat_timer, now_of(worker) + BEAT_MS);
}

void live_unattend(struct live_worker *worker)
{
    if (--worker->attended_count == 0)
        timer_cancel(worker->loop, &worker->beat_timer);
}

static void let_route_go(struct watcher *watcher)
{
    if (watcher->route != NULL)
        route_release(watcher->route);
    watcher->route = NULL;
}

void watcher_fini(struct watcher *watcher)
{
    struct live_worker *worker = watcher->part->worker;

    let_route_go(watcher);
    list_remove(&watcher->in_worker);
    topic_leave(watcher);
    counters_add(worker->counters, METRIC_live_watchers_gone, 1);
    live_unattend(worker);
}

void watcher_free(struct watcher *watcher)
{
    watcher_fini(watcher);
    free(watcher);
}

static void end(struct watcher *watcher, void (*finish)(struct exchange *x))
{
    struct exchange *x = watcher->x;

    watcher_free(watcher);
    finish(x);
}

static void refuse(struct watcher *watcher, int status, const char *text)
{
    struct exchange *x = watcher->x;
    const struct route *route = route_hold(watcher->route); /* whose the policy of x is */

    watcher_free(watcher);
    respond_problem(x, status, text, &(struct cache_status){.reason = FORWARD_REFUSED, .detail = "live"});
    route_release(route);
}

/* Who has waited gets the answer that there is now. */
static void answer(struct watcher *watcher)
{
    struct live_worker *worker = watcher->part->worker;
    struct exchange *x = watcher->x;

    watcher_free(watcher);
    x->now = loop_now(worker->loop);
    x->policy = NULL;
    x->has_waited = true;
    live_pass_on(worker, x);
}

void watcher_begin(struct live_worker *worker, struct exchange *x, const struct route *route,
                   const struct live_ask *ask, const struct http_request *request,
                   const struct cache_key *key)
{
    struct watcher *watcher = calloc(1, sizeof *watcher);
    enum err err;

    if (watcher == NULL) {
        respond_problem(x, 503, "out of memory", &(struct cache_status){.reason = FORWARD_REFUSED});
        return;
    }
    *watcher = (struct watcher){.x = x,
                                .route = route_hold(route),
                                .way = ask->way,
                                .wants_patches = ask->wants_patches,
                                .epoch = ask->has_last_id ? ask->last_id.epoch : 0,
                                .number = ask->has_last_id ? ask->last_id.number : 0,
                                .due_ms = ask->way == LIVE_WAIT ? x->now.mono_ms + ask->wait_ms : 0};
    list_init(&watcher->in_part);
    list_init(&watcher->in_worker);
    err = topic_join(worker, watcher, request, key);
    if (err != OK) {
        free(watcher);
        respond_problem(x, 503,
                        err == ERR_FULL
                            ? "as much is watched as may be at a time (live-topics-max, live-watchers-max)"
                            : "out of memory",
                        &(struct cache_status){.reason = FORWARD_REFUSED, .detail = "live"});
        route_release(route);
        return;
    }
    x->engine_state = watcher;
    list_append(ask->way == LIVE_WAIT ? &worker->waiting : &worker->beats[worker->beat],
                &watcher->in_worker);
    counters_add(worker->counters, METRIC_live_watchers, 1);
    live_attend(worker);
    watcher_look(watcher);
}

void watcher_gone(struct exchange *x) { watcher_free(x->engine_state); }

/* ---- streams ------------------------------------------------------------------------------------- */

static void begin_stream(struct watcher *watcher)
{
    enum {
        RETRY_MS = 2000
    }; /* and as much again by chance: those who lost us together do not come together */
    struct live_worker *worker = watcher->part->worker;
    struct buffer retry = {0};

    respond_head(watcher->x, 200, (struct bytes){0}, HTTP_BODY_UNKNOWN, 0,
                 BYTES("Content-Type: text/event-stream\r\n"
                       "Cache-Control: no-store\r\n"
                       "X-Accel-Buffering: no\r\n"),
                 -1, false, &(struct cache_status){.reason = FORWARD_REFUSED, .detail = "live"});
    watcher->x->policy = NULL;
    watcher->x->is_endless = true;
    let_route_go(watcher);
    watcher->has_begun = true;
    if (topic_resume(watcher))
        counters_add(worker->counters, METRIC_live_resumed, 1);
    buffer_append_format(&retry, "retry: %d\n\n", RETRY_MS + (int)random_below(&worker->random, RETRY_MS));
    exchange_send(watcher->x, buffer_bytes(&retry));
    buffer_fini(&retry);
    watcher->spoke_ms = now_of(worker);
}

static size_t room_of(struct watcher *watcher)
{
    if (watcher->way == LIVE_FOLLOW)
        return SIZE_MAX;
    return watcher->way == LIVE_SOCKET ? socket_room(subscription_of(watcher)->socket)
                                       : exchange_room(watcher->x);
}

void live_send(struct exchange *x, struct event *event)
{
    struct loan *loan = event->size >= LOAN_BYTES_MIN ? event_loan(event) : NULL;

    if (loan != NULL && exchange_lend(x, loan))
        return;
    if (loan != NULL)
        loan->release(loan);
    exchange_send(x, event_bytes(event));
}

void watcher_deliver(struct watcher *watcher)
{
    struct live_worker *worker = watcher->part->worker;
    struct event *event;
    bool is_state;

    while (topic_standing(watcher).has_news) {
        if (room_of(watcher) == 0) {
            if (watcher->due_ms == 0)
                watcher->due_ms = now_of(worker);
            return;
        }
        event = topic_next(watcher, &is_state);
        if (event == NULL)
            break;
        if (watcher->way == LIVE_SOCKET)
            subscription_send(subscription_of(watcher), event);
        else if (watcher->way == LIVE_FOLLOW)
            follower_send(watcher, event);
        else
            live_send(watcher->x, event);
        event_release(event);
        counters_add(worker->counters, METRIC_live_events, 1);
        if (is_state)
            counters_add(worker->counters,
                         watcher->due_ms != 0 ? METRIC_live_coalesced : METRIC_live_snapshots, 1);
        watcher->due_ms = 0;
        watcher->spoke_ms = now_of(worker);
    }
    watcher->due_ms = 0;
}

/* The last that a stream hears says why. */
static void end_stream(struct watcher *watcher, const struct standing *standing)
{
    struct buffer body = {0};
    struct event *event;

    problem_render(&body, standing->refusal_status, bytes_of_text(standing->refusal), (struct bytes){0});
    event = event_create(EVENT_PROBLEM, (struct event_id){0}, buffer_bytes(&body), true);
    if (event != NULL)
        exchange_send(watcher->x, event_bytes(event));
    event_release(event);
    buffer_fini(&body);
    end(watcher, exchange_end);
}

void watcher_look(struct watcher *watcher)
{
    struct standing standing = topic_standing(watcher);
    bool waits = watcher->way == LIVE_WAIT;

    if (watcher->way == LIVE_SOCKET) {
        subscription_look(subscription_of(watcher), &standing);
        return;
    }
    if (watcher->way == LIVE_FOLLOW) {
        follower_look(watcher, &standing);
        return;
    }
    switch (standing.stage) {
    case TOPIC_ASKING: return;
    case TOPIC_ENDED:
        if (waits)
            answer(watcher);
        else if (watcher->has_begun)
            end_stream(watcher, &standing);
        else
            refuse(watcher, standing.refusal_status, standing.refusal);
        return;
    case TOPIC_KNOWN:
        if (waits && !(standing.has_state && standing.client_has_it)) {
            answer(watcher);
        } else if (!waits) {
            if (!watcher->has_begun)
                begin_stream(watcher);
            watcher_deliver(watcher);
        }
        return;
    }
    UNREACHABLE();
}

void watcher_writable(struct exchange *x)
{
    struct watcher *watcher = x->engine_state;

    if (watcher->has_begun)
        watcher_deliver(watcher);
}

/* ---- now and then -------------------------------------------------------------------------------- */

/* A comment to a stream that has been silent, so that nobody between takes it for dead. */
static void beat(struct watcher *watcher, int64_t now_ms)
{
    if (!watcher->has_begun)
        return;
    if (watcher->due_ms != 0 && now_ms - watcher->due_ms >= SLOW_MS) {
        counters_add(watcher->part->worker->counters, METRIC_live_dropped, 1);
        end(watcher, exchange_abort);
    } else if (now_ms - watcher->spoke_ms >= BEATS * BEAT_MS / 2 && exchange_room(watcher->x) > 0) {
        exchange_send(watcher->x, BYTES(":\n\n"));
        watcher->spoke_ms = now_ms;
    }
}

void watchers_beat(struct timer *timer)
{
    struct live_worker *worker = CONTAINER_OF(timer, struct live_worker, beat_timer);
    int64_t now_ms = now_of(worker);
    struct list *list;

    timer_set(worker->loop, timer, now_ms + BEAT_MS); /* it may be cancelled below */
    worker->beat = (worker->beat + 1) % BEATS;
    list = &worker->beats[worker->beat];
    for (struct list *node = list->next, *next; node != list; node = next) {
        next = node->next;
        beat(CONTAINER_OF(node, struct watcher, in_worker), now_ms);
    }
    for (struct list *node = worker->waiting.next, *next; node != &worker->waiting; node = next) {
        struct watcher *watcher = CONTAINER_OF(node, struct watcher, in_worker);
        next = node->next;
        if (now_ms >= watcher->due_ms)
            answer(watcher);
    }
    sockets_beat(worker, now_ms);
}

/* ---- the end of the server ----------------------------------------------------------------------- */

static void end_list(struct list *list)
{
    for (struct list *node = list->next, *next; node != list; node = next) {
        struct watcher *watcher = CONTAINER_OF(node, struct watcher, in_worker);
        next = node->next;
        if (watcher->way == LIVE_WAIT)
            answer(watcher);
        else if (watcher->has_begun)
            end(watcher, exchange_end);
        else
            refuse(watcher, 503, "the server is stopping");
    }
}

void watchers_end(struct live_worker *worker)
{
    for (size_t i = 0; i < BEATS; i++)
        end_list(&worker->beats[i]);
    end_list(&worker->waiting);
}
