/* topic.c — what is watched: found or made, joined and left, its ring. */
#include "base/hash.h"
#include "engine/gateway/policy/route_list.h"
#include "engine/gateway/policy/validate.h"
#include "engine/gateway/routing/part_request.h"
#include "frame.h"
#include "live_state.h"
#include <assert.h>
#include <stdlib.h>

/* ---- what is asked for --------------------------------------------------------------------------- */

static bool is_listed(struct bytes list, struct bytes name)
{
    struct bytes item;

    while (http_list_next(&list, &item))
        if (bytes_equal_nocase(item, name))
            return true;
    return false;
}

/* Whether the topic's own requests have the field, as some of those who watch have it: what the route, or
 * the key, is chosen by. Others are taken for what makes no difference. */
static bool is_taken_along(const struct route *route, const struct http_field *field)
{
    const struct match_spec *match = &route->match.own;

    for (size_t i = 0; i < match->field_count; i++)
        if (bytes_equal_nocase(bytes_of_text(match->fields[i].name), field->name))
            return true;
    if (field->header == HTTP_HEADER_COOKIE)
        return route->policy.key_cookies != NULL;
    return bytes_equal_nocase(field->name, BYTES("Accept-Language")) ||
           is_listed(route_items(route->policy.key_headers), field->name);
}

/* The same of a composed route: its parts have it. What a stream's request says of its own answer, such as
 * that it is one of events and nobody keeps it, or of itself alone, is not about them. */
static bool is_for_parts(const struct composition *composition, const struct http_fields *fields,
                         const struct http_field *field)
{
    switch (field->header) { /* the default: as of any other request */
    case HTTP_HEADER_ACCEPT:
    case HTTP_HEADER_CACHE_CONTROL:
    case HTTP_HEADER_PRAGMA:
    case HTTP_HEADER_X_REQUEST_ID: return false;
    default: return part_has_field(composition, fields, field);
    }
}

/* The request of the topic, and its key; null if there is no memory. */
static struct http_request *request_of(const struct route *route, const struct http_request *asked,
                                       const struct cache_key *primary, struct buffer *key)
{
    struct http_request request = {.method = HTTP_METHOD_GET,
                                   .method_name = BYTES("GET"),
                                   .authority = asked->authority,
                                   .path = asked->path,
                                   .query = asked->query,
                                   .has_query = asked->has_query,
                                   .minor_version = 1};
    const struct composition *composition = plan_composition(route->plan, asked);
    struct http_field *list = calloc(asked->fields.count + 1, sizeof *list);
    struct http_request *copy = NULL;

    if (list == NULL)
        return NULL;
    request.fields.list = list;
    buffer_append(key, cache_key_primary(primary));
    buffer_append_literal(key, "\n");
    buffer_append(key, asked->authority); /* by which routes may be chosen */
    for (size_t i = 0; i < asked->fields.count; i++) {
        const struct http_field *field = &asked->fields.list[i];
        if (composition != NULL ? !is_for_parts(composition, &asked->fields, field)
                                : !is_taken_along(route, field))
            continue;
        list[request.fields.count++] = *field;
        buffer_append_literal(key, "\n");
        buffer_append(key, field->name);
        buffer_append_literal(key, ":");
        buffer_append(key, field->value);
    }
    if (!key->failed)
        copy = http_request_copy(&request);
    free(list);
    return copy;
}

/* ---- life ---------------------------------------------------------------------------------------- */

static void drop_slot(struct slot *slot)
{
    event_release(slot->event);
    event_release(slot->patch);
    *slot = (struct slot){0};
}

static void destroy(struct topic *topic)
{
    for (size_t i = 0; i < topic->ring_capacity; i++)
        drop_slot(&topic->ring[i]);
    drop_slot(&topic->state);
    free(topic->ring);
    free(topic->request);
    buffer_fini(&topic->key);
    buffer_fini(&topic->path);
    buffer_fini(&topic->fields);
    buffer_fini(&topic->body);
    pthread_mutex_destroy(&topic->lock);
    free(topic);
}

void topic_unhold(struct topic *topic)
{
    if (atomic_fetch_sub_explicit(&topic->reference_count, 1, memory_order_acq_rel) == 1)
        destroy(topic);
}

/* Makes one and puts it into the table, under the live lock; takes `key` over. Null if there is no memory.
 */
