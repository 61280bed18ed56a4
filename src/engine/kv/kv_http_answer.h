/* kv_http_answer.h — what is answered to a request for a key, wherever the keys are. Each function ends the
 * exchange; what its engine keeps of it must have been released before. */
#pragma once
#include "base/buffer.h"
#include "message/exchange.h"
#include "message/http_guard.h"

/* The whole answer: `lines` of the head, each with its CRLF, and a body. */
void kv_http_answer(struct exchange *x, int status, const struct buffer *lines, struct bytes body);

/* A problem document (RFC 9457). */
void kv_http_refuse(struct exchange *x, struct http_refusal refusal);
void kv_http_refuse_with(struct exchange *x, int status, const char *detail);
/* 412 */
void kv_http_refuse_condition(struct exchange *x);
/* 413 */
void kv_http_refuse_large(struct exchange *x);

/* What the head says of a value. */
struct kv_http_shown {
    uint64_t version;
    uint32_t flags;
    bool is_stale, has_end;
    int64_t left_ms; /* with has_end: of its time to live */
};
void kv_http_append_lines(struct buffer *lines, const struct kv_http_shown *shown);
/* Of a value that is sent: its type, and which part it is of `value_bytes`. */
void kv_http_append_content(struct buffer *lines, bool is_part, uint64_t first, uint64_t end,
                            uint64_t value_bytes);
