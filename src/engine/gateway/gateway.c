/* gateway.c — one client request on its way through the gateway.
 *
 *      collect ── a body that is part of the key, or a small one, or too much of it ──► lookup
 *
 *                fresh, or stale and allowed
 *      lookup ─────────────────────────────► serve ──────► done
 *       │  ▲ │ may not be forwarded            ▲             ▲
 *       │  │ └────────────────► refuse ────────┼─────────────┤
 *       │  │                      ▲            │             │
 *       │  │ not for us, or gone  │ failed     │ failed, and │
 *       ▼  │                      │            │ stale will do
 *      wait ──────────────────────┴────────────┘             │
 *       │ a head that is for us                              │
 *       ▼                                                    │
 *      relay ─── whole, or cut off ──────────────────────────┘
 *
 * A step returns the next state; returning its own means parked, and passage_run is called again when the
 * fetch has news or the client has room. A request that is answered from the store at once never becomes
 * a passage: gateway_begin deals with it on its stack. */
#include "access_log.h"
#include "base/compiler.h"
#include "base/hash.h"
#include "base/number.h"
#include "body_key.h"
#include "coded_exchange.h"
#include "engine/gateway/policy/cache_status.h"
#include "engine/gateway/policy/ranged.h"
#include "engine/gateway/policy/request_facts.h"
#include "engine/gateway/policy/reuse.h"
#include "engine/gateway/policy/validate.h"
#include "fetch.h"
#include "lend.h"
#include "purge_method.h"
#include "respond.h"
#include "tunnel.h"
#include <assert.h>
#include <stdlib.h>

enum { ROUNDS_MAX = 3, HANDOVERS_MAX = 2 };

/* A body up to this size is waited for before the origin is asked, so that a client that takes its time
 * with it does not take up a connection to the origin meanwhile. */
enum { COLLECTED_BYTES_MAX = 64 * 1024 };

static const char BODY_TOO_LARGE[] = "the request's body is larger than may be";

#define STATES(X) X(collect) X(lookup) X(wait) X(relay) X(serve) X(refuse) X(done)
#define X(name)   STATE_##name,
enum state { STATES(X) };
#undef X

/* An entry of the store, borrowed while is_there. */
struct found {
    bool is_there;
    bool varies; /* the URL is known to have variants, whether this one is there or not */
    nh_value value;
    struct lender *lender; /* has the value, once a part of it was lent; else null */
    bool is_part;          /* the value is struct parts, and holds `part` of `whole_bytes` */
    struct http_range part;
    uint64_t whole_bytes;
    uint64_t part_offset; /* in the body */
    struct stored_response response;
};

struct passage {
    struct reader reader;
    struct gateway_worker *worker;
    const struct route *route;   /* held */
    struct http_request *edited; /* null: the upstream gets the client's as it is */
    struct exchange *x;          /* null once it is over */
    struct list in_worker;
    enum state state;
    struct request_facts facts;
    struct found found;
    struct cache_status status;
    struct buffer body; /* collected, while it is part of the key, or until it has gone to the origin */
    unsigned char digest[BODY_DIGEST_BYTES]; /* of it, once all is there */
    bool collects;                           /* its body, before it does anything else */
    bool has_whole_body;
    enum err failure;
    int refusal_status;
    const char *refusal_text;
    struct outgoing outgoing; /* of a stored response's body */
    struct http_range window; /* what of a fetched body is for the client, if is_cut */
    uint64_t sent_bytes, uploaded_bytes;
    int64_t promised_bytes; /* or HTTP_BODY_UNKNOWN */
    int64_t arrived_mono_ms;
    unsigned rounds;    /* how often it came back to lookup */
    unsigned handovers; /* how often because what it waited for took too long */
    bool has_looked;    /* `found` is up to date */
    bool is_alone;      /* no more waiting for others */
    bool with_preconditions;
    bool has_responded;
    bool skips_body;
    bool is_cut;
    bool is_running, runs_again;
};

/* ---- looking up ---------------------------------------------------------------------------------- */

static void found_release(struct gateway *gateway, struct found *found)
{
    if (found->is_there)
        value_release(gateway->store, &found->value, &found->lender);
    found->is_there = false;
}

/* Looks for the entry that answers the request; `key` becomes the key of it, there or not. */
static void find(struct gateway *gateway, int64_t now_mono_ms, const struct http_request *request,
                 struct cache_key *key, struct found *found)
{
    struct stored_variants variants;

    found->is_there = found->varies = found->is_part = false;
    found->lender = NULL;
    if (nh_borrow(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(key)), &found->value) !=
        NH_OK)
        return;
    if (value_response(gateway, cache_key_bytes(key), &found->value, &found->response)) {
        found->is_there = true;
        return;
    }
    found->varies = stored_variants_decode(bytes_of_value(&found->value), gateway->seed, &variants) &&
                    cache_key_vary(key, variants.generation, variants.names, &request->fields);
    nh_release(gateway->store, &found->value);
    if (!found->varies || nh_borrow(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(key)),
                                    &found->value) != NH_OK)
        return;
    found->is_there = value_response(gateway, cache_key_bytes(key), &found->value, &found->response);
    if (!found->is_there)
        nh_release(gateway->store, &found->value);
    else if (found->response.birth < variants.stale_before)
        found->response.flags |= STORED_PURGED;
}

