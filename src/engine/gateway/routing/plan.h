/* plan.h — what a configuration means to a gateway: its upstreams, and the routes that lead to them.
 *
 * A plan does not change. A new configuration is a new plan, which takes over the upstreams that are the
 * same in both, with what is known of them; a request goes by the plan it began under to its end, and so
 * does a fetch, which may outlive many. Any thread may hold and release. */
#pragma once
#include "composition.h"
#include "message/http.h"
#include "route.h"

/* A plan as it is asked for. Without routes everything goes to the first upstream by `policy`. */
struct plan_spec {
    const struct upstream_spec *upstreams;
    size_t upstream_count;
    const struct route_spec *routes;
    size_t route_count;
    const struct composition_spec *compositions;
    size_t composition_count;
    struct route_policy policy;
    struct log *log; /* the gateway's: where what becomes of origins is told */
};

struct route_plan {
    atomic_uint reference_count;
    struct upstream **upstreams;
    size_t upstream_count;
    struct route *routes;
    size_t route_count;
    struct route otherwise; /* of requests that none of the routes takes */
    struct composition *compositions;
    size_t composition_count;
};

/* Makes a plan with one reference; `before`, or null, is the one whose upstreams it may take over.
 * ERR_SYNTAX: an origin or a pattern that is none; ERR_MISSING: a route to an upstream that is not there;
 * ERR_NO_MEMORY. */
enum err plan_create(const struct plan_spec *spec, const struct route_plan *before,
                     struct route_plan **plan);
struct route_plan *plan_hold(struct route_plan *plan);
void plan_release(struct route_plan *plan);

bool plan_has_upstream(const struct route_plan *plan, const struct upstream *upstream);

/* The first route that takes the request; one without an upstream if none does. */
const struct route *plan_route(const struct route_plan *plan, const struct http_request *request);

/* The first composition whose path the request's fits, whatever its method; null if none does. */
const struct composition *plan_composition(const struct route_plan *plan,
                                           const struct http_request *request);

/* The key under which the route at `index` of the same plan keeps what `route` keeps under the primary key
 * `key`: the answer to `request`, which is as the upstream sees it. False if that is none other: it leads
 * to another upstream, or has the same keys. */
bool plan_sibling_key(const struct route *route, size_t index, const struct http_request *request,
                      const struct cache_key *key, struct cache_key *sibling);

/* A route lives as long as its plan. */
static inline const struct route *route_hold(const struct route *route)
{
    plan_hold(route->plan);
    return route;
}
static inline void route_release(const struct route *route) { plan_release(route->plan); }
