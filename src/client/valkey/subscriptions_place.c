/* subscriptions_place.c — at which servers the tier's channels are subscribed to, and which messages count.
 *
 *   a shard channel      at the primary that has its slot
 *   any other channel    at the hub, any one primary: what is published reaches all servers of a cluster
 *   a local one          at every primary: of changes to its keys each tells its own subscribers alone
 *
 * Of a pattern such as *, which fits both kinds, what is published comes from every primary: only the hub's
 * counts. */
#include "base/glob.h"
#include "client/valkey/subscriptions_parts.h"

enum { LOOK_EVERY_MS = 100, HUB_ATTEMPTS = 8 };

/* ---- which are local -------------------------------------------------------------------------------- */

static const struct bytes local_prefixes[] = {BYTES_INIT("__keyspace@"), BYTES_INIT("__keyevent@")};

static bool is_local_channel(struct bytes channel)
{
    for (size_t i = 0; i < COUNT_OF(local_prefixes); i++)
        if (bytes_start_with(channel, local_prefixes[i]))
            return true;
    return false;
}

/* What a pattern begins with, up to its first byte that may mean others. */
static struct bytes literal_of(struct bytes pattern)
{
    size_t size = 0;

    while (size < pattern.size && strchr("*?[\\", pattern.data[size]) == NULL)
        size++;
    return bytes_first(pattern, size);
}

bool subscription_is_local(enum subscription_kind kind, struct bytes name)
{
    struct bytes literal;

    if (kind == SUBSCRIPTION_SHARD)
        return false;
    if (kind == SUBSCRIPTION_CHANNEL)
        return is_local_channel(name);
    literal = literal_of(name);
    if (literal.size == name.size) /* it means itself */
        return is_local_channel(name);
    for (size_t i = 0; i < COUNT_OF(local_prefixes); i++)
        if (bytes_start_with(literal, local_prefixes[i]) || bytes_start_with(local_prefixes[i], literal))
            return true;
    return false;
}

/* ---- where they belong ------------------------------------------------------------------------------ */

static struct place *place_at(const struct topic *topic, const struct subscriber *subscriber)
{
    for (struct list *node = topic->places.next; node != &topic->places; node = node->next) {
        struct place *place = CONTAINER_OF(node, struct place, in_topic);
        if (place->subscriber == subscriber)
            return place;
    }
    return NULL;
}

/* Null: nobody is known to have its slot, or there is no memory to go there now. */
static struct subscriber *owner_of(const struct topic *topic)
{
    struct subscriptions *subscriptions = topic->subscriptions;
    const struct server *server = server_of_slot(subscriptions->valkey, topic->slot);
    struct subscriber *owner;

    if (!subscriptions->valkey->is_cluster)
        return subscriptions->hub;
    if (server == NULL || server->is_refused)
        return NULL;
    owner = subscriber_at(subscriptions, &server->address);
    if (owner == NULL)
        subscriptions->lacks_memory = true;
    return owner;
}

static bool belongs(const struct topic *topic, const struct subscriber *subscriber,
                    const struct subscriber *one)
{
    return topic->want_count > 0 &&
           (subscriber == one ||
            (topic->is_local && (subscriber->is_primary || subscriber == topic->subscriptions->hub)));
}

static enum err place_everywhere(struct topic *topic)
{
    struct subscriptions *subscriptions = topic->subscriptions;
    enum err err = OK;

    topic->needed_count = 0;
    for (struct list *node = subscriptions->subscribers.next; node != &subscriptions->subscribers;
         node = node->next) {
        struct subscriber *subscriber = CONTAINER_OF(node, struct subscriber, in_all);
        if (!belongs(topic, subscriber, NULL))
            continue;
        topic->needed_count++;
        if (subscriber_add(subscriber, topic) != OK)
            err = ERR_NO_MEMORY;
    }
    if (topic->needed_count == 0)
        topic->needed_count = 1;
    return err;
}

static void know_primaries(struct subscriptions *subscriptions); /* below: who they are */

enum err topic_place(struct topic *topic)
{
    struct subscriptions *subscriptions = topic->subscriptions;
    struct subscriber *one = NULL;
    struct list *node, *next;

    if (topic->want_count > 0 && topic->is_local && !subscriptions->has_all_primaries)
        know_primaries(subscriptions);
    if (topic->want_count > 0 && !topic->is_local)
        one = topic->kind == SUBSCRIPTION_SHARD ? owner_of(topic) : subscriptions->hub;
    for (node = topic->places.next; node != &topic->places; node = next) {
        struct place *place = CONTAINER_OF(node, struct place, in_topic);
        next = node->next;
        if (!belongs(topic, place->subscriber, one))
            subscriber_drop(place);
    }
    if (topic->want_count == 0)
        return OK;
    if (topic->is_local)
        return place_everywhere(topic);
    return one == NULL ? OK : subscriber_add(one, topic);
}

/* Who is told may leave any topic, and join others: so each is taken from the front and goes behind all. */
static void place_all(struct subscriptions *subscriptions)
{
    struct list *all = &subscriptions->all;

    subscriptions->lacks_memory = false;
    for (size_t left = subscriptions->topic_count; left > 0 && !list_is_empty(all); left--) {
        struct topic *topic = CONTAINER_OF(all->next, struct topic, in_all);
        list_remove(&topic->in_all);
        list_append(all, &topic->in_all);
        if (topic_place(topic) != OK)
            subscriptions->lacks_memory = true;
        if (!list_is_empty(&topic->waits) &&
            topic_is_in_force(topic)) /* it need not be elsewhere any more */
            topic_tell(topic, OK, BYTES(""));
        else
            topic_release(topic);
    }
}

