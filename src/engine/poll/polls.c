#include "base/compiler.h"
#include "base/hash.h"
#include "engine/gateway/routing/edited_request.h"
#include "message/http.h"
#include "poll_state.h"
#include <stdlib.h>

/* ---- one resource: its life ---------------------------------------------------------------------- */

static void poll_free(struct poll *poll)
{
    fleet_turn_fini(&poll->turn);
    free(poll->request);
    buffer_fini(&poll->identity);
    free(poll);
}

static void free_list(struct list *list)
{
    for (struct list *node = list->next, *next; node != list; node = next) {
        next = node->next;
        poll_free(CONTAINER_OF(node, struct poll, in_list));
    }
    list_init(list);
}

static struct http_request *request_of(const struct poll_target *target, const struct poll_spec *spec)
{
    struct http_request request = {.method = HTTP_METHOD_GET,
                                   .method_name = BYTES("GET"),
                                   .authority = target->authority,
                                   .path = target->path,
                                   .query = target->query,
                                   .has_query = target->has_query,
                                   .minor_version = 1,
                                   .body_bytes = HTTP_BODY_NONE};
    struct http_request *copy;

    request.fields.list = calloc(spec->field_count + 1, sizeof *request.fields.list);
    if (request.fields.list == NULL)
        return NULL;
    for (size_t i = 0; i < spec->field_count; i++) {
        struct bytes name = bytes_of_text(spec->fields[i].name);
        request.fields.list[request.fields.count++] =
            (struct http_field){http_header_find(name), name, bytes_of_text(spec->fields[i].value)};
    }
    copy = http_request_copy(&request);
    free(request.fields.list);
    return copy;
}

/* Null if there is no memory. */
static struct poll *poll_create(struct polls *polls, const struct poll_spec *spec, size_t index)
{
    struct poll *poll = calloc(1, sizeof *poll);
    struct poll_target target;

    if (poll == NULL)
        return NULL;
    poll_init(poll, polls);
    if (poll_target_init(&target, spec, index)) {
        poll->request = request_of(&target, spec);
        buffer_append(&poll->identity, buffer_bytes(&target.text));
        poll->url_bytes = poll->identity.size;
        for (size_t i = 0; i < spec->field_count; i++)
            buffer_append_format(&poll->identity, "\n%s:%s", spec->fields[i].name, spec->fields[i].value);
        poll_pace_bound(&poll->pace, spec->interval_ms_min, spec->interval_ms_max);
        poll->figures.interval_ms = poll->pace.interval_ms;
    }
    poll_target_fini(&target);
    if (poll->request == NULL || poll->identity.failed) {
        poll_free(poll);
        return NULL;
    }
    return poll;
}

/* ---- which there are ----------------------------------------------------------------------------- */

static uint64_t hash_of(const struct poll *poll)
{
    return hash_bytes(buffer_bytes(&poll->identity), poll->polls->seed);
}

static struct poll *find(const struct hash_table *table, const struct poll *like)
{
    for (struct hash_node *node = hash_table_first(table, hash_of(like)); node != NULL;
         node = hash_table_next(node)) {
        struct poll *poll = CONTAINER_OF(node, struct poll, in_table);
        if (bytes_equal(buffer_bytes(&poll->identity), buffer_bytes(&like->identity)))
            return poll;
    }
    return NULL;
}

/* One that goes on has new bounds. */
static void go_on(struct poll *poll, const struct poll *like)
{
    bool is_other = poll->pace.interval_ms_min != like->pace.interval_ms_min ||
                    poll->pace.interval_ms_max != like->pace.interval_ms_max;
    int64_t due_ms = loop_now(poll->polls->loop).mono_ms + like->pace.interval_ms_max;

    poll_pace_bound(&poll->pace, like->pace.interval_ms_min, like->pace.interval_ms_max);
    if (!is_other || poll->stage != POLL_SLEEPS || poll->due_mono_ms <= due_ms)
        return;
    poll->wait_ms = like->pace.interval_ms_max;
    poll_wait(poll, due_ms);
}

/* Puts it among those that there are; false if there is no memory. */
static bool enter(struct poll *poll)
{
    struct polls *polls = poll->polls;
    bool is_in;

    pthread_mutex_lock(&polls->lock);
    is_in = hash_table_insert(&polls->table, &poll->in_table, hash_of(poll));
    if (is_in)
        list_append(&polls->polls, &poll->in_list);
    pthread_mutex_unlock(&polls->lock);
    return is_in;
}

static void take_out(struct poll *poll)
{
    struct polls *polls = poll->polls;

    poll_rest(poll);
    pthread_mutex_lock(&polls->lock);
    hash_table_remove(&polls->table, &poll->in_table);
    list_remove(&poll->in_list);
    pthread_mutex_unlock(&polls->lock);
    poll_free(poll);
}

