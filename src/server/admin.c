#include "server/admin.h"
#include "base/compiler.h"
#include "engine/gateway/purge_wait.h"
#include "message/http_guard.h"
#include "server/admin_purge.h"
#include "server/prometheus.h"
#include "server/server.h"
#include "server/worker.h"
#include <stdlib.h>

/* A request whose body is being collected, and then one of whose purges the tier is told. */
struct purge_request {
    struct admin *admin;
    struct exchange *x;
    struct buffer body;
    size_t purged_count;
    bool is_soft, is_untold;
    size_t wait_count; /* those that are under way */
    struct telling {
        struct purge_request *request;
        struct purge_wait *wait; /* null: none is under way */
    } tellings[];                /* one a role */
};

static void forget(struct exchange *x)
{
    struct purge_request *request = x->engine_state;

    x->engine_state = NULL;
    if (request == NULL)
        return;
    for (size_t i = 0; i < request->admin->worker->role_count; i++)
        if (request->tellings[i].wait != NULL)
            purge_wait_end(request->tellings[i].wait);
    buffer_fini(&request->body);
    free(request);
}

/* ---- answers ------------------------------------------------------------------------------------- */

/* The whole answer, `lines` each with its CRLF. Ends x. */
static void answer(struct exchange *x, int status, const char *type, const char *lines, struct bytes body)
{
    struct buffer rendered = {0};
    struct http_response response = {.status = status, .body_bytes = (int64_t)body.size};

    forget(x);
    buffer_append_format(&rendered, "Content-Type: %s\r\nCache-Control: no-store\r\n%s", type, lines);
    response.rendered = buffer_bytes(&rendered);
    if (rendered.failed) {
        exchange_abort(x);
    } else {
        exchange_respond(x, &response);
        if (x->request->method != HTTP_METHOD_HEAD && body.size > 0)
            exchange_send(x, body);
        exchange_end(x);
    }
    buffer_fini(&rendered);
}

static void answer_json(struct exchange *x, int status, struct buffer *json)
{
    if (json->failed) {
        forget(x);
        exchange_abort(x);
    } else {
        answer(x, status, "application/json", "", buffer_bytes(json));
    }
    buffer_fini(json);
}

/* A JSON string's inside: `text` is ours but for what it quotes of the request. */
static void append_quoted(struct buffer *json, struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '"' || c == '\\')
            buffer_append_format(json, "\\%c", c);
        else if (c < ' ')
            buffer_append_format(json, "\\u%04x", c);
        else
            buffer_append_byte(json, text.data[i]);
    }
}

/* A problem document (RFC 9457), for a list of which `done_count` are done all the same. Ends x. */
static void refuse_rest(struct exchange *x, int status, struct bytes detail, size_t done_count)
{
    struct buffer json = {0};
    const char *lines = "";

    buffer_append_format(&json, "{\"title\":\"%.*s\",\"status\":%d,\"detail\":\"",
                         BYTES_PRINTF(http_status_reason(status)), status);
    append_quoted(&json, detail);
    buffer_append_byte(&json, '"');
    if (done_count > 0)
        buffer_append_format(&json, ",\"done\":%zu", done_count);
    buffer_append_literal(&json, "}\n");
    if (status == 401)
        lines = "WWW-Authenticate: Bearer realm=\"nuthatch\"\r\n";
    if (json.failed) {
        forget(x);
        exchange_abort(x);
    } else {
        answer(x, status, "application/problem+json", lines, buffer_bytes(&json));
    }
    buffer_fini(&json);
}

static void refuse(struct exchange *x, int status, struct bytes detail)
{
    refuse_rest(x, status, detail, 0);
}

static void refuse_method(struct exchange *x, const char *allow)
{
    struct buffer json = {0}, lines = {0};

    buffer_append_format(&json, "{\"title\":\"Method Not Allowed\",\"status\":405,\"detail\":\"%s\"}\n",
                         "the Allow field says what this path takes");
    buffer_append_format(&lines, "Allow: %s\r\n%c", allow, '\0');
    if (json.failed || lines.failed) {
        forget(x);
        exchange_abort(x);
    } else {
        answer(x, 405, "application/problem+json", lines.data, buffer_bytes(&json));
    }
    buffer_fini(&json);
    buffer_fini(&lines);
}

/* ---- purges -------------------------------------------------------------------------------------- */

static bool has_gateway(const struct worker *worker)
{
    for (size_t i = 0; i < worker->role_count; i++)
        if (worker->gateways[i] != NULL)
            return true;
    return false;
}

/* On every gateway of the process. What one does not know another may. */
static enum err purge(struct worker *worker, int64_t now_mono_ms, const struct purge_order *order)
{
    enum err err = ERR_MISSING;

