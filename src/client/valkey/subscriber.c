/* subscriber.c — the connection to one server for subscriptions, from begin to end.
 *
 *             greeted, answers PING               It comes back by itself while it has places: after
 *   waiting ─► connecting ─────────► open         backoff_min_ms to backoff_max_ms, doubled each time. A
 *      ▲            │ failed          │ lost      server that says nothing for call_timeout_ms although it
 *      └────────────┴─────────────────┘           was asked is lost. */
#include "client/valkey/subscriptions_parts.h"
#include <stdlib.h>

enum { PING_EVERY_MS = 1000, UNUSED_MS_MAX = 10000, PUSHES_PATIENCE = 4 };

static int64_t now_ms(const struct subscriber *subscriber)
{
    return valkey_now_ms(subscriber->subscriptions->valkey);
}

/* ---- places ----------------------------------------------------------------------------------------- */

void place_set(struct place *place, enum place_state state, struct list *list)
{
    list_remove(&place->in_state);
    list_append(list, &place->in_state);
    place->state = state;
}

void place_end(struct place *place)
{
    list_remove(&place->in_topic);
    list_remove(&place->in_state);
    if (--place->subscriber->place_count == 0)
        place->subscriber->used_ms = now_ms(place->subscriber);
    free(place);
}

/* Of a link that has gone. */
static void ask_again(struct place *place)
{
    struct topic *topic = place->topic;

    place->is_confirmed = false;
    if (place->is_wanted) {
        place_set(place, PLACE_TO_ASK, &place->subscriber->to_ask);
        return;
    }
    place_end(place);
    topic_release(topic);
}

static void ask_all_again(struct list *places)
{
    struct list all;

    list_init(&all);
    while (!list_is_empty(places)) {
        struct list *node = places->next;
        list_remove(node);
        list_append(&all, node);
    }
    while (!list_is_empty(&all))
        ask_again(CONTAINER_OF(all.next, struct place, in_state));
}

void subscriber_count_lost(const struct subscriber *subscriber, bool all)
{
    uint64_t count = 0;

    for (const struct list *node = subscriber->in_force.next; node != &subscriber->in_force;
         node = node->next) {
        const struct topic *topic = CONTAINER_OF(node, struct place, in_state)->topic;
        count += all || (topic->kind != SUBSCRIPTION_SHARD && !topic->is_local);
    }
    counters_add(subscriber->subscriptions->valkey->counters, METRIC_tier_subscriptions_lost, count);
}

/* ---- the link --------------------------------------------------------------------------------------- */

static void begin_link(struct subscriber *subscriber);

static void connect_later(struct subscriber *subscriber)
{
    struct valkey *valkey = subscriber->subscriptions->valkey;
    const struct valkey_options *options = valkey->options;
    int64_t ms = options->backoff_min_ms;

    if (subscriber->was_open && now_ms(subscriber) - subscriber->opened_ms >= options->backoff_max_ms)
        subscriber->failure_count = 0;
    for (uint32_t i = 0; i < subscriber->failure_count && ms < options->backoff_max_ms; i++)
        ms *= 2;
    if (ms > options->backoff_max_ms)
        ms = options->backoff_max_ms;
    subscriber->failure_count++;
    timer_set(valkey->loop, &subscriber->retry,
              now_ms(subscriber) + ms / 2 +
                  (int64_t)random_below(&valkey->dice, (uint64_t)(ms - ms / 2) + 1));
}

static void retry(struct timer *timer)
{
    struct subscriber *subscriber = CONTAINER_OF(timer, struct subscriber, retry);

    if (subscriber->place_count > 0)
        begin_link(subscriber);
}

static void note_why(struct subscriber *subscriber, enum err why, struct bytes text)
{
    struct text *to = &subscriber->subscriptions->why, reason;
    bool says_more = text.size > 0 && !bytes_equal(text, bytes_of_text(err_text(why)));
    int size;

    valkey_text_set(&reason, text);
    size = snprintf(to->data, sizeof to->data, "%s port %u: %s%s%.*s", subscriber->address.host,
                    subscriber->address.port, err_text(why), says_more ? ": " : "",
                    says_more ? (int)reason.size : 0, reason.data);
    to->size = size < (int)sizeof to->data ? (size_t)size : sizeof to->data - 1;
}

