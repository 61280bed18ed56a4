/* respond.h — the heads of the gateway's answers, and those answers that are its own. */
#pragma once
#include "base/err.h"
#include "engine/gateway/policy/cache_status.h"
#include "engine/gateway/routing/route.h"
#include "message/exchange.h"

/* True if rendered fields have a Cache-Status of caches before us. */
bool names_other_caches(struct bytes rendered);

/* Rendered fields as the route wants its clients to have them; `edited` is room for that, to be freed. */
struct bytes fields_for_client(const struct route *route, struct bytes rendered, struct buffer *edited);

/* Sends a head: `rendered` plus Age (none if negative) and Cache-Status. `has_date`: as all that comes from
 * the origin, now or earlier; our own answers get theirs from the connection. `reason`: empty for the usual
 * one. */
void respond_head(struct exchange *x, int status, struct bytes reason, int64_t body_bytes,
                  uint64_t body_number, struct bytes rendered, int64_t age_seconds, bool has_date,
                  const struct cache_status *cache_status);

/* Sends our own answer, a problem document (RFC 9457), or nothing at all for 204, and ends the exchange. */
void respond_problem(struct exchange *x, int status, const char *text,
                     const struct cache_status *cache_status);

/* Why there is no answer of the origin's, for people. Static. */
const char *origin_failure_text(enum err failure);
