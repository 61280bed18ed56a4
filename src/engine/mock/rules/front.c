#include "engine/mock/answer/admin_guard.h"
#include "front_call.h"
#include "message/problem.h"
#include "rules_admin.h"
#include <stdlib.h>

static const struct exchange_engine engine;
static const struct shape no_shape; /* until it is decided */

static void on_timer(struct timer *timer);

/* Looks whether others have taken the place of the worker's; not held. */
static struct rules_set *rules_in_force(struct front_worker *worker)
{
    struct front *front = worker->front;

    if (atomic_load_explicit(&front->set_number, memory_order_acquire) != worker->set_number) {
        rules_set_release(worker->set);
        pthread_mutex_lock(&front->set_lock);
        worker->set = rules_set_hold(front->set);
        worker->set_number = atomic_load(&front->set_number);
        pthread_mutex_unlock(&front->set_lock);
    }
    return worker->set;
}

static struct front_call *call_create(struct front_worker *worker, struct exchange *x)
{
    struct front_call *call = calloc(1, sizeof *call);

    if (call == NULL)
        return NULL;
    call->x = x;
    call->worker = worker;
    call->view.request = x->request;
    call->set = rules_set_hold(rules_in_force(worker));
    call->rule = -1;
    call->shape = &no_shape;
    timer_init(&call->timer, on_timer);
    x->engine = &engine;
    x->engine_state = call;
    return call;
}

void front_call_destroy(struct front_call *call)
{
    if (call->is_gone != NULL)
        *call->is_gone = true;
    timer_cancel(call->worker->loop, &call->timer);
    front_listen_end(call);
    front_socket_end(call);
    request_view_fini(&call->view);
    path_values_fini(&call->path_values);
    buffer_fini(&call->body);
    buffer_fini(&call->added_lines);
    buffer_fini(&call->lines);
    buffer_fini(&call->answer);
    rules_set_release(call->set);
    free(call);
}

void front_note(struct front_call *call, int status)
{
    const struct front *front = call->worker->front;

    if (front->journal != NULL && !call->is_admin)
        call->journal_number =
            journal_add(front->journal, loop_now(call->worker->loop), &call->view,
                        call->rule >= 0 ? front_rule(call)->name : (struct bytes){0}, status);
}

/* ---- answers of our own -------------------------------------------------------------------------- */

void front_send_answer(struct front_call *call)
{
    struct bytes answer = buffer_bytes(&call->answer);

    while (call->answer_sent < answer.size) {
        struct bytes rest = bytes_after(answer, call->answer_sent);
        size_t room = shaped_room(call);
        if (room == 0)
            return;
        if (rest.size > room)
            rest.size = room;
        call->answer_sent += rest.size;
        shaped_send(call, rest);
    }
    shaped_end(call);
}

/* Answers with `lines` and `answer` of the call. */
static void answer(struct front_call *call, int status)
{
    bool has_body = status != 204 && status != 304;
    struct http_response response = {.status = status,
                                     .rendered = buffer_bytes(&call->lines),
                                     .body_bytes = has_body ? (int64_t)call->answer.size : 0};

    call->stage = FRONT_ANSWERING;
    counters_add(call->worker->counters, METRIC_mock_requests, 1);
    shaped_respond(call, &response);
    if (!has_body || call->x->request->method == HTTP_METHOD_HEAD)
        call->answer.size = 0;
    front_send_answer(call);
}

void front_answer_problem(struct front_call *call, int status, const char *detail)
{
    buffer_clear(&call->lines);
    buffer_clear(&call->answer);
    buffer_append_literal(&call->lines, "Content-Type: application/problem+json\r\n");
    if (!call->is_admin)
        buffer_append(&call->lines, call->worker->front->cors_lines);
    problem_render(&call->answer, status, bytes_of_text(detail), (struct bytes){0});
    answer(call, status);
}

static uint64_t count(void *owner, size_t counter)
{
    struct front_call *call = owner;
    return rules_state_count(call->set->state, call->rule, counter);
}

struct template_facts front_facts(struct front_call *call)
{
    return (struct template_facts){.view = &call->view,
                                   .path_values = &call->path_values,
                                   .now = loop_now(call->worker->loop),
                                   .random = &call->random,
                                   .count = count,
                                   .owner = call};
}

static void answer_rule(struct front_call *call)
{
    const struct rule_answer *said = rules_state_answer(call->set->state, call->rule);
    struct template_facts facts = front_facts(call);

    if (!rule_answer_has_field(said, BYTES("Access-Control-Allow-Origin")))
        buffer_append(&call->lines, call->worker->front->cors_lines);
    if (rule_answer_render(said, &facts, &call->lines, &call->answer))
        answer(call, said->status);
    else
        front_answer_problem(call, 500, "the answer that the rule makes of this request is too large");
}

/* ---- deciding ------------------------------------------------------------------------------------ */

static void pass_on(struct front_call *call)
{
    struct exchange *x = call->x;

    call->stage = FRONT_PASSING;
    call->inner = (struct exchange){.engine = call->worker->front->next,
                                    .client = &shaped_client,
                                    .request = x->request,
                                    .client_fd = x->client_fd,
                                    .now = loop_now(call->worker->loop)};
    call->inner.engine->begin(call->worker->next_engine, &call->inner);
}

