/* topic_keep.c — what the keeper of a topic does: it asks for the resource, judges what comes, and sleeps
 * when nobody watches. */
#include "base/utf8.h"
#include "engine/gateway/policy/validate.h"
#include "engine/gateway/quota/rate_time.h"
#include "live_state.h"
#include "message/problem.h"

enum { LOOK_WITHIN_MS = 10000 /* what others have brought so lately needs no confirmation */ };

static int64_t now_of(const struct topic *topic) { return loop_now(topic->keeper->loop).mono_ms; }

/* As the newest plan has it: null if the resource cannot be watched any more. */
static const struct route_policy *policy_of(const struct topic *topic)
{
    const struct route *route = live_route(topic->keeper, topic->request);

    return route != NULL ? &route->policy : NULL;
}

/* ---- its end ------------------------------------------------------------------------------------- */

/* All that is under way is given up. */
static void rest(struct topic *topic)
{
    timer_cancel(topic->keeper->loop, &topic->timer);
    if (topic->inquiry != NULL)
        inquiry_cancel(topic->inquiry);
    topic->inquiry = NULL;
    topic_unwatch(topic);
    topic->is_awake = false;
}

/* Lets go of a topic that is in the table no more. */
static void part_from(struct topic *topic)
{
    rest(topic);
    list_remove(&topic->in_keeper);
    topic_unhold(topic);
}

void topic_end(struct topic *topic, int status, const char *text)
{
    struct live *live = topic->live;

    pthread_mutex_lock(&live->lock);
    hash_table_remove(&live->topics, &topic->in_table);
    pthread_mutex_lock(&topic->lock);
    topic->stage = TOPIC_ENDED;
    topic->refusal_status = status;
    topic->refusal = text;
    topic_call_parts(topic);
    pthread_mutex_unlock(&topic->lock);
    pthread_mutex_unlock(&live->lock);
    part_from(topic);
}

/* Nobody came back. */
static void go_unless_watched(struct topic *topic)
{
    struct live *live = topic->live;
    bool is_watched;

    pthread_mutex_lock(&live->lock);
    pthread_mutex_lock(&topic->lock);
    is_watched = topic->watcher_count > 0;
    if (!is_watched)
        hash_table_remove(&live->topics, &topic->in_table);
    pthread_mutex_unlock(&topic->lock);
    pthread_mutex_unlock(&live->lock);
    if (!is_watched)
        part_from(topic);
}

/* ---- polls --------------------------------------------------------------------------------------- */

/* A tenth more or less, so that what began together does not stay together; not less than the origin wants.
 */
static int64_t jittered(struct topic *topic, int64_t interval_ms)
{
    int64_t low_ms = interval_ms - interval_ms / 10, high_ms = interval_ms + interval_ms / 10;

    if (low_ms < topic->origin_interval_ms)
        low_ms = topic->origin_interval_ms;
    return random_between(&topic->keeper->random, low_ms, high_ms > low_ms ? high_ms : low_ms);
}

static void poll_later(struct topic *topic)
{
    int64_t now_ms = now_of(topic);
    int64_t due_ms =
        topic->lacks_memory ? now_ms + AGAIN_MS : topic->begun_ms + jittered(topic, topic->interval_ms);

    if (topic->is_awake && (topic->interval_ms > 0 || topic->lacks_memory))
        timer_set(topic->keeper->loop, &topic->timer, due_ms > now_ms ? due_ms : now_ms + 1);
}

static void on_answer(void *owner, const struct inquiry_answer *answer);

static bool is_composed(const struct topic *topic)
{
    return plan_composition(topic->keeper->gateway->plan, topic->request) != NULL;
}

/* Of what is composed one part has changed: the others are not asked for before it is their time. */
static int64_t look_within_ms(const struct topic *topic)
{
    return is_composed(topic) && topic->interval_ms > LOOK_WITHIN_MS ? topic->interval_ms : LOOK_WITHIN_MS;
}

/* How lately the origin must have sent or confirmed it. */
static int64_t confirmed_within_ms(const struct topic *topic, bool is_poll)
{
    int64_t within_ms = is_poll && topic->interval_ms > 0 ? topic->interval_ms / 2 : look_within_ms(topic);

    if (!topic->was_asked)
        return -1;
    if (now_of(topic) - topic->begun_ms >= topic->origin_interval_ms)
        return within_ms;
    return within_ms > topic->origin_interval_ms ? within_ms : topic->origin_interval_ms;
}

