/* subscription.c — what a WebSocket watches: many resources, each as a stream of its own would. */
#include "engine/gateway/policy/cors.h"
#include "frame.h"
#include "live_state.h"
#include "protocol/http/websocket.h"
#include "socket_ask.h"
#include <stdlib.h>

struct subscription *subscription_of(struct watcher *watcher)
{
    return CONTAINER_OF(watcher, struct subscription, watcher);
}

static struct bytes path_of(const struct subscription *subscription)
{
    return bytes_of(subscription->path, subscription->path_size);
}

/* ---- life ---------------------------------------------------------------------------------------- */

static void drop(struct subscription *subscription)
{
    list_remove(&subscription->in_socket);
    subscription->socket->subscription_count--;
    watcher_free(&subscription->watcher); /* which is where it begins */
}

void subscriptions_drop(struct socket *socket)
{
    while (!list_is_empty(&socket->subscriptions))
        drop(CONTAINER_OF(socket->subscriptions.next, struct subscription, in_socket));
}

/* Tells the client that nothing (more) comes of `path`; of no path: that what it said was wrong. */
static void refuse(struct socket *socket, struct bytes path, int status, const char *detail)
{
    struct buffer text = {0};

    frame_append_problem(&text, path, path.size > 0 ? "end" : "problem", status, detail);
    socket_say(socket, &text);
    buffer_fini(&text);
}

static void end(struct subscription *subscription, int status, const char *detail)
{
    refuse(subscription->socket, path_of(subscription), status, detail);
    drop(subscription);
}

static struct subscription *find(struct socket *socket, struct bytes path)
{
    for (struct list *node = socket->subscriptions.next; node != &socket->subscriptions;
         node = node->next) {
        struct subscription *subscription = CONTAINER_OF(node, struct subscription, in_socket);
        if (bytes_equal(path_of(subscription), path))
            return subscription;
    }
    return NULL;
}

/* ---- subscribing --------------------------------------------------------------------------------- */

/* The request for what `path` names, as the client would send it beside the one for its WebSocket. */
static struct http_request request_for(const struct socket *socket, struct bytes path)
{
    struct http_request request = *socket->x->request;
    const char *query = memchr(path.data, '?', path.size);

    request.path = query == NULL ? path : bytes_first(path, (size_t)(query - path.data));
    request.has_query = query != NULL;
    request.query = query == NULL ? (struct bytes){0} : bytes_after(path, request.path.size + 1);
    return request;
}

/* Adds one that is `like` this. */
static void add(struct socket *socket, const struct watcher *like, struct bytes path,
                const struct http_request *request, const struct cache_key *key)
{
    struct live_worker *worker = socket->worker;
    struct subscription *made = malloc(sizeof *made + path.size);
    enum err err;

    if (made == NULL) {
        refuse(socket, path, 503, "out of memory");
        return;
    }
    *made = (struct subscription){.watcher = *like, .socket = socket, .path_size = path.size};
    memcpy(made->path, path.data, path.size);
    list_init(&made->watcher.in_part);
    list_init(&made->watcher.in_worker);
    route_hold(made->watcher.route);
    err = topic_join(worker, &made->watcher, request, key);
    if (err != OK) {
        route_release(made->watcher.route);
        free(made);
        refuse(socket, path, 503,
               err == ERR_FULL
                   ? "as much is watched as may be at a time (live-topics-max, live-watchers-max)"
                   : "out of memory");
        return;
    }
    list_append(&socket->subscriptions, &made->in_socket);
    socket->subscription_count++;
    made->is_topics = bytes_equal(buffer_bytes(&made->watcher.part->topic->path), path);
    counters_add(worker->counters, METRIC_live_watchers, 1);
    live_attend(worker);
    watcher_look(&made->watcher);
}

