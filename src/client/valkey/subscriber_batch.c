/* subscriber_batch.c — what is said to one server about subscriptions, in batches, and what it says.
 *
 * A batch is one command with as many names as fit, and a PING behind it (link_send_subscriptions). What
 * the server has said of each name before the answer to that PING is what holds: it may say on its own that
 * a subscription has ended (sunsubscribe, when the slot leaves it). A refusal is about the whole command,
 * so the names of a batch that was refused are asked one by one. */
#include "client/valkey/subscriptions_parts.h"
#include <stdlib.h>

enum { NAMES_MAX = 128, BATCH_BYTES_MAX = 64 * 1024, BATCHES_MAX = 16, AGAIN_MS = 50 };

struct batch {
    struct link_request request;
    struct subscriber *subscriber;
    struct list in_subscriber;
    struct list places;
    uint32_t count;
    bool is_leave;
    bool is_refused, is_redirected;
    struct text text; /* of what it was refused with */
};

static const struct bytes words[SUBSCRIPTION_KINDS][2] = {
    [SUBSCRIPTION_CHANNEL] = {BYTES_INIT("SUBSCRIBE"), BYTES_INIT("UNSUBSCRIBE")},
    [SUBSCRIPTION_PATTERN] = {BYTES_INIT("PSUBSCRIBE"), BYTES_INIT("PUNSUBSCRIBE")},
    [SUBSCRIPTION_SHARD] = {BYTES_INIT("SSUBSCRIBE"), BYTES_INIT("SUNSUBSCRIBE")},
};

static int64_t now_ms(const struct subscriber *subscriber)
{
    return valkey_now_ms(subscriber->subscriptions->valkey);
}

static void ask_later(struct place *place, int64_t ms)
{
    place->not_before_ms = now_ms(place->subscriber) + ms;
    place_set(place, PLACE_LATER, &place->subscriber->later);
}

/* ---- what came of a batch -----------------------------------------------------------------------------
 */

/* The place, and its topic, may be gone behind the call. */
static void finish_refused(struct place *place, const struct batch *batch)
{
    struct subscriptions *subscriptions = place->subscriber->subscriptions;
    const struct valkey_options *options = subscriptions->valkey->options;
    struct topic *topic = place->topic;

    if (batch->count > 1) {
        place->is_alone = true;
        place_set(place, PLACE_TO_ASK, &place->subscriber->to_ask);
    } else if (batch->is_redirected) {
        ask_later(place, AGAIN_MS);
        if (topic_place(topic) != OK) /* the place may be gone */
            subscriptions->lacks_memory = true;
    } else {
        ask_later(place, options->backoff_max_ms);
        log_write_limited(options->log, LOG_WARNING, LOG_KIND_TIER,
                          "tier: %s port %u refuses a subscription: %.*s", place->subscriber->address.host,
                          place->subscriber->address.port, (int)batch->text.size, batch->text.data);
        topic_tell(topic, ERR_FORBIDDEN, text_bytes(&batch->text));
    }
}

static void finish_asked(struct place *place, const struct batch *batch)
{
    struct subscriber *subscriber = place->subscriber;
    struct topic *topic = place->topic;

    if (!place->is_wanted && place->is_confirmed) {
        place_set(place, PLACE_TO_LEAVE, &subscriber->to_leave);
    } else if (!place->is_wanted) {
        place_end(place);
        topic_release(topic);
    } else if (place->is_confirmed) {
        place->is_alone = false;
        place_set(place, PLACE_IN_FORCE, &subscriber->in_force);
        valkey_count(subscriber->subscriptions->valkey, METRIC_tier_subscribed);
        if (topic_is_in_force(topic))
            topic_tell(topic, OK, BYTES(""));
    } else if (batch->is_refused) {
        finish_refused(place, batch);
    } else if (topic->kind == SUBSCRIPTION_SHARD) { /* its slot has left at that very moment */
        ask_later(place, AGAIN_MS);
    } else {
        ask_later(place, subscriber->subscriptions->valkey->options->backoff_max_ms);
        link_break(subscriber->link, ERR_SYNTAX, BYTES("a subscription that was not confirmed"));
    }
}

static void finish_left(struct place *place)
{
    struct topic *topic = place->topic;

    if (place->is_wanted) {
        place_set(place, PLACE_TO_ASK, &place->subscriber->to_ask);
        return;
    }
    place_end(place);
    topic_release(topic);
}

