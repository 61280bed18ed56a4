#include "purge_method.h"
#include "message/http_guard.h"
#include "purge.h"

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

static void purge(struct gateway_worker *worker, struct exchange *x)
{
    struct http_refusal refusal = http_guard(x->request, worker->gateway->purge_token, false);
    struct buffer body = {0};
    bool is_soft;

    if (worker->gateway->purge_token.size == 0) {
        refuse(x, 403, "PURGE needs an admin-token, and this server has none");
    } else if (refusal.status != 0) {
        refuse(x, refusal.status, refusal.detail);
    } else if (!read_mode(x->request, &is_soft)) {
        refuse(x, 400, "Nuthatch-Purge is soft or hard");
    } else if (gateway_purge_target(worker, x->now.mono_ms, x->request, is_soft) != OK) {
        refuse(x, 503, "no memory");
    } else {
        buffer_append_format(&body, "{\"purged\":1,\"soft\":%s}\n", is_soft ? "true" : "false");
        answer(x, 200, "Content-Type: application/json\r\n", &body);
        buffer_fini(&body);
    }
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
