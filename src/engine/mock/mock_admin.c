#include "mock_admin.h"
#include "engine/mock/answer/admin_guard.h"
#include "engine/mock/errands.h"
#include "engine/mock/json/json_text.h"
#include "engine/mock/rules/front.h"
#include "engine/mock/rules/request_view.h"
#include "message/problem.h"
#include "snapshots.h"
#include <stdlib.h>
#include <time.h>

enum { BODY_BYTES_MAX = 4096 }; /* there is only a name in it */

static int refuse(int status, const char *detail, struct buffer *out)
{
    problem_render(out, status, bytes_of_text(detail), (struct bytes){0});
    return status;
}

/* What takes so long that a thread does it. It holds nothing of the request, whose client may leave. */
struct work {
    enum { WORK_NONE, WORK_TAKE, WORK_RESTORE } kind;
    char name[SNAPSHOT_NAME_BYTES_MAX]; /* of the snapshot */
    size_t name_bytes;
    int64_t wall_ms;
    bool resets_rules; /* once the data are there */
};

static struct bytes name_of(const struct work *work) { return bytes_of(work->name, work->name_bytes); }

/* `name` is not too long. */
static void plan(struct work *work, int kind, struct bytes name)
{
    work->kind = kind;
    memcpy(work->name, name.data, name.size);
    work->name_bytes = name.size;
}

/* ---- snapshots ----------------------------------------------------------------------------------- */

/* "20261129T232218.123Z". */
static void make_name(struct buffer *name, int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;

    gmtime_r(&seconds, &parts);
    buffer_append_format(name, "%04d%02d%02dT%02d%02d%02d.%03dZ", parts.tm_year + 1900, parts.tm_mon + 1,
                         parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, (int)(wall_ms % 1000));
}

/* Appends the name that the body asks for, or one of the moment. False if it is no good. */
static bool choose_name(struct bytes body, int64_t wall_ms, struct buffer *name)
{
    struct buffer why = {0};
    json_t *said = NULL, *value;
    bool is_good = true;

    if (body.size > 0)
        is_good = json_text_parse(body, &said, &why) == OK && json_is_object(said);
    value = json_object_get(said, "name");
    if (value != NULL)
        buffer_append(name, bytes_of(json_string_value(value), json_string_length(value)));
    else
        make_name(name, wall_ms);
    is_good = is_good && (value == NULL || json_object_size(said) == 1) &&
              (value != NULL || json_object_size(said) == 0) && snapshot_name_is_good(buffer_bytes(name));
    json_decref(said);
    buffer_fini(&why);
    return is_good;
}

static int plan_take(struct bytes body, int64_t wall_ms, struct work *work, struct buffer *out)
{
    struct buffer name = {0};
    bool is_good = choose_name(body, wall_ms, &name);

    if (is_good)
        plan(work, WORK_TAKE, buffer_bytes(&name));
    buffer_fini(&name);
    return is_good
               ? 0
               : refuse(400,
                        "the body is empty or a JSON object with a name: up to 64 letters, digits, dots, "
                        "'-' and '_', no dot at first, and not start",
                        out);
}

static int take(const struct mock_admin *admin, const struct work *work, struct buffer *out)
{
    bool was_there;
    enum err err = snapshots_take(admin->snapshots, name_of(work), work->wall_ms, &was_there);

    if (err == ERR_FULL)
        return refuse(
            507, "snapshots are at most 100 and have at most 256 MiB in all; forget some with DELETE", out);
    if (err != OK)
        return refuse(503, err_text(err), out);
    buffer_append_format(out, "{\"name\":\"%.*s\"}\n", BYTES_PRINTF(name_of(work)));
    return was_there ? 200 : 201;
}

static int plan_restore(struct bytes name, struct work *work, struct buffer *out)
{
    if (name.size > SNAPSHOT_NAME_BYTES_MAX)
        return refuse(404, "there is no such snapshot", out);
    plan(work, WORK_RESTORE, name);
    return 0;
}

static int restore(const struct mock_admin *admin, const struct work *work, struct buffer *out)
{
    struct bytes name = name_of(work);
    enum err err = snapshots_restore(admin->snapshots, name);

    if (err == ERR_MISSING && bytes_equal(name, BYTES(SNAPSHOT_START)))
        return refuse(409, "the data at the start were too large to be kept in memory twice", out);
    if (err == ERR_MISSING)
        return refuse(404, "there is no such snapshot", out);
    if (err != OK)
        return refuse(503, err_text(err), out);
    buffer_append_literal(out, "{}\n");
    return 200;
}

static int drop(const struct mock_admin *admin, struct bytes name, struct buffer *out)
{
    if (snapshots_drop(admin->snapshots, name) != OK)
        return refuse(404, "there is no such snapshot that could be forgotten", out);
    buffer_append_literal(out, "{}\n");
    return 200;
}

