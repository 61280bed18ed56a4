/* refresh_ahead.h — what is asked for often is fetched anew shortly before it gets stale, so that nobody
 * has to wait for it: a request that finds it fresh may be the one that leads to it, see early.h. On the
 * worker's thread. */
#pragma once
#include "engine/gateway/policy/cache_key.h"
#include "engine/gateway/policy/request_facts.h"
#include "gateway_state.h"
#include "message/exchange.h"

/* `x` is answered with `response`, found under `key`, which is fresh: has it fetched anew in the
 * background, if its route wants that and it is time. */
void refresh_ahead_consider(struct gateway_worker *worker, const struct route *route,
                            const struct exchange *x, const struct request_facts *facts,
                            const struct cache_key *key, const struct stored_response *response);
