#include "mock_admin.h"
#include "engine/mock/answer/admin_guard.h"
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

static int take(const struct mock_admin *admin, struct bytes body, int64_t wall_ms, struct buffer *out)
{
    struct buffer name = {0};
    bool was_there;
    enum err err = ERR_SYNTAX;

    if (choose_name(body, wall_ms, &name))
        err = snapshots_take(admin->snapshots, buffer_bytes(&name), wall_ms, &was_there);
    if (err == OK)
        buffer_append_format(out, "{\"name\":\"%.*s\"}\n", BYTES_PRINTF(buffer_bytes(&name)));
    buffer_fini(&name);
    switch ((unsigned)err) {
    case OK: return was_there ? 200 : 201;
    case ERR_SYNTAX:
        return refuse(400,
                      "the body is empty or a JSON object with a name: up to 64 letters, digits, dots, '-' "
                      "and '_', no dot at first, and not start",
                      out);
    case ERR_FULL:
        return refuse(
            507, "snapshots are at most 100 and have at most 256 MiB in all; forget some with DELETE", out);
    }
    return refuse(503, err_text(err), out);
}

static int restore(const struct mock_admin *admin, struct bytes name, struct buffer *out)
{
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

static int reset(const struct mock_admin *admin, const struct http_request *request, struct buffer *out)
{
    struct buffer what = {0};
    bool is_said = request_parameter(request, BYTES("what"), &what);
    bool of_data = !is_said || bytes_equal(buffer_bytes(&what), BYTES("data"));
    bool of_rules = !is_said || bytes_equal(buffer_bytes(&what), BYTES("rules"));
    int status = 200;

    buffer_fini(&what);
    if (!of_data && !of_rules)
        return refuse(400, "what is data or rules; without it both begin anew", out);
    if (of_data && admin->snapshots != NULL)
        status = restore(admin, BYTES(SNAPSHOT_START), out);
    else
        buffer_append_literal(out, "{}\n");
    if (status == 200 && of_rules && admin->front != NULL)
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
    if (name->size <= end.size || !bytes_equal(bytes_after(*name, name->size - end.size), end))
        return TARGET_SNAPSHOT;
    name->size -= end.size;
    return TARGET_RESTORE;
}

bool mock_admin_is_asked(const struct http_request *request)
{
    struct bytes name;
    return find_target(request->path, &name) != TARGET_NONE;
}

int mock_admin_answer(const struct mock_admin *admin, const struct http_request *request, struct bytes body,
                      int64_t wall_ms, struct buffer *out, struct buffer *lines)
{
    static const char *const allow[] = {[TARGET_SNAPSHOTS] = "GET, POST",
                                        [TARGET_SNAPSHOT] = "DELETE",
                                        [TARGET_RESTORE] = "POST",
                                        [TARGET_RESET] = "POST"};
    bool is_get = request->method == HTTP_METHOD_GET || request->method == HTTP_METHOD_HEAD;
    bool is_post = request->method == HTTP_METHOD_POST;
    struct bytes name;
    enum target target = find_target(request->path, &name);

    if (admin->snapshots == NULL && target != TARGET_RESET)
        return refuse(404, "this mock keeps no data: it needs a data file, or --stateful", out);
    switch (target) {
    case TARGET_SNAPSHOTS:
        if (is_get)
            return list(admin, out);
        if (is_post)
            return take(admin, body, wall_ms, out);
        break;
    case TARGET_SNAPSHOT:
        if (request->method == HTTP_METHOD_DELETE)
            return drop(admin, name, out);
        break;
    case TARGET_RESTORE:
        if (is_post)
            return restore(admin, name, out);
        break;
    case TARGET_RESET:
        if (is_post)
            return reset(admin, request, out);
        break;
    case TARGET_NONE: UNREACHABLE();
    }
    buffer_append_format(lines, "Allow: %s\r\n", allow[target]);
    return refuse(405, "not with this method; see Allow", out);
}

/* ---- exchanges ----------------------------------------------------------------------------------- */

/* One whose body is still on its way. */
struct call {
    const struct mock_admin *admin;
    struct counters *counters;
    int64_t wall_ms;
    struct buffer body;
};

static void call_destroy(struct exchange *x)
{
    struct call *call = x->engine_state;

    x->engine_state = NULL;
    buffer_fini(&call->body);
    free(call);
}

/* Ends the exchange with what is in `out` and `lines`, which are ended too. */
static void respond(struct exchange *x, struct counters *counters, int status, struct buffer *out,
                    struct buffer *lines)
{
    struct http_response response = {.status = status, .body_bytes = (int64_t)out->size};
    bool is_good;

    buffer_append_literal(lines, "Cache-Control: no-store\r\nContent-Type: ");
    buffer_append(lines, status < 400 ? BYTES("application/json") : BYTES("application/problem+json"));
    buffer_append_literal(lines, "\r\n");
    response.rendered = buffer_bytes(lines);
    is_good = !out->failed && !lines->failed;
    counters_add(counters, METRIC_mock_requests, 1);
    if (is_good) {
        exchange_respond(x, &response);
        if (x->request->method != HTTP_METHOD_HEAD)
            exchange_send(x, buffer_bytes(out));
    }
    buffer_fini(out);
    buffer_fini(lines);
    if (is_good)
        exchange_end(x);
    else
        exchange_abort(x);
}

static void answer(const struct mock_admin *admin, struct counters *counters, struct exchange *x,
                   struct bytes body, int64_t wall_ms)
{
    struct buffer out = {0}, lines = {0};
    int status = mock_admin_answer(admin, x->request, body, wall_ms, &out, &lines);

    if (x->engine_state != NULL)
        call_destroy(x);
    respond(x, counters, status, &out, &lines);
}

static void refuse_exchange(struct counters *counters, struct exchange *x, struct http_refusal refusal)
{
    struct buffer out = {0}, lines = {0};

    if (refusal.status == 401)
        buffer_append_literal(&lines, "WWW-Authenticate: Bearer\r\n");
    refuse(refusal.status, refusal.detail, &out);
    respond(x, counters, refusal.status, &out, &lines);
}

static void on_body(struct exchange *x, struct bytes bytes)
{
    struct call *call = x->engine_state;

    if (call == NULL)
        return;
    if (bytes.size <= BODY_BYTES_MAX - call->body.size) {
        buffer_append(&call->body, bytes);
    } else {
        struct counters *counters = call->counters;
        call_destroy(x);
        refuse_exchange(counters, x, (struct http_refusal){413, "the body must have at most 4096 bytes"});
    }
}

static void on_body_end(struct exchange *x)
{
    const struct call *call = x->engine_state;

    if (call != NULL)
        answer(call->admin, call->counters, x, buffer_bytes(&call->body), call->wall_ms);
}

static void on_writable(struct exchange *x) { (void)x; }

static void on_gone(struct exchange *x)
{
    if (x->engine_state != NULL)
        call_destroy(x);
}

static const struct exchange_engine engine = {NULL, on_body, on_body_end, on_writable, on_gone};

void mock_admin_begin(const struct mock_admin *admin, struct counters *counters, struct exchange *x)
{
    struct http_refusal refusal = admin_guard(x->request, admin->token, x->client_fd);
    struct call *call;

    x->engine = &engine;
    if (refusal.status != 0) {
        refuse_exchange(counters, x, refusal);
        return;
    }
    if (x->request->body_bytes == HTTP_BODY_NONE) {
        answer(admin, counters, x, (struct bytes){0}, x->now.wall_ms);
        return;
    }
    call = calloc(1, sizeof *call);
    if (call == NULL) {
        exchange_abort(x);
        return;
    }
    *call = (struct call){.admin = admin, .counters = counters, .wall_ms = x->now.wall_ms};
    x->engine_state = call;
    exchange_read(x, true); /* the whole body may come, and end the exchange, inside */
}