/* Asks the gateway; `is_poll`: the origin must have confirmed it lately. */
static void ask(struct topic *topic, bool is_poll)
{
    const struct route_policy *policy = policy_of(topic);
    struct inquiry_order order;
    int64_t within_ms = confirmed_within_ms(topic, is_poll);

    if (policy == NULL) {
        topic_end(topic, 404, "this resource cannot be watched any more");
        return;
    }
    topic->lacks_memory = !topic_watch(topic);
    topic->is_dirty = false;
    topic->is_poll = is_poll;
    topic->begun_ms = now_of(topic);
    order = (struct inquiry_order){
        .request = topic->request,
        .engine = topic->keeper->next,
        .engine_worker = topic->keeper->next_worker,
        .urgency = topic->was_asked ? URGENCY_REVALIDATION : URGENCY_CLIENT,
        .confirmed_within_ms = within_ms,
        .fresh_will_do = !is_poll && is_composed(topic),
        .body_bytes_max = (size_t)policy->live_bytes_max,
        .timeout_ms = INQUIRY_MS,
        .done = on_answer,
        .owner = topic,
    };
    topic->inquiry = inquiry_begin(topic->keeper->gateway, &order);
    if (topic->inquiry != NULL)
        return;
    topic->lacks_memory = true;
    poll_later(topic);
}

void topic_changed(void *owner)
{
    struct topic *topic = owner;

    if (topic->inquiry != NULL)
        topic->is_dirty = true;
    else if (topic->is_awake)
        ask(topic, false);
}

void topic_tick(struct timer *timer)
{
    struct topic *topic = CONTAINER_OF(timer, struct topic, timer);

    if (!topic->is_awake)
        go_unless_watched(topic);
    else if (topic->inquiry == NULL)
        ask(topic, true);
}

/* Somebody watches. */
static void wake(struct topic *topic)
{
    topic->is_awake = true;
    timer_cancel(topic->keeper->loop, &topic->timer);
    if (topic->inquiry == NULL)
        ask(topic, true);
}

static void sleep_until_watched(struct topic *topic)
{
    topic->is_awake = false;
    timer_set(topic->keeper->loop, &topic->timer, now_of(topic) + LINGER_MS);
}

void topic_attend(struct task *task)
{
    struct topic *topic = CONTAINER_OF(task, struct topic, call);
    bool is_watched;

    atomic_fetch_sub(&topic->keeper->call_count, 1);
    pthread_mutex_lock(&topic->lock);
    topic->is_called = false;
    is_watched = topic->watcher_count > 0;
    if (!is_watched && topic->stage == TOPIC_KNOWN)
        topic->stage = TOPIC_ASKING; /* by when somebody comes it may be another */
    pthread_mutex_unlock(&topic->lock);
    if (!list_is_empty(&topic->in_keeper)) {
        if (is_watched && !topic->is_awake)
            wake(topic);
        else if (!is_watched && topic->is_awake)
            sleep_until_watched(topic);
    }
    topic_unhold(topic);
}

/* ---- what comes ---------------------------------------------------------------------------------- */

static void take_patch(struct topic *topic, struct bytes body, struct event_id id, struct event **patch)
{
    struct buffer text = {0};

    *patch = NULL;
    if (merge_patch(buffer_bytes(&topic->body), body, &text) && text.size < body.size)
        *patch = event_create(EVENT_PATCH, id, buffer_bytes(&text), true);
    buffer_fini(&text);
}

/* What was judged last is not told for want of memory: it is asked for again, and found changed still. */
static void forget_judged(struct topic *topic)
{
    topic->lacks_memory = true;
    topic->body_number = 0;
    memset(topic->digest, 0, sizeof topic->digest);
}

/* Publishes the state in `body`, which it takes. */
static void publish_state(struct topic *topic, const struct route_policy *policy, struct bytes fields,
                          struct buffer *body)
{
    struct event_id id = {topic->epoch, topic->number + 1}; /* which only the keeper moves */
    struct event *event = event_create(EVENT_STATE, id, buffer_bytes(body), topic->is_json), *patch = NULL;
    struct buffer kept = {0};
    bool wants_patches;

