#include "tunnel.h"
#include "base/compiler.h"
#include "engine/gateway/policy/upstream_fields.h"
#include "engine/gateway/routing/asker.h"
#include "engine/gateway/routing/upstream_call.h"
#include "fleet_limits.h"
#include "respond.h"
#include <assert.h>
#include <stdlib.h>

struct tunnel {
    struct gateway_worker *worker;
    const struct route *route;    /* held */
    struct exchange *x;           /* null: it is over, but for `task`, which is on its way */
    struct http_request *waiting; /* for its turn: as the upstream is to see it; else null */
    struct timer turn;            /* when to ask again at the latest */
    struct task task;             /* asks again */
    atomic_bool is_posted;
    struct quota_ticket ticket;
    struct upstream_worker *by;    /* null before its turn */
    struct upstream_fields fields; /* as the upstream gets them */
    struct upstream_call sending;
    struct origin_call *call; /* of `sending`; null when there is none */
    struct list in_worker;
    struct timer idle;
    int64_t active_ms; /* when bytes last passed */
    bool has_responded;
    bool is_switched; /* the answer was 101 */
};

/* ---- may it be ----------------------------------------------------------------------------------- */

static bool may_be_spoken(struct bytes protocol)
{
    static const struct bytes kept_back[] = {BYTES_INIT("h2c"), BYTES_INIT("h2"), BYTES_INIT("h3"),
                                             BYTES_INIT("http"), BYTES_INIT("tls")};
    const char *slash = memchr(protocol.data, '/', protocol.size);
    struct bytes name = slash != NULL ? bytes_first(protocol, (size_t)(slash - protocol.data)) : protocol;

    for (size_t i = 0; i < COUNT_OF(kept_back); i++)
        if (bytes_equal_nocase(name, kept_back[i]))
            return false;
    return http_is_token(name);
}

bool tunnel_is_asked_for(const struct route_policy *policy, const struct http_request *request)
{
    const struct http_field *upgrade = http_fields_find(&request->fields, HTTP_HEADER_UPGRADE);
    struct bytes list, protocol;

    if (!policy->upgrade || upgrade == NULL || upgrade->value.size == 0 || request->minor_version == 0 ||
        request->method != HTTP_METHOD_GET || !http_connection_names(&request->fields, upgrade->name))
        return false;
    for (const struct http_field *field = upgrade + 1, *end = request->fields.list + request->fields.count;
         field < end; field++)
        if (field->header == HTTP_HEADER_UPGRADE)
            return false;
    list = upgrade->value;
    while (http_list_next(&list, &protocol))
        if (!may_be_spoken(protocol))
            return false;
    return true;
}

/* ---- ends ---------------------------------------------------------------------------------------- */

static void destroy(struct tunnel *tunnel)
{
    list_remove(&tunnel->in_worker);
    free(tunnel);
}

static void retire(struct tunnel *tunnel)
{
    struct gateway_worker *worker = tunnel->worker;

    timer_cancel(worker->loop, &tunnel->turn);
    timer_cancel(worker->loop, &tunnel->idle);
    if (tunnel->call != NULL)
        upstream_call_cancel(&tunnel->sending);
    quota_leave(&tunnel->ticket); /* from here on nobody wakes it */
    free(tunnel->waiting);
    upstream_fields_fini(&tunnel->fields);
    if (tunnel->by != NULL && tunnel->by->is_retired)
        worker_tell(worker);
    route_release(tunnel->route);
    tunnel->x = NULL;
    if (!atomic_load(&tunnel->is_posted))
        destroy(tunnel);
}

static const struct cache_status passed_on = {.reason = FORWARD_BYPASS, .detail = "upgrade"},
                                 not_passed_on = {.reason = FORWARD_REFUSED, .detail = "upgrade"};

