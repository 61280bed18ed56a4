/* reuse.h — may a stored response answer this request now (RFC 9111 §4)? Pure. */
#pragma once
#include "request_facts.h"
#include "stored_response.h"

enum use {
    USE_NONE,     /* it is not for this request */
    USE_FRESH,    /* as it is */
    USE_STALE,    /* once validated */
    USE_UNWANTED, /* it is fresh, but the client wants it from the origin */
};

enum use use_of(const struct route_policy *policy, const struct request_facts *facts,
                const struct stored_response *response, int64_t now_mono_ms);

/* Of one whose use is USE_STALE: the client takes it so (RFC 9111 §5.2.1.2). */
bool accepts_stale(const struct request_facts *facts, const struct stored_response *response,
                   int64_t now_mono_ms);

/* Of one whose use is USE_STALE: it will do while another one is fetched (RFC 5861 §3). */
bool may_serve_while_revalidating(const struct route_policy *policy, const struct request_facts *facts,
                                  const struct stored_response *response, int64_t now_mono_ms);

enum failure {
    FAILURE_ERROR,       /* the origin answered 500, 502, 503 or 504 */
    FAILURE_UNREACHABLE, /* it did not answer */
};

/* It may stand in for what the origin could not give (RFC 5861 §4, RFC 9111 §4.2.4). */
bool may_serve_on(enum failure failure, const struct route_policy *policy,
                  const struct request_facts *facts, const struct stored_response *response,
                  int64_t now_mono_ms);