/* ---- the hub and the primaries ---------------------------------------------------------------------- */

static struct server *server_of(const struct subscriber *subscriber)
{
    return server_known(subscriber->subscriptions->valkey, &subscriber->address);
}

/* Which of those that are spoken to are primaries now; with local topics, all are spoken to. */
static void know_primaries(struct subscriptions *subscriptions)
{
    const struct valkey *valkey = subscriptions->valkey;

    for (struct list *node = subscriptions->subscribers.next; node != &subscriptions->subscribers;
         node = node->next) {
        struct subscriber *subscriber = CONTAINER_OF(node, struct subscriber, in_all);
        const struct server *server = server_of(subscriber);
        subscriber->is_primary = server != NULL && server->slot_count > 0;
    }
    subscriptions->has_all_primaries = subscriptions->local_count > 0;
    for (uint32_t i = 0; subscriptions->local_count > 0 && i < valkey->server_end; i++) {
        const struct server *server = valkey->servers[i];
        struct subscriber *subscriber;
        if (server == NULL || server->slot_count == 0 || server->is_refused)
            continue;
        subscriber = subscriber_at(subscriptions, &server->address);
        if (subscriber == NULL)
            subscriptions->lacks_memory = true;
    }
}

/* A primary, if there is one, by chance; other than `but` and connected to if possible. */
static struct server *choose(struct subscriptions *subscriptions, const struct server *but)
{
    struct server *chosen = NULL;

    for (int i = 0; i < HUB_ATTEMPTS; i++) {
        struct server *server = servers_any(subscriptions->valkey);
        if (server == NULL || server->is_refused)
            continue;
        if (chosen == NULL || chosen == but)
            chosen = server;
        if (chosen != but && server_is_open(chosen))
            break;
    }
    return chosen;
}

static void choose_hub(struct subscriptions *subscriptions, const struct server *but)
{
    const struct server *server = choose(subscriptions, but);

    if (server != NULL)
        subscriptions->hub = subscriber_at(subscriptions, &server->address);
}

/* If the hub is no primary any more it may have been cut off from the others, and hear nothing. */
static void leave_hub_behind(struct subscriptions *subscriptions)
{
    struct subscriber *before = subscriptions->hub;

    choose_hub(subscriptions, server_of(before));
    if (subscriptions->hub != before)
        subscriber_count_lost(before, false);
}

void subscriptions_lost(struct subscriber *subscriber)
{
    struct subscriptions *subscriptions = subscriber->subscriptions;

    if (subscriber == subscriptions->hub)
        choose_hub(subscriptions, server_of(subscriber));
    place_all(subscriptions);
}

/* ---- what is heard ---------------------------------------------------------------------------------- */

void subscriptions_hear(struct subscriber *subscriber, const struct subscription_message *message)
{
    struct subscriptions *subscriptions = subscriber->subscriptions;
    const struct topic *topic = topic_find(subscriptions, message->kind, message->name);
    const struct place *place = topic == NULL ? NULL : place_at(topic, subscriber);

    if (place == NULL || !place->is_wanted)
        return;
    if (topic->is_local &&
        !(is_local_channel(message->channel) ? subscriber->is_primary : subscriber == subscriptions->hub))
        return;
    valkey_count(subscriptions->valkey, METRIC_tier_messages);
    subscriptions->heard(subscriptions->owner, message);
}

/* ---- now and then ----------------------------------------------------------------------------------- */

static void follow_map(struct subscriptions *subscriptions)
{
    if (subscriptions->hub != NULL && !subscriptions->lacks_memory &&
        subscriptions->change_count == subscriptions->valkey->change_count)
        return;
    subscriptions->change_count = subscriptions->valkey->change_count;
    know_primaries(subscriptions);
    if (subscriptions->hub == NULL)
        choose_hub(subscriptions, NULL);
    else if (!subscriptions->hub->is_primary)
        leave_hub_behind(subscriptions);
    place_all(subscriptions);
}

void subscriptions_look_soon(struct subscriptions *subscriptions)
{
    struct loop *loop = subscriptions->valkey->loop;

    if (!timer_is_set(&subscriptions->look))
        timer_set(loop, &subscriptions->look,
                  valkey_now_ms(subscriptions->valkey) + (subscriptions->hub == NULL ? 0 : LOOK_EVERY_MS));
}

void subscriptions_look(struct timer *timer)
{
    struct subscriptions *subscriptions = CONTAINER_OF(timer, struct subscriptions, look);
    struct list *node, *next;

    if (subscriptions->topic_count > 0)
        follow_map(subscriptions);
    for (node = subscriptions->subscribers.next; node != &subscriptions->subscribers; node = next) {
        next = node->next;
        subscriber_look(CONTAINER_OF(node, struct subscriber, in_all));
    }
    if (subscriptions->topic_count > 0 || !list_is_empty(&subscriptions->subscribers))
        timer_set(subscriptions->valkey->loop, timer, valkey_now_ms(subscriptions->valkey) + LOOK_EVERY_MS);
}