static void pinged(struct link_request *request, const struct resp_reply *reply)
{
    struct subscriber *subscriber = CONTAINER_OF(request, struct subscriber, ping);
    struct subscriptions *subscriptions = subscriber->subscriptions;

    subscriber->ping_is_out = false;
    if (reply->nodes->type == RESP_ERROR) {
        link_break(subscriber->link, ERR_FORBIDDEN, reply->nodes->bytes);
        return;
    }
    if (subscriber->is_open)
        return;
    subscriber->is_open = true;
    subscriber->opened_ms = now_ms(subscriber);
    subscriptions->link_count++;
    subscriptions->why.size = 0;
    subscriber_flush(subscriber);
}

static void ping_failed(struct link_request *request, enum err why, bool was_sent)
{
    (void)why;
    (void)was_sent;
    CONTAINER_OF(request, struct subscriber, ping)->ping_is_out = false;
}

static void ping(struct subscriber *subscriber)
{
    subscriber->ping = (struct link_request){.replied = pinged, .failed = ping_failed};
    subscriber->ping_is_out =
        link_send(subscriber->link, &subscriber->ping, BYTES("*1\r\n$4\r\nPING\r\n"), 1) == OK;
    subscriber->said_ms = now_ms(subscriber);
}

static void opened(void *owner) { ping(owner); }

static void ending(void *owner)
{
    struct subscriber *subscriber = owner;

    subscriber->was_open = subscriber->is_open;
    subscriber->subscriptions->link_count -= subscriber->is_open;
    subscriber->is_open = false;
    if (subscriber->subscriptions->is_stopping || !subscriber->was_open)
        return;
    subscriber_count_lost(subscriber, true);
    if (subscriber->place_count > 0)
        valkey_count(subscriber->subscriptions->valkey, METRIC_tier_subscribers_lost);
}

static void closed(void *owner, enum err why, struct bytes text)
{
    struct subscriber *subscriber = owner;
    struct subscriptions *subscriptions = subscriber->subscriptions;
    struct valkey *valkey = subscriptions->valkey;

    subscriber->link = NULL;
    valkey->link_count--;
    ask_all_again(&subscriber->in_force);
    ask_all_again(&subscriber->to_leave);
    if (subscriptions->is_stopping) {
        valkey_stop_if_done(valkey);
        return;
    }
    if (subscriber->place_count == 0)
        return; /* it was not needed any more */
    note_why(subscriber, why, text);
    log_write_limited(valkey->options->log, LOG_WARNING, LOG_KIND_TIER,
                      subscriber->was_open
                          ? "tier: connection for subscriptions lost, they are made anew: %.*s"
                          : "tier: cannot connect for subscriptions: %.*s",
                      (int)subscriptions->why.size, subscriptions->why.data);
    connect_later(subscriber);
    subscriptions_lost(subscriber);
}

static const struct link_callbacks link_callbacks = {
    .opened = opened, .pushed = subscriber_pushed, .ending = ending, .closed = closed};

static void begin_link(struct subscriber *subscriber)
{
    struct valkey *valkey = subscriber->subscriptions->valkey;

    if (subscriber->link != NULL || timer_is_set(&subscriber->retry) ||
        subscriber->subscriptions->is_stopping)
        return;
    subscriber->was_open = false;
    if (link_open(valkey->options, &subscriber->address, valkey->loop, &link_callbacks, subscriber,
                  &subscriber->link) == OK)
        valkey->link_count++;
    else
        connect_later(subscriber);
}

/* ---- which there are -------------------------------------------------------------------------------- */

struct subscriber *subscriber_at(struct subscriptions *subscriptions, const struct link_address *address)
{
    const struct server *server = server_known(subscriptions->valkey, address);
    struct subscriber *subscriber;

    for (struct list *node = subscriptions->subscribers.next; node != &subscriptions->subscribers;
         node = node->next) {
        subscriber = CONTAINER_OF(node, struct subscriber, in_all);
        if (subscriber->address.port == address->port &&
            strcmp(subscriber->address.host, address->host) == 0)
            return subscriber;
    }
    subscriber = calloc(1, sizeof *subscriber);
    if (subscriber == NULL)
        return NULL;
    subscriber->subscriptions = subscriptions;
    subscriber->address = *address;
    subscriber->is_primary = server != NULL && server->slot_count > 0;
    subscriber->used_ms = valkey_now_ms(subscriptions->valkey);
    list_init(&subscriber->to_ask);
    list_init(&subscriber->later);
    list_init(&subscriber->in_force);
    list_init(&subscriber->to_leave);
    list_init(&subscriber->batches);
    timer_init(&subscriber->retry, retry);
    list_append(&subscriptions->subscribers, &subscriber->in_all);
    return subscriber;
}

