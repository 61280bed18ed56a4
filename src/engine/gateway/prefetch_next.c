/* prefetch_next.c — the page behind one that is asked for, before anybody asks for it. */
#include "base/hash.h"
#include "engine/gateway/policy/link_field.h"
#include "engine/gateway/policy/reference.h"
#include "errand.h"
#include "inquiry_terms.h"
#include "lookup_key.h"
#include "page_set.h"
#include "passage.h"

static const struct bytes next_relation = BYTES_INIT("next");

/* How many pages led here. */
static unsigned page_number(const struct passage *passage)
{
    return passage->x->inquiry != NULL ? passage->x->inquiry->page_number : 0;
}

/* Whether what it asked is a page at all that others may have. */
static bool may_lead(const struct passage *passage)
{
    const struct request_facts *facts = &passage->facts;

    return facts->plan == PLAN_CACHE && passage->x->request->method == HTTP_METHOD_GET &&
           !facts->is_body_keyed && !facts->has_range && !facts->traits.has_cookie &&
           !facts->traits.has_authorization;
}

/* The next page as the client would ask for it. False if that is not known, or is elsewhere: where a route
 * rewrites paths, pages differ in their queries. */
static bool as_asked(const struct passage *passage, const struct reference *next,
                     struct http_request *request)
{
    *request = *passage->x->request;
    if (!bytes_equal(next->path, upstream_request(passage)->path)) {
        if (passage->route->rewrites_path)
            return false;
        request->path = next->path;
    }
    request->query = next->query;
    request->has_query = next->has_query;
    return plan_route(passage->worker->plan, request) == passage->route;
}

/* Half of what there is of connections is left to who waits. */
static bool is_upstream_busy(const struct passage *passage)
{
    const struct upstream *upstream = passage->route->upstream;

    return worker_call_count(passage->worker, upstream) >
           (size_t)upstream->policy.origin_connections_max / 2;
}

/* What is behind a page of a set belongs to that, too, whoever asked for the page. */
static uint32_t set_of(const struct passage *passage)
{
    struct cache_key key;

    if (passage->x->inquiry != NULL && passage->x->inquiry->page_set != 0)
        return passage->x->inquiry->page_set;
    if (passage->page_set != 0)
        return passage->page_set;
    return passage_key(passage, KEY_TO_LOOK, &key) ? page_set_of(cache_key_primary(&key)) : 0;
}

void prefetch_next(struct passage *passage, struct bytes fields)
{
    const struct route *route = passage->route;
    struct reference next = {0};
    struct http_request request;
    struct bytes target;
    uint32_t set;

    if (page_number(passage) >= (unsigned)route->policy.prefetch_next || !may_lead(passage) ||
        is_upstream_busy(passage) || !link_find(fields, next_relation, &target))
        return;
    if (!reference_resolve(&next, buffer_bytes(&route->upstream->base_url), upstream_request(passage)->path,
                           target) ||
        !as_asked(passage, &next, &request))
        goto done;
    set = set_of(passage);
    if (set == 0)
        goto done;
    page_set_begin(passage->worker->gateway, set);
    errand_begin(passage->worker,
                 &(struct errand_order){.request = &request,
                                        .hash = hash_bytes(request.query, hash_bytes(request.path, set)),
                                        .urgency = URGENCY_PREFETCH,
                                        .confirmed_within_ms = -1,
                                        .page_number = page_number(passage) + 1,
                                        .page_set = set,
                                        .metric = METRIC_gateway_prefetches});

done:
    reference_fini(&next);
}
