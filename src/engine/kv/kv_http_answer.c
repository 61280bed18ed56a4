#include "engine/kv/kv_http_answer.h"

void kv_http_answer(struct exchange *x, int status, const struct buffer *lines, struct bytes body)
{
    struct http_response response = {
        .status = status, .body_bytes = (int64_t)body.size, .rendered = buffer_bytes(lines)};

    if (lines->failed) {
        exchange_abort(x);
        return;
    }
    exchange_respond(x, &response);
    if (body.size > 0)
        exchange_send(x, body);
    exchange_end(x);
}

void kv_http_refuse(struct exchange *x, struct http_refusal refusal)
{
    struct buffer body = {0}, lines = {0};

    buffer_append_format(&body, "{\"title\":\"%.*s\",\"status\":%d,\"detail\":\"%s\"}\n",
                         BYTES_PRINTF(http_status_reason(refusal.status)), refusal.status, refusal.detail);
    buffer_append_literal(&lines, "Content-Type: application/problem+json\r\nCache-Control: no-store\r\n");
    if (refusal.status == 401)
        buffer_append_literal(&lines, "WWW-Authenticate: Bearer realm=\"nuthatch\"\r\n");
    if (refusal.status == 405)
        buffer_append_literal(&lines, "Allow: GET, HEAD, PUT, DELETE\r\n");
    lines.failed |= body.failed;
    kv_http_answer(x, refusal.status, &lines, buffer_bytes(&body));
    buffer_fini(&body);
    buffer_fini(&lines);
}

void kv_http_refuse_with(struct exchange *x, int status, const char *detail)
{
    kv_http_refuse(x, (struct http_refusal){status, detail});
}

void kv_http_refuse_condition(struct exchange *x)
{
    kv_http_refuse_with(x, 412, "the key is not as If-Match or If-None-Match want it");
}

void kv_http_refuse_large(struct exchange *x)
{
    kv_http_refuse_with(x, 413, "the value is larger than this cache takes");
}

void kv_http_append_lines(struct buffer *lines, const struct kv_http_shown *shown)
{
    buffer_append_format(lines,
                         "ETag: \"%llu\"\r\n"
                         "Cache-Control: no-cache\r\n"
                         "Accept-Ranges: bytes\r\n"
                         "Nuthatch-State: %s\r\n"
                         "Nuthatch-Flags: %u\r\n",
                         (unsigned long long)shown->version, shown->is_stale ? "stale" : "hit",
                         shown->flags);
    if (shown->has_end)
        buffer_append_format(lines, "Nuthatch-TTL: %lld.%03lld\r\n", (long long)shown->left_ms / 1000,
                             (long long)shown->left_ms % 1000);
}

void kv_http_append_content(struct buffer *lines, bool is_part, uint64_t first, uint64_t end,
                            uint64_t value_bytes)
{
    buffer_append_literal(lines,
                          "Content-Type: application/octet-stream\r\nX-Content-Type-Options: nosniff\r\n");
    if (is_part)
        buffer_append_format(lines, "Content-Range: bytes %llu-%llu/%llu\r\n", (unsigned long long)first,
                             (unsigned long long)end - 1, (unsigned long long)value_bytes);
}