static void subscribe(struct socket *socket, struct bytes path, bool wants_patches, struct event_id after)
{
    struct live_worker *worker = socket->worker;
    struct subscription *before = find(socket, path);
    struct http_request request;
    const struct route *route;
    struct cache_key key;

    if (before != NULL) /* anew, perhaps in another way */
        drop(before);
    if (path.size == 0 || path.data[0] != '/') {
        refuse(socket, path, 400, "a path begins with a slash");
        return;
    }
    if (socket->subscription_count == SOCKET_PATHS_MAX) {
        refuse(socket, path, 503, "one WebSocket watches 1000 paths at most");
        return;
    }
    request = request_for(socket, path);
    route = live_route(worker, &request);
    if (route == NULL)
        refuse(socket, path, 404, "nothing can be watched there");
    else if (!cors_allows_socket(&route->policy, socket->x->request))
        refuse(socket, path, 403, "cors-origins does not have the origin of this page");
    else if (!live_find_key(worker, route, &request, &key))
        refuse(socket, path, 400, "this URL cannot be watched: it is too long, or not plain");
    else
        add(socket,
            &(struct watcher){.x = socket->x,
                              .route = route,
                              .way = LIVE_SOCKET,
                              .wants_patches = wants_patches,
                              .epoch = after.epoch,
                              .number = after.number},
            path, &request, &key);
}

static struct bytes bytes_of_json(const json_t *string)
{
    return bytes_of(json_string_value(string), json_string_length(string));
}

void subscriptions_take(struct socket *socket, struct bytes message)
{
    struct socket_ask ask;
    const char *wrong = socket_ask_read(message, &ask);

    if (wrong != NULL)
        refuse(socket, (struct bytes){0}, 400, wrong);
    for (size_t i = 0; i < json_array_size(ask.unsubscribe); i++) {
        struct subscription *found = find(socket, bytes_of_json(json_array_get(ask.unsubscribe, i)));
        if (found != NULL)
            drop(found);
    }
    socket_ask_fini(&socket->ask);
    socket->ask = ask;
    socket->asked_count = 0;
}

bool subscriptions_are_due(const struct socket *socket)
{
    return socket->asked_count < json_array_size(socket->ask.subscribe);
}

void subscriptions_go_on(struct socket *socket)
{
    while (subscriptions_are_due(socket) && websocket_is_open(socket->websocket)) {
        const json_t *path = json_array_get(socket->ask.subscribe, socket->asked_count);
        struct event_id after;
        if (!socket_has_room_for_answers(socket))
            return;
        socket->asked_count++;
        if (!socket_ask_after(&socket->ask, json_string_value(path), &after))
            after = (struct event_id){0};
        subscribe(socket, bytes_of_json(path), socket->ask.wants_patches, after);
    }
    socket_ask_fini(&socket->ask);
    socket->asked_count = 0;
}

/* ---- events -------------------------------------------------------------------------------------- */

void subscription_send(struct subscription *subscription, struct event *event)
{
    struct event *frame = subscription->is_topics ? topic_frame(subscription->watcher.part->topic, event)
                                                  : frame_create(event, path_of(subscription));

    if (frame == NULL)
        socket_fail(subscription->socket); /* what it misses it could not know */
    else
        live_send(subscription->socket->x, frame);
    event_release(frame);
}

static void begin(struct subscription *subscription)
{
    struct watcher *watcher = &subscription->watcher;

    route_release(watcher->route);
    watcher->route = NULL;
    watcher->has_begun = true;
    if (topic_resume(watcher))
        counters_add(subscription->socket->worker->counters, METRIC_live_resumed, 1);
}

void subscription_look(struct subscription *subscription, const struct standing *standing)
{
    struct socket *socket = subscription->socket;

    switch (standing->stage) {
    case TOPIC_ASKING: return;
    case TOPIC_ENDED: end(subscription, standing->refusal_status, standing->refusal); break;
    case TOPIC_KNOWN:
        if (!subscription->watcher.has_begun)
            begin(subscription);
        watcher_deliver(&subscription->watcher);
        break;
    }
    if (!socket->is_running && (socket->has_failed || websocket_output(socket->websocket).size > 0))
        socket_go_on(socket);
}

void subscriptions_deliver(struct socket *socket)
{
    for (size_t i = socket->subscription_count; i > 0 && socket_room(socket) > 0; i--) {
        struct list *node = socket->subscriptions.next;
        struct subscription *subscription = CONTAINER_OF(node, struct subscription, in_socket);
        list_remove(node);
        list_append(&socket->subscriptions, node);
        if (subscription->watcher.has_begun)
            watcher_deliver(&subscription->watcher);
    }
}
