/* passage_lookup.c — what there is decides how a passage goes on: from the store, or to the origin. */
#include "engine/gateway/policy/key_rule.h"
#include "engine/gateway/policy/validate.h"
#include "engine/gateway/routing/asker.h"
#include "inquiry_terms.h"
#include "lookup_key.h"
#include "passage.h"
#include "refresh_ahead.h"
#include "search_alias.h"
#include "validators.h"

/* ---- to the origin ------------------------------------------------------------------------------- */

/* A step that returns its own state would be parked. */
static enum state look_again_at_once(struct passage *passage)
{
    passage->runs_again = true;
    return passage_look_again(passage);
}

static enum state begin_fetch(struct passage *passage, const struct fetch_order *order)
{
    bool joined;
    enum err err = fetch_join_or_begin(passage->worker, order, &passage->reader, &joined);

    found_release(passage->worker->gateway, &passage->found);
    if (err == ERR_CHANGED)
        return look_again_at_once(passage);
    if (err != OK) {
        passage->status.reason = FORWARD_REFUSED;
        return passage_refuse(passage, 503, "the request could not be sent to the origin");
    }
    passage->with_preconditions = order->with_preconditions;
    passage->page_set = order->page_set;
    passage->status.collapsed = joined;
    if (!joined && passage->x->inquiry != NULL)
        passage->x->inquiry->has_asked = true;
    if (!joined && order->request->body_bytes != HTTP_BODY_NONE && !order->is_body_keyed)
        fetch_on_upload_wanted(&passage->reader, passage_on_upload_wanted);
    return STATE_wait;
}

/* Sends the request on for this client alone; its answer is not stored. */
static enum state pass(struct passage *passage)
{
    const struct http_request *request = upstream_request(passage);
    struct cache_key key;
    bool invalidates = !http_method_is_safe(request->method) && route_key(passage->route, request, &key);
    struct fetch_order order = {
        .route = passage->route,
        .request = request,
        .key = invalidates ? &key : NULL,
        .traits = passage->facts.traits,
        .quota_class = passage_quota_class(passage),
        .with_preconditions = true,
    };

    passage->status.reason = !passage->facts.is_method_cached ? FORWARD_METHOD
                             : passage->facts.detail != NULL  ? FORWARD_REQUEST
                                                              : FORWARD_BYPASS;
    return begin_fetch(passage, &order);
}

/* A page stays one of the set it was fetched with, whoever asks for it again. */
static uint32_t passage_page_set(const struct passage *passage)
{
    if (passage->x->inquiry != NULL && passage->x->inquiry->page_set != 0)
        return passage->x->inquiry->page_set;
    return passage->found.is_there ? passage->found.response.page_set : 0;
}

/* What is found is to be asked about anew, by the validators of who asks; `validators` are due a fini. */
static void ask_about_found(const struct passage *passage, struct fetch_order *order,
                            struct validators *validators)
{
    const struct stored_response *response = &passage->found.response;

    validators_find(passage->worker->gateway, passage_now(passage).mono_ms, response,
                    asker_identity(passage->route, &order->request->fields), validators);
    order->etag = validators->etag;
    order->last_modified = validators->last_modified;
    order->body_number = response->body_number;
}

static void revalidate_in_background(struct passage *passage, const struct cache_key *key)
{
    const struct stored_response *response = &passage->found.response;
    struct fetch_order order = {.route = passage->route,
                                .request = upstream_request(passage),
                                .key = key,
                                .traits = passage->facts.traits,
                                .has_found = true,
                                .found_received_mono_ms = response->received_mono_ms,
                                .is_shared = true,
                                .takes_notes = true,
                                .replaces_entry = true,
                                .supersedes = true,
                                .quota_class = QUOTA_REVALIDATION,
                                .page_set = passage_page_set(passage),
                                .takes_lease = passage_may_lease(passage) && passage_page_set(passage) == 0,
                                .fleet_number = passage_fleet_number(passage),
                                .is_body_keyed = passage->facts.is_body_keyed,
                                .body = buffer_bytes(&passage->body)};
    struct validators validators = {0};
    struct stored_note note;
    bool joined;

    /* For a HEAD nobody would bring a body; one who fails is asked again later; and who waits comes first.
     */
    if (worker_call_count(passage->worker, passage->route->upstream) >=
            (size_t)passage->route->upstream->policy.origin_connections_max ||
        (passage->x->request->method != HTTP_METHOD_GET && !order.is_body_keyed) ||
        passage->facts.traits.has_authorization ||
        (note_find(passage->worker->gateway, passage_now(passage).mono_ms, key, &note) &&
         note.kind != NOTE_NOT_SHAREABLE))
        return;
    if (!order.is_body_keyed)
        ask_about_found(passage, &order, &validators);
    fetch_join_or_begin(passage->worker, &order, NULL, &joined); /* without it the answer is good, too */
    validators_fini(&validators);
}

