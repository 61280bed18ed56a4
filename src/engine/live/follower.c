/* follower.c — who follows a resource from inside this process: a watcher without an exchange. */
#include "base/utf8.h"
#include "frame.h"
#include "live_state.h"
#include <stdlib.h>

struct live_follower {
    struct watcher watcher;
    struct live_worker *worker;
    struct list in_worker;
    struct task task; /* says why there is nothing to follow */
    int refusal_status;
    const char *refusal; /* static */
    bool is_watching, is_posted, is_gone;
    bool is_telling; /* what it is told of is being delivered: it goes when that has been */
    void (*told)(void *owner, struct bytes message);
    void *owner;
    size_t path_size;
    char path[];
};

static struct live_follower *follower_of(struct watcher *watcher)
{
    return CONTAINER_OF(watcher, struct live_follower, watcher);
}

static struct bytes path_of(const struct live_follower *follower)
{
    return bytes_of(follower->path, follower->path_size);
}

static void stop_watching(struct live_follower *follower)
{
    if (follower->is_watching)
        watcher_fini(&follower->watcher);
    follower->is_watching = false;
}

/* ---- what is told -------------------------------------------------------------------------------- */

/* What is told is JSON: of a path that is not text the bytes that are not ASCII are percent-encoded. */
static void append_shown_path(struct buffer *shown, const struct live_follower *follower)
{
    bool is_text = utf8_is_whole(path_of(follower));

    for (size_t i = 0; i < follower->path_size; i++) {
        unsigned char byte = (unsigned char)follower->path[i];
        if (is_text || byte < 0x80)
            buffer_append_byte(shown, (char)byte);
        else
            buffer_append_format(shown, "%%%02X", byte);
    }
}

static void tell_end(struct live_follower *follower, int status, const char *text)
{
    struct buffer message = {0}, shown = {0};

    append_shown_path(&shown, follower);
    frame_append_problem(&message, buffer_bytes(&shown), "end", status, text);
    if (!shown.failed && !message.failed)
        follower->told(follower->owner, buffer_bytes(&message));
    buffer_fini(&shown);
    buffer_fini(&message);
}

void follower_send(struct watcher *watcher, struct event *event)
{
    struct live_follower *follower = follower_of(watcher);
    struct buffer message = {0};

    if (follower->is_gone)
        return;
    frame_append_event(&message, event, path_of(follower));
    if (!message.failed)
        follower->told(follower->owner, buffer_bytes(&message));
    buffer_fini(&message);
}

/* From what there is now on. */
static void begin_to_tell(struct watcher *watcher)
{
    route_release(watcher->route);
    watcher->route = NULL;
    watcher->has_begun = true;
    topic_skip(watcher);
}

static void deliver(struct live_follower *follower)
{
    follower->is_telling = true;
    watcher_deliver(&follower->watcher);
    follower->is_telling = false;
    if (follower->is_gone)
        live_unfollow(follower);
}

void follower_look(struct watcher *watcher, const struct standing *standing)
{
    struct live_follower *follower = follower_of(watcher);

    switch (standing->stage) {
    case TOPIC_ASKING: return;
    case TOPIC_ENDED:
        stop_watching(follower);
        tell_end(follower, standing->refusal_status, standing->refusal);
        return;
    case TOPIC_KNOWN:
        if (!watcher->has_begun)
            begin_to_tell(watcher);
        deliver(follower);
        return;
    }
    UNREACHABLE();
}

/* ---- following ----------------------------------------------------------------------------------- */

static struct http_request request_for(struct bytes path)
{
    const char *query = path.size > 0 ? memchr(path.data, '?', path.size) : NULL;
    struct http_request request = {.method = HTTP_METHOD_GET,
                                   .method_name = BYTES("GET"),
                                   .authority = BYTES("localhost"),
                                   .path = path,
                                   .minor_version = 1};

    if (query != NULL) {
        request.path = bytes_first(path, (size_t)(query - path.data));
        request.query = bytes_after(path, request.path.size + 1);
        request.has_query = true;
    }
    return request;
}

