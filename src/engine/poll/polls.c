#include "polls.h"
#include "base/compiler.h"
#include "base/hash.h"
#include "base/hash_table.h"
#include "base/random_source.h"
#include "engine/gateway/inquiry.h"
#include "engine/gateway/routing/edited_request.h"
#include "message/http.h"
#include "poll_pace.h"
#include <pthread.h>
#include <stdlib.h>

enum {
    POLL_MS = 120000,              /* an answer comes within this, or has failed */
    POLL_BODY_BYTES_MAX = 4 << 20, /* of a larger one it is not known whether it has changed */
    FIRST_WITHIN_MS = 5000,        /* what begins together is spread over so long */
};

/* One resource. */
struct poll {
    struct hash_node in_table;
    struct list in_list;
    struct polls *polls;
    struct http_request *request;
    struct buffer identity; /* its target, and the fields that go along */
    size_t url_bytes;       /* of it: the target */
    struct timer timer;
    struct inquiry *inquiry;
    struct poll_pace pace;
    int64_t begun_ms;
    uint64_t body_number, body_hash;
    bool has_body;              /* the last two are of one */
    struct poll_report figures; /* under the lock of `polls`; but for due_ms */
    int64_t due_mono_ms;        /* likewise */
};

struct polls {
    struct gateway_worker *gateway;
    struct loop *loop;
    struct counters *counters;
    struct random_source random;
    uint64_t seed;
    bool is_stopping;
    struct task follow; /* takes up what is `wanted` */
    pthread_mutex_t lock;
    /* Under the lock; the list and the table are changed by the worker alone. */
    struct list polls;
    struct hash_table table;
    struct list wanted;
    bool is_posted;
};

/* ---- one resource: its life ---------------------------------------------------------------------- */

