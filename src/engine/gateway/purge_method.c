#include "purge_method.h"
#include "message/http_guard.h"
#include "purge.h"
#include "purge_wait.h"
#include <stdlib.h>

/* A PURGE that is done here, and that the tier has to be told of. */
struct told_purge {
    struct exchange *x;
    struct purge_wait *wait;
    bool is_soft;
};

static void answer(struct exchange *x, int status, const char *lines, const struct buffer *body)
{
    struct buffer rendered = {0};
    struct http_response response = {.status = status, .body_bytes = (int64_t)body->size};

    buffer_append_format(&rendered, "%sCache-Control: no-store\r\n", lines);
    response.rendered = buffer_bytes(&rendered);
    if (body->failed || rendered.failed) {
        exchange_abort(x);
    } else {
        exchange_respond(x, &response);
        exchange_send(x, buffer_bytes(body));
        exchange_end(x);
    }
    buffer_fini(&rendered);
}

static void refuse(struct exchange *x, int status, const char *detail)
{
    struct buffer body = {0};
    struct bytes title = http_status_reason(status);

    buffer_append_format(&body, "{\"title\":\"%.*s\",\"status\":%d,\"detail\":\"%s\"}\n",
                         BYTES_PRINTF(title), status, detail);
    answer(x, status,
           status == 401
               ? "Content-Type: application/problem+json\r\nWWW-Authenticate: Bearer realm=\"nuthatch\"\r\n"
               : "Content-Type: application/problem+json\r\n",
           &body);
    buffer_fini(&body);
}

/* Nuthatch-Purge: soft, or hard, or not there. False if it says something else. */
static bool read_mode(const struct http_request *request, bool *is_soft)
{
    const struct http_field *field = http_fields_find_name(&request->fields, BYTES("Nuthatch-Purge"));

    *is_soft = field != NULL && bytes_equal_nocase(field->value, BYTES("soft"));
    return field == NULL || *is_soft || bytes_equal_nocase(field->value, BYTES("hard"));
}

static void answer_purged(struct exchange *x, bool is_soft, bool is_told)
{
    struct buffer body = {0};

    purge_report(&body, 1, is_soft, is_told);
    answer(x, is_told ? 200 : 202, "Content-Type: application/json\r\n", &body);
    buffer_fini(&body);
}

static void on_told(void *owner, bool is_told)
{
    struct told_purge *purge = owner;
    struct exchange *x = purge->x;
    bool is_soft = purge->is_soft;

    x->engine_state = NULL;
    free(purge);
    answer_purged(x, is_soft, is_told);
}

static void ignore_bytes(struct exchange *x, struct bytes bytes) { (void)x, (void)bytes; }
static void ignore(struct exchange *x) { (void)x; }

static void gone(struct exchange *x)
{
    struct told_purge *purge = x->engine_state;

    if (purge == NULL)
        return;
    purge_wait_end(purge->wait);
    free(purge);
}

/* Of a purge that waits. */
static const struct exchange_engine engine = {NULL, ignore_bytes, ignore, ignore, gone};

/* Answers once the tier has it. */
static void tell(struct gateway_worker *worker, struct exchange *x, bool is_soft, uint64_t since)
{
    struct told_purge *purge = calloc(1, sizeof *purge);
    bool is_told = false;

    if (purge != NULL)
        purge->wait = purge_wait_begin(worker, since, on_told, purge, &is_told);
    if (purge == NULL || purge->wait == NULL) {
        free(purge);
        answer_purged(x, is_soft, is_told);
        return;
    }
    purge->x = x;
    purge->is_soft = is_soft;
    x->engine = &engine;
    x->engine_state = purge;
}

static void purge(struct gateway_worker *worker, struct exchange *x)
{
    struct http_refusal refusal = http_guard(x->request, worker->gateway->purge_token, false);
    uint64_t since = purge_wait_since(worker);
    bool is_soft;

    if (worker->gateway->purge_token.size == 0)
        refuse(x, 403, "PURGE needs an admin-token, and this server has none");
    else if (refusal.status != 0)
        refuse(x, refusal.status, refusal.detail);
    else if (!read_mode(x->request, &is_soft))
        refuse(x, 400, "Nuthatch-Purge is soft or hard");
    else if (gateway_purge_target(worker, x->now.mono_ms, x->request, is_soft) != OK)
        refuse(x, 503, "no memory");
    else
        tell(worker, x, is_soft, since);
}

bool purge_method_takes(struct gateway_worker *worker, struct exchange *x)
{
    struct http_request as_get;

    if (x->request->method != HTTP_METHOD_OTHER || !bytes_equal(x->request->method_name, BYTES("PURGE")))
        return false;
    as_get = *x->request;
    as_get.method = HTTP_METHOD_GET;
    as_get.method_name = BYTES("GET");
    if (plan_route(worker->plan, &as_get)->policy.takes_purge == 0)
        return false;
    purge(worker, x);
    return true;
}