void subscriber_destroy(struct subscriber *subscriber)
{
    struct subscriptions *subscriptions = subscriber->subscriptions;

    timer_cancel(subscriptions->valkey->loop, &subscriber->retry);
    if (subscriptions->hub == subscriber)
        subscriptions->hub = NULL;
    subscriptions->has_all_primaries = false;
    list_remove(&subscriber->in_all);
    free(subscriber);
}

/* ---- what is to be subscribed to ----------------------------------------------------------------------
 */

static struct place *find(const struct subscriber *subscriber, const struct topic *topic)
{
    for (struct list *node = topic->places.next; node != &topic->places; node = node->next) {
        struct place *place = CONTAINER_OF(node, struct place, in_topic);
        if (place->subscriber == subscriber)
            return place;
    }
    return NULL;
}

enum err subscriber_add(struct subscriber *subscriber, struct topic *topic)
{
    struct place *place = find(subscriber, topic);

    if (place != NULL) {
        place->is_wanted = true;
        if (place->state == PLACE_TO_LEAVE) /* it was not said yet */
            place_set(place, PLACE_IN_FORCE, &subscriber->in_force);
        return OK;
    }
    place = malloc(sizeof *place);
    if (place == NULL)
        return ERR_NO_MEMORY;
    *place = (struct place){.topic = topic, .subscriber = subscriber, .is_wanted = true};
    list_init(&place->in_state);
    list_append(&topic->places, &place->in_topic);
    place_set(place, PLACE_TO_ASK, &subscriber->to_ask);
    subscriber->place_count++;
    begin_link(subscriber);
    subscriptions_flush_soon(subscriber->subscriptions);
    return OK;
}

void subscriber_drop(struct place *place)
{
    struct subscriber *subscriber = place->subscriber;

    place->is_wanted = false;
    switch (place->state) {
    case PLACE_TO_ASK:
    case PLACE_LATER: place_end(place); return;
    case PLACE_IN_FORCE:
        place_set(place, PLACE_TO_LEAVE, &subscriber->to_leave);
        subscriptions_flush_soon(subscriber->subscriptions);
        return;
    case PLACE_ASKED:
    case PLACE_TO_LEAVE:
    case PLACE_LEAVING: return; /* what is under way comes to an end first */
    }
}

/* ---- now and then -------------------------------------------------------------------------------------
 */

static void ask_what_has_waited(struct subscriber *subscriber)
{
    struct list *node = subscriber->later.next, *next;

    for (; node != &subscriber->later; node = next) {
        struct place *place = CONTAINER_OF(node, struct place, in_state);
        next = node->next;
        if (place->not_before_ms <= now_ms(subscriber))
            place_set(place, PLACE_TO_ASK, &subscriber->to_ask);
    }
}

static void look_at_link(struct subscriber *subscriber)
{
    int64_t patience_ms = subscriber->subscriptions->valkey->options->call_timeout_ms;

    if (link_silence_ms(subscriber->link) > patience_ms ||
        link_no_reply_ms(subscriber->link) > PUSHES_PATIENCE * patience_ms)
        link_break(subscriber->link, ERR_TIMEOUT, BYTES("no answer to PING"));
    else if (subscriber->is_open && !subscriber->ping_is_out &&
             now_ms(subscriber) - subscriber->said_ms >= PING_EVERY_MS)
        ping(subscriber);
}

void subscriber_look(struct subscriber *subscriber)
{
    bool is_unused =
        subscriber->place_count == 0 && now_ms(subscriber) - subscriber->used_ms >= UNUSED_MS_MAX;

    if (is_unused && subscriber->link == NULL) {
        subscriber_destroy(subscriber);
        return;
    }
    if (is_unused)
        link_close(subscriber->link);
    else if (subscriber->link != NULL && link_is_open(subscriber->link))
        look_at_link(subscriber);
    ask_what_has_waited(subscriber);
    subscriber_flush(subscriber);
}