    for (size_t i = 0; i < worker->role_count; i++) {
        enum err here;
        if (worker->gateways[i] == NULL)
            continue;
        here = gateway_purge(worker->gateways[i], now_mono_ms, order);
        if (here == ERR_MISSING)
            continue;
        if (here != OK)
            return here;
        err = OK;
    }
    return err;
}

static void refuse_purge(struct exchange *x, enum err err, size_t done, const struct purge_order *order)
{
    struct buffer why = {0};
    int status = 400;

    switch (err) { /* the default: gateway_purge says nothing else */
    case ERR_SYNTAX:
        buffer_append_format(&why, "\"%.*s\" is %s", BYTES_PRINTF(order->text),
                             order->kind == PURGE_PREFIX
                                 ? "no prefix; write one that begins with /, http:// or https://"
                                 : "no URL; write a path such as /birds/1, or a whole URL");
        break;
    case ERR_MISSING:
        status = 404;
        buffer_append_format(&why, "no route takes \"%.*s\"", BYTES_PRINTF(order->text));
        break;
    case ERR_RANGE:
        status = 503;
        buffer_append_literal(&why,
                              "too many purges by prefix are being carried out; try again in a second");
        break;
    default:
        status = 503;
        buffer_append_literal(&why, "no memory");
        break;
    }
    if (done > 0)
        buffer_append_format(&why, "; %zu before it in the list %s done", done, done == 1 ? "is" : "are");
    refuse_rest(x, status, buffer_bytes(&why), done);
    buffer_fini(&why);
}

static void answer_purged(struct purge_request *request)
{
    struct buffer json = {0};

    purge_report(&json, request->purged_count, request->is_soft, !request->is_untold);
    answer_json(request->x, request->is_untold ? 202 : 200, &json);
}

static void on_told(void *owner, bool is_told)
{
    struct telling *telling = owner;
    struct purge_request *request = telling->request;

    telling->wait = NULL;
    request->is_untold |= !is_told;
    if (--request->wait_count == 0)
        answer_purged(request);
}

/* Answers once the tier, if there is one, has what was purged on each gateway since its count was that. */
static void tell(struct purge_request *request, const uint64_t *since)
{
    struct worker *worker = request->admin->worker;

    for (size_t i = 0; i < worker->role_count; i++) {
        struct telling *telling = &request->tellings[i];
        bool is_told = true;
        if (worker->gateways[i] == NULL)
            continue;
        telling->request = request;
        telling->wait = purge_wait_begin(worker->gateways[i], since[i], on_told, telling, &is_told);
        request->wait_count += telling->wait != NULL;
        request->is_untold |= telling->wait == NULL && !is_told;
    }
    if (request->wait_count == 0)
        answer_purged(request);
}

static void carry_out(struct purge_request *request, const struct admin_purges *purges)
{
    struct worker *worker = request->admin->worker;
    int64_t now_mono_ms = loop_now(worker->loop).mono_ms;
    uint64_t *since = calloc(worker->role_count, sizeof *since);

    if (since == NULL) {
        refuse(request->x, 503, BYTES("no memory"));
        return;
    }
    for (size_t i = 0; i < worker->role_count; i++)
        if (worker->gateways[i] != NULL)
            since[i] = purge_wait_since(worker->gateways[i]);
    for (size_t i = 0; i < purges->count; i++) {
        enum err err = purge(worker, now_mono_ms, &purges->orders[i]);
        if (err != OK) {
            refuse_purge(request->x, err, i, &purges->orders[i]);
            free(since);
            return;
        }
    }
    request->purged_count = purges->count;
    request->is_soft = purges->orders[0].is_soft;
    tell(request, since);
    free(since);
}

static void end_purge_request(struct exchange *x)
{
    struct purge_request *request = x->engine_state;
    struct admin_purges purges;
    struct buffer why = {0};

    if (admin_purges_read(&purges, buffer_bytes(&request->body), &why))
        carry_out(request, &purges);
    else
        refuse(x, 400, buffer_bytes(&why));
    admin_purges_fini(&purges);
    buffer_fini(&why);
}

static void begin_purge(struct admin *admin, struct exchange *x)
{
    struct purge_request *request;

    if (!has_gateway(admin->worker)) {
        refuse(x, 404, BYTES("this process has no gateway, and so nothing to purge"));
        return;
    }
    request = calloc(1, sizeof *request + admin->worker->role_count * sizeof *request->tellings);
    if (request == NULL) {
        refuse(x, 503, BYTES("no memory"));
        return;
    }
    request->admin = admin;
    request->x = x;
    x->engine_state = request;
    if (x->request->body_bytes == HTTP_BODY_NONE)
        end_purge_request(x);
    else
        exchange_read(x, true);
}