/* Ends it with a problem of our own; `retry_after_seconds` as of respond_problem_later. */
static void answer_ourselves(struct tunnel *tunnel, int status, const char *text,
                             int64_t retry_after_seconds, const struct cache_status *cache_status)
{
    struct exchange *x = tunnel->x;
    const struct route *route = route_hold(tunnel->route); /* by which x is answered */

    retire(tunnel);
    respond_problem_later(x, status, text, retry_after_seconds, cache_status);
    route_release(route);
}

/* No more will come from the origin. */
static void end(struct tunnel *tunnel, enum err err)
{
    struct exchange *x = tunnel->x;

    if (!tunnel->has_responded) {
        answer_ourselves(tunnel, err == ERR_TIMEOUT ? 504 : 502, origin_failure_text(err), 0, &passed_on);
        return;
    }
    retire(tunnel);
    if (err == OK)
        exchange_end(x);
    else
        exchange_abort(x);
}

static void idle_fired(struct timer *timer)
{
    struct tunnel *tunnel = CONTAINER_OF(timer, struct tunnel, idle);
    int64_t due_ms = tunnel->active_ms + tunnel->route->policy.tunnel_idle_ms;

    if (due_ms > loop_now(tunnel->worker->loop).mono_ms)
        timer_set(tunnel->worker->loop, timer, due_ms);
    else
        end(tunnel, tunnel->is_switched ? OK : ERR_TIMEOUT);
}

static void note_activity(struct tunnel *tunnel)
{
    tunnel->active_ms = loop_now(tunnel->worker->loop).mono_ms;
}

/* ---- what the origin says ------------------------------------------------------------------------ */

static void on_interim(void *owner, int status, const struct http_fields *fields)
{
    struct tunnel *tunnel = owner;
    exchange_inform(tunnel->x, status, fields);
}

static void on_head(void *owner, int status, struct bytes reason, const struct http_fields *fields,
                    int64_t body_bytes)
{
    struct tunnel *tunnel = owner;
    struct cache_status cache_status = passed_on;
    struct buffer rendered = {0}, edited = {0};
    struct bytes lines;

    note_activity(tunnel);
    quota_leave(&tunnel->ticket); /* it is asked for no more */
    tunnel->is_switched = status == 101;
    if (tunnel->is_switched) {
        rendered_append(&rendered, BYTES("Connection"), BYTES("Upgrade"));
        counters_add(tunnel->worker->counters, METRIC_gateway_tunnels, 1);
    }
    for (size_t i = 0; i < fields->count; i++)
        rendered_append(&rendered, fields->list[i].name, fields->list[i].value);
    lines = buffer_bytes(&rendered);
    if (rendered.failed || !fields_for_client(tunnel->route, &lines, &edited)) {
        buffer_fini(&rendered);
        buffer_fini(&edited);
        end(tunnel, ERR_NO_MEMORY);
        return;
    }
    cache_status.origin_status = status;
    cache_status.names_others = names_other_caches(buffer_bytes(&rendered));
    tunnel->has_responded = true;
    respond_head(tunnel->x, status, reason, body_bytes, 0, lines, -1,
                 http_fields_find(fields, HTTP_HEADER_DATE) != NULL, &cache_status);
    buffer_fini(&rendered);
    buffer_fini(&edited);
}

static void on_body(void *owner, struct bytes bytes)
{
    struct tunnel *tunnel = owner;

    note_activity(tunnel);
    exchange_send(tunnel->x, bytes);
    if (exchange_room(tunnel->x) == 0)
        origin_pause(tunnel->call);
}

static void on_want_body(void *owner, size_t room)
{
    struct tunnel *tunnel = owner;

    (void)room; /* one piece at a time: the next is asked for when this one has gone */
    exchange_read(tunnel->x, true);
}

static void on_done(void *owner, enum err err, enum origin_reach reach)
{
    struct tunnel *tunnel = owner;

    (void)reach;
    end(tunnel, err);
}

static const struct origin_callbacks callbacks = {
    .interim = on_interim, .head = on_head, .body = on_body, .want_body = on_want_body, .done = on_done};

/* ---- what the client says ------------------------------------------------------------------------ */