/* The Range of a request for a part that others may ask for, too: nothing else is conditional about it. */
static struct bytes shared_range(const struct http_request *request)
{
    struct bytes range = {0};

    for (size_t i = 0; i < request->fields.count; i++) {
        const struct http_field *field = &request->fields.list[i];
        if (!is_precondition(field->header))
            continue;
        if (field->header != HTTP_HEADER_RANGE || range.size > 0)
            return (struct bytes){0};
        range = field->value;
    }
    return range;
}

/* What may be stored under a key that nothing was found by has to be found by it. False if it cannot. */
static bool see_key_through(const struct passage *passage, struct cache_key *key)
{
    const struct request_facts *facts = &passage->facts;
    bool may_be_new = !passage->found.is_there && !passage->found.varies &&
                      (facts->is_body_keyed || key_selects(&passage->route->policy));
    bool may_be_stored = upstream_request(passage)->method == HTTP_METHOD_GET || facts->is_body_keyed;

    return !may_be_new || !may_be_stored || passage_key(passage, KEY_TO_STORE, key);
}

static enum state forward(struct passage *passage, const struct cache_key *key, enum use use)
{
    struct gateway *gateway = passage->worker->gateway;
    const struct http_request *request = upstream_request(passage);
    const struct request_facts *facts = &passage->facts;
    const struct found *found = &passage->found;
    struct stored_note note = {0};
    struct validators validators = {0};
    enum state state;
    int64_t now_mono_ms = passage_now(passage).mono_ms;
    bool has_note = note_find(gateway, now_mono_ms, key, &note);
    bool is_get = request->method == HTTP_METHOD_GET || facts->is_body_keyed;
    bool has_credentials = facts->traits.has_authorization || facts->traits.has_cookie;
    bool asks_for_part = facts->has_range && !found->is_there && !passage->route->policy.range_whole;
    struct bytes range = asks_for_part ? shared_range(request) : (struct bytes){0};
    /* Who asks for what was confirmed lately can do with what is fresh for nobody else. */
    bool is_one_for_all = !(has_note && note.kind == NOTE_NOT_SHAREABLE) || facts->wants_confirmation;
    struct fetch_order order = {
        .route = passage->route,
        .request = request,
        .key = is_get || found->is_there ? key : NULL, /* a HEAD may tell of what there is */
        .traits = facts->traits,
        .has_found = found->is_there,
        .found_received_mono_ms = found->response.received_mono_ms,
        .is_shared = is_get && asks_for_part == (range.size > 0) && !has_credentials &&
                     !passage->is_alone && is_one_for_all,
        .begun_since_ms = facts->wants_validation ? passage->arrived_mono_ms : 0,
        .takes_notes = is_get && !asks_for_part && !has_credentials,
        .replaces_entry = found_may_stand_in(FAILURE_ERROR, passage->route, facts, found, now_mono_ms),
        .supersedes = is_get && use != USE_NONE,
        .quota_class = passage_quota_class(passage),
        .page_set = passage_page_set(passage),
        .is_impatient = found_may_stand_in(FAILURE_UNREACHABLE, passage->route, facts, found, now_mono_ms),
        .takes_lease = passage_may_lease(passage) && passage_page_set(passage) == 0,
        .fleet_number = passage_fleet_number(passage),
        .range = range,
        .is_body_keyed = facts->is_body_keyed,
        .body = buffer_bytes(&passage->body),
    };

    if (has_note && note.kind != NOTE_NOT_SHAREABLE) {
        enum failure failure = note.kind == NOTE_FAILING ? FAILURE_ERROR : FAILURE_UNREACHABLE;
        if (found_may_stand_in(failure, passage->route, facts, found, now_mono_ms)) {
            passage->status.reason = FORWARD_NONE;
            return passage_serve_stale(passage, "origin-failing");
        }
        if (note.kind == NOTE_UNREACHABLE) {
            passage->status.detail = "origin-failing";
            found_release(gateway, &passage->found);
            return passage_refuse(passage, note.status, "the origin did not answer a moment ago");
        }
    }
    if (is_get && use != USE_NONE && !facts->is_body_keyed)
        ask_about_found(passage, &order, &validators);
    order.with_preconditions =
        asks_for_part || (!order.is_shared && order.etag.size == 0 && order.last_modified.size == 0);
    state = begin_fetch(passage, &order);
    validators_fini(&validators);
    return state;
}

