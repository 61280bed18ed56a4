#include "preflight.h"
#include "access_log.h"
#include "engine/gateway/policy/cors.h"
#include "respond.h"

static void answer(struct gateway_worker *worker, const struct route *route, struct exchange *x)
{
    const struct http_field *origin = http_fields_find_name(&x->request->fields, BYTES("Origin"));

    access_log_begin(worker, route, x);
    x->policy = &route->policy;
    if (route->policy.request_id) {
        request_id_choose(&x->id, &x->request->fields);
        x->tells_id = true;
    }
    if (cors_allows(&route->policy, origin->value))
        respond_preflight(x);
    else
        respond_problem(x, 403, "no page of this origin may ask here",
                        &(struct cache_status){.reason = FORWARD_REFUSED, .detail = "preflight"});
}

bool preflight_takes(struct gateway_worker *worker, struct exchange *x)
{
    struct http_request as_asked = *x->request;
    const struct route *route;

    if (!cors_is_preflight(x->request, &as_asked.method_name))
        return false;
    as_asked.method = http_method_find(as_asked.method_name);
    route = plan_route(worker->plan, &as_asked);
    if (!cors_is_on(&route->policy))
        return false;
    answer(worker, route, x);
    return true;
}

bool preflight_takes_for(struct gateway_worker *worker, const struct route *route, struct exchange *x)
{
    struct bytes ignored;

    if (!cors_is_on(&route->policy) || !cors_is_preflight(x->request, &ignored))
        return false;
    answer(worker, route, x);
    return true;
}
