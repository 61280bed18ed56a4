/* live.c — the hub and its workers, from begin to end, and which requests are for it. */
#include "base/hash.h"
#include "engine/gateway/access_log.h"
#include "engine/gateway/policy/cors.h"
#include "engine/gateway/respond.h"
#include "live_state.h"
#include "message/plain_target.h"
#include <assert.h>
#include <stdlib.h>

enum err live_create(struct live **live)
{
    struct live *made = calloc(1, sizeof *made);

    if (made == NULL)
        return ERR_NO_MEMORY;
    pthread_mutex_init(&made->lock, NULL);
    made->seed = hash_seed_random();
    *live = made;
    return OK;
}

void live_destroy(struct live *live)
{
    assert(live->topics.node_count == 0);
    pthread_mutex_destroy(&live->lock);
    free(live);
}

enum err live_worker_create(struct live *live, struct gateway_worker *gateway, struct loop *loop,
                            struct counters *counters, struct live_worker **worker)
{
    struct live_worker *made = calloc(1, sizeof *made);

    if (made == NULL)
        return ERR_NO_MEMORY;
    made->live = live;
    made->gateway = made->next_worker = gateway;
    made->next = &gateway_engine;
    made->loop = loop;
    made->counters = counters;
    made->random = random_source_of(hash_seed_random(), 0, 0);
    list_init(&made->parts);
    list_init(&made->kept);
    list_init(&made->waiting);
    list_init(&made->followers);
    for (size_t i = 0; i < BEATS; i++) {
        list_init(&made->beats[i]);
        list_init(&made->sockets[i]);
    }
    timer_init(&made->beat_timer, watchers_beat);
    *worker = made;
    return OK;
}

void live_worker_put_before(struct live_worker *worker, const struct exchange_engine *engine,
                            void *engine_worker)
{
    worker->next = engine;
    worker->next_worker = engine_worker;
}

void live_worker_stop(struct live_worker *worker)
{
    if (worker->is_stopping)
        return;
    worker->is_stopping = true;
    watchers_end(worker);
    sockets_end(worker);
    followers_end(worker);
    timer_cancel(worker->loop, &worker->beat_timer);
    for (struct list *node = worker->kept.next, *next; node != &worker->kept; node = next) {
        next = node->next;
        topic_end(CONTAINER_OF(node, struct topic, in_keeper), 503, "the server is stopping");
    }
}

bool live_worker_is_idle(const struct live_worker *worker)
{
    return list_is_empty(&worker->parts) && list_is_empty(&worker->kept) &&
           atomic_load(&worker->call_count) == 0;
}

void live_worker_destroy(struct live_worker *worker)
{
    assert(worker->attended_count == 0);
    live_worker_stop(worker);
    assert(list_is_empty(&worker->parts));
    followers_forget(worker);
    free(worker);
}

/* ---- requests ------------------------------------------------------------------------------------ */

void live_pass_on(struct live_worker *worker, struct exchange *x)
{
    x->engine = worker->next;
    x->engine_state = NULL;
    x->engine->begin(worker->next_worker, x);
}

static void refuse(struct exchange *x, int status, const char *text)
{
    respond_problem(x, status, text, &(struct cache_status){.reason = FORWARD_REFUSED, .detail = "live"});
}

const struct route *live_route(const struct live_worker *worker, const struct http_request *request)
{
    const struct route_plan *plan = worker->gateway->plan;
    const struct composition *composition = plan_composition(plan, request);
    const struct route *route = composition != NULL ? &composition->route : plan_route(plan, request);
    bool leads_somewhere = composition != NULL || route->upstream != NULL;

    return leads_somewhere && route->policy.live ? route : NULL;
}

bool live_entry_key(struct live_worker *worker, const struct route *route,
                    const struct http_request *request, struct cache_key *key)
{
    struct edited_request *edited = &worker->gateway->edited;

    if (!target_is_plain(request->path, request->query))
        return false;
    edited->request_id = (struct bytes){0};
    if (!route_edits_requests(route))
        return route_key(route, request, key);
    return edited_request_make(edited, route, request) && route_key(route, &edited->request, key);
}

/* Told from the primary keys of others, which begin with a scheme. */
static bool composed_key(const struct http_request *request, struct cache_key *key)
{
    int size = snprintf(key->text, CACHE_KEY_PRIMARY_MAX, "%.*s?%.*s", BYTES_PRINTF(request->path),
                        BYTES_PRINTF(request->query));

    key->primary_size = key->size = (size_t)size;
    return size >= 0 && size < CACHE_KEY_PRIMARY_MAX;
}

bool live_find_key(struct live_worker *worker, const struct route *route,
                   const struct http_request *request, struct cache_key *key)
{
    if (plan_composition(route->plan, request) == NULL)
        return live_entry_key(worker, route, request, key);
    return target_is_plain(request->path, request->query) && composed_key(request, key);
}

static bool may_watch_anything(const struct route_plan *plan)
{
    bool may = plan->otherwise.policy.live;

    for (size_t i = 0; i < plan->route_count; i++)
        may |= plan->routes[i].policy.live;
    for (size_t i = 0; i < plan->composition_count; i++)
        may |= plan->compositions[i].route.policy.live;
    return may;
}

/* A WebSocket is no route's; what is watched on it is. */
static void begin_socket(struct live_worker *worker, struct exchange *x)
{
    if (!may_watch_anything(worker->gateway->plan)) {
        live_pass_on(worker, x);
        return;
    }
    access_log_begin(worker->gateway, plan_route(worker->gateway->plan, x->request), x);
    socket_begin(worker, x);
}

static void live_begin(void *engine, struct exchange *x)
{
    struct live_worker *worker = engine;
    struct live_ask ask = live_ask_of(x->request);
    struct http_request request;
    const struct route *route;
    struct cache_key key;

    if (ask.way == LIVE_NOT || worker->is_stopping) {
        live_pass_on(worker, x);
        return;
    }
    if (ask.way == LIVE_SOCKET) {
        begin_socket(worker, x);
        return;
    }
    request = *x->request; /* as one asks for the resource itself */
    request.path = bytes_after(request.path, ask.prefix_size);
    route = live_route(worker, &request);
    if (route == NULL) {
        live_pass_on(worker, x);
        return;
    }
    access_log_begin(worker->gateway, route, x);
    if (cors_is_on(&route->policy))
        x->policy = &route->policy;
    if (route->policy.request_id) {
        request_id_choose(&x->id, &request.fields);
        x->tells_id = true;
    }
    if (http_fields_find(&request.fields, HTTP_HEADER_AUTHORIZATION) != NULL && ask.way == LIVE_STREAM)
        refuse(x, 403, "what is watched is one answer for all: it cannot be asked for with Authorization");
    else if (http_fields_find(&request.fields, HTTP_HEADER_AUTHORIZATION) != NULL)
        live_pass_on(worker, x);
    else if (!live_find_key(worker, route, &request, &key))
        refuse(x, 400, "this URL cannot be watched: it is too long, or not plain");
    else
        watcher_begin(worker, x, route, &ask, &request, &key);
}

static void on_body(struct exchange *x, struct bytes bytes) { (void)x, (void)bytes; }
static void on_body_end(struct exchange *x) { (void)x; }

const struct exchange_engine live_engine = {live_begin, on_body, on_body_end, watcher_writable,
                                            watcher_gone};