/* Looks for parts of which one holds all that the request asks for. */
static void find_part(struct gateway *gateway, struct now now, const struct http_request *request,
                      const struct cache_key *key, struct found *found)
{
    char values[CACHE_KEY_BYTES_MAX];
    struct http_ranges ranges;
    struct cache_key parts_key;
    struct parts parts;
    size_t size;

    memcpy(parts_key.text, key->text, key->primary_size);
    parts_key.primary_size = key->primary_size;
    cache_key_part(&parts_key);
    if (nh_borrow(gateway->store, now.mono_ms, gateway_key(gateway, cache_key_bytes(&parts_key)),
                  &found->value) != NH_OK)
        return;
    if (!value_parts(gateway, cache_key_bytes(&parts_key), &found->value, &parts) ||
        !vary_values(parts.vary_names, &request->fields, values, sizeof values, &size) ||
        !bytes_equal(bytes_of(values, size), parts.vary_values))
        goto release;
    ranges = ranges_wanted(request, parts.response.fields, parts.size, now.wall_ms);
    if (ranges.count != 1 || !parts_find(&parts, &ranges.list[0], &found->part_offset))
        goto release;
    found->is_there = found->is_part = true;
    found->response = parts.response;
    found->part = ranges.list[0];
    found->whole_bytes = parts.size;
    return;

release:
    nh_release(gateway->store, &found->value);
}

static enum use found_use(const struct route *route, const struct request_facts *facts,
                          const struct found *found, int64_t now_mono_ms)
{
    return found->is_there ? use_of(&route->policy, facts, &found->response, now_mono_ms) : USE_NONE;
}

static bool may_stand_in(enum failure failure, const struct route *route, const struct request_facts *facts,
                         const struct found *found, int64_t now_mono_ms)
{
    return found->is_there && may_serve_on(failure, &route->policy, facts, &found->response, now_mono_ms);
}

static bool look_for_note(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key,
                          struct stored_note *note)
{
    struct cache_key marker;
    nh_value value;
    bool is_there;

    memcpy(marker.text, key->text, key->primary_size);
    marker.primary_size = key->primary_size;
    cache_key_mark(&marker);
    if (nh_borrow(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(&marker)), &value) !=
        NH_OK)
        return false;
    is_there = stored_note_decode(bytes_of_value(&value), gateway->seed, note);
    nh_release(gateway->store, &value);
    return is_there;
}

/* ---- answering ----------------------------------------------------------------------------------- */

static void respond_not_modified(struct exchange *x, struct bytes rendered, int64_t age_seconds,
                                 const struct cache_status *cache_status)
{
    struct buffer kept = {0};
    struct http_field field;

    while (rendered_next(&rendered, &field))
        if (belongs_in_not_modified(field.header))
            rendered_append(&kept, field.name, field.value);
    respond_head(x, 304, (struct bytes){0}, HTTP_BODY_NONE, 0, buffer_bytes(&kept), age_seconds, true,
                 cache_status);
    buffer_fini(&kept);
}

/* Answers with `ranges` of a response of `body_bytes`; `outgoing` is then what follows, and borrows `type`,
 * that of the body. False if they are none, and the whole is to be sent. */
static bool respond_ranged(struct gateway *gateway, struct exchange *x, struct now now,
                           struct bytes rendered, struct bytes type, const struct http_ranges *ranges,
                           uint64_t body_bytes, int64_t age_seconds, const struct cache_status *status,
                           struct outgoing *outgoing)
{
    char text[HTTP_CONTENT_RANGE_BYTES_MAX];
    struct buffer lines = {0};

    outgoing_init(outgoing, ranges, body_bytes);
    switch (ranges->kind) {
    case HTTP_RANGES_NONE: return false;
    case HTTP_RANGES_OUTSIDE:
        rendered_append(&lines, BYTES("Content-Range"),
                        bytes_of(text, http_content_range_format(text, NULL, body_bytes)));
        respond_head(x, 416, (struct bytes){0}, HTTP_BODY_NONE, 0, buffer_bytes(&lines), -1, false, status);
        break;
    case HTTP_RANGES_PARTS:
        outgoing->type = type;
        outgoing->boundary = hash_bytes(bytes_of(&now, sizeof now), gateway->seed);
        ranged_fields_render(&lines, rendered, outgoing);
        respond_head(x, 206, (struct bytes){0}, (int64_t)outgoing_bytes(outgoing), 0, buffer_bytes(&lines),
                     age_seconds, true, status);
        break;
    }
    buffer_fini(&lines);
    return true;
}

/* What of an entry the client asks for. */
static struct http_ranges ranges_of(const struct exchange *x, struct now now, const struct found *found)
{
    if (found->is_part)
        return (struct http_ranges){HTTP_RANGES_PARTS, 1, {found->part}};
    if (found->response.status != 200)
        return (struct http_ranges){.kind = HTTP_RANGES_NONE};
    return ranges_wanted(x->request, found->response.fields, found->response.body_bytes, now.wall_ms);
}

/* Whole seconds of freshness left; once it is stale, less than 0. */
static int64_t ttl_seconds(const struct stored_response *response, int64_t now_mono_ms)
{
    int64_t age_ms = stored_age_ms(response, now_mono_ms);
    int64_t seconds = response->lifetime_ms / 1000 - age_ms / 1000;

    return seconds == 0 && age_ms >= response->lifetime_ms ? -1 : seconds;
}

/* Answers from an entry. True if the body, or what `outgoing` says of it, is to follow. `outgoing` may be
 * null for a request without a range. */
