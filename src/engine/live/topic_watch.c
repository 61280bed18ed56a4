/* topic_watch.c — the entries that a topic's resource is made of: that of its own URL, or of a composed
 * route's parts'. */
#include "engine/gateway/routing/part_request.h"
#include "live_state.h"

void topic_unwatch(struct topic *topic)
{
    while (topic->watch_count > 0)
        entry_watch_end(topic->watches[--topic->watch_count]);
    if (topic->watched_plan != NULL)
        plan_release(topic->watched_plan);
    topic->watched_plan = NULL;
}

/* What has no key is found changed by the next poll. False if there is no memory. */
static bool watch(struct topic *topic, const struct http_request *request)
{
    struct live_worker *keeper = topic->keeper;
    const struct route *route = plan_route(keeper->gateway->plan, request);
    struct entry_watch *made;
    struct cache_key key;

    if (route->upstream == NULL || !live_entry_key(keeper, route, request, &key))
        return true;
    made = entry_watch_begin(keeper->gateway, &key, topic_changed, topic);
    if (made == NULL)
        return false;
    topic->watches[topic->watch_count++] = made;
    return true;
}

static bool watch_part(struct topic *topic, const struct composition *composition,
                       const struct part_spec *part)
{
    struct part_request made;
    bool is_good = true;

    if (part_request_init(&made, composition, part, topic->request, (struct bytes){0}) == PART_REQUEST_GOOD)
        is_good = watch(topic, &made.request);
    part_request_fini(&made);
    return is_good;
}

bool topic_watch(struct topic *topic)
{
    struct route_plan *plan = topic->keeper->gateway->plan;
    const struct composition *composition = plan_composition(plan, topic->request);
    bool is_good = true;

    if (topic->watched_plan == plan)
        return true;
    topic_unwatch(topic);
    if (composition == NULL)
        is_good = watch(topic, topic->request);
    for (size_t i = 0; composition != NULL && i < composition->own.part_count; i++)
        is_good &= watch_part(topic, composition, &composition->own.parts[i]);
    if (is_good)
        topic->watched_plan = plan_hold(plan);
    return is_good;
}
