#include "plan.h"
#include <stdlib.h>

static struct upstream *find_same(const struct route_plan *before, const struct upstream_spec *spec)
{
    for (size_t i = 0; before != NULL && i < before->upstream_count; i++)
        if (upstream_is(before->upstreams[i], spec))
            return before->upstreams[i];
    return NULL;
}

static enum err take_upstreams(struct route_plan *plan, const struct plan_spec *spec,
                               const struct route_plan *before)
{
    for (size_t i = 0; i < spec->upstream_count; i++) {
        struct upstream *same = find_same(before, &spec->upstreams[i]);
        enum err err = OK;
        if (same != NULL)
            plan->upstreams[i] = upstream_hold(same);
        else
            err = upstream_create(&spec->upstreams[i], spec->log, &plan->upstreams[i]);
        if (err != OK)
            return err;
        plan->upstream_count++;
    }
    return OK;
}

static struct upstream *find_named(const struct route_plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->upstream_count; i++) {
        const char *its = plan->upstreams[i]->name;
        if (name == NULL || its == NULL ? name == its : strcmp(name, its) == 0)
            return plan->upstreams[i];
    }
    return NULL;
}

static enum err take_routes(struct route_plan *plan, const struct plan_spec *spec)
{
    for (size_t i = 0; i < spec->route_count; i++) {
        const struct route_spec *asked = &spec->routes[i];
        struct route *route = &plan->routes[i];
        struct upstream *upstream = find_named(plan, asked->upstream);
        enum err err;

        if (upstream == NULL)
            return ERR_MISSING;
        plan->route_count++;
        err = route_init(route, asked, upstream);
        if (err != OK)
            return err;
        route->plan = plan;
    }
    return OK;
}

static enum err take_compositions(struct route_plan *plan, const struct plan_spec *spec)
{
    for (size_t i = 0; i < spec->composition_count; i++) {
        struct composition *composition = &plan->compositions[i];
        enum err err;

        plan->composition_count++;
        err = composition_init(composition, &spec->compositions[i]);
        if (err != OK)
            return err;
        composition->route.plan = plan;
    }
    return OK;
}

enum err plan_create(const struct plan_spec *spec, const struct route_plan *before,
                     struct route_plan **plan)
{
    struct route_plan *made = calloc(1, sizeof *made);
    enum err err = ERR_NO_MEMORY;

    if (made == NULL)
        return ERR_NO_MEMORY;
    made->reference_count = 1;
    made->upstreams = calloc(spec->upstream_count + 1, sizeof(struct upstream *));
    made->routes = calloc(spec->route_count + 1, sizeof *made->routes);
    made->compositions = calloc(spec->composition_count + 1, sizeof *made->compositions);
    if (made->upstreams != NULL && made->routes != NULL && made->compositions != NULL)
        err = take_upstreams(made, spec, before);
    if (err == OK && spec->route_count == 0 && made->upstream_count > 0)
        err =
            route_init(&made->otherwise, &(struct route_spec){.policy = spec->policy}, made->upstreams[0]);
    made->otherwise.plan = made;
    if (err == OK)
        err = take_routes(made, spec);
    if (err == OK)
        err = take_compositions(made, spec);
    if (err != OK) {
        plan_release(made);
        return err;
    }
    *plan = made;
    return OK;
}

struct route_plan *plan_hold(struct route_plan *plan)
{
    atomic_fetch_add(&plan->reference_count, 1);
    return plan;
}

void plan_release(struct route_plan *plan)
{
    if (atomic_fetch_sub(&plan->reference_count, 1) > 1)
        return;
    for (size_t i = 0; i < plan->route_count; i++)
        route_fini(&plan->routes[i]);
    route_fini(&plan->otherwise);
    for (size_t i = 0; i < plan->composition_count; i++)
        composition_fini(&plan->compositions[i]);
    for (size_t i = 0; i < plan->upstream_count; i++)
        upstream_release(plan->upstreams[i]);
    free(plan->compositions);
    free(plan->routes);
    free(plan->upstreams);
    free(plan);
}

bool plan_has_upstream(const struct route_plan *plan, const struct upstream *upstream)
{
    for (size_t i = 0; i < plan->upstream_count; i++)
        if (plan->upstreams[i] == upstream)
            return true;
    return false;
}

const struct route *plan_route(const struct route_plan *plan, const struct http_request *request)
{
    for (size_t i = 0; i < plan->route_count; i++)
        if (route_matches(&plan->routes[i].match, request))
            return &plan->routes[i];
    return &plan->otherwise;
}

const struct composition *plan_composition(const struct route_plan *plan,
                                           const struct http_request *request)
{
    for (size_t i = 0; i < plan->composition_count; i++)
        if (path_pattern_fits(&plan->compositions[i].path, request->path, NULL))
            return &plan->compositions[i];
    return NULL;
}

bool plan_sibling_key(const struct route *route, size_t index, const struct http_request *request,
                      const struct cache_key *key, struct cache_key *sibling)
{
    const struct route *other = &route->plan->routes[index];

    return bytes_equal(buffer_bytes(&other->upstream->base_url),
                       buffer_bytes(&route->upstream->base_url)) &&
           route_key(other, request, sibling) &&
           !bytes_equal(cache_key_primary(sibling), cache_key_primary(key));
}
