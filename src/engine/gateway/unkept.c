#include "unkept.h"

const char UNKEPT_TOO_LARGE[] =
    "is larger than object-max: a larger object-max for its route would keep it";

const char *why_unkept(const struct response_facts *response, const struct request_traits *request,
                       const struct route_policy *policy, int64_t body_bytes)
{
    const struct cache_directives *directives = &response->directives;

    if (body_bytes > policy->object_bytes_max)
        return UNKEPT_TOO_LARGE;
    if (may_store(response, request, policy))
        return NULL;
    if (directives_have(directives, DIRECTIVE_NO_STORE))
        return "says no-store: only its API can change that";
    if (directives_bind(directives, DIRECTIVE_PRIVATE))
        return "says private: only its API can change that";
    if (response->varies_on_all)
        return "varies by everything (Vary: *): only its API can change that";
    if (response->sets_cookie && policy->stores_set_cookie == 0)
        return "sets a cookie: store-set-cookie for its route would keep it, cookie and all";
    return "does not say how long it is fresh, or that it never is: status-ttl for its route would keep it";
}
