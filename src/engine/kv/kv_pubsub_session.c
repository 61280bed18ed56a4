#include "engine/kv/kv_pubsub_session.h"
#include "engine/kv/kv_guard.h"
#include <stdlib.h>

/* ---- a worker's topics ---------------------------------------------------------------------------- */

static struct kv_topic *find_topic(const struct kv *kv, enum kv_topic_kind kind, struct bytes name,
                                   uint64_t hash)
{
    struct hash_node *node = hash_table_first(&kv->subscriptions.topics[kind], hash);

    for (; node != NULL; node = hash_table_next(node)) {
        struct kv_topic *topic = CONTAINER_OF(node, struct kv_topic, in_table);
        if (bytes_equal(kv_topic_name(topic), name))
            return topic;
    }
    return NULL;
}

struct kv_topic *kv_topic_find(const struct kv *kv, enum kv_topic_kind kind, struct bytes name)
{
    if (kv->subscriptions.topics[kind].node_count == 0)
        return NULL;
    return find_topic(kv, kind, name, kv_pubsub_hash(kv->hub->topics, name));
}

static struct kv_topic *add_topic(struct kv *kv, enum kv_topic_kind kind, struct bytes name, uint64_t hash)
{
    struct kv_topic *topic = malloc(sizeof *topic + name.size);

    if (topic == NULL)
        return NULL;
    *topic = (struct kv_topic){.kind = kind, .name_bytes = name.size};
    if (name.size > 0)
        memcpy(topic->name, name.data, name.size);
    if (!hash_table_insert(&kv->subscriptions.topics[kind], &topic->in_table, hash)) {
        free(topic);
        return NULL;
    }
    list_init(&topic->subscriptions);
    list_init(&topic->in_patterns);
    if (kind == KV_TOPIC_PATTERN) {
        if (kv->subscriptions.patterns.next == NULL)
            list_init(&kv->subscriptions.patterns);
        list_append(&kv->subscriptions.patterns, &topic->in_patterns);
    }
    return topic;
}

static void remove_topic_if_unused(struct kv *kv, struct kv_topic *topic)
{
    if (!list_is_empty(&topic->subscriptions))
        return;
    hash_table_remove(&kv->subscriptions.topics[topic->kind], &topic->in_table);
    list_remove(&topic->in_patterns);
    free(topic);
}

/* Whether kv->source has something to say on it. */
static bool is_of_source(const struct kv *kv, const struct kv_topic *topic)
{
    return kv->source != NULL && topic->kind == KV_TOPIC_CHANNEL &&
           bytes_start_with(kv_topic_name(topic), kv->source->prefix);
}

/* ---- a session's subscriptions -------------------------------------------------------------------- */

static struct kv_subscription *find_subscription(const struct session *session, enum kv_topic_kind kind,
                                                 struct bytes name, uint64_t hash)
{
    struct hash_node *node;

    if (session->subscriber == NULL)
        return NULL;
    node = hash_table_first(&session->subscriber->kinds[kind].by_name, hash);
    for (; node != NULL; node = hash_table_next(node)) {
        struct kv_subscription *subscription = CONTAINER_OF(node, struct kv_subscription, in_subscriber);
        if (bytes_equal(kv_topic_name(subscription->topic), name))
            return subscription;
    }
    return NULL;
}

static bool make_subscriber(struct session *session)
{
    struct kv_subscriber *subscriber = session->subscriber;

    if (subscriber != NULL)
        return true;
    subscriber = calloc(1, sizeof *subscriber);
    if (subscriber == NULL)
        return false;
    for (int kind = 0; kind < KV_TOPIC_KINDS; kind++)
        list_init(&subscriber->kinds[kind].in_order);
    session->subscriber = subscriber;
    return true;
}

static void remove_subscriber_if_unused(struct session *session)
{
    struct kv_subscriber *subscriber = session->subscriber;

    for (int kind = 0; kind < KV_TOPIC_KINDS; kind++)
        if (!list_is_empty(&subscriber->kinds[kind].in_order))
            return;
    session->guards &= ~(unsigned)KV_GUARD_subscriber;
    session->subscriber = NULL;
    free(subscriber);
}