static bool respond_stored(struct gateway *gateway, const struct route *route, struct exchange *x,
                           struct now now, const struct request_facts *facts, const struct found *found,
                           struct cache_status *status, struct outgoing *outgoing)
{
    const struct stored_response *response = &found->response;
    struct http_ranges ranges = {.kind = HTTP_RANGES_NONE};
    struct buffer edited = {0};
    struct bytes fields = fields_for_client(route, response->fields, &edited);
    bool has_body = x->request->method != HTTP_METHOD_HEAD && response->body_bytes > 0;
    int64_t age_seconds = stored_age_ms(response, now.mono_ms) / 1000;

    status->has_ttl = true;
    status->ttl_seconds = ttl_seconds(response, now.mono_ms);
    status->names_others = (response->flags & STORED_NAMES_CACHES) != 0;
    if (facts->has_condition && response->status == 200 &&
        client_has_it(&x->request->fields, response->fields, now.wall_ms)) {
        respond_not_modified(x, fields, age_seconds, status);
        has_body = false;
        goto done;
    }
    if (facts->has_range)
        ranges = ranges_of(x, now, found);
    if (ranges.kind != HTTP_RANGES_NONE) {
        respond_ranged(gateway, x, now, fields, rendered_value(response->fields, HTTP_HEADER_CONTENT_TYPE),
                       &ranges, found->is_part ? found->whole_bytes : response->body_bytes, age_seconds,
                       status, outgoing);
        has_body = true;
        goto done;
    }
    respond_head(x, response->status, response->reason, (int64_t)response->body_bytes,
                 response->body_number, fields, age_seconds, true, status);

done:
    buffer_fini(&edited);
    return has_body;
}

/* ---- passages ------------------------------------------------------------------------------------ */

/* The request as its upstream sees it. */
static const struct http_request *upstream_request(const struct passage *passage)
{
    return passage->edited != NULL ? passage->edited : passage->x->request;
}

static struct now passage_now(const struct passage *passage) { return loop_now(passage->worker->loop); }

static void passage_run(struct passage *passage);

static void passage_free(struct passage *passage)
{
    list_remove(&passage->in_worker);
    route_release(passage->route);
    buffer_fini(&passage->body);
    free(passage->edited);
    free(passage);
}

/* Lets go of everything; what is left goes when no task of it is on its way any more. */
static void passage_retire(struct passage *passage)
{
    found_release(passage->worker->gateway, &passage->found);
    fetch_leave(&passage->reader);
    passage->state = STATE_done;
    if (!reader_is_quiet(&passage->reader))
        return;
    passage_free(passage);
}

static void on_woken(struct reader *reader)
{
    struct passage *passage = CONTAINER_OF(reader, struct passage, reader);

    if (passage->state == STATE_done)
        passage_retire(passage);
    else
        passage_run(passage);
}

static void on_informed(struct reader *reader, int status, const struct http_fields *fields)
{
    struct passage *passage = CONTAINER_OF(reader, struct passage, reader);

    if (passage->x != NULL && !passage->has_responded)
        exchange_inform(passage->x, status, fields);
}

static enum state refuse(struct passage *passage, int status, const char *text)
{
    passage->refusal_status = status;
    passage->refusal_text = text;
    return STATE_refuse;
}

static enum state look_again(struct passage *passage)
{
    fetch_leave(&passage->reader);
    if (++passage->rounds >= ROUNDS_MAX)
        passage->is_alone = true;
    return STATE_lookup;
}

/* What others began has no head yet. Whoever has waited for several of them waits for the last to its end,
 * so that an origin that never answers is seen to fail. */
static enum state wait_or_hand_over(struct passage *passage)
{
    if (passage->handovers == HANDOVERS_MAX || !fetch_is_overdue(&passage->reader))
        return STATE_wait;
    passage->handovers++;
    counters_add(passage->worker->counters, METRIC_gateway_handovers, 1);
    fetch_leave(&passage->reader);
    return STATE_lookup;
}

static void on_upload_wanted(struct reader *reader, size_t room)
{
    struct passage *passage = CONTAINER_OF(reader, struct passage, reader);

    (void)room; /* one piece at a time: the next is asked for when this one has gone */
    if (passage->body.size > 0) {
        fetch_upload(reader, buffer_bytes(&passage->body), passage->has_whole_body);
        buffer_fini(&passage->body);
        return;
    }
    if (passage->x != NULL)
        exchange_read(passage->x, true); /* which may end the passage */
}

/* The key of what the passage asks for. False if it can have none. */
static bool passage_key(const struct passage *passage, struct cache_key *key)
{
    if (!route_key(passage->route, upstream_request(passage), key))
        return false;
    if (passage->facts.is_body_keyed)
        body_key(passage->worker->gateway, passage_now(passage).mono_ms, key, passage->digest);
    return true;
}

static enum state begin_fetch(struct passage *passage, const struct fetch_order *order)
{
    bool joined;
    enum err err = fetch_join_or_begin(passage->worker, order, &passage->reader, &joined);