/* The latency has passed. */
static void act(struct front_call *call)
{
    const struct fault *fault = call->fault;
    const struct rule *rule = call->rule >= 0 ? front_rule(call) : NULL;

    if (fault != NULL) {
        switch (fault->kind) {
        case FAULT_RESET:
            front_note(call, 0);
            front_break_off(call, EXCHANGE_RESET);
            return;
        case FAULT_EMPTY:
            front_note(call, 0);
            front_break_off(call, EXCHANGE_CLOSE);
            return;
        case FAULT_HANG:
            front_note(call, 0);
            call->stage = FRONT_HANGING;
            timer_set(call->worker->loop, &call->timer,
                      loop_now(call->worker->loop).mono_ms + fault->hang_ms);
            return;
        case FAULT_STATUS:
            front_answer_problem(call, fault->status, "a fault that the rules ask for");
            return;
        case FAULT_TRUNCATE:
        case FAULT_MALFORMED: break;
        }
    }
    if (rule != NULL && rule->answer_count > 0)
        answer_rule(call);
    else if (rule != NULL && rule->events.count > 0)
        front_stream_begin(call);
    else if (rule != NULL && rule->changes.size > 0)
        front_listen_begin(call);
    else if (rule != NULL && rule->socket.is_said)
        front_socket_begin(call);
    else
        pass_on(call);
}

static void on_timer(struct timer *timer)
{
    struct front_call *call = CONTAINER_OF(timer, struct front_call, timer);

    switch (call->stage) {
    case FRONT_COLLECTING: UNREACHABLE();
    case FRONT_WAITING: act(call); return;
    case FRONT_HANGING: front_break_off(call, EXCHANGE_CLOSE); return;
    case FRONT_STREAMING:
        call->waits_for_room = false;
        front_stream_step(call);
        return;
    case FRONT_LISTENING: front_listen_quiet(call); return;
    case FRONT_ANSWERING:
    case FRONT_SOCKET:
    case FRONT_PASSING: shaped_go_on(call); return;
    }
}

/* Adds what the draft on RateLimit header fields (draft-ietf-httpapi-ratelimit-headers) has a server say.
 * True if the request is one too many. */
static bool is_over_limit(struct front_call *call, struct now now)
{
    const struct rate_limit *limit = &call->shape->limit;
    struct limit_standing standing;

    if (limit->requests == 0)
        return false;
    standing = rules_state_take(call->set->state, limit, call->x->request, now.mono_ms);
    buffer_append_format(&call->added_lines,
                         "RateLimit-Policy: \"default\";q=%lld;w=%lld\r\n"
                         "RateLimit: \"default\";r=%lld;t=%lld\r\n",
                         (long long)limit->requests, (long long)(limit->window_ms / 1000),
                         (long long)standing.left, (long long)standing.reset_s);
    if (standing.is_over)
        buffer_append_format(&call->added_lines, "Retry-After: %lld\r\n", (long long)standing.reset_s);
    return standing.is_over;
}

/* What tests ask; not what pages in somebody's browser, or other machines, may. */
static void answer_admin(struct front_call *call)
{
    const struct front *front = call->worker->front;
    struct http_refusal refusal = admin_guard(call->x->request, front->admin_token, call->x->client_fd);
    int status;

    if (refusal.status != 0) {
        if (refusal.status == 401)
            buffer_append_literal(&call->added_lines, "WWW-Authenticate: Bearer\r\n");
        front_answer_problem(call, refusal.status, refusal.detail);
        return;
    }
    status = rules_admin_answer(&(struct admin_scope){&call->set->rules, call->set->state, front->journal},
                                &call->view, &call->answer, &call->lines);
    buffer_append_literal(&call->lines, "Cache-Control: no-store\r\nContent-Type: ");
    buffer_append(&call->lines,
                  status < 400 ? BYTES("application/json") : BYTES("application/problem+json"));
    buffer_append_literal(&call->lines, "\r\n");
    answer(call, status);
}

static void decide(struct front_call *call)
{
    struct now now = loop_now(call->worker->loop);
    int64_t delay_ms;

    call->view.body = buffer_bytes(&call->body);
    if (call->is_admin) {
        answer_admin(call);
        return;
    }
    call->rule = rules_state_decide(call->set->state, &call->view, &call->path_values);
    call->random = rules_state_random(call->set->state, call->rule);
    call->shape = call->rule >= 0 ? &front_rule(call)->shape : &call->set->rules.rest;
    if (is_over_limit(call, now)) {
        front_answer_problem(call, 429, "more requests than the limit that the rules set");
        return;
    }
    call->fault = shape_draw_fault(call->shape, &call->random);
    delay_ms = delay_draw_ms(&call->shape->latency, &call->random);
    call->stage = FRONT_WAITING;
    if (delay_ms > 0)
        timer_set(call->worker->loop, &call->timer, now.mono_ms + delay_ms);
    else
        act(call);
}

