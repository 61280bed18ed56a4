#include "upstream_report.h"
#include "gateway_state.h"

void upstreams_report(struct gateway *gateway, int64_t now_mono_ms,
                      void (*tell)(void *context, const struct upstream_report *report), void *context)
{
    struct route_plan *plan = gateway_hold_plan(gateway);

    for (size_t i = 0; i < plan->upstream_count; i++) {
        struct upstream *upstream = plan->upstreams[i];
        struct upstream_report report = {.name = upstream->name, .authority = upstream->authority};
        quota_read(&upstream->quota, now_mono_ms, &report.facts);
        tell(context, &report);
    }
    plan_release(plan);
}

void routes_report(struct gateway *gateway, void (*tell)(void *context, const struct route_report *report),
                   void *context)
{
    struct route_plan *plan = gateway_hold_plan(gateway);

    for (size_t i = 0; i == 0 || i < plan->route_count; i++) {
        const struct route *route = plan->route_count > 0 ? &plan->routes[i] : &plan->otherwise;
        struct route_report report = {.host = route->match.own.host, .path = route->match.own.path};
        if (route->upstream == NULL)
            continue;
        report.upstream = route->upstream->name;
        report.revalidations = atomic_load(&route->counts->revalidations);
        report.not_modified = atomic_load(&route->counts->not_modified);
        tell(context, &report);
    }
    plan_release(plan);
}
