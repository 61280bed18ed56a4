/* rate_fields.h — what the fields of an upstream's answer say of its limits. Pure.
 *
 * Understood are Retry-After (RFC 9110 §10.2.3); RateLimit and RateLimit-Policy as in
 * draft-ietf-httpapi-ratelimit-headers-09 and -10, and as dictionaries before; RateLimit-…, X-RateLimit-…
 * and X-Rate-Limit-… with Limit, Remaining, Used, Reset, Reset-After, Resource and Bucket, in any of the
 * forms of rate_time.h; Anthropic's, OpenAI's and Kong's longer names; Shopify's share; X-Poll-Interval.
 *
 * What is malformed is as if it were not there, as is a limit of anything but requests. */
#pragma once
#include "message/http.h"

enum { RATE_WINDOWS_MAX = 8 };

/* One limit. What is not said is -1. */
struct rate_window {
    uint64_t name; /* a hash: the same for the same limit */
    int64_t limit;
    int64_t remaining;
    int64_t window_ms; /* the time that the limit is for */
    int64_t reset_ms;  /* from now, when all of it will be there again */
};

struct rate_said {
    int64_t retry_after_ms;   /* -1: not said */
    int64_t poll_interval_ms; /* likewise */
    uint64_t pool;            /* which of several budgets this request came out of, a hash; 0: not said */
    struct rate_window windows[RATE_WINDOWS_MAX];
    size_t window_count;
};

/* Whether a field speaks of limits: it is true at the moment it is said and for who is told, and so it is
 * nobody else's business. */
bool is_rate_field(struct bytes name);

/* Reads what `fields`, of an answer that came at `now_wall_ms`, say. Of an answer that was in a cache, one
 * with an Age, only Retry-After and X-Poll-Interval count. */
void rate_fields_read(struct rate_said *said, const struct http_fields *fields, int64_t now_wall_ms);