/* ---- the store ----------------------------------------------------------------------------------- */

/* Nothing is stored for this very query: what is for another may say that the difference makes none. Only
 * what is fresh counts. */
static enum use find_elsewhere(struct passage *passage)
{
    struct gateway *gateway = passage->worker->gateway;
    int64_t now_mono_ms = passage_now(passage).mono_ms;
    bool varies = passage->found.varies;
    struct cache_key key, wanted, stored;

    if (passage->facts.is_body_keyed ||
        !lookup_key_elsewhere(gateway, passage->route, now_mono_ms, upstream_request(passage), &key,
                              &wanted, &stored))
        return USE_NONE;
    found_release(gateway, &passage->found); /* it may be there, and not for this client */
    found_find(gateway, now_mono_ms, upstream_request(passage), &key, &passage->found);
    if (found_use(passage->route, &passage->facts, &passage->found, now_mono_ms) == USE_FRESH &&
        fleet_holds(passage->worker, &key, &passage->found.response, now_mono_ms) &&
        search_alias_holds(passage->found.response.fields, &stored, &wanted) &&
        purge_rules_permit(&gateway->purge_rules, passage->found.response.birth, cache_key_bytes(&wanted)))
        return USE_FRESH;
    found_release(gateway, &passage->found);
    passage->found.varies = varies;
    return USE_NONE;
}

/* RFC 9111 §5.2.1.7. */
static enum state refuse_uncached(struct passage *passage)
{
    found_release(passage->worker->gateway, &passage->found);
    passage->status = (struct cache_status){.reason = FORWARD_REFUSED, .detail = "only-if-cached"};
    return passage_refuse(passage, 504, "not in the cache");
}

enum state passage_on_lookup(struct passage *passage)
{
    struct gateway *gateway = passage->worker->gateway;
    struct now now = passage_now(passage);
    struct cache_key key;
    enum use use;

    if (passage->facts.plan == PLAN_ANSWER)
        return passage_refuse(passage, passage->facts.status, "the request is not one that can be sent on");
    if (passage->facts.plan == PLAN_PASS && passage->facts.is_only_if_cached)
        return refuse_uncached(passage);
    if (passage->facts.plan == PLAN_PASS || !passage_key(passage, KEY_TO_LOOK, &key))
        return pass(passage);
    found_release(gateway, &passage->found);
    found_find(gateway, now.mono_ms, upstream_request(passage), &key, &passage->found);
    if (!passage->found.is_there && passage->facts.has_range && !passage->facts.has_condition)
        found_find_part(gateway, now, upstream_request(passage), &key, &passage->found);
    use = found_use(passage->route, &passage->facts, &passage->found, now.mono_ms);
    if (passage_asks(passage, &key, use))
        return STATE_ask;
    passage_believe(passage, &key);
    use = found_use(passage->route, &passage->facts, &passage->found, now.mono_ms);
    if (passage->found.is_part && use != USE_FRESH) { /* what is asked for anew will take their place */
        found_release(gateway, &passage->found);
        use = USE_NONE;
    }
    if (use == USE_FRESH)
        refresh_ahead_consider(passage->worker, passage->route, passage->x, &passage->facts, &key,
                               &passage->found.response);
    if (use == USE_NONE)
        use = find_elsewhere(passage);
    passage->status = (struct cache_status){0};
    switch (use) {
    case USE_FRESH: counters_add(passage->worker->counters, METRIC_gateway_hits, 1); return STATE_serve;
    case USE_STALE:
        if (may_serve_while_revalidating(&passage->route->policy, &passage->facts, &passage->found.response,
                                         now.mono_ms)) {
            revalidate_in_background(passage, &key);
            return passage_serve_stale(passage, "stale-while-revalidate");
        }
        if (accepts_stale(&passage->facts, &passage->found.response, now.mono_ms))
            return passage_serve_stale(passage, "max-stale");
        passage->status.reason = FORWARD_STALE;
        break;
    case USE_UNWANTED: passage->status.reason = FORWARD_REQUEST; break;
    case USE_NONE:
        passage->status.reason = passage->found.varies ? FORWARD_VARY_MISS : FORWARD_URI_MISS;
        break;
    }
    if (passage->facts.is_only_if_cached)
        return refuse_uncached(passage);
    if (!see_key_through(passage, &key))
        return pass(passage);
    return forward(passage, &key, use);
}