static void finish(struct batch *batch)
{
    list_remove(&batch->in_subscriber);
    batch->subscriber->batch_count--;
    while (!list_is_empty(&batch->places)) {
        struct place *place = CONTAINER_OF(batch->places.next, struct place, in_state);
        if (batch->is_leave)
            finish_left(place);
        else
            finish_asked(place, batch);
    }
    free(batch);
}

static void note_refusal(struct batch *batch, const struct resp_node *error)
{
    struct redirection redirection = redirection_read(error->bytes, batch->subscriber->address.host);
    struct valkey *valkey = batch->subscriber->subscriptions->valkey;

    if (batch->is_refused)
        return;
    batch->is_refused = true;
    valkey_text_set(&batch->text, error->bytes);
    if (redirection.kind == REDIRECTION_NONE || redirection.kind == REDIRECTION_UNREADABLE)
        return;
    batch->is_redirected = true;
    servers_note(valkey, &redirection);
    refresh_want(valkey);
}

static void replied(struct link_request *request, const struct resp_reply *reply)
{
    struct batch *batch = CONTAINER_OF(request, struct batch, request);
    struct subscriber *subscriber = batch->subscriber;

    if (request->left_count > 0) {
        note_refusal(batch, reply->nodes);
        return;
    }
    finish(batch);
    subscriber_flush(subscriber);
}

/* The link is gone: what was under way is asked anew by the next. */
static void failed(struct link_request *request, enum err why, bool was_sent)
{
    struct batch *batch = CONTAINER_OF(request, struct batch, request);

    (void)why;
    (void)was_sent;
    list_remove(&batch->in_subscriber);
    batch->subscriber->batch_count--;
    while (!list_is_empty(&batch->places)) {
        struct place *place = CONTAINER_OF(batch->places.next, struct place, in_state);
        place->is_confirmed = false;
        finish_left(place);
    }
    free(batch);
}

/* ---- out ----------------------------------------------------------------------------------------------
 */

static bool may_join(const struct batch *batch, const struct place *place, size_t name_bytes)
{
    const struct topic *topic = place->topic;
    const struct topic *first = CONTAINER_OF(batch->places.next, struct place, in_state)->topic;

    if (batch->count == 0)
        return true;
    return batch->count < NAMES_MAX && name_bytes + topic->name_bytes <= BATCH_BYTES_MAX &&
           !place->is_alone && topic->kind == first->kind &&
           (topic->kind != SUBSCRIPTION_SHARD || topic->slot == first->slot ||
            !batch->subscriber->subscriptions->valkey->is_cluster);
}

/* Fills it from the front of `list`, and renders the command. */
static void fill(struct batch *batch, struct list *list, struct buffer *bytes)
{
    struct bytes arguments[NAMES_MAX + 1];
    size_t name_bytes = 0;

    while (!list_is_empty(list)) {
        struct place *place = CONTAINER_OF(list->next, struct place, in_state);
        bool is_alone = place->is_alone;
        if (!may_join(batch, place, name_bytes))
            break;
        arguments[0] = words[place->topic->kind][batch->is_leave];
        arguments[++batch->count] = topic_name(place->topic);
        name_bytes += place->topic->name_bytes;
        place_set(place, batch->is_leave ? PLACE_LEAVING : PLACE_ASKED, &batch->places);
        place->is_confirmed = false;
        if (is_alone)
            break;
    }
    resp_render_command(bytes, arguments, batch->count + 1);
}

static struct batch *make_batch(struct subscriber *subscriber, bool is_leave)
{
    struct batch *batch = calloc(1, sizeof *batch);

    if (batch == NULL)
        return NULL;
    batch->request = (struct link_request){.replied = replied, .failed = failed};
    batch->subscriber = subscriber;
    batch->is_leave = is_leave;
    list_init(&batch->places);
    list_append(&subscriber->batches, &batch->in_subscriber);
    subscriber->batch_count++;
    return batch;
}

void subscriber_flush(struct subscriber *subscriber)
{
    while (subscriber->is_open && link_is_open(subscriber->link) && subscriber->batch_count < BATCHES_MAX) {
        bool is_leave = !list_is_empty(&subscriber->to_leave);
        struct list *list = is_leave ? &subscriber->to_leave : &subscriber->to_ask;
        struct buffer bytes = {0};
        struct batch *batch;
        enum err err;

        if (list_is_empty(list))
            return;
        batch = make_batch(subscriber, is_leave);
        if (batch == NULL)
            return; /* it is tried again at the next look */
        fill(batch, list, &bytes);
        err = bytes.failed
                  ? ERR_NO_MEMORY
                  : link_send_subscriptions(subscriber->link, &batch->request, buffer_bytes(&bytes));
        buffer_fini(&bytes);
        subscriber->said_ms = now_ms(subscriber);
        if (err != OK) {
            link_break(subscriber->link, err, BYTES("subscriptions could not be sent"));
            failed(&batch->request, err, false);
        }
    }
}