static void body(struct exchange *x, struct bytes bytes)
{
    struct tunnel *tunnel = x->engine_state;

    note_activity(tunnel);
    exchange_read(x, false);
    origin_send_body(tunnel->call, bytes, false);
}

static void body_end(struct exchange *x)
{
    struct tunnel *tunnel = x->engine_state;
    origin_send_body(tunnel->call, (struct bytes){0}, true);
}

static void writable(struct exchange *x)
{
    struct tunnel *tunnel = x->engine_state;
    origin_resume(tunnel->call);
}

static void gone(struct exchange *x) { retire(x->engine_state); }

static const struct exchange_engine engine = {NULL, body, body_end, writable, gone};

/* ---- beginning ----------------------------------------------------------------------------------- */

static enum err start(struct tunnel *tunnel, const struct http_request *request)
{
    const struct gateway_worker *worker = tunnel->worker;
    const struct route *route = tunnel->route;
    struct buffer target = {0};
    struct http_fields fields = {0};
    enum err err = upstream_worker_make_tunnels(tunnel->by, worker->loop);

    if (err != OK)
        return err;
    buffer_append(&target, request->path);
    if (request->has_query) {
        buffer_append_byte(&target, '?');
        buffer_append(&target, request->query);
    }
    err = ERR_NO_MEMORY;
    if (upstream_fields_init(&tunnel->fields, &request->fields,
                             &(struct upstream_wish){.with_preconditions = true}) &&
        !target.failed)
        fields.list = calloc(tunnel->fields.fields.count + 1, sizeof *fields.list);
    if (fields.list != NULL) {
        if (tunnel->fields.fields.count > 0)
            memcpy(fields.list, tunnel->fields.fields.list,
                   tunnel->fields.fields.count * sizeof *fields.list);
        fields.count = tunnel->fields.fields.count;
        if (route->credential.value.size > 0)
            fields.list[fields.count++] = route->credential;
        err = upstream_call_start(
            &tunnel->sending, tunnel->by, worker->loop, worker->counters,
            &(struct upstream_request){
                .method = request->method_name,
                .target = buffer_bytes(&target),
                .host = route_host(route, request),
                .fields = fields,
                .body_bytes = HTTP_BODY_NONE,
                .ticket = &tunnel->ticket,
                .upgrade = http_fields_find(&tunnel->x->request->fields, HTTP_HEADER_UPGRADE)->value,
                .timeouts = {.connect_ms = route->upstream->policy.connect_timeout_ms,
                             .first_byte_ms = route->policy.first_byte_timeout_ms,
                             .total_ms = route->policy.total_timeout_ms}},
            &callbacks, tunnel, &tunnel->call);
    }
    free(fields.list);
    buffer_fini(&target);
    return err;
}

/* It may go. `request` is as the upstream is to see it. */
static void go(struct tunnel *tunnel, const struct http_request *request)
{
    struct gateway_worker *worker = tunnel->worker;
    const struct route *route = tunnel->route;
    enum err err = ERR_NO_MEMORY;

    tunnel->by = worker_upstream(worker, route->upstream);
    if (tunnel->by != NULL)
        err = start(tunnel, request);
    if (err != OK) {
        answer_ourselves(tunnel, 503,
                         err == ERR_FULL ? "there are as many tunnels to the origin as may be"
                                         : "the request could not be sent to the origin",
                         0, &not_passed_on);
        return;
    }
    free(tunnel->waiting);
    tunnel->waiting = NULL;
    note_activity(tunnel);
    if (route->policy.tunnel_idle_ms > 0)
        timer_set(worker->loop, &tunnel->idle, tunnel->active_ms + route->policy.tunnel_idle_ms);
}

static void wait_until(struct tunnel *tunnel, const struct http_request *request, int64_t due_mono_ms)
{
    struct gateway_worker *worker = tunnel->worker;

    if (tunnel->waiting == NULL) {
        counters_add(worker->counters, METRIC_gateway_limit_waits, 1);
        tunnel->waiting = http_request_copy(request);
        if (tunnel->waiting == NULL) {
            answer_ourselves(tunnel, 503, "out of memory", 0, &not_passed_on);
            return;
        }
    }
    timer_set(worker->loop, &tunnel->turn, due_mono_ms);
}

