#include "refresh_ahead.h"
#include "base/hash.h"
#include "engine/gateway/policy/early.h"
#include "errand.h"
#include "found.h"

/* Nobody fetches in the background with a client's credentials, or for one that is no client. */
static bool may_lead(const struct exchange *x, const struct request_facts *facts)
{
    return x->request->method == HTTP_METHOD_GET && x->inquiry == NULL && !facts->is_body_keyed &&
           !facts->has_range && !facts->traits.has_cookie && !facts->traits.has_authorization;
}

/* Who waits comes first. */
static bool is_upstream_busy(const struct gateway_worker *worker, const struct route *route)
{
    return worker_call_count(worker, route->upstream) >=
           (size_t)route->upstream->policy.origin_connections_max;
}

/* Not while it is known that the origin fails. */
static bool has_failed_lately(struct gateway_worker *worker, const struct cache_key *key,
                              int64_t now_mono_ms)
{
    struct stored_note note;

    return note_find(worker->gateway, now_mono_ms, key, &note) && note.kind != NOTE_NOT_SHAREABLE;
}

void refresh_ahead_consider(struct gateway_worker *worker, const struct route *route,
                            const struct exchange *x, const struct request_facts *facts,
                            const struct cache_key *key, const struct stored_response *response)
{
    const struct route_policy *policy = &route->policy;
    int64_t now_mono_ms = loop_now(worker->loop).mono_ms;
    int64_t fresh_ms = response->lifetime_ms - stored_age_ms(response, now_mono_ms);

    if (policy->refreshes_ahead == 0 || !may_lead(x, facts) ||
        !is_early_enough(fresh_ms, response->lifetime_ms - response->initial_age_ms, response->fetch_ms,
                         policy->refresh_ahead_beta_percent, random_unit(&worker->random)) ||
        is_upstream_busy(worker, route) || has_failed_lately(worker, key, now_mono_ms))
        return;
    /* What came after this will do: another worker, or another node, may have been quicker. */
    errand_begin(worker, &(struct errand_order){
                             .request = x->request,
                             .hash = hash_bytes(cache_key_bytes(key), worker->gateway->seed),
                             .urgency = URGENCY_REVALIDATION,
                             .confirmed_within_ms = now_mono_ms - response->received_mono_ms > 0
                                                        ? now_mono_ms - response->received_mono_ms - 1
                                                        : 0,
                             .metric = METRIC_gateway_refreshes_ahead,
                         });
}
