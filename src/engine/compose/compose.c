/* compose.c — a composed answer from the request to its last byte.
 *
 *   gather ── a part that is required failed, or all did ──► refuse ──► over
 *      │ every part is there, or is known to have failed
 *      ▼
 *   send, as far as there is room ──► over */
#include "compose.h"
#include "base/list.h"
#include "composed_answer.h"
#include "engine/gateway/access_log.h"
#include "engine/gateway/coded_exchange.h"
#include "engine/gateway/policy/cors.h"
#include "engine/gateway/preflight.h"
#include "engine/gateway/respond.h"
#include "engine/gateway/routing/part_request.h"
#include "message/entity_tag.h"
#include "message/plain_target.h"
#include <assert.h>
#include <stdlib.h>

struct compose_worker {
    struct gateway_worker *gateway;
    struct loop *loop;
    struct counters *counters;
    struct list composings;
};

struct part {
    struct composing *composing;
    size_t index;
    struct inquiry *inquiry; /* null: it has an answer */
};

struct composing {
    struct compose_worker *worker;
    struct exchange *x;
    const struct composition *composition; /* its plan is held */
    struct list in_worker;
    size_t waiting_count; /* parts without an answer */
    bool has_asked;       /* for all of them */
    bool passes_credentials;
    struct buffer body;
    size_t sent_bytes;
    struct part parts[COMPOSED_PARTS_MAX];
    struct part_answer answers[COMPOSED_PARTS_MAX];
};

static const struct cache_status ours = {.reason = FORWARD_REFUSED, .detail = "compose"};

/* ---- refusals ------------------------------------------------------------------------------------ */

/* Who watches is told what lasts, and may be told to all; the rest is for it as if nobody answered. */
static void tell_inquiry_of_refusal(struct inquiry_terms *inquiry, int status)
{
    inquiry->is_told = inquiry->is_for_all = status < 500;
}

/* Sends a problem document, and ends the exchange. */
static void respond_refusal(struct exchange *x, int status, struct bytes detail,
                            int64_t retry_after_seconds)
{
    if (x->inquiry != NULL)
        tell_inquiry_of_refusal(x->inquiry, status);
    respond_problem_allowing(x, status, detail, status == 503 ? retry_after_seconds : 0, BYTES("GET, HEAD"),
                             &ours);
}

/* ---- ends ---------------------------------------------------------------------------------------- */

/* Lets go of all that it has; of parts that are still asked for, too. */
static void free_composing(struct composing *composing)
{
    size_t count = composing->composition->own.part_count;

    for (size_t i = 0; i < count; i++) {
        if (composing->parts[i].inquiry != NULL)
            inquiry_cancel(composing->parts[i].inquiry);
        part_answer_fini(&composing->answers[i]);
    }
    buffer_fini(&composing->body);
    list_remove(&composing->in_worker);
    route_release(&composing->composition->route);
    free(composing);
}

static void refuse(struct composing *composing, int status, struct bytes detail,
                   int64_t retry_after_seconds)
{
    struct exchange *x = composing->x;
    const struct route *route = route_hold(&composing->composition->route); /* whose the policy of x is */

    free_composing(composing);
    respond_refusal(x, status, detail, retry_after_seconds);
    route_release(route);
}

/* As this part did. */
static void fail(struct composing *composing, size_t index)
{
    const struct part_answer *answer = &composing->answers[index];
    int status = composed_failure_status(answer, composing->passes_credentials);
    int64_t retry_after = answer->retry_after_seconds;
    struct buffer sentence = {0};

    composed_failure_append(&composing->composition->own.parts[index], answer, &sentence);
    refuse(composing, status, buffer_bytes(&sentence), retry_after);
    buffer_fini(&sentence);
}

static void end(struct composing *composing)
{
    struct exchange *x = composing->x;
    const struct route *route = route_hold(&composing->composition->route);

    free_composing(composing);
    exchange_end(x);
    route_release(route);
}

/* ---- the answer ---------------------------------------------------------------------------------- */

static void send_body(struct composing *composing)
{
    struct exchange *x = composing->x;

    while (composing->sent_bytes < composing->body.size) {
        struct bytes rest = bytes_after(buffer_bytes(&composing->body), composing->sent_bytes);
        size_t room = exchange_room(x);
        if (room == 0)
            return;
        rest = bytes_first(rest, rest.size < room ? rest.size : room);
        composing->sent_bytes += rest.size;
        exchange_send(x, rest);
    }
    end(composing);
}

