/* kv_http_request.h — what a request for a key asks, and whether it may: pure functions of the request.
 *
 * What is refused comes as an HTTP status, with a sentence for the client; 0 is good. */
#pragma once
#include "base/buffer.h"
#include "message/http.h"
#include "nuthatch.h"

struct kv_http_refusal {
    int status; /* 0: none */
    const char *detail;
};

/* Whether a request may be looked at, so that a page in somebody's browser is no client of this server: no
 * foreign Origin; on loopback without a token a Host that is loopback's, since a name of the page's own
 * could point here (DNS rebinding); and the token, if there is one. 403 or 401. */
struct kv_http_refusal kv_http_may_pass(const struct http_request *request, struct bytes token,
                                        bool is_local);

/* The key of /keys/NAME?db=N: appends the name, percent-decoded, to `name`. 404 for other paths, 400 for
 * an empty or broken name or another query. */
struct kv_http_refusal kv_http_read_key(const struct http_request *request, struct buffer *name,
                                        uint32_t *database);

/* How a value is put: Nuthatch-TTL, or Cache-Control's max-age, and Nuthatch-Flags. 400. */
struct kv_http_refusal kv_http_read_put(const struct http_request *request, nh_put_options *options);

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