static int list(const struct mock_admin *admin, struct buffer *out)
{
    buffer_append_literal(out, "{\"snapshots\":");
    snapshots_list(admin->snapshots, out);
    buffer_append_literal(out, "}\n");
    return 200;
}

static int reset(const struct mock_admin *admin, const struct http_request *request, struct work *work,
                 struct buffer *out)
{
    struct buffer what = {0};
    bool is_said = request_parameter(request, BYTES("what"), &what);
    bool of_data = !is_said || bytes_equal(buffer_bytes(&what), BYTES("data"));
    bool of_rules = !is_said || bytes_equal(buffer_bytes(&what), BYTES("rules"));

    buffer_fini(&what);
    if (!of_data && !of_rules)
        return refuse(400, "what is data or rules; without it both begin anew", out);
    of_rules = of_rules && admin->front != NULL;
    if (of_data && admin->snapshots != NULL) {
        plan(work, WORK_RESTORE, BYTES(SNAPSHOT_START));
        work->resets_rules = of_rules;
        return 0;
    }
    if (of_rules)
        front_reset(admin->front);
    buffer_append_literal(out, "{}\n");
    return 200;
}

/* Appends the answer to `out` and returns its status. */
static int work_do(const struct mock_admin *admin, const struct work *work, struct buffer *out)
{
    int status = work->kind == WORK_TAKE ? take(admin, work, out) : restore(admin, work, out);

    if (status == 200 && work->resets_rules)
        front_reset(admin->front);
    return status;
}

/* ---- the paths ----------------------------------------------------------------------------------- */

enum target { TARGET_NONE, TARGET_SNAPSHOTS, TARGET_SNAPSHOT, TARGET_RESTORE, TARGET_RESET };

/* What the path means, and the name that is in it. */
static enum target find_target(struct bytes path, struct bytes *name)
{
    static const struct bytes all = BYTES_INIT("/__admin/snapshots"),
                              below = BYTES_INIT("/__admin/snapshots/"), end = BYTES_INIT("/restore");

    *name = (struct bytes){0};
    if (bytes_equal(path, BYTES("/__admin/reset")))
        return TARGET_RESET;
    if (bytes_equal(path, all))
        return TARGET_SNAPSHOTS;
    if (!bytes_start_with(path, below))
        return TARGET_NONE;
    *name = bytes_after(path, below.size);
    if (name->size <= end.size || !bytes_end_with(*name, end))
        return TARGET_SNAPSHOT;
    name->size -= end.size;
    return TARGET_RESTORE;
}

bool mock_admin_is_asked(const struct http_request *request)
{
    struct bytes name;
    return find_target(request->path, &name) != TARGET_NONE;
}

/* Appends the JSON of the answer to `out` and returns its status, or 0 with `work` that has to be done
 * first. For a refusal `out` gets a problem document, with "Allow: …" lines in `lines` where need be. */
static int answer_or_plan(const struct mock_admin *admin, const struct http_request *request,
                          struct bytes body, int64_t wall_ms, struct work *work, struct buffer *out,
                          struct buffer *lines)
{
    static const char *const allow[] = {[TARGET_SNAPSHOTS] = "GET, POST",
                                        [TARGET_SNAPSHOT] = "DELETE",
                                        [TARGET_RESTORE] = "POST",
                                        [TARGET_RESET] = "POST"};
    bool is_get = request->method == HTTP_METHOD_GET || request->method == HTTP_METHOD_HEAD;
    bool is_post = request->method == HTTP_METHOD_POST;
    struct bytes name;
    enum target target = find_target(request->path, &name);

    *work = (struct work){.wall_ms = wall_ms};
    if (admin->snapshots == NULL && target != TARGET_RESET)
        return refuse(404, "this mock keeps no data: it needs a data file, or --stateful", out);
    switch (target) {
    case TARGET_SNAPSHOTS:
        if (is_get)
            return list(admin, out);
        if (is_post)
            return plan_take(body, wall_ms, work, out);
        break;
    case TARGET_SNAPSHOT:
        if (request->method == HTTP_METHOD_DELETE)
            return drop(admin, name, out);
        break;
    case TARGET_RESTORE:
        if (is_post)
            return plan_restore(name, work, out);
        break;
    case TARGET_RESET:
        if (is_post)
            return reset(admin, request, work, out);
        break;
    case TARGET_NONE: UNREACHABLE();
    }
    buffer_append_format(lines, "Allow: %s\r\n", allow[target]);
    return refuse(405, "not with this method; see Allow", out);
}

/* ---- exchanges ----------------------------------------------------------------------------------- */

/* An exchange from its begin to its answer.
 *
 *   collecting the body ──► answered at once
 *                     └───► the thread has it ──► answered, or forgotten if the client has left */
struct call {
    struct exchange *x; /* null: the client has left */
    struct mock_admin_worker *worker;
    int64_t wall_ms;
    struct buffer body;
    struct work work;
    struct errand errand;
    struct list in_worker; /* while the thread has it */
    int status;            /* of the answer */
    struct buffer out, lines;
};

