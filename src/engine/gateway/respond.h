/* respond.h — the heads of the gateway's answers, and those answers that are its own. */
#pragma once
#include "base/err.h"
#include "engine/gateway/policy/cache_status.h"
#include "engine/gateway/policy/ranged.h"
#include "engine/gateway/routing/route.h"
#include "gateway_state.h"
#include "message/exchange.h"

/* True if rendered fields have a Cache-Status of caches before us. */
bool names_other_caches(struct bytes rendered);

/* Makes `*rendered` the fields as the route wants its clients to have them; `edited` is room for that, to
 * be freed. False without memory: nothing of the answer is for a client then. */
bool fields_for_client(const struct route *route, struct bytes *rendered, struct buffer *edited);

/* Sends a head: `rendered` plus Age (none if negative) and Cache-Status. `has_date`: as all that comes from
 * the origin, now or earlier; our own answers get theirs from the connection. `reason`: empty for the usual
 * one. x->policy, if it is there, is a struct route_policy that says what pages of other origins may see of
 * it. Without memory for the head that this makes, here and below, it is a 503 with nothing of `rendered`;
 * as many bytes of a body belong to it. */
void respond_head(struct exchange *x, int status, struct bytes reason, int64_t body_bytes,
                  uint64_t body_number, struct bytes rendered, int64_t age_seconds, bool has_date,
                  const struct cache_status *cache_status);

/* Sends the head of a 304: of `rendered`, what belongs there. */
void respond_not_modified(struct exchange *x, struct bytes rendered, int64_t age_seconds,
                          const struct cache_status *cache_status);

/* Answers with `ranges` of a response of `body_bytes`; `outgoing` is then what follows, and borrows `type`,
 * that of the body. False if they are none, and the whole is to be sent. */
bool respond_ranged(struct gateway *gateway, struct exchange *x, struct now now, struct bytes rendered,
                    struct bytes type, const struct http_ranges *ranges, uint64_t body_bytes,
                    int64_t age_seconds, const struct cache_status *status, struct outgoing *outgoing);

/* Answers a preflight by x->policy, which allows its origin, and ends the exchange. */
void respond_preflight(struct exchange *x);

/* Sends our own answer, a problem document (RFC 9457), or nothing at all for 204, and ends the exchange. */
void respond_problem(struct exchange *x, int status, const char *text,
                     const struct cache_status *cache_status);

/* The same of one who may come again after so many seconds; 0: that is not known. */
void respond_problem_later(struct exchange *x, int status, const char *text, int64_t retry_after_seconds,
                           const struct cache_status *cache_status);

/* The same of a resource that only these methods may be used on, as Allow says them: 405 tells of them. */
void respond_problem_allowing(struct exchange *x, int status, struct bytes detail,
                              int64_t retry_after_seconds, struct bytes methods,
                              const struct cache_status *cache_status);

/* The seconds from now until it is worth asking again: whole ones, and one at least. */
int64_t retry_after_seconds(int64_t now_mono_ms, int64_t due_mono_ms);

/* How it is said that an upstream was not asked. */
struct limited_terms {
    int status;
    const char *text, *detail; /* the latter of Cache-Status */
};
struct limited_terms limited_terms(enum quota_verdict verdict);

/* Why there is no answer of the origin's, for people. Static. */
const char *origin_failure_text(enum err failure);
