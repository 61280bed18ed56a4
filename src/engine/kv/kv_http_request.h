/* kv_http_request.h — what a request for a key asks: pure functions of the request.
 */
#pragma once
#include "base/buffer.h"
#include "message/http_guard.h"
#include "nuthatch.h"

/* The key of /keys/NAME?db=N: appends the name, percent-decoded, to `name`. 404 for other paths, 400 for
 * an empty or broken name or another query. */
struct http_refusal kv_http_read_key(const struct http_request *request, struct buffer *name,
                                     uint32_t *database);

/* How a value is put: Nuthatch-TTL, or Cache-Control's max-age, and Nuthatch-Flags. 400. */
struct http_refusal kv_http_read_put(const struct http_request *request, nh_put_options *options);

/* What If-Match and If-None-Match (RFC 9110 §13.2.2) say of a key that is there at `version`, or not. */
enum kv_http_condition {
    KV_HTTP_HOLDS,
    KV_HTTP_FAILED,       /* 412 */
    KV_HTTP_NOT_MODIFIED, /* If-None-Match named it: 304 to who reads, 412 to who writes */
};
enum kv_http_condition kv_http_check(const struct http_fields *fields, bool is_there, uint64_t version);

/* Which bytes of a value are asked for. A range that is not understood, or whose If-Range does not hold,
 * is no range (RFC 9110 §14.2). */
struct kv_http_range {
    uint64_t first, end; /* up to, not with, `end` */
    bool is_part;        /* 206 */
    bool is_outside;     /* 416 */
};
struct kv_http_range kv_http_read_range(const struct http_fields *fields, uint64_t value_bytes,
                                        uint64_t version);