    buffer_append(&kept, fields);
    if (event == NULL || kept.failed) {
        event_release(event);
        buffer_fini(&kept);
        forget_judged(topic);
        return;
    }
    pthread_mutex_lock(&topic->lock);
    wants_patches = topic->wants_patches && topic->state.event != NULL;
    pthread_mutex_unlock(&topic->lock);
    if (wants_patches && topic->is_json)
        take_patch(topic, buffer_bytes(body), id, &patch);
    counters_add(topic->keeper->counters, METRIC_live_changes, 1);
    pthread_mutex_lock(&topic->lock);
    topic->stage = TOPIC_KNOWN;
    buffer_fini(&topic->fields);
    topic->fields = kept;
    topic_publish(topic, event, patch, true);
    topic_trim(topic, (size_t)policy->live_ring_bytes);
    pthread_mutex_unlock(&topic->lock);
    buffer_fini(&topic->body);
    topic->body = *body;
    *body = (struct buffer){0};
}

/* It is known again, or still. */
static void confirm(struct topic *topic)
{
    pthread_mutex_lock(&topic->lock);
    if (topic->stage == TOPIC_ASKING) {
        topic->stage = TOPIC_KNOWN;
        topic_call_parts(topic);
    }
    pthread_mutex_unlock(&topic->lock);
}

static void publish_problem(struct topic *topic, int status, const char *text)
{
    struct buffer body = {0};
    struct event *event;

    problem_render(&body, status, bytes_of_text(text), (struct bytes){0});
    event =
        body.failed ? NULL : event_create(EVENT_PROBLEM, (struct event_id){0}, buffer_bytes(&body), true);
    buffer_fini(&body);
    if (event == NULL) {
        topic->lacks_memory = true;
        return;
    }
    topic->has_told_problem = true;
    pthread_mutex_lock(&topic->lock);
    topic->stage = TOPIC_KNOWN;
    topic_publish(topic, event, NULL, false);
    pthread_mutex_unlock(&topic->lock);
}

static bool has_state(struct topic *topic)
{
    return topic->state.event != NULL;
} /* which only the keeper sets */

/* No answer was to be had, or an error. What watchers have stays what they have. */
static void note_failure(struct topic *topic, int status)
{
    int64_t now_ms = now_of(topic);

    if (topic->failing_since_ms == 0)
        topic->failing_since_ms = now_ms;
    if (topic->interval_ms > 0 && topic->interval_ms < RETRY_MS_MAX) { /* a longer one stays as it is */
        topic->interval_ms *= 2;
        if (topic->interval_ms > RETRY_MS_MAX)
            topic->interval_ms = RETRY_MS_MAX;
    }
    if (!topic->has_told_problem && (!has_state(topic) || now_ms - topic->failing_since_ms >= FAILING_MS))
        publish_problem(topic, status, "the origin fails; what was sent last is the newest that is known");
    else
        confirm(topic);
}

/* The origin says that there is nothing to watch, or not for all. */
static void take_refusal(struct topic *topic, int status)
{
    if (status < 400) /* watchers cannot be sent elsewhere */
        status = 404;
    if (!has_state(topic) || status == 410) {
        topic_end(topic, status,
                  status == 410 ? "the resource is gone for good" : "the origin gives no such resource");
        return;
    }
    topic->failing_since_ms = 0;
    if (!topic->has_told_problem)
        publish_problem(topic, status,
                        "the resource is not there at present; what was sent last was its newest state");
    else
        confirm(topic);
}

/* 0: it does not say how often it wants to be asked. */
static int64_t origin_interval_ms(const struct topic *topic, struct bytes fields)
{
    struct http_field field;
    int64_t said_ms = 0, ms;

    while (rendered_next(&fields, &field))
        if (bytes_equal_nocase(field.name, BYTES("X-Poll-Interval")) &&
            rate_time_read(field.value, loop_now(topic->keeper->loop).wall_ms, &ms))
            said_ms = ms;
    return said_ms;
}

/* Between two polls: halved by a change, half as long again without one, as far as the route lets it be
 * adaptive. */
static void adapt(struct topic *topic, const struct route_policy *policy, bool has_changed,
                  struct bytes fields)
{
    int64_t low = policy->live_interval_ms, high = policy->live_interval_max_ms;

    topic->origin_interval_ms = origin_interval_ms(topic, fields);
    if (low == 0) {
        topic->interval_ms = 0;
        return;
    }
    if (topic->interval_ms == 0)
        topic->interval_ms = low;
    else if (has_changed)
        topic->interval_ms /= 2;
    else if (topic->is_poll)
        topic->interval_ms += topic->interval_ms / 2;
    if (high < low)
        high = low;
    if (topic->interval_ms > high)
        topic->interval_ms = high;
    if (topic->interval_ms < low)
        topic->interval_ms = low;
    if (topic->interval_ms < topic->origin_interval_ms) /* what the origin asks for comes first */
        topic->interval_ms = topic->origin_interval_ms;
}