static void take_up(struct task *task)
{
    struct polls *polls = CONTAINER_OF(task, struct polls, follow);
    struct list wanted, before;

    list_init(&wanted);
    list_init(&before);
    pthread_mutex_lock(&polls->lock);
    polls->is_posted = false;
    list_move_all(&wanted, &polls->wanted);
    list_move_all(&before, &polls->polls);
    pthread_mutex_unlock(&polls->lock);
    polls->is_choosing = true;
    for (struct list *node = wanted.next, *next; node != &wanted; node = next) {
        struct poll *poll = CONTAINER_OF(node, struct poll, in_list);
        struct poll *same = find(&polls->table, poll);
        next = node->next;
        list_remove(&poll->in_list);
        if (same != NULL) {
            pthread_mutex_lock(&polls->lock);
            list_remove(&same->in_list);
            list_append(&polls->polls, &same->in_list);
            pthread_mutex_unlock(&polls->lock);
            if (!polls->is_stopping)
                go_on(same, poll);
            poll_free(poll);
        } else if (polls->is_stopping || !enter(poll)) {
            poll_free(poll);
        } else {
            poll_begin(poll);
        }
    }
    for (struct list *node = before.next, *next; node != &before; node = next) {
        next = node->next;
        take_out(CONTAINER_OF(node, struct poll, in_list));
    }
    polls->is_choosing = false;
    polls_run_lanes(polls);
}

enum err polls_follow(struct polls *polls, const struct poll_spec *specs, size_t count)
{
    struct list wanted, superseded;
    size_t resource_count = 0;
    bool posts;

    list_init(&wanted);
    list_init(&superseded);
    for (size_t i = 0; i < count; i++)
        resource_count += poll_spec_count(&specs[i]);
    if (resource_count > POLL_RESOURCES_MAX)
        return ERR_FULL;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < poll_spec_count(&specs[i]); j++) {
            struct poll *poll = poll_create(polls, &specs[i], j);
            if (poll == NULL) {
                free_list(&wanted);
                return ERR_NO_MEMORY;
            }
            list_append(&wanted, &poll->in_list);
        }
    pthread_mutex_lock(&polls->lock);
    list_move_all(&superseded, &polls->wanted);
    list_move_all(&polls->wanted, &wanted);
    posts = !polls->is_posted;
    polls->is_posted = true;
    pthread_mutex_unlock(&polls->lock);
    free_list(&superseded);
    if (posts)
        loop_post(polls->loop, &polls->follow);
    return OK;
}

/* ---- from begin to end --------------------------------------------------------------------------- */

enum err polls_create(struct gateway_worker *gateway, struct loop *loop, struct counters *counters,
                      struct polls **result)
{
    struct polls *polls = calloc(1, sizeof *polls);

    if (polls == NULL)
        return ERR_NO_MEMORY;
    polls->gateway = gateway;
    polls->loop = loop;
    polls->counters = counters;
    polls->seed = hash_seed_random();
    polls->random = random_source_of(hash_seed_random(), 0, 0);
    polls->follow.run = take_up;
    for (size_t i = 0; i < POLL_LANES; i++)
        list_init(&polls->lanes[i].waiting);
    pthread_mutex_init(&polls->lock, NULL);
    list_init(&polls->polls);
    list_init(&polls->wanted);
    *result = polls;
    return OK;
}

void polls_stop(struct polls *polls)
{
    polls->is_stopping = true;
    for (struct list *node = polls->polls.next; node != &polls->polls; node = node->next)
        poll_rest(CONTAINER_OF(node, struct poll, in_list));
}

void polls_destroy(struct polls *polls)
{
    polls_stop(polls);
    for (struct list *node = polls->polls.next, *next; node != &polls->polls; node = next) {
        next = node->next;
        take_out(CONTAINER_OF(node, struct poll, in_list));
    }
    free_list(&polls->wanted);
    pthread_mutex_destroy(&polls->lock);
    free(polls);
}

void polls_report(struct polls *polls, int64_t now_mono_ms,
                  void (*tell)(void *context, const struct poll_report *report), void *context)
{
    pthread_mutex_lock(&polls->lock);
    for (struct list *node = polls->polls.next; node != &polls->polls; node = node->next) {
        const struct poll *poll = CONTAINER_OF(node, struct poll, in_list);
        struct poll_report report = poll->figures;
        report.url = bytes_first(buffer_bytes(&poll->identity), poll->url_bytes);
        report.due_ms = poll->due_mono_ms > now_mono_ms ? poll->due_mono_ms - now_mono_ms : 0;
        tell(context, &report);
    }
    pthread_mutex_unlock(&polls->lock);
}
