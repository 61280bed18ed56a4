#include "server/check_upstream.h"
#include "server/shown_text.h"
#include <inttypes.h>

static bool check_upstream(const struct options *options, const struct upstream_policy *policy,
                           struct place where, struct buffer *message)
{
    bool is_good = true;
    int64_t hedge_after_ms;

    if (policy->hedge_after != NULL && !hedge_read(bytes_of_text(policy->hedge_after), &hedge_after_ms)) {
        options_report(options, where, message,
                       "hedge: \"%s\" does not fit; write p95, a time up to 60s such as 250ms, or no",
                       shown_text(bytes_of_text(policy->hedge_after)).text);
        is_good = false;
    }
    if (policy->rate_burst > 0 && policy->rate_limits == NULL) {
        options_report(options, where, message,
                       "rate-burst is about rate-limit, and there is none; write one, such as 10/s");
        is_good = false;
    }
    if (policy->concurrency_least > policy->concurrency_most) {
        options_report(options, where, message,
                       "concurrency-min is %" PRId64 ", and concurrency-max %" PRId64
                       "; write a concurrency-max that is larger",
                       policy->concurrency_least, policy->concurrency_most);
        is_good = false;
    }
    return is_good;
}

bool check_upstreams(const struct options *options, const struct role_options *role, struct buffer *message)
{
    bool is_good = true;

    if (role->upstream_policy.origin_urls != NULL)
        is_good &= check_upstream(options, &role->upstream_policy, role->where, message);
    for (size_t i = 0; i < role->upstream_count; i++)
        is_good &=
            check_upstream(options, &role->upstreams[i].spec.policy, role->upstreams[i].where, message);
    return is_good;
}