static void poll_free(struct poll *poll)
{
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

static void on_due(struct timer *timer);

/* Null if there is no memory. */
static struct poll *poll_create(struct polls *polls, const struct poll_spec *spec, size_t index)
{
    struct poll *poll = calloc(1, sizeof *poll);
    struct poll_target target;

    if (poll == NULL)
        return NULL;
    poll->polls = polls;
    timer_init(&poll->timer, on_due);
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

/* ---- asking -------------------------------------------------------------------------------------- */

static void wait_for_next(struct poll *poll, int64_t due_mono_ms)
{
    int64_t now_mono_ms = loop_now(poll->polls->loop).mono_ms;

    if (due_mono_ms <= now_mono_ms)
        due_mono_ms = now_mono_ms + 1;
    pthread_mutex_lock(&poll->polls->lock);
    poll->due_mono_ms = due_mono_ms;
    poll->figures.interval_ms = poll->pace.interval_ms;
    pthread_mutex_unlock(&poll->polls->lock);
    timer_set(poll->polls->loop, &poll->timer, due_mono_ms);
}

static void count(struct poll *poll, uint64_t *figure, enum metric metric, int status)
{
    pthread_mutex_lock(&poll->polls->lock);
    ++*figure;
    if (figure != &poll->figures.seen)
        poll->figures.polls++;
    if (status != 0)
        poll->figures.status = status;
    pthread_mutex_unlock(&poll->polls->lock);
    counters_add(poll->polls->counters, metric, 1);
    if (figure != &poll->figures.seen)
        counters_add(poll->polls->counters, METRIC_poll_polls, 1);
}

/* Whether the answer has another body than the one before; it is noted. The first is no change. */
static bool has_changed(struct poll *poll, const struct inquiry_answer *answer)
{
    uint64_t number = answer->terms->body_number;
    uint64_t hash = hash_bytes(buffer_bytes(answer->body), poll->polls->seed);
    bool is_same =
        poll->has_body && ((number != 0 && number == poll->body_number) || hash == poll->body_hash);
    bool is_first = !poll->has_body;

    poll->body_number = number;
    poll->body_hash = hash;
    poll->has_body = true;
    return !is_same && !is_first;
}

/* An answer that a client would be content with, be it that there is nothing. */
static bool is_good(const struct inquiry_answer *answer)
{
    return answer->err == ERR_TOO_LARGE ||
           (answer->err == OK && answer->terms->is_told && !answer->terms->is_stale &&
            answer->status < 500 && answer->status != 429);
}

static void on_answer(void *owner, const struct inquiry_answer *answer)
{
    struct poll *poll = owner;
    struct polls *polls = poll->polls;
    struct now now = loop_now(polls->loop);
    struct poll_said said = {.fresh_ms = -1};
    enum poll_outcome outcome = POLL_FAILED;
    double random = random_unit(&polls->random);

    poll->inquiry = NULL;
    poll_said_read(&said, answer->fields, now.wall_ms);
    if (!is_good(answer)) {
        count(poll, &poll->figures.failures, METRIC_poll_failures, answer->status);
    } else if (answer->err == OK && answer->terms->confirmed_ago_ms > now.mono_ms - poll->begun_ms) {
        /* Somebody else was first. */
        outcome = has_changed(poll, answer) ? POLL_CHANGED : POLL_UNCHANGED;
        count(poll, &poll->figures.seen, METRIC_poll_seen, answer->status);
        wait_for_next(poll, now.mono_ms + poll_pace_follow(&poll->pace, outcome,
                                                           answer->terms->confirmed_ago_ms, random));
        return;
    } else {
        outcome = answer->err == OK && has_changed(poll, answer) ? POLL_CHANGED : POLL_UNCHANGED;
        if (answer->err == OK)
            said.fresh_ms = answer->terms->fresh_ms;
        count(poll, outcome == POLL_CHANGED ? &poll->figures.changes : &poll->figures.unchanged,
              outcome == POLL_CHANGED ? METRIC_poll_changes : METRIC_poll_unchanged, answer->status);
    }
    wait_for_next(poll, poll->begun_ms + poll_pace_next(&poll->pace, outcome, &said, random));
}

static void on_due(struct timer *timer)
{
    struct poll *poll = CONTAINER_OF(timer, struct poll, timer);
    struct polls *polls = poll->polls;

    poll->begun_ms = loop_now(polls->loop).mono_ms;
    poll->inquiry = inquiry_begin(polls->gateway,
                                  &(struct inquiry_order){.request = poll->request,
                                                          .urgency = URGENCY_REVALIDATION,
                                                          .confirmed_within_ms = poll->pace.interval_ms / 2,
                                                          .body_bytes_max = POLL_BODY_BYTES_MAX,
                                                          .timeout_ms = POLL_MS,
                                                          .done = on_answer,
                                                          .owner = poll});
    if (poll->inquiry == NULL)
        wait_for_next(poll, poll->begun_ms + poll->pace.interval_ms);
}

static void rest(struct poll *poll)
{
    timer_cancel(poll->polls->loop, &poll->timer);
    if (poll->inquiry != NULL)
        inquiry_cancel(poll->inquiry);
    poll->inquiry = NULL;
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
    if (is_other && poll->inquiry == NULL && poll->due_mono_ms > due_ms)
        wait_for_next(poll, due_ms);
}

static void begin(struct poll *poll)
{
    struct polls *polls = poll->polls;
    int64_t within_ms = poll->pace.interval_ms < FIRST_WITHIN_MS ? poll->pace.interval_ms : FIRST_WITHIN_MS;

    wait_for_next(poll, loop_now(polls->loop).mono_ms + random_between(&polls->random, 1, within_ms));
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

    rest(poll);
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
            begin(poll);
        }
    }
    for (struct list *node = before.next, *next; node != &before; node = next) {
        next = node->next;
        take_out(CONTAINER_OF(node, struct poll, in_list));
    }
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
        rest(CONTAINER_OF(node, struct poll, in_list));
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