/* ---- in -----------------------------------------------------------------------------------------------
 */

static const struct {
    struct bytes word;
    enum subscription_kind kind;
    enum { MADE, ENDED, MESSAGE } what;
    uint32_t member_count;
} pushes[] = {
    {BYTES_INIT("message"), SUBSCRIPTION_CHANNEL, MESSAGE, 3},
    {BYTES_INIT("pmessage"), SUBSCRIPTION_PATTERN, MESSAGE, 4},
    {BYTES_INIT("smessage"), SUBSCRIPTION_SHARD, MESSAGE, 3},
    {BYTES_INIT("subscribe"), SUBSCRIPTION_CHANNEL, MADE, 3},
    {BYTES_INIT("psubscribe"), SUBSCRIPTION_PATTERN, MADE, 3},
    {BYTES_INIT("ssubscribe"), SUBSCRIPTION_SHARD, MADE, 3},
    {BYTES_INIT("unsubscribe"), SUBSCRIPTION_CHANNEL, ENDED, 3},
    {BYTES_INIT("punsubscribe"), SUBSCRIPTION_PATTERN, ENDED, 3},
    {BYTES_INIT("sunsubscribe"), SUBSCRIPTION_SHARD, ENDED, 3},
};

static bool is_text(const struct resp_node *node)
{
    return node->type == RESP_BULK || node->type == RESP_SIMPLE || node->type == RESP_VERBATIM;
}

/* What the server says of a name: confirmed, or ended, by us or on its own. */
static void note(struct subscriber *subscriber, enum subscription_kind kind, struct bytes name,
                 bool is_made)
{
    struct subscriptions *subscriptions = subscriber->subscriptions;
    struct topic *topic = topic_find(subscriptions, kind, name);

    if (topic == NULL)
        return;
    for (struct list *node = topic->places.next; node != &topic->places; node = node->next) {
        struct place *place = CONTAINER_OF(node, struct place, in_topic);
        if (place->subscriber != subscriber)
            continue;
        place->is_confirmed = is_made;
        if (is_made || place->state != PLACE_IN_FORCE)
            return;
        /* It has ended it by itself. Asked again, it says where the slot is. */
        valkey_count(subscriptions->valkey, METRIC_tier_subscriptions_lost);
        place_set(place, PLACE_TO_ASK, &subscriber->to_ask);
        refresh_want(subscriptions->valkey);
        subscriptions_flush_soon(subscriptions);
        return;
    }
}

static void hear(struct subscriber *subscriber, size_t row, const struct resp_node *member)
{
    struct subscription_message message = {.kind = pushes[row].kind, .name = member->bytes};

    if (pushes[row].what != MESSAGE) {
        note(subscriber, pushes[row].kind, member->bytes, pushes[row].what == MADE);
        return;
    }
    if (pushes[row].member_count == 4)
        member = resp_next(member);
    message.channel = member->bytes;
    message.text = resp_next(member)->bytes;
    subscriptions_hear(subscriber, &message);
}

/* Whether the members behind the first have the types that they must have. */
static bool is_of_form(size_t row, const struct resp_node *node)
{
    const struct resp_node *member = resp_next(resp_first_member(node));

    if (node->integer != pushes[row].member_count)
        return false;
    if (pushes[row].what != MESSAGE) /* a name, or null: of nothing; and how many there are now */
        return (is_text(member) || member->type == RESP_NULL) && resp_next(member)->type == RESP_INTEGER;
    for (uint32_t i = 1; i < pushes[row].member_count; i++, member = resp_next(member))
        if (!is_text(member))
            return false;
    return true;
}

void subscriber_pushed(void *owner, const struct resp_reply *push)
{
    struct subscriber *subscriber = owner;
    const struct resp_node *node = push->nodes, *first = resp_first_member(node);

    for (size_t i = 0; node->integer > 0 && is_text(first) && i < COUNT_OF(pushes); i++) {
        if (!bytes_equal(first->bytes, pushes[i].word))
            continue;
        if (!is_of_form(i, node))
            link_break(subscriber->link, ERR_SYNTAX, BYTES("a message of a form that none has"));
        else if (is_text(resp_next(first)))
            hear(subscriber, i, resp_next(first));
        return;
    }
}