static void tell_inquiry(const struct composing *composing, const struct composed_terms *terms)
{
    struct inquiry_terms *inquiry = composing->x->inquiry;

    inquiry->is_told = true;
    inquiry->is_stale = terms->is_stale;
    inquiry->is_for_all = !composing->passes_credentials &&
                          parts_are_for_all(&composing->composition->own, composing->answers);
    inquiry->fresh_ms = terms->is_unkept ? 0 : terms->shared_ms;
}

static void respond(struct composing *composing)
{
    const struct composition_spec *spec = &composing->composition->own;
    const struct part_answer *parts = composing->answers;
    struct exchange *x = composing->x;
    char text[COMPOSED_TAG_BYTES];
    struct bytes body = buffer_bytes(&composing->body), tag = {0};
    bool client_has_it = false;
    struct composed_terms terms = composed_terms_of_parts(spec, parts, composing->passes_credentials);
    struct buffer lines = {0};

    if (composed_tag(body, text))
        tag = bytes_of(text, sizeof text);
    if (tag.size == 0 ||
        !entity_tag_condition(&x->request->fields, HTTP_HEADER_IF_NONE_MATCH, tag, &client_has_it))
        client_has_it = false;
    composed_fields_append(spec, parts, &terms, !client_has_it, tag, &lines);
    if (lines.failed) {
        buffer_fini(&lines);
        refuse(composing, 503, BYTES("out of memory"), 0);
        return;
    }
    if (x->inquiry != NULL)
        tell_inquiry(composing, &terms);
    for (size_t i = 0; i < spec->part_count; i++)
        part_answer_fini(&composing->answers[i]); /* what they say is in the body */
    respond_head(x, client_has_it ? 304 : 200, (struct bytes){0},
                 client_has_it ? HTTP_BODY_NONE : (int64_t)body.size, 0, buffer_bytes(&lines), -1, false,
                 &ours);
    buffer_fini(&lines);
    if (client_has_it || x->request->method == HTTP_METHOD_HEAD)
        composing->sent_bytes = body.size;
    send_body(composing);
}

static void answer(struct composing *composing)
{
    const struct composition_spec *spec = &composing->composition->own;

    composed_body_append(spec, composing->answers, &composing->body);
    if (composing->body.failed)
        refuse(composing, 503, BYTES("out of memory"), 0);
    else if (composing->body.size > (uint64_t)spec->body_bytes_max)
        refuse(composing, 502, BYTES("the composed answer is larger than compose-max"), 0);
    else
        respond(composing);
}

/* ---- the parts ----------------------------------------------------------------------------------- */

/* Goes on, if enough is known; the composing may be over then. */
static void look(struct composing *composing)
{
    const struct composition_spec *spec = &composing->composition->own;
    size_t failed_count = 0, bytes = 0;

    if (!composing->has_asked)
        return;
    for (size_t i = 0; i < spec->part_count; i++) {
        const struct part_answer *part = &composing->answers[i];
        if (part->status != 0 && part_is_required(spec, &spec->parts[i])) {
            fail(composing, i);
            return;
        }
        failed_count += part->status != 0;
        bytes += part->value.size;
    }
    if (bytes > (uint64_t)spec->body_bytes_max)
        refuse(composing, 502, BYTES("the composed answer is larger than compose-max"), 0);
    else if (composing->waiting_count > 0)
        return;
    else if (failed_count == spec->part_count)
        fail(composing, composed_failure_index(spec, composing->answers));
    else
        answer(composing);
}

static void note_answer(struct part *part)
{
    struct composing *composing = part->composing;

    composing->waiting_count--;
    if (composing->answers[part->index].status != 0)
        counters_add(composing->worker->counters, METRIC_compose_parts_failed, 1);
}

static void on_answer(void *owner, const struct inquiry_answer *answer)
{
    struct part *part = owner;
    struct composing *composing = part->composing;
    const struct composition_spec *spec = &composing->composition->own;

    part->inquiry = NULL;
    part_answer_take(&composing->answers[part->index], &spec->parts[part->index],
                     (size_t)spec->body_bytes_max, answer, loop_now(composing->worker->loop).wall_ms);
    note_answer(part);
    look(composing);
}