    found_release(passage->worker->gateway, &passage->found);
    if (err == ERR_CHANGED)
        return look_again(passage);
    if (err != OK) {
        passage->status.reason = FORWARD_REFUSED;
        return refuse(passage, 503, "the request could not be sent to the origin");
    }
    passage->with_preconditions = order->with_preconditions;
    passage->status.collapsed = joined;
    if (!joined && order->request->body_bytes != HTTP_BODY_NONE && !order->is_body_keyed)
        fetch_on_upload_wanted(&passage->reader, on_upload_wanted);
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
        .with_preconditions = true,
    };

    passage->status.reason = !passage->facts.is_method_cached ? FORWARD_METHOD
                             : passage->facts.detail != NULL  ? FORWARD_REQUEST
                                                              : FORWARD_BYPASS;
    return begin_fetch(passage, &order);
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
                                .is_body_keyed = passage->facts.is_body_keyed,
                                .body = buffer_bytes(&passage->body)};
    struct stored_note note;
    bool joined;

    /* For a HEAD nobody would bring a body; one who fails is asked again later; and who waits comes first.
     */
    if (worker_call_count(passage->worker, passage->route->upstream) >=
            (size_t)passage->route->upstream->policy.origin_connections_max ||
        (passage->x->request->method != HTTP_METHOD_GET && !order.is_body_keyed) ||
        passage->facts.traits.has_authorization ||
        (look_for_note(passage->worker->gateway, passage_now(passage).mono_ms, key, &note) &&
         note.kind != NOTE_NOT_SHAREABLE))
        return;
    if (!order.is_body_keyed) {
        order.etag = response->etag;
        order.last_modified = response->last_modified;
    }
    fetch_join_or_begin(passage->worker, &order, NULL, &joined); /* without it the answer is good, too */
}

static enum state serve_stale(struct passage *passage, const char *detail)
{
    passage->status.detail = detail;
    passage->status.collapsed = false;
    return STATE_serve;
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

static enum state forward(struct passage *passage, const struct cache_key *key, enum use use)
{
    struct gateway *gateway = passage->worker->gateway;
    const struct http_request *request = upstream_request(passage);
    const struct request_facts *facts = &passage->facts;
    const struct found *found = &passage->found;
    struct stored_note note = {0};
    int64_t now_mono_ms = passage_now(passage).mono_ms;
    bool has_note = look_for_note(gateway, now_mono_ms, key, &note);
    bool is_get = request->method == HTTP_METHOD_GET || facts->is_body_keyed;
    bool has_credentials = facts->traits.has_authorization || facts->traits.has_cookie;
    bool asks_for_part = facts->has_range && !found->is_there && !passage->route->policy.range_whole;
    struct bytes range = asks_for_part ? shared_range(request) : (struct bytes){0};
    struct fetch_order order = {
        .route = passage->route,
        .request = request,
        .key = is_get || found->is_there ? key : NULL, /* a HEAD may tell of what there is */
        .traits = facts->traits,
        .has_found = found->is_there,
        .found_received_mono_ms = found->response.received_mono_ms,
        .is_shared = is_get && asks_for_part == (range.size > 0) && !has_credentials &&
                     !passage->is_alone && !(has_note && note.kind == NOTE_NOT_SHAREABLE),
        .begun_since_ms = facts->wants_validation ? passage->arrived_mono_ms : 0,
        .takes_notes = is_get && !asks_for_part && !has_credentials,
        .replaces_entry = may_stand_in(FAILURE_ERROR, passage->route, facts, found, now_mono_ms),
        .supersedes = is_get && use != USE_NONE,
        .range = range,
        .is_body_keyed = facts->is_body_keyed,
        .body = buffer_bytes(&passage->body),
    };

    if (has_note && note.kind != NOTE_NOT_SHAREABLE) {
        enum failure failure = note.kind == NOTE_FAILING ? FAILURE_ERROR : FAILURE_UNREACHABLE;
        if (may_stand_in(failure, passage->route, facts, found, now_mono_ms)) {
            passage->status.reason = FORWARD_NONE;
            return serve_stale(passage, "origin-failing");
        }
        if (note.kind == NOTE_UNREACHABLE) {
            passage->status.detail = "origin-failing";
            found_release(gateway, &passage->found);
            return refuse(passage, note.status, "the origin did not answer a moment ago");
        }
    }
    if (is_get && use != USE_NONE && !facts->is_body_keyed) {
        order.etag = found->response.etag;
        order.last_modified = found->response.last_modified;
    }
    order.with_preconditions =
        asks_for_part || (!order.is_shared && order.etag.size == 0 && order.last_modified.size == 0);
    return begin_fetch(passage, &order);
}

/* RFC 9111 §5.2.1.7. */
static enum state refuse_uncached(struct passage *passage)
{
    found_release(passage->worker->gateway, &passage->found);
    passage->status = (struct cache_status){.reason = FORWARD_REFUSED, .detail = "only-if-cached"};
    return refuse(passage, 504, "not in the cache");
}

static enum state on_collect(struct passage *passage)
{
    return passage->has_whole_body || !passage->collects ? STATE_lookup : STATE_collect;
}

static enum state on_lookup(struct passage *passage)
{
    struct gateway *gateway = passage->worker->gateway;
    struct now now = passage_now(passage);
    struct cache_key key;
    enum use use;