/* ---- what the connection calls ------------------------------------------------------------------- */

void front_begin(struct front_worker *worker, struct exchange *x)
{
    struct front_call *call = call_create(worker, x);

    if (call == NULL) {
        exchange_abort(x);
        return;
    }
    call->is_admin = rules_admin_is_asked(x->request);
    if (x->request->body_bytes > FRONT_BODY_BYTES_MAX)
        front_answer_problem(call, 413, "the body must have at most 1048576 bytes");
    else if (x->request->body_bytes != HTTP_BODY_NONE)
        exchange_read(x, true); /* the whole body may come, and end the exchange, inside */
    else
        decide(call);
}

static void body(struct exchange *x, struct bytes bytes)
{
    struct front_call *call = x->engine_state;

    if (call->stage == FRONT_SOCKET) {
        front_socket_received(call, bytes);
        return;
    }
    if (call->stage != FRONT_COLLECTING)
        return;
    if (bytes.size > FRONT_BODY_BYTES_MAX - call->body.size) {
        front_answer_problem(call, 413, "the body must have at most 1048576 bytes");
        return;
    }
    buffer_append(&call->body, bytes);
    if (call->body.failed)
        front_answer_problem(call, 503, "out of memory");
}

static void body_end(struct exchange *x)
{
    struct front_call *call = x->engine_state;
    if (call->stage == FRONT_COLLECTING)
        decide(call);
    else if (call->stage == FRONT_SOCKET)
        front_socket_ended(call);
}

static void writable(struct exchange *x) { shaped_go_on(x->engine_state); }

static void gone(struct exchange *x)
{
    struct front_call *call = x->engine_state;

    if (call->stage == FRONT_PASSING) {
        exchange_note_over(&call->inner, false);
        call->inner.engine->gone(&call->inner);
    }
    front_call_destroy(call);
}

static const struct exchange_engine engine = {NULL, body, body_end, writable, gone};

/* ---- making -------------------------------------------------------------------------------------- */

enum err front_create(const struct front_options *options, struct front **front)
{
    struct front *made = calloc(1, sizeof *made);

    if (made == NULL) {
        rules_fini(options->rules);
        *options->rules = (struct rules){0};
        return ERR_NO_MEMORY;
    }
    pthread_mutex_init(&made->workers_lock, NULL);
    pthread_mutex_init(&made->set_lock, NULL);
    list_init(&made->workers);
    made->next = options->next;
    made->cors_lines = options->cors_lines;
    made->admin_token = options->admin_token;
    if (options->journal_entries_max > 0)
        made->journal = journal_create(options->journal_entries_max, options->journal_shows_secrets);
    made->seed = options->seed;
    made->set_number = 1;
    made->set = rules_set_create(options->rules, options->seed);
    if (made->set == NULL || (made->journal == NULL && options->journal_entries_max > 0)) {
        front_destroy(made);
        return ERR_NO_MEMORY;
    }
    *front = made;
    return OK;
}

void front_destroy(struct front *front)
{
    if (front == NULL)
        return;
    journal_destroy(front->journal);
    rules_set_release(front->set);
    pthread_mutex_destroy(&front->set_lock);
    pthread_mutex_destroy(&front->workers_lock);
    free(front);
}

void front_reset(struct front *front)
{
    struct rules_set *set;

    pthread_mutex_lock(&front->set_lock);
    set = rules_set_hold(front->set);
    pthread_mutex_unlock(&front->set_lock);
    rules_state_reset(set->state);
    rules_set_release(set);
    if (front->journal != NULL)
        journal_clear(front->journal);
}

enum err front_replace_rules(struct front *front, struct rules *rules)
{
    struct rules_set *made = rules_set_create(rules, front->seed), *old;

    if (made == NULL)
        return ERR_NO_MEMORY;
    pthread_mutex_lock(&front->set_lock);
    old = front->set;
    front->set = made;
    atomic_fetch_add_explicit(&front->set_number, 1, memory_order_release);
    pthread_mutex_unlock(&front->set_lock);
    rules_set_release(old);
    return OK;
}

enum err front_worker_create(struct front *front, void *next_engine, struct loop *loop,
                             struct counters *counters, struct front_worker **worker)
{
    struct front_worker *made = calloc(1, sizeof *made);

    if (made == NULL)
        return ERR_NO_MEMORY;
    made->front = front;
    made->next_engine = next_engine;
    made->loop = loop;
    made->counters = counters;
    changes_inbox_init(&made->inbox, loop, front_changes_arrived);
    pthread_mutex_lock(&front->workers_lock);
    list_append(&front->workers, &made->in_front);
    pthread_mutex_unlock(&front->workers_lock);
    *worker = made;
    return OK;
}

void front_worker_destroy(struct front_worker *worker)
{
    if (worker == NULL)
        return;
    pthread_mutex_lock(&worker->front->workers_lock);
    list_remove(&worker->in_front);
    pthread_mutex_unlock(&worker->front->workers_lock);
    changes_inbox_fini(&worker->inbox);
    rules_set_release(worker->set);
    free(worker);
}