static struct topic *create(struct live_worker *worker, const struct route *route,
                            const struct http_request *request, struct buffer *key, uint64_t hash)
{
    struct topic *topic = calloc(1, sizeof *topic);

    if (topic == NULL)
        return NULL;
    pthread_mutex_init(&topic->lock, NULL);
    atomic_init(&topic->reference_count, 1);
    topic->live = worker->live;
    topic->keeper = worker;
    topic->epoch = hash_seed_random();
    topic->call.run = topic_attend;
    list_init(&topic->parts);
    list_init(&topic->in_keeper);
    timer_init(&topic->timer, topic_tick);
    topic->key = *key;
    *key = (struct buffer){0};
    topic->ring_capacity = (size_t)route->policy.live_ring_count;
    topic->ring = calloc(topic->ring_capacity, sizeof *topic->ring);
    topic->request = http_request_copy(request);
    buffer_append(&topic->path, request->path);
    if (request->has_query) {
        buffer_append_literal(&topic->path, "?");
        buffer_append(&topic->path, request->query);
    }
    if (topic->ring == NULL || topic->request == NULL || topic->path.failed) {
        if (topic->ring == NULL)
            topic->ring_capacity = 0;
        destroy(topic);
        return NULL;
    }
    if (!hash_table_insert(&worker->live->topics, &topic->in_table, hash)) {
        destroy(topic);
        return NULL;
    }
    list_append(&worker->kept, &topic->in_keeper);
    return topic;
}

/* One that nobody has joined; under the live lock. */
static void uncreate(struct topic *topic)
{
    hash_table_remove(&topic->live->topics, &topic->in_table);
    list_remove(&topic->in_keeper);
    topic_unhold(topic);
}

/* ---- joining ------------------------------------------------------------------------------------- */

/* Under the live lock. */
static struct topic *find(struct live *live, uint64_t hash, struct bytes key)
{
    for (struct hash_node *node = hash_table_first(&live->topics, hash); node != NULL;
         node = hash_table_next(node)) {
        struct topic *topic = CONTAINER_OF(node, struct topic, in_table);
        if (bytes_equal(buffer_bytes(&topic->key), key))
            return topic;
    }
    return NULL;
}

/* Under the lock. */
static void call_keeper(struct topic *topic)
{
    if (topic->is_called || topic->stage == TOPIC_ENDED)
        return;
    topic->is_called = true;
    atomic_fetch_add(&topic->keeper->call_count, 1);
    atomic_fetch_add(&topic->reference_count, 1);
    loop_post(topic->keeper->loop, &topic->call);
}

/* The worker's part of the topic, made if need be; under the lock. Null if there is no memory. */
static struct topic_part *part_for(struct topic *topic, struct live_worker *worker)
{
    struct topic_part *part;

    for (struct list *node = topic->parts.next; node != &topic->parts; node = node->next) {
        part = CONTAINER_OF(node, struct topic_part, in_topic);
        if (part->worker == worker)
            return part;
    }
    part = calloc(1, sizeof *part);
    if (part == NULL)
        return NULL;
    part->topic = topic;
    atomic_fetch_add(&topic->reference_count, 1);
    part->worker = worker;
    part->task.run = part_run;
    list_init(&part->watchers);
    part->next = &part->watchers;
    list_append(&topic->parts, &part->in_topic);
    list_append(&worker->parts, &part->in_worker);
    return part;
}

/* What is kept is framed, too, from now on: at most twice as many bytes, which is how they are counted. */
static void count_frames(struct topic *topic)
{
    topic->has_sockets = true;
    topic->ring_bytes *= 2;
    for (size_t i = 0; i < topic->ring_capacity; i++)
        topic->ring[i].bytes *= 2;
}

/* Under both locks. */
static enum err join(struct topic *topic, struct live_worker *worker, struct watcher *watcher)
{
    struct topic_part *part;

    if (topic->watcher_count >= (size_t)watcher->route->policy.live_watchers_max)
        return ERR_FULL;
    part = part_for(topic, worker);
    if (part == NULL)
        return ERR_NO_MEMORY;
    watcher->part = part;
    list_append(&part->watchers, &watcher->in_part);
    topic->wants_patches |= watcher->wants_patches;
    if (watcher->way == LIVE_SOCKET && !topic->has_sockets)
        count_frames(topic);
    if (topic->watcher_count++ == 0)
        call_keeper(topic);
    return OK;
}