    if (passage->facts.plan == PLAN_ANSWER)
        return refuse(passage, passage->facts.status, "the request is not one that can be sent on");
    if (passage->facts.plan == PLAN_PASS && passage->facts.is_only_if_cached)
        return refuse_uncached(passage);
    if (passage->facts.plan == PLAN_PASS || !passage_key(passage, &key))
        return pass(passage);
    found_release(gateway, &passage->found);
    find(gateway, now.mono_ms, upstream_request(passage), &key, &passage->found);
    if (!passage->found.is_there && passage->facts.has_range && !passage->facts.has_condition)
        find_part(gateway, now, upstream_request(passage), &key, &passage->found);
    use = found_use(passage->route, &passage->facts, &passage->found, now.mono_ms);
    if (passage->found.is_part && use != USE_FRESH) { /* what is asked for anew will take their place */
        found_release(gateway, &passage->found);
        use = USE_NONE;
    }
    passage->status = (struct cache_status){0};
    switch (use) {
    case USE_FRESH: counters_add(passage->worker->counters, METRIC_gateway_hits, 1); return STATE_serve;
    case USE_STALE:
        if (may_serve_while_revalidating(&passage->route->policy, &passage->facts, &passage->found.response,
                                         now.mono_ms)) {
            revalidate_in_background(passage, &key);
            return serve_stale(passage, "stale-while-revalidate");
        }
        if (accepts_stale(&passage->facts, &passage->found.response, now.mono_ms))
            return serve_stale(passage, "max-stale");
        passage->status.reason = FORWARD_STALE;
        break;
    case USE_UNWANTED: passage->status.reason = FORWARD_REQUEST; break;
    case USE_NONE:
        passage->status.reason = passage->found.varies ? FORWARD_VARY_MISS : FORWARD_URI_MISS;
        break;
    }
    if (passage->facts.is_only_if_cached)
        return refuse_uncached(passage);
    return forward(passage, &key, use);
}

/* The origin did not answer, or only with an error: a stale response may do. */
static bool find_stale(struct passage *passage, enum failure failure)
{
    struct gateway *gateway = passage->worker->gateway;
    int64_t now_mono_ms = passage_now(passage).mono_ms;
    struct cache_key key;

    if (passage->facts.plan != PLAN_CACHE || !passage_key(passage, &key))
        return false;
    find(gateway, now_mono_ms, upstream_request(passage), &key, &passage->found);
    if (may_stand_in(failure, passage->route, &passage->facts, &passage->found, now_mono_ms))
        return true;
    found_release(gateway, &passage->found);
    return false;
}

static enum state fail(struct passage *passage, enum err failure)
{
    fetch_leave(&passage->reader);
    if (failure == ERR_CANCELLED && passage->facts.plan == PLAN_CACHE && passage->rounds < ROUNDS_MAX)
        return look_again(passage); /* another worker ended, and its fetches with it */
    if (find_stale(passage, FAILURE_UNREACHABLE)) {
        passage->status.reason = FORWARD_STALE;
        return serve_stale(passage, "origin-unreachable");
    }
    return refuse(passage, failure == ERR_TIMEOUT ? 504 : 502, origin_failure_text(failure));
}

/* RFC 9111 §4.1: whether what was fetched for another answers this request as well. */
static bool is_for(const struct passage *passage, const struct fetch_head *head)
{
    char values[CACHE_KEY_BYTES_MAX];
    size_t size;

    if (passage->reader.is_leader)
        return true;
    if (!head->is_shared)
        return false;
    return head->vary.size == 0 ||
           (vary_values(bytes_of(head->vary.text, head->vary.size), &upstream_request(passage)->fields,
                        values, sizeof values, &size) &&
            bytes_equal(bytes_of(values, size), buffer_bytes(&head->vary_values)));
}

/* RFC 5861 §4. */
static bool is_error(int status) { return status == 500 || (status >= 502 && status <= 504); }

static enum state on_wait(struct passage *passage)
{
    const struct fetch_head *head;

    switch (fetch_look(&passage->reader)) {
    case FETCH_WAITING: return wait_or_hand_over(passage);
    case FETCH_AGAIN: return look_again(passage);
    case FETCH_FAILED:
        if (!fetch_has_head(&passage->reader))
            return fail(passage, fetch_error(&passage->reader));
        break; /* it had begun: relay what there is, then cut */
    case FETCH_FLOWING:
    case FETCH_COMPLETE: break;
    }
    head = fetch_head(&passage->reader);
    if (!is_for(passage, head)) {
        passage->is_alone |= !head->is_shared && !head->is_outdated;
        return look_again(passage);
    }
    if (is_error(head->facts.status) && find_stale(passage, FAILURE_ERROR)) {
        passage->status.reason = FORWARD_STALE;
        passage->status.origin_status = head->facts.status;
        fetch_leave(&passage->reader);
        return serve_stale(passage, "stale-if-error");
    }
    if (passage->status.collapsed)
        counters_add(passage->worker->counters, METRIC_gateway_collapsed, 1);
    return STATE_relay;
}

/* Answers with one range of a body that is on its way, if one is asked for. */
static bool cut_fetched(struct passage *passage, struct bytes rendered, int64_t age_seconds)
{
    struct http_ranges ranges = ranges_wanted(
        passage->x->request, rendered, (uint64_t)passage->promised_bytes, passage_now(passage).wall_ms);

    if (ranges.count > 1 ||
        !respond_ranged(passage->worker->gateway, passage->x, passage_now(passage), rendered,
                        (struct bytes){0}, &ranges, (uint64_t)passage->promised_bytes, age_seconds,
                        &passage->status, &passage->outgoing))
        return false;
    passage->is_cut = true;
    passage->skips_body = ranges.count == 0;
    passage->window = ranges.list[0];
    passage->promised_bytes = (int64_t)(passage->window.end - passage->window.start);
    return true;
}

/* What of a piece that ends where the reader stands is for the client. */
static struct bytes cut(const struct passage *passage, struct bytes piece)
{
    const struct http_range *window = &passage->window;
    uint64_t end = passage->reader.read_bytes, start = end - piece.size;

