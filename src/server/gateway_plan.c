#include "server/gateway_plan.h"
#include <stdlib.h>

enum err plan_spec_init(struct plan_spec *spec, const struct role_options *role)
{
    struct upstream_spec *upstreams = calloc(role->upstream_count + 1, sizeof *upstreams);
    struct route_spec *routes = calloc(role->route_count + 1, sizeof *routes);

    *spec = (struct plan_spec){.upstreams = upstreams, .routes = routes, .policy = role->route_policy};
    if (upstreams == NULL || routes == NULL) {
        plan_spec_fini(spec);
        return ERR_NO_MEMORY;
    }
    /* The one without a name first: without routes all goes there. */
    if (role->upstream_policy.origin_url != NULL)
        upstreams[spec->upstream_count++] = (struct upstream_spec){.policy = role->upstream_policy};
    for (size_t i = 0; i < role->upstream_count; i++)
        upstreams[spec->upstream_count++] = role->upstreams[i].spec;
    for (; spec->route_count < role->route_count; spec->route_count++)
        routes[spec->route_count] = role->routes[spec->route_count].spec;
    return OK;
}

void plan_spec_fini(struct plan_spec *spec)
{
    free((void *)(uintptr_t)spec->upstreams);
    free((void *)(uintptr_t)spec->routes);
    *spec = (struct plan_spec){0};
}
