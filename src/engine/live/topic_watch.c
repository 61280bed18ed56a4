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

/* What cannot be watched is found changed by the next poll. */
static void watch(struct topic *topic, const struct http_request *request)
{
    struct live_worker *keeper = topic->keeper;
    const struct route *route = plan_route(keeper->gateway->plan, request);
    struct entry_watch *made;
    struct cache_key key;

    if (route->upstream == NULL || !live_entry_key(keeper, route, request, &key))
        return;
    made = entry_watch_begin(keeper->gateway, &key, topic_changed, topic);
    if (made != NULL)
        topic->watches[topic->watch_count++] = made;
}

static void watch_part(struct topic *topic, const struct composition *composition,
                       const struct part_spec *part)
{
    struct part_request made;

    if (part_request_init(&made, composition, part, topic->request, (struct bytes){0}) == PART_REQUEST_GOOD)
        watch(topic, &made.request);
    part_request_fini(&made);
}

void topic_watch(struct topic *topic)
{
    struct route_plan *plan = topic->keeper->gateway->plan;
    const struct composition *composition = plan_composition(plan, topic->request);

    if (topic->watched_plan == plan)
        return;
    topic_unwatch(topic);
    topic->watched_plan = plan_hold(plan);
    if (composition == NULL)
        watch(topic, topic->request);
    for (size_t i = 0; composition != NULL && i < composition->own.part_count; i++)
        watch_part(topic, composition, &composition->own.parts[i]);
}