    if (!passage->is_cut)
        return piece;
    if (start >= window->end || end <= window->start)
        return bytes_first(piece, 0);
    if (end > window->end)
        piece.size -= end - window->end;
    return start < window->start ? bytes_after(piece, window->start - start) : piece;
}

static void respond_fetched(struct passage *passage)
{
    const struct fetch_head *head = fetch_head(&passage->reader);
    struct exchange *x = passage->x;
    struct bytes rendered =
        buffer_bytes(passage->reader.is_leader ? &head->fields.sent : &head->fields.kept);
    struct buffer edited = {0};
    struct now now = passage_now(passage);
    bool is_from_store = !passage->reader.is_leader || head->origin_status != head->facts.status;
    int64_t age_seconds =
        current_age_ms(head->facts.freshness.initial_age_ms, head->received.mono_ms, now.mono_ms) / 1000;

    passage->has_responded = true;
    passage->status.origin_status = head->origin_status;
    passage->status.stored = head->is_stored && passage->reader.is_leader;
    passage->status.has_ttl = head->is_stored;
    passage->status.ttl_seconds = head->facts.freshness.lifetime_ms / 1000 - age_seconds;
    passage->status.names_others = names_other_caches(rendered);
    if (!is_from_store)
        age_seconds = -1; /* what the origin said of it is among the fields */
    passage->promised_bytes = head->body_bytes;
    if (head->body_bytes == HTTP_BODY_UNKNOWN && x->request->method != HTTP_METHOD_HEAD &&
        fetch_look(&passage->reader) == FETCH_COMPLETE)
        passage->promised_bytes = (int64_t)fetch_body_bytes(&passage->reader);
    passage->skips_body =
        x->request->method == HTTP_METHOD_HEAD || head->facts.status == 204 || head->facts.status == 304;
    if (passage->facts.plan == PLAN_CACHE && passage->facts.has_condition && !passage->with_preconditions &&
        head->facts.status == 200 && client_has_it(&x->request->fields, rendered, now.wall_ms)) {
        passage->skips_body = true;
        rendered = fields_for_client(passage->route, rendered, &edited);
        respond_not_modified(x, rendered, age_seconds, &passage->status);
        buffer_fini(&edited);
        return;
    }
    rendered = fields_for_client(passage->route, rendered, &edited);
    if (!passage->facts.has_range || head->facts.status != 200 || passage->promised_bytes < 0 ||
        (passage->reader.is_leader && !head->is_stored) || !cut_fetched(passage, rendered, age_seconds))
        respond_head(x, head->facts.status, fetch_reason(head), passage->promised_bytes, 0, rendered,
                     age_seconds, true, &passage->status);
    buffer_fini(&edited);
}

static enum state over(struct passage *passage, void (*finish)(struct exchange *x))
{
    struct exchange *x = passage->x;

    passage->x = NULL;
    fetch_leave(&passage->reader);
    finish(x);
    return STATE_done;
}

static enum state on_relay(struct passage *passage)
{
    enum fetch_progress progress;

    if (!passage->has_responded)
        respond_fetched(passage);
    for (;;) {
        /* Where no body comes, the end is awaited nevertheless, so that the connection to the origin is
         * kept; where one comes that this client does not want, it is left to those who do. */
        size_t room = passage->skips_body ? 0 : exchange_room(passage->x);
        const struct fetch_head *head = fetch_head(&passage->reader);
        struct bytes piece;

        if (passage->reader.is_cut) {
            counters_add(passage->worker->counters, METRIC_gateway_stragglers, 1);
            return over(passage, exchange_abort);
        }
        if (passage->skips_body &&
            !(passage->reader.is_leader && (passage->x->request->method == HTTP_METHOD_HEAD ||
                                            head->facts.status == 204 || head->facts.status == 304)))
            return over(passage, exchange_end);
        if (!passage->skips_body && room == 0)
            return STATE_relay;
        piece = fetch_read(&passage->reader, passage->skips_body ? SIZE_MAX : room, &progress);
        if (piece.size > 0) {
            if (passage->skips_body)
                continue;
            piece = cut(passage, piece);
            passage->sent_bytes += piece.size;
            if (passage->promised_bytes >= 0 && passage->sent_bytes > (uint64_t)passage->promised_bytes)
                return over(passage, exchange_abort);
            exchange_send(passage->x, piece);
            if (passage->is_cut && passage->sent_bytes == (uint64_t)passage->promised_bytes)
                return over(passage, exchange_end);
            continue;
        }
        switch (progress) {
        case FETCH_WAITING:
        case FETCH_FLOWING: return STATE_relay;
        case FETCH_COMPLETE:
            if (!passage->skips_body && passage->promised_bytes >= 0 &&
                passage->sent_bytes != (uint64_t)passage->promised_bytes)
                return over(passage, exchange_abort);
            return over(passage, exchange_end);
        case FETCH_FAILED:
        case FETCH_AGAIN: return over(passage, passage->skips_body ? exchange_end : exchange_abort);
        }
    }
}

/* Sends `size` bytes of an entry's body from `offset` on. */
static void send_stored(struct gateway *gateway, struct exchange *x, struct found *found, uint64_t offset,
                        uint64_t size)
{
    value_send(gateway->store, &found->value, &found->lender, x,
               found->value.size - found->response.body_bytes + offset, size);
}

static enum state on_serve(struct passage *passage)
{
    const struct stored_response *response = &passage->found.response;
    struct exchange *x = passage->x;