static void refuse(struct tunnel *tunnel, enum quota_verdict verdict, int64_t due_mono_ms)
{
    struct gateway_worker *worker = tunnel->worker;
    struct limited_terms terms = limited_terms(verdict);

    counters_add(worker->counters, METRIC_gateway_limited, 1);
    answer_ourselves(tunnel, terms.status, terms.text,
                     retry_after_seconds(loop_now(worker->loop).mono_ms, due_mono_ms),
                     &(struct cache_status){.reason = FORWARD_REFUSED, .detail = terms.detail});
}

/* Whether it may go, as of any request that a client waits for. */
static void take_turn(struct tunnel *tunnel, const struct http_request *request)
{
    struct gateway_worker *worker = tunnel->worker;
    struct upstream *upstream = tunnel->route->upstream;
    int64_t now_mono_ms = loop_now(worker->loop).mono_ms, due_mono_ms;
    enum quota_verdict verdict = quota_ask(&upstream->quota, &tunnel->ticket, now_mono_ms, &due_mono_ms);

    timer_cancel(worker->loop, &tunnel->turn);
    if (worker->fleet != NULL)
        fleet_limits_ask(worker->fleet, upstream, &tunnel->ticket, verdict);
    switch (verdict) {
    case QUOTA_GO: go(tunnel, request); return;
    case QUOTA_WAIT: wait_until(tunnel, request, due_mono_ms); return;
    case QUOTA_LIMITED:
    case QUOTA_TOLD:
    case QUOTA_BUSY:
    case QUOTA_OPEN: refuse(tunnel, verdict, due_mono_ms); return;
    }
    UNREACHABLE();
}

static void on_turn(struct timer *timer)
{
    struct tunnel *tunnel = CONTAINER_OF(timer, struct tunnel, turn);
    take_turn(tunnel, tunnel->waiting);
}

/* On any thread, and under the quota's lock. */
static void on_wake(struct quota_ticket *ticket)
{
    struct tunnel *tunnel = CONTAINER_OF(ticket, struct tunnel, ticket);

    if (!atomic_exchange(&tunnel->is_posted, true))
        loop_post(tunnel->worker->loop, &tunnel->task);
}

static void run_task(struct task *task)
{
    struct tunnel *tunnel = CONTAINER_OF(task, struct tunnel, task);

    atomic_store(&tunnel->is_posted, false);
    if (tunnel->x == NULL)
        destroy(tunnel);
    else if (tunnel->waiting != NULL)
        take_turn(tunnel, tunnel->waiting);
}

void tunnel_begin(struct gateway_worker *worker, const struct route *route,
                  const struct http_request *request, struct exchange *x)
{
    struct tunnel *tunnel = calloc(1, sizeof *tunnel);

    if (tunnel == NULL) {
        respond_problem(x, 503, "out of memory", &not_passed_on);
        return;
    }
    tunnel->worker = worker;
    tunnel->route = route_hold(route);
    tunnel->x = x;
    tunnel->task.run = run_task;
    timer_init(&tunnel->turn, on_turn);
    timer_init(&tunnel->idle, idle_fired);
    list_append(&worker->tunnels, &tunnel->in_worker);
    asker_of(route, request->path, &request->fields, worker->gateway->seed, &tunnel->ticket);
    tunnel->ticket.is_shared = worker->fleet != NULL;
    tunnel->ticket.wake = on_wake;
    x->engine = &engine;
    x->engine_state = tunnel;
    take_turn(tunnel, request);
}

void tunnels_destroy(struct gateway_worker *worker)
{
    for (struct list *node = worker->tunnels.next, *next; node != &worker->tunnels; node = next) {
        struct tunnel *tunnel = CONTAINER_OF(node, struct tunnel, in_worker);
        next = node->next;
        assert(tunnel->x == NULL);
        destroy(tunnel);
    }
}