enum err topic_join(struct live_worker *worker, struct watcher *watcher, const struct http_request *request,
                    const struct cache_key *primary)
{
    struct live *live = worker->live;
    struct buffer key = {0};
    struct http_request *own = request_of(watcher->route, request, primary, &key);
    uint64_t hash = hash_bytes(buffer_bytes(&key), live->seed);
    struct topic *topic;
    bool is_new;
    enum err err = ERR_NO_MEMORY;

    if (own == NULL)
        goto done;
    pthread_mutex_lock(&live->lock);
    topic = find(live, hash, buffer_bytes(&key));
    is_new = topic == NULL;
    if (is_new && live->topics.node_count >= (size_t)watcher->route->policy.live_topics_max)
        err = ERR_FULL;
    else if (is_new)
        topic = create(worker, watcher->route, own, &key, hash);
    if (topic != NULL) {
        pthread_mutex_lock(&topic->lock);
        err = join(topic, worker, watcher);
        pthread_mutex_unlock(&topic->lock);
        if (is_new && err != OK)
            uncreate(topic);
    }
    pthread_mutex_unlock(&live->lock);

done:
    free(own);
    buffer_fini(&key);
    return err;
}

/* The part goes with its last watcher, unless it is still to run. On its worker's thread. */
static void drop_part_if_done(struct topic_part *part)
{
    struct topic *topic = part->topic;
    bool is_done;

    pthread_mutex_lock(&topic->lock);
    is_done = list_is_empty(&part->watchers) && !part->is_posted;
    if (is_done)
        list_remove(&part->in_topic);
    pthread_mutex_unlock(&topic->lock);
    if (!is_done)
        return;
    list_remove(&part->in_worker);
    free(part);
    topic_unhold(topic);
}

void topic_leave(struct watcher *watcher)
{
    struct topic_part *part = watcher->part;
    struct topic *topic = part->topic;

    if (part->next == &watcher->in_part)
        part->next = watcher->in_part.next;
    list_remove(&watcher->in_part);
    watcher->part = NULL;
    pthread_mutex_lock(&topic->lock);
    if (--topic->watcher_count == 0)
        call_keeper(topic);
    pthread_mutex_unlock(&topic->lock);
    if (!part->is_running)
        drop_part_if_done(part);
}

void topic_skip(struct watcher *watcher)
{
    struct topic *topic = watcher->part->topic;

    pthread_mutex_lock(&topic->lock);
    watcher->number = topic->number;
    watcher->wants_state = false;
    pthread_mutex_unlock(&topic->lock);
}

void part_run(struct task *task)
{
    struct topic_part *part = CONTAINER_OF(task, struct topic_part, task);
    struct topic *topic = part->topic;

    pthread_mutex_lock(&topic->lock);
    part->is_posted = false;
    if (part->next == &part->watchers && part->has_news) {
        part->has_news = false;
        part->next = part->watchers.next;
    }
    pthread_mutex_unlock(&topic->lock);
    part->is_running = true;
    for (size_t i = 0; i < BATCH && part->next != &part->watchers; i++) {
        struct watcher *watcher = CONTAINER_OF(part->next, struct watcher, in_part);
        part->next = part->next->next;
        watcher_look(watcher);
    }
    part->is_running = false;
    pthread_mutex_lock(&topic->lock);
    if ((part->next != &part->watchers || (part->has_news && !list_is_empty(&part->watchers))) &&
        !part->is_posted) {
        part->is_posted = true;
        loop_post(part->worker->loop, &part->task);
    }
    pthread_mutex_unlock(&topic->lock);
    drop_part_if_done(part);
}

/* ---- the ring ------------------------------------------------------------------------------------ */

static struct slot *slot_of(struct topic *topic, uint64_t number)
{
    return &topic->ring[(number - 1) % topic->ring_capacity];
}

static size_t bytes_of_both(const struct event *event, const struct event *patch)
{
    return event->size + (patch != NULL ? patch->size : 0);
}

static void drop_oldest(struct topic *topic)
{
    struct slot *oldest = slot_of(topic, topic->number - topic->ring_count + 1);

    topic->ring_bytes -= oldest->bytes;
    topic->ring_count--;
    drop_slot(oldest);
}