    if (!passage->has_responded) {
        passage->has_responded = true;
        if (passage->status.reason == FORWARD_STALE || passage->status.detail != NULL)
            counters_add(passage->worker->counters, METRIC_gateway_stale, 1);
        outgoing_init(&passage->outgoing, &(struct http_ranges){0}, response->body_bytes);
        passage->skips_body =
            !respond_stored(passage->worker->gateway, passage->route, x, passage_now(passage),
                            &passage->facts, &passage->found, &passage->status, &passage->outgoing);
    }
    while (!passage->skips_body && !outgoing_is_done(&passage->outgoing)) {
        struct outgoing_piece piece;
        size_t room = exchange_room(x);
        if (room == 0)
            return STATE_serve;
        piece = outgoing_next(&passage->outgoing, room);
        if (passage->found.is_part)
            piece.offset = piece.offset - passage->found.part.start + passage->found.part_offset;
        exchange_send(x, piece.text);
        send_stored(passage->worker->gateway, x, &passage->found, piece.offset, piece.size);
    }
    found_release(passage->worker->gateway, &passage->found);
    return over(passage, exchange_end);
}

static enum state on_refuse(struct passage *passage)
{
    struct exchange *x = passage->x;

    passage->x = NULL;
    respond_problem(x, passage->refusal_status, passage->refusal_text, &passage->status);
    return STATE_done;
}

static enum state on_done(struct passage *passage) { return passage->state; }

#define X(name) [STATE_##name] = on_##name,
static enum state (*const steps[])(struct passage *) = {STATES(X)};
#undef X

static void passage_run(struct passage *passage)
{
    enum state before;

    if (passage->is_running) {
        passage->runs_again = true;
        return;
    }
    passage->is_running = true;
    do {
        passage->runs_again = false;
        do {
            before = passage->state;
            passage->state = steps[before](passage);
        } while (passage->state != before);
    } while (passage->runs_again && passage->state != STATE_done);
    passage->is_running = false;
    if (passage->state == STATE_done)
        passage_retire(passage);
}

/* ---- what the connection calls ------------------------------------------------------------------- */

/* Answers from the store if that takes no waiting: the hot path. */
static bool answer_at_once(struct gateway_worker *worker, const struct route *route, struct exchange *x,
                           const struct http_request *request, const struct request_facts *facts)
{
    struct gateway *gateway = worker->gateway;
    struct cache_status status = {.reason = FORWARD_NONE};
    struct cache_key key;
    struct found found;

    if (!route_key(route, request, &key))
        return false;
    find(gateway, x->now.mono_ms, request, &key, &found);
    if (found_use(route, facts, &found, x->now.mono_ms) != USE_FRESH ||
        found.response.body.size < found.response.body_bytes ||
        found.response.body.size > exchange_room(x)) {
        found_release(gateway, &found);
        return false;
    }
    counters_add(worker->counters, METRIC_gateway_hits, 1);
    if (respond_stored(gateway, route, x, x->now, facts, &found, &status, NULL))
        send_stored(gateway, x, &found, 0, found.response.body_bytes);
    found_release(gateway, &found);
    exchange_end(x);
    return true;
}

/* What is there of the body goes to the origin, and the rest follows, as with any other request. */
static void stop_collecting(struct passage *passage, const char *detail)
{
    passage->collects = false;
    passage->facts.is_body_keyed = false;
    passage->facts.plan = PLAN_PASS;
    passage->facts.detail = detail;
    passage_run(passage);
}

static void end_collecting(struct passage *passage)
{
    struct bytes body = buffer_bytes(&passage->body);

    passage->has_whole_body = true;
    if (!passage->facts.is_body_keyed)
        passage_run(passage);
    else if (passage->x->request->method == HTTP_METHOD_POST && may_be_mutation(passage->x->request, body))
        stop_collecting(passage, "mutation");
    else if (!body_digest(upstream_request(passage), body, passage->digest))
        stop_collecting(passage, "memory");
    else
        passage_run(passage);
}

/* What the worker can answer without waiting, it does; null if it did. */
static struct passage *begin(struct gateway_worker *worker, const struct route *route, struct exchange *x)
{
    const struct http_request *request = x->request;
    bool is_edited = route_edits_requests(route);
    struct passage *passage = NULL;
    struct request_facts facts;

