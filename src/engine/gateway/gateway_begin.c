/* gateway_begin.c — a request comes: it is answered from the store at once, on the stack, or becomes a
 * passage, a tunnel, a purge. */
#include "access_log.h"
#include "coded_exchange.h"
#include "engine/gateway/policy/cors.h"
#include "engine/gateway/policy/key_rule.h"
#include "inquiry_terms.h"
#include "lookup_key.h"
#include "passage.h"
#include "preflight.h"
#include "purge_method.h"
#include "refresh_ahead.h"
#include "respond_stored.h"
#include "tunnel.h"
#include <stdlib.h>

/* Answers from the store if that takes no waiting: the hot path. */
static bool answer_at_once(struct gateway_worker *worker, const struct route *route, struct exchange *x,
                           const struct http_request *request, const struct request_facts *facts)
{
    struct gateway *gateway = worker->gateway;
    struct cache_status status = {.reason = FORWARD_NONE};
    struct cache_key key;
    struct found found;

    if (!lookup_key(gateway, route, x->now.mono_ms, KEY_TO_LOOK, request, &key))
        return false;
    found_find(gateway, x->now.mono_ms, request, &key, &found);
    if (found_use(route, facts, &found, x->now.mono_ms) != USE_FRESH ||
        (x->inquiry != NULL && x->inquiry->page_number > 0) || /* its own links are to be followed */
        !fleet_holds(worker, &key, &found.response, x->now.mono_ms) || asks_fenced(worker, x->request) ||
        found.response.body.size < found.response.body_bytes ||
        found.response.body.size > exchange_room(x)) {
        found_release(gateway, &found);
        return false;
    }
    counters_add(worker->counters, METRIC_gateway_hits, 1);
    refresh_ahead_consider(worker, route, x, facts, &key, &found.response);
    if (respond_stored(gateway, route, x, x->now, facts, &found, &status, NULL))
        send_stored(gateway, x, &found, 0, found.response.body_bytes);
    found_release(gateway, &found);
    exchange_end(x);
    return true;
}

/* What the worker can answer without waiting, it does; null if it did. */
static struct passage *begin(struct gateway_worker *worker, const struct route *route, struct exchange *x)
{
    const struct http_request *request = x->request;
    bool is_edited = route_edits_requests(route);
    struct passage *passage = NULL;
    struct request_facts facts;

    if (x->inquiry == NULL)
        access_log_begin(worker, route, x);
    if (cors_is_on(&route->policy))
        x->policy = &route->policy;
    worker->edited.request_id = (struct bytes){0};
    if (route->policy.request_id) {
        request_id_choose(&x->id, &request->fields);
        x->tells_id = true;
        worker->edited.request_id = request_id_bytes(&x->id);
    }
    if (is_edited && !edited_request_make(&worker->edited, route, request))
        goto no_memory;
    if (is_edited)
        request = &worker->edited.request;
    facts = request_facts_of(request, &route->policy);
    if (x->inquiry != NULL && x->inquiry->confirmed_within_ms >= 0) {
        facts.wants_confirmation = true;
        facts.confirmed_within_ms = x->inquiry->confirmed_within_ms;
        facts.fresh_will_do = x->inquiry->fresh_will_do;
    }
    if (x->inquiry != NULL && x->inquiry->asks_nobody)
        facts.is_only_if_cached = true;
    if (facts.traits.has_cookie && route->policy.key_cookies != NULL)
        facts.traits.has_cookie = key_leaves_cookies(&route->policy, &request->fields);
    if (route->upstream == NULL && facts.plan != PLAN_ANSWER) {
        respond_problem(x, 404, "no route takes this request",
                        &(struct cache_status){.reason = FORWARD_REFUSED, .detail = "no-route"});
        return NULL;
    }
    if (route->policy.request_body_max > 0 && request->body_bytes > route->policy.request_body_max) {
        respond_problem(x, 413, BODY_TOO_LARGE,
                        &(struct cache_status){.reason = FORWARD_REFUSED, .detail = "body"});
        return NULL;
    }
    if ((is_edited || facts.has_upgrade) && facts.plan != PLAN_ANSWER &&
        tunnel_is_asked_for(&route->policy, x->request)) {
        tunnel_begin(worker, route, request, x);
        return NULL;
    }
    if (route->policy.compress && x->inquiry == NULL) /* nobody sends that anywhere */
        coded_exchange_begin(worker, route, x);
    if (facts.plan == PLAN_CACHE && !facts.has_range && !facts.is_body_keyed &&
        answer_at_once(worker, route, x, request, &facts))
        return NULL;
    passage = calloc(1, sizeof *passage);
    if (passage == NULL)
        goto no_memory;
    if (is_edited) {
        passage->edited = http_request_copy(request);
        if (passage->edited == NULL)
            goto no_memory;
    }
    passage->worker = worker;
    passage->route = route_hold(route);
    passage->x = x;
    passage->arrived_mono_ms = x->now.mono_ms;
    passage->facts = facts;
    passage->status = (struct cache_status){.reason = FORWARD_REFUSED, .detail = facts.detail};
    return passage;

no_memory:
    free(passage);
    respond_problem(x, 503, "out of memory", &(struct cache_status){.reason = FORWARD_REFUSED});
    return NULL;
}

static void gateway_begin(void *engine, struct exchange *x)
{
    struct gateway_worker *worker = engine;
    struct passage *passage;

    if (purge_method_takes(worker, x) || preflight_takes(worker, x))
        return;
    passage = begin(worker, plan_route(worker->plan, x->request), x);
    if (passage == NULL)
        return;
    passage->collects = passage_is_to_be_collected(&passage->facts, x->request);
    passage->state = passage->collects ? STATE_collect : STATE_lookup;
    x->engine_state = passage;
    reader_init(&passage->reader, worker, passage_on_woken);
    passage->reader.informed = passage_on_informed;
    list_append(&worker->passages, &passage->in_worker);
    if (passage->collects && x->request->body_bytes != HTTP_BODY_NONE)
        exchange_read(x, true);
    else if (passage->collects)
        passage_end_collecting(passage);
    else
        passage_run(passage);
}

static void gateway_writable(struct exchange *x) { passage_run(x->engine_state); }

static void gateway_gone(struct exchange *x)
{
    struct passage *passage = x->engine_state;

    passage->x = NULL;
    passage_retire(passage);
}

const struct exchange_engine gateway_engine = {gateway_begin, passage_on_body, passage_on_body_end,
                                               gateway_writable, gateway_gone};