void topic_call_parts(struct topic *topic)
{
    for (struct list *node = topic->parts.next; node != &topic->parts; node = node->next) {
        struct topic_part *part = CONTAINER_OF(node, struct topic_part, in_topic);
        part->has_news = true;
        if (part->is_posted)
            continue;
        part->is_posted = true;
        loop_post(part->worker->loop, &part->task);
    }
}

void topic_publish(struct topic *topic, struct event *event, struct event *patch, bool is_state)
{
    struct slot *slot;

    if (topic->ring_count == topic->ring_capacity)
        drop_oldest(topic);
    slot = slot_of(topic, ++topic->number);
    *slot = (struct slot){topic->number, event, patch,
                          bytes_of_both(event, patch) * (topic->has_sockets ? 2 : 1)};
    topic->ring_count++;
    topic->ring_bytes += slot->bytes;
    if (is_state) {
        drop_slot(&topic->state);
        topic->state = (struct slot){topic->number, event_hold(event), NULL, 0};
    }
    topic_call_parts(topic);
}

void topic_trim(struct topic *topic, size_t bytes_max)
{
    while (topic->ring_count > 1 && topic->ring_bytes > bytes_max)
        drop_oldest(topic);
}

/* Under the lock. */
static struct event *next(struct topic *topic, struct watcher *watcher, bool *is_state)
{
    uint64_t oldest = topic->number - topic->ring_count + 1;
    struct slot *slot;

    if (watcher->number + 1 < oldest || (watcher->due_ms != 0 && watcher->number + 1 < topic->number))
        watcher->wants_state = true; /* what it lacks is gone, or it is too slow for it */
    if (watcher->wants_state) {
        watcher->wants_state = false;
        if (topic->state.event != NULL && topic->state.number > watcher->number) {
            watcher->number = topic->state.number; /* it may be older than the ring */
            *is_state = true;
            return event_hold(topic->state.event);
        }
        if (watcher->number < oldest - 1)
            watcher->number = oldest - 1;
    }
    if (watcher->number == topic->number)
        return NULL;
    slot = slot_of(topic, ++watcher->number);
    return event_hold(watcher->wants_patches && slot->patch != NULL ? slot->patch : slot->event);
}

struct event *topic_next(struct watcher *watcher, bool *is_state)
{
    struct topic *topic = watcher->part->topic;
    struct event *event;

    *is_state = false;
    pthread_mutex_lock(&topic->lock);
    event = next(topic, watcher, is_state);
    pthread_mutex_unlock(&topic->lock);
    return event;
}

struct event *topic_frame(struct topic *topic, struct event *event)
{
    struct event *frame;

    pthread_mutex_lock(&topic->lock);
    if (event->frame == NULL)
        event->frame = frame_create(event, buffer_bytes(&topic->path));
    frame = event->frame != NULL ? event_hold(event->frame) : NULL;
    pthread_mutex_unlock(&topic->lock);
    return frame;
}

bool topic_resume(struct watcher *watcher)
{
    struct topic *topic = watcher->part->topic;

    pthread_mutex_lock(&topic->lock);
    watcher->wants_state = watcher->epoch != topic->epoch || watcher->number > topic->number ||
                           watcher->number + 1 < topic->number - topic->ring_count + 1;
    if (watcher->wants_state)
        watcher->number = 0;
    pthread_mutex_unlock(&topic->lock);
    return !watcher->wants_state;
}

struct standing topic_standing(struct watcher *watcher)
{
    struct topic *topic = watcher->part->topic;
    struct standing standing;

    pthread_mutex_lock(&topic->lock);
    standing = (struct standing){.stage = topic->stage,
                                 .refusal_status = topic->refusal_status,
                                 .refusal = topic->refusal,
                                 .has_news = watcher->wants_state || watcher->number != topic->number,
                                 .has_state = topic->state.event != NULL};
    if (watcher->way == LIVE_WAIT && standing.has_state)
        standing.client_has_it = client_has_it(&watcher->x->request->fields, buffer_bytes(&topic->fields),
                                               loop_now(watcher->part->worker->loop).wall_ms);
    pthread_mutex_unlock(&topic->lock);
    return standing;
}