enum err kv_subscription_add(struct kv *kv, struct session *session, enum kv_topic_kind kind,
                             struct bytes name)
{
    uint64_t hash = kv_pubsub_hash(kv->hub->topics, name);
    struct kv_subscription *subscription;
    struct kv_topic *topic;
    bool is_first;

    if (find_subscription(session, kind, name, hash) != NULL)
        return OK;
    if (!make_subscriber(session))
        return ERR_NO_MEMORY;
    subscription = calloc(1, sizeof *subscription);
    topic = find_topic(kv, kind, name, hash);
    if (topic == NULL)
        topic = add_topic(kv, kind, name, hash);
    if (subscription == NULL || topic == NULL)
        goto forget;
    if (!hash_table_insert(&session->subscriber->kinds[kind].by_name, &subscription->in_subscriber, hash))
        goto forget;
    if (kv_pubsub_table_join(kv->hub->topics, kind, name, kv->number, &subscription->moment) != OK) {
        hash_table_remove(&session->subscriber->kinds[kind].by_name, &subscription->in_subscriber);
        goto forget;
    }
    subscription->topic = topic;
    subscription->session = session;
    is_first = list_is_empty(&topic->subscriptions);
    list_append(&topic->subscriptions, &subscription->in_topic);
    list_append(&session->subscriber->kinds[kind].in_order, &subscription->in_order);
    session->guards |= KV_GUARD_subscriber;
    if (is_first && is_of_source(kv, topic))
        topic->channel = kv->source->begins(kv, name);
    return OK;

forget:
    free(subscription);
    if (topic != NULL)
        remove_topic_if_unused(kv, topic);
    remove_subscriber_if_unused(session);
    return ERR_NO_MEMORY;
}

static void end_subscription(struct kv *kv, struct kv_subscription *subscription)
{
    struct kv_topic *topic = subscription->topic;
    bool is_last;

    kv_pubsub_table_leave(kv->hub->topics, topic->kind, kv_topic_name(topic), kv->number);
    hash_table_remove(&subscription->session->subscriber->kinds[topic->kind].by_name,
                      &subscription->in_subscriber);
    list_remove(&subscription->in_topic);
    list_remove(&subscription->in_order);
    free(subscription);
    is_last = list_is_empty(&topic->subscriptions);
    if (is_last && kv->elsewhere != NULL && kv->elsewhere->topic_ends != NULL)
        kv->elsewhere->topic_ends(kv, topic->kind, kv_topic_name(topic));
    if (is_last && is_of_source(kv, topic))
        kv->source->ends(kv, topic->channel);
    remove_topic_if_unused(kv, topic);
}

void kv_subscription_end(struct kv *kv, struct session *session, enum kv_topic_kind kind, struct bytes name)
{
    struct kv_subscription *subscription =
        find_subscription(session, kind, name, kv_pubsub_hash(kv->hub->topics, name));

    if (subscription == NULL)
        return;
    end_subscription(kv, subscription);
    remove_subscriber_if_unused(session);
}

void kv_unsubscribe_from_all(struct kv *kv, struct session *session)
{
    if (session->subscriber == NULL)
        return;
    for (int kind = 0; kind < KV_TOPIC_KINDS; kind++) {
        struct list *in_order = &session->subscriber->kinds[kind].in_order;
        for (struct list *node = in_order->next, *next; node != in_order; node = next) {
            next = node->next;
            end_subscription(kv, CONTAINER_OF(node, struct kv_subscription, in_order));
        }
    }
    remove_subscriber_if_unused(session);
}

struct kv_subscription *kv_subscription_first(const struct session *session, enum kv_topic_kind kind)
{
    const struct list *in_order;

    if (session->subscriber == NULL)
        return NULL;
    in_order = &session->subscriber->kinds[kind].in_order;
    return list_is_empty(in_order) ? NULL : CONTAINER_OF(in_order->next, struct kv_subscription, in_order);
}

size_t kv_subscription_count(const struct session *session, enum kv_topic_kind kind)
{
    return session->subscriber == NULL ? 0 : session->subscriber->kinds[kind].by_name.node_count;
}
