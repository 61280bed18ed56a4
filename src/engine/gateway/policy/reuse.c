#include "reuse.h"
#include "base/compiler.h"
#include "route_policy.h"

static int64_t staleness_ms(const struct stored_response *response, int64_t now_mono_ms)
{
    int64_t staleness = stored_age_ms(response, now_mono_ms) - response->lifetime_ms;

    return (response->flags & STORED_PURGED) && staleness < 0 ? 0 : staleness; /* stale from now on */
}

enum use use_of(const struct route_policy *policy, const struct request_facts *facts,
                const struct stored_response *response, int64_t now_mono_ms)
{
    int64_t age_ms = stored_age_ms(response, now_mono_ms);

    if (facts->traits.has_authorization && !(response->flags & STORED_PERMITS_AUTHORIZED))
        return USE_NONE;
    if (facts->wants_confirmation && !(response->flags & STORED_PURGED) &&
        now_mono_ms - response->received_mono_ms <= facts->confirmed_within_ms)
        return USE_FRESH;
    if ((response->flags & (STORED_NO_CACHE | STORED_PURGED)) || age_ms >= response->lifetime_ms)
        return USE_STALE;
    if (facts->wants_confirmation)
        return facts->fresh_will_do ? USE_FRESH : USE_UNWANTED;
    if (facts->wants_validation) /* RFC 8246 §2: it will not change before */
        return policy->honours_immutable != 0 && (response->flags & STORED_IMMUTABLE) ? USE_FRESH
                                                                                      : USE_UNWANTED;
    if ((facts->max_age_seconds >= 0 && age_ms / 1000 > facts->max_age_seconds) ||
        (response->lifetime_ms - age_ms) / 1000 < facts->min_fresh_seconds)
        return USE_UNWANTED;
    return USE_FRESH;
}

bool accepts_stale(const struct request_facts *facts, const struct stored_response *response,
                   int64_t now_mono_ms)
{
    int64_t age_ms = stored_age_ms(response, now_mono_ms);

    if (facts->wants_validation ||
        (response->flags & (STORED_NO_CACHE | STORED_FORBIDS_STALE | STORED_PURGED)) ||
        (facts->max_age_seconds >= 0 && age_ms / 1000 > facts->max_age_seconds))
        return false;
    return facts->max_stale_seconds > 0 &&
           staleness_ms(response, now_mono_ms) / 1000 <= facts->max_stale_seconds;
}

bool may_serve_while_revalidating(const struct route_policy *policy, const struct request_facts *facts,
                                  const struct stored_response *response, int64_t now_mono_ms)
{
    /* Nobody fetches in the background with a client's credentials: one who has some waits for the answer.
     */
    return !facts->wants_validation && !facts->traits.has_cookie && !facts->traits.has_authorization &&
           facts->max_age_seconds < 0 && facts->min_fresh_seconds == 0 && !facts->wants_confirmation &&
           !(response->flags & STORED_NO_CACHE) &&
           staleness_ms(response, now_mono_ms) < stored_stale_while_revalidate_ms(response, policy);
}

/* As far as the response and the route have it. */
static int64_t allowed_ms(enum failure failure, const struct route_policy *policy,
                          const struct stored_response *response)
{
    switch (failure) {
    case FAILURE_ERROR: return stored_stale_if_error_ms(response, policy);
    case FAILURE_UNREACHABLE: return stored_stale_if_unreachable_ms(response, policy);
    }
    UNREACHABLE();
}

bool may_serve_on(enum failure failure, const struct route_policy *policy,
                  const struct request_facts *facts, const struct stored_response *response,
                  int64_t now_mono_ms)
{
    int64_t stale_ms = staleness_ms(response, now_mono_ms);

    if (use_of(policy, facts, response, now_mono_ms) == USE_NONE || facts->wants_validation ||
        (response->flags & STORED_NO_CACHE))
        return false;
    return stale_ms < allowed_ms(failure, policy, response) ||
           (!(response->flags & STORED_FORBIDS_STALE) && stale_ms < facts->stale_if_error_seconds * 1000);
}