    access_log_begin(worker, route, x);
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
    if (route->policy.compress)
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

static bool is_to_be_collected(const struct request_facts *facts, const struct http_request *request)
{
    if (facts->is_body_keyed)
        return true;
    /* Whether a client that asks may go on is the origin's to say; and a body of unknown length may be a
     * conversation. */
    return facts->plan == PLAN_PASS && !request->expects_continue && request->body_bytes > 0 &&
           request->body_bytes <= COLLECTED_BYTES_MAX;
}

static void gateway_begin(void *engine, struct exchange *x)
{
    struct gateway_worker *worker = engine;
    struct passage *passage;

    if (purge_method_takes(worker, x))
        return;
    passage = begin(worker, plan_route(worker->plan, x->request), x);
    if (passage == NULL)
        return;
    passage->collects = is_to_be_collected(&passage->facts, x->request);
    passage->state = passage->collects ? STATE_collect : STATE_lookup;
    x->engine_state = passage;
    reader_init(&passage->reader, worker, on_woken);
    passage->reader.informed = on_informed;
    list_append(&worker->passages, &passage->in_worker);
    if (passage->collects && x->request->body_bytes != HTTP_BODY_NONE)
        exchange_read(x, true);
    else if (passage->collects)
        end_collecting(passage);
    else
        passage_run(passage);
}

/* A body whose size was not said turns out to be too large: the origin, which cannot take it for whole, is
 * left. */
static void refuse_upload(struct passage *passage)
{
    fetch_leave(&passage->reader);
    passage->status.reason = FORWARD_REFUSED;
    passage->status.detail = "body";
    passage->state =
        passage->has_responded ? over(passage, exchange_abort) : refuse(passage, 413, BODY_TOO_LARGE);
    passage_run(passage);
}

static void gateway_body(struct exchange *x, struct bytes bytes)
{
    struct passage *passage = x->engine_state;

    passage->uploaded_bytes += bytes.size;
    if (passage->route->policy.request_body_max > 0 &&
        passage->uploaded_bytes > (uint64_t)passage->route->policy.request_body_max) {
        exchange_read(x, false);
        refuse_upload(passage);
        return;
    }
    if (passage->state != STATE_collect) {
        exchange_read(x, false);
        fetch_upload(&passage->reader, bytes, false);
        return;
    }
    buffer_append(&passage->body, bytes);
    if (passage->body.failed) {
        passage->facts.plan = PLAN_ANSWER;
        passage->facts.status = 503;
        passage->facts.is_body_keyed = passage->collects = false;
        passage_run(passage);
    } else if (passage->facts.is_body_keyed &&
               (int64_t)passage->body.size > passage->route->policy.cached_body_bytes_max) {
        exchange_read(x, false);
        stop_collecting(passage, "body-size");
    }
}

static void gateway_body_end(struct exchange *x)
{
    struct passage *passage = x->engine_state;

    if (passage->state == STATE_collect)
        end_collecting(passage);
    else if (passage->body.size > 0) /* on_upload_wanted has still to send it */
        passage->has_whole_body = true;
    else
        fetch_upload(&passage->reader, (struct bytes){0}, true);
}

static void gateway_writable(struct exchange *x) { passage_run(x->engine_state); }

static void gateway_gone(struct exchange *x)
{
    struct passage *passage = x->engine_state;

    passage->x = NULL;
    passage_retire(passage);
}

const struct exchange_engine gateway_engine = {gateway_begin, gateway_body, gateway_body_end,
                                               gateway_writable, gateway_gone};

/* ---- the gateway and its workers ----------------------------------------------------------------- */

enum err gateway_create(const struct gateway_options *options, struct gateway **gateway)
{
    struct gateway *made = aligned_alloc(_Alignof(struct gateway), sizeof *made);
    struct plan_spec with_log = options->plan;
    enum err err;

    if (made == NULL)
        return ERR_NO_MEMORY;
    *made = (struct gateway){
        .store = options->store,
        .log = options->log,
        .purge_token = options->purge_token,
        .seed = hash_seed_random(),
        /* Those of an earlier life, whose markers may be gone, must not be met again. */
        .generation = hash_seed_random(),
        .space = options->space,
        .access_log = options->access_log,
        .access_format = options->access_format,
    };
    purge_rules_init(&made->purge_rules);
    with_log.log = options->log;
    err = plan_create(&with_log, NULL, &made->plan);
    if (err != OK) {
        purge_rules_fini(&made->purge_rules);
        free(made);
        return err;
    }
    pthread_mutex_init(&made->plan_lock, NULL);
    list_init(&made->workers);
    for (size_t i = 0; i < FETCH_SHARDS; i++) {
        pthread_mutex_init(&made->shards[i].store_lock, NULL);
        pthread_mutex_init(&made->shards[i].lock, NULL);
        list_init(&made->shards[i].fetches);
    }
    *gateway = made;
    return OK;
}

void gateway_destroy(struct gateway *gateway)
{
    for (size_t i = 0; i < FETCH_SHARDS; i++) {
        assert(list_is_empty(&gateway->shards[i].fetches));
        pthread_mutex_destroy(&gateway->shards[i].store_lock);
        pthread_mutex_destroy(&gateway->shards[i].lock);
    }
    assert(list_is_empty(&gateway->workers));
    pthread_mutex_destroy(&gateway->plan_lock);
    plan_release(gateway->plan);
    purge_rules_fini(&gateway->purge_rules);
    free(gateway);
}

enum err gateway_worker_create(struct gateway *gateway, struct loop *loop, struct counters *counters,
                               struct gateway_worker **worker)
{
    struct gateway_worker *made = calloc(1, sizeof *made);

    if (made == NULL)
        return ERR_NO_MEMORY;
    made->gateway = gateway;
    made->loop = loop;
    made->counters = counters;
    list_init(&made->fetches);
    list_init(&made->passages);
    list_init(&made->coded_exchanges);
    list_init(&made->tunnels);
    worker_join(made, gateway);
    *worker = made;
    return OK;
}

void gateway_worker_stop(struct gateway_worker *worker)
{
    worker->is_stopping = true;
    fetches_cancel(worker, false);
}

bool gateway_worker_is_idle(const struct gateway_worker *worker)
{
    return list_is_empty(&worker->fetches) && list_is_empty(&worker->passages) &&
           list_is_empty(&worker->tunnels);
}

void gateway_worker_destroy(struct gateway_worker *worker)
{
    /* The loop has ended: tasks that were on their way to it will not run. */
    for (struct list *node = worker->passages.next, *next; node != &worker->passages; node = next) {
        struct passage *passage = CONTAINER_OF(node, struct passage, in_worker);
        next = node->next;
        assert(passage->state == STATE_done);
        passage_free(passage);
    }
    coded_exchanges_destroy(worker);
    fetches_cancel(worker, true);
    worker_part(worker);
    edited_request_fini(&worker->edited);
    free(worker);
}