/* Whether what has come says the same as before; else `digest` and `is_json` are of the new. False if it
 * cannot be watched, or is to be asked for again. */
static bool compare(struct topic *topic, const struct inquiry_answer *answer, bool *is_same)
{
    unsigned char digest[STATE_DIGEST_BYTES];
    struct bytes body = buffer_bytes(answer->body);
    uint64_t number = answer->terms->body_number;

    *is_same = has_state(topic) && ((number != 0 && number == topic->body_number) ||
                                    bytes_equal(body, buffer_bytes(&topic->body)));
    topic->body_number = number;
    if (*is_same)
        return true;
    if (!utf8_is_whole(body)) {
        topic_end(topic, 415, "only text can be watched: the resource is not UTF-8");
        return false;
    }
    if (!state_digest(body, digest, &topic->is_json)) {
        forget_judged(topic);
        return false;
    }
    *is_same = has_state(topic) && memcmp(digest, topic->digest, sizeof digest) == 0;
    memcpy(topic->digest, digest, sizeof digest);
    return true;
}

static void take_state(struct topic *topic, const struct route_policy *policy,
                       const struct inquiry_answer *answer)
{
    int64_t confirmed_ms = now_of(topic) - answer->terms->confirmed_ago_ms;
    bool is_stale = answer->terms->is_stale, is_same, is_back;

    /* What another node had, or what stands in for what was not to be had: nobody is told of what was. */
    if (has_state(topic) && confirmed_ms < topic->confirmed_ms) {
        if (is_stale)
            note_failure(topic, 503);
        else
            confirm(topic);
        return;
    }
    /* Somebody else has polled, or this is a look at what our own poll has brought. */
    if (!is_stale && confirmed_ms < topic->begun_ms)
        topic->begun_ms = confirmed_ms;
    if (!compare(topic, answer, &is_same))
        return;
    topic->confirmed_ms = confirmed_ms;
    /* Who was told of a problem is told that it is over. */
    is_back = topic->has_told_problem && !is_stale;
    if (!is_stale) {
        topic->failing_since_ms = 0;
        topic->has_told_problem = false;
        adapt(topic, policy, !is_same && has_state(topic), answer->fields);
    }
    if (!is_same || is_back)
        publish_state(topic, policy, answer->fields, answer->body);
    else
        confirm(topic);
    if (is_stale)
        note_failure(topic, 503);
}

static void judge(struct topic *topic, const struct route_policy *policy,
                  const struct inquiry_answer *answer)
{
    const struct inquiry_terms *terms = answer->terms;

    if (answer->err == ERR_TOO_LARGE)
        topic_end(topic, 403, "the resource is larger than live-max");
    else if (answer->err != OK)
        note_failure(topic, answer->err == ERR_TIMEOUT ? 504 : 502);
    else if (!terms->is_told || answer->status >= 500 || answer->status == 429)
        note_failure(topic, answer->status >= 500 ? answer->status : 503);
    else if (!terms->is_for_all)
        topic_end(topic, 403, "the answer is one client's alone, or not to be kept: it cannot be watched");
    else if (answer->status < 200 || answer->status >= 300)
        take_refusal(topic, answer->status);
    else
        take_state(topic, policy, answer);
}

static void on_answer(void *owner, const struct inquiry_answer *answer)
{
    struct topic *topic = owner;
    const struct route_policy *policy = policy_of(topic);

    topic->inquiry = NULL;
    topic->was_asked = true;
    topic->lacks_memory |= answer->err == ERR_NO_MEMORY;
    if (policy == NULL) {
        topic_end(topic, 404, "this resource cannot be watched any more");
        return;
    }
    atomic_fetch_add(&topic->reference_count, 1); /* it may end */
    judge(topic, policy, answer);
    if (!list_is_empty(&topic->in_keeper)) {
        if (topic->interval_ms == 0)
            topic->interval_ms = policy->live_interval_ms;
        if (topic->is_awake)
            poll_later(topic);
        if (topic->is_awake && topic->is_dirty)
            ask(topic, false);
    }
    topic_unhold(topic);
}