bool live_may_follow(const struct live_worker *worker, struct bytes path)
{
    struct http_request request = request_for(path);

    return !worker->is_stopping && path.size > 0 && path.data[0] == '/' &&
           live_route(worker, &request) != NULL;
}

/* In a turn to come: not before who follows knows that it does. */
static void say_refusal(struct task *task)
{
    struct live_follower *follower = CONTAINER_OF(task, struct live_follower, task);

    atomic_fetch_sub(&follower->worker->call_count, 1);
    follower->is_posted = false;
    if (follower->is_gone)
        live_unfollow(follower);
    else
        tell_end(follower, follower->refusal_status, follower->refusal);
}

static void refuse(struct live_follower *follower, int status, const char *text)
{
    follower->refusal_status = status;
    follower->refusal = text;
    follower->is_posted = true;
    atomic_fetch_add(&follower->worker->call_count, 1);
    loop_post(follower->worker->loop, &follower->task);
}

static void begin(struct live_follower *follower)
{
    struct live_worker *worker = follower->worker;
    struct http_request request = request_for(path_of(follower));
    const struct route *route = live_route(worker, &request);
    struct standing standing;
    struct cache_key key;
    enum err err;

    if (!utf8_is_whole(path_of(follower))) {
        refuse(follower, 400, "a path is UTF-8: percent-encode what is not");
        return;
    }
    if (route == NULL) {
        refuse(follower, 404, "nothing can be watched there");
        return;
    }
    if (!live_find_key(worker, route, &request, &key)) {
        refuse(follower, 400, "this URL cannot be watched: it is too long, or not plain");
        return;
    }
    follower->watcher.route = route_hold(route);
    err = topic_join(worker, &follower->watcher, &request, &key);
    if (err != OK) {
        route_release(route);
        follower->watcher.route = NULL;
        refuse(follower, 503,
               err == ERR_FULL
                   ? "as much is watched as may be at a time (live-topics-max, live-watchers-max)"
                   : "out of memory");
        return;
    }
    follower->is_watching = true;
    counters_add(worker->counters, METRIC_live_watchers, 1);
    live_attend(worker);
    standing = topic_standing(&follower->watcher);
    if (standing.stage == TOPIC_KNOWN) /* else its part is called, when that is so or it has ended; and so
                                        * it is for what another worker makes known meanwhile */
        begin_to_tell(&follower->watcher);
}

struct live_follower *live_follow(struct live_worker *worker, struct bytes path,
                                  void (*told)(void *owner, struct bytes message), void *owner)
{
    struct live_follower *follower = malloc(sizeof *follower + path.size);

    if (follower == NULL)
        return NULL;
    *follower = (struct live_follower){.watcher = {.way = LIVE_FOLLOW},
                                       .worker = worker,
                                       .task = {.run = say_refusal},
                                       .told = told,
                                       .owner = owner,
                                       .path_size = path.size};
    memcpy(follower->path, path.data, path.size);
    list_init(&follower->watcher.in_part);
    list_init(&follower->watcher.in_worker);
    list_init(&follower->in_worker);
    list_append(&worker->followers, &follower->in_worker);
    begin(follower);
    return follower;
}

void live_unfollow(struct live_follower *follower)
{
    follower->is_gone = true;
    if (follower->is_telling)
        return;
    stop_watching(follower);
    if (follower->is_posted) /* its task is still to run, and does the rest */
        return;
    list_remove(&follower->in_worker);
    free(follower);
}

void followers_end(struct live_worker *worker)
{
    for (struct list *node = worker->followers.next; node != &worker->followers; node = node->next)
        stop_watching(CONTAINER_OF(node, struct live_follower, in_worker));
}

void followers_forget(struct live_worker *worker)
{
    for (struct list *node = worker->followers.next, *next; node != &worker->followers; node = next) {
        struct live_follower *follower = CONTAINER_OF(node, struct live_follower, in_worker);
        next = node->next;
        follower->is_posted = false; /* its task will not run */
        list_remove(node);
        if (follower->is_gone)
            live_unfollow(follower);
    }
}
