#include "preflight.h"
#include "access_log.h"
#include "engine/gateway/policy/cors.h"
#include "respond.h"

bool preflight_takes(struct gateway_worker *worker, struct exchange *x)
{
    struct http_request as_asked = *x->request;
    const struct http_field *origin;
    const struct route *route;

    if (!cors_is_preflight(x->request, &as_asked.method_name))
        return false;
    as_asked.method = http_method_find(as_asked.method_name);
    route = plan_route(worker->plan, &as_asked);
    if (!cors_is_on(&route->policy))
        return false;
    access_log_begin(worker, route, x);
    x->policy = &route->policy;
    if (route->policy.request_id) {
        request_id_choose(&x->id, &x->request->fields);
        x->tells_id = true;
    }
    origin = http_fields_find_name(&x->request->fields, BYTES("Origin"));
    if (cors_allows(&route->policy, origin->value))
        respond_preflight(x);
    else
        respond_problem(x, 403, "no page of this origin may ask here",
                        &(struct cache_status){.reason = FORWARD_REFUSED, .detail = "preflight"});
    return true;
}