static void call_destroy(struct call *call)
{
    list_remove(&call->in_worker);
    buffer_fini(&call->body);
    buffer_fini(&call->out);
    buffer_fini(&call->lines);
    free(call);
}

/* Ends the exchange and the call with what is in `out` and `lines`. */
static void respond(struct call *call)
{
    struct http_response response = {.status = call->status, .body_bytes = (int64_t)call->out.size};
    struct exchange *x = call->x;
    bool is_good;

    x->engine_state = NULL;
    buffer_append_literal(&call->lines, "Cache-Control: no-store\r\nContent-Type: ");
    buffer_append(&call->lines,
                  call->status < 400 ? BYTES("application/json") : BYTES("application/problem+json"));
    buffer_append_literal(&call->lines, "\r\n");
    response.rendered = buffer_bytes(&call->lines);
    is_good = !call->out.failed && !call->lines.failed;
    counters_add(call->worker->counters, METRIC_mock_requests, 1);
    if (is_good) {
        exchange_respond(x, &response);
        if (x->request->method != HTTP_METHOD_HEAD)
            exchange_send(x, buffer_bytes(&call->out));
    }
    call_destroy(call);
    if (is_good)
        exchange_end(x);
    else
        exchange_abort(x);
}

static void refuse_call(struct call *call, int status, const char *detail)
{
    call->status = refuse(status, detail, &call->out);
    respond(call);
}

static void on_errand(struct errand *errand) /* on the thread */
{
    struct call *call = CONTAINER_OF(errand, struct call, errand);
    call->status = work_do(call->worker->admin, &call->work, &call->out);
}

static void on_errand_done(struct errand *errand)
{
    struct call *call = CONTAINER_OF(errand, struct call, errand);

    if (call->x != NULL)
        respond(call);
    else
        call_destroy(call);
}

static void answer(struct call *call)
{
    const struct mock_admin *admin = call->worker->admin;

    call->status = answer_or_plan(admin, call->x->request, buffer_bytes(&call->body), call->wall_ms,
                                  &call->work, &call->out, &call->lines);
    if (call->status != 0) {
        respond(call);
        return;
    }
    call->errand = (struct errand){.run = on_errand, .done = on_errand_done, .loop = call->worker->loop};
    list_append(&call->worker->calls, &call->in_worker);
    if (errands_add(admin->errands, &call->errand))
        return;
    list_remove(&call->in_worker);
    refuse_call(call, 503, "too many snapshots and resets are under way; ask again when one is done");
}

static void on_body(struct exchange *x, struct bytes bytes)
{
    struct call *call = x->engine_state;

    if (call == NULL)
        return;
    if (bytes.size <= BODY_BYTES_MAX - call->body.size)
        buffer_append(&call->body, bytes);
    else
        refuse_call(call, 413, "the body must have at most 4096 bytes");
}

static void on_body_end(struct exchange *x)
{
    if (x->engine_state != NULL)
        answer(x->engine_state);
}

static void on_writable(struct exchange *x) { (void)x; }

static void on_gone(struct exchange *x)
{
    struct call *call = x->engine_state;

    if (call == NULL)
        return;
    call->x = NULL;
    if (list_is_empty(&call->in_worker)) /* else it is the thread's until that has done it */
        call_destroy(call);
}

static const struct exchange_engine engine = {NULL, on_body, on_body_end, on_writable, on_gone};

void mock_admin_begin(struct mock_admin_worker *worker, struct exchange *x)
{
    struct http_refusal refusal = admin_guard(x->request, worker->admin->token, x->client_fd);
    struct call *call = calloc(1, sizeof *call);

    x->engine = &engine;
    if (call == NULL) {
        exchange_abort(x);
        return;
    }
    call->x = x;
    call->worker = worker;
    call->wall_ms = x->now.wall_ms;
    list_init(&call->in_worker);
    x->engine_state = call;
    if (refusal.status == 401)
        buffer_append_literal(&call->lines, "WWW-Authenticate: Bearer\r\n");
    if (refusal.status != 0)
        refuse_call(call, refusal.status, refusal.detail);
    else if (x->request->body_bytes == HTTP_BODY_NONE)
        answer(call);
    else
        exchange_read(x, true); /* the whole body may come, and end the exchange, inside */
}

void mock_admin_worker_init(struct mock_admin_worker *worker, const struct mock_admin *admin,
                            struct loop *loop, struct counters *counters)
{
    *worker = (struct mock_admin_worker){.admin = admin, .loop = loop, .counters = counters};
    list_init(&worker->calls);
}

void mock_admin_worker_fini(struct mock_admin_worker *worker)
{
    for (struct list *at = worker->calls.next, *next; at != &worker->calls; at = next) {
        struct call *call = CONTAINER_OF(at, struct call, in_worker);
        next = at->next;
        errands_take_back(worker->admin->errands, &call->errand);
        call_destroy(call);
    }
}