/* ---- all the rest -------------------------------------------------------------------------------- */

static void answer_metrics(struct admin *admin, struct exchange *x)
{
    struct worker *worker = admin->worker;
    nh_stats store = {.size = sizeof store};
    struct buffer text = {0};
    struct kv_facts facts;

    worker->kv.read_facts(worker->kv.facts_context, &facts);
    if (worker->store != NULL)
        nh_stats_read(worker->store, &store);
    prometheus_append(&text, &facts, &store, loop_now(worker->loop).mono_ms);
    server_append_upstream_metrics(worker->server, loop_now(worker->loop).mono_ms, &text);
    server_append_tier_metrics(worker->server, loop_now(worker->loop).mono_ms, &text);
    if (text.failed)
        refuse(x, 503, BYTES("no memory"));
    else
        answer(x, 200, PROMETHEUS_TYPE, "", buffer_bytes(&text));
    buffer_fini(&text);
}

static void answer_health(struct admin *admin, struct exchange *x)
{
    (void)admin;
    answer(x, 200, "application/json", "", BYTES("{\"status\":\"ok\"}\n"));
}

static void answer_reload(struct admin *admin, struct exchange *x)
{
    struct buffer report = {0}, json = {0};
    enum err err = server_reload(admin->worker->server, &report);

    if (report.size == 0)
        buffer_append(&report, bytes_of_text(err == OK ? "nothing to read again" : err_text(err)));
    if (err != OK) {
        refuse(x, err == ERR_NO_MEMORY ? 503 : 422, buffer_bytes(&report));
    } else {
        buffer_append_literal(&json, "{\"report\":\"");
        append_quoted(&json, buffer_bytes(&report));
        buffer_append_literal(&json, "\"}\n");
        json.failed |= report.failed;
        answer_json(x, 200, &json);
    }
    buffer_fini(&report);
}

static void answer_config(struct admin *admin, struct exchange *x)
{
    struct buffer json = {0};

    json.failed |= server_append_config(admin->worker->server, &json) != OK;
    answer_json(x, 200, &json);
}

static void answer_status(struct admin *admin, struct exchange *x)
{
    struct buffer json = {0};

    json.failed |=
        server_append_status(admin->worker->server, loop_now(admin->worker->loop).mono_ms, &json) != OK;
    answer_json(x, 200, &json);
}

static const struct {
    struct bytes path;
    enum http_method method;
    void (*answer)(struct admin *admin, struct exchange *x);
} paths[] = {
    {BYTES_INIT("/purge"), HTTP_METHOD_POST, begin_purge},
    {BYTES_INIT("/metrics"), HTTP_METHOD_GET, answer_metrics},
    {BYTES_INIT("/health"), HTTP_METHOD_GET, answer_health},
    {BYTES_INIT("/status"), HTTP_METHOD_GET, answer_status},
    {BYTES_INIT("/config"), HTTP_METHOD_GET, answer_config},
    {BYTES_INIT("/reload"), HTTP_METHOD_POST, answer_reload},
};

static bool is_method(const struct http_request *request, enum http_method method)
{
    return request->method == method || (method == HTTP_METHOD_GET && request->method == HTTP_METHOD_HEAD);
}

static void begin(void *engine, struct exchange *x)
{
    struct admin *admin = engine;
    struct http_refusal refusal = http_guard(x->request, admin->token, admin->is_local);

    if (refusal.status != 0) {
        refuse(x, refusal.status, bytes_of_text(refusal.detail));
        return;
    }
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        if (!bytes_equal(paths[i].path, x->request->path))
            continue;
        if (is_method(x->request, paths[i].method))
            paths[i].answer(admin, x);
        else
            refuse_method(x, paths[i].method == HTTP_METHOD_POST ? "POST" : "GET, HEAD");
        return;
    }
    refuse(
        x, 404,
        BYTES("there are POST /purge, GET /metrics, GET /health, GET /status, GET /config and POST /reload "
              "here"));
}

static void body(struct exchange *x, struct bytes bytes)
{
    struct purge_request *request = x->engine_state;

    if (request == NULL)
        return;
    if (bytes.size > ADMIN_PURGE_BODY_BYTES_MAX - request->body.size) {
        refuse(x, 413, BYTES("more than 64 KiB of JSON"));
        return;
    }
    buffer_append(&request->body, bytes);
    if (request->body.failed)
        refuse(x, 503, BYTES("no memory"));
}

static void body_end(struct exchange *x)
{
    if (x->engine_state != NULL)
        end_purge_request(x);
}

/* Answers are sent whole. */
static void writable(struct exchange *x) { (void)x; }

static void gone(struct exchange *x) { forget(x); }

const struct exchange_engine admin_engine = {begin, body, body_end, writable, gone};