static void ask_for(struct part *part)
{
    struct composing *composing = part->composing;
    const struct composition_spec *spec = &composing->composition->own;
    const struct part_spec *asked = &spec->parts[part->index];
    struct part_answer *failure = &composing->answers[part->index];
    struct exchange *x = composing->x;
    const struct inquiry_terms *asker = x->inquiry;
    struct part_request made;
    enum part_request_result result =
        part_request_init(&made, composing->composition, asked, x->request,
                          x->tells_id ? request_id_bytes(&x->id) : (struct bytes){0});

    if (result == PART_REQUEST_GOOD)
        part->inquiry =
            inquiry_begin(composing->worker->gateway,
                          &(struct inquiry_order){
                              .request = &made.request,
                              .urgency = asker != NULL ? asker->urgency : URGENCY_CLIENT,
                              .confirmed_within_ms = asker != NULL ? asker->confirmed_within_ms : -1,
                              .fresh_will_do = asker != NULL && asker->fresh_will_do,
                              .body_bytes_max = (size_t)spec->body_bytes_max,
                              .timeout_ms = asked->timeout_ms > 0 ? asked->timeout_ms : spec->timeout_ms,
                              .done = on_answer,
                              .owner = part});
    if (result == PART_REQUEST_NOT_PLAIN)
        part_answer_fail(failure, 400, "this URL makes none that can be asked for");
    else if (part->inquiry == NULL)
        part_answer_fail(failure, 503, "out of memory");
    part_request_fini(&made);
    if (part->inquiry == NULL)
        note_answer(part);
}

/* ---- the request --------------------------------------------------------------------------------- */

static void begin(struct compose_worker *worker, const struct composition *composition, struct exchange *x)
{
    struct composing *composing = calloc(1, sizeof *composing);

    if (composing == NULL) {
        respond_refusal(x, 503, BYTES("out of memory"), 0);
        return;
    }
    counters_add(worker->counters, METRIC_compose_requests, 1);
    route_hold(&composition->route);
    composing->worker = worker;
    composing->x = x;
    composing->composition = composition;
    composing->passes_credentials = passes_credentials(composition, &x->request->fields);
    composing->waiting_count = composition->own.part_count;
    list_append(&worker->composings, &composing->in_worker);
    x->engine_state = composing;
    if (composition->route.policy.compress && x->inquiry == NULL)
        coded_exchange_begin(worker->gateway, &composition->route, x);
    for (size_t i = 0; i < composition->own.part_count; i++) {
        composing->parts[i] = (struct part){.composing = composing, .index = i};
        ask_for(&composing->parts[i]);
    }
    composing->has_asked = true;
    look(composing);
}

static void compose_begin(void *engine, struct exchange *x)
{
    struct compose_worker *worker = engine;
    const struct composition *composition = plan_composition(worker->gateway->plan, x->request);
    const struct route_policy *policy;

    if (composition == NULL) {
        x->engine = &gateway_engine;
        x->engine->begin(worker->gateway, x);
        return;
    }
    policy = &composition->route.policy;
    if (preflight_takes_for(worker->gateway, &composition->route, x))
        return;
    if (x->inquiry == NULL)
        access_log_begin(worker->gateway, &composition->route, x);
    if (cors_is_on(policy))
        x->policy = policy;
    if (policy->request_id) {
        request_id_choose(&x->id, &x->request->fields);
        x->tells_id = true;
    }
    if (x->request->method != HTTP_METHOD_GET && x->request->method != HTTP_METHOD_HEAD)
        respond_refusal(x, 405, BYTES("a composed answer is only read: use GET or HEAD"), 0);
    else if (!target_is_plain(x->request->path, x->request->query))
        respond_refusal(x, 400, BYTES("this URL is not plain"), 0);
    else
        begin(worker, composition, x);
}

static void on_body(struct exchange *x, struct bytes bytes) { (void)x, (void)bytes; }
static void on_body_end(struct exchange *x) { (void)x; }

static void on_writable(struct exchange *x)
{
    struct composing *composing = x->engine_state;

    if (composing->body.size > 0)
        send_body(composing);
}

static void on_gone(struct exchange *x) { free_composing(x->engine_state); }

const struct exchange_engine compose_engine = {compose_begin, on_body, on_body_end, on_writable, on_gone};

/* ---- workers ------------------------------------------------------------------------------------- */

enum err compose_worker_create(struct gateway_worker *gateway, struct loop *loop, struct counters *counters,
                               struct compose_worker **worker)
{
    struct compose_worker *made = calloc(1, sizeof *made);

    if (made == NULL)
        return ERR_NO_MEMORY;
    *made = (struct compose_worker){.gateway = gateway, .loop = loop, .counters = counters};
    list_init(&made->composings);
    *worker = made;
    return OK;
}

void compose_worker_destroy(struct compose_worker *worker)
{
    assert(list_is_empty(&worker->composings));
    free(worker);
}
