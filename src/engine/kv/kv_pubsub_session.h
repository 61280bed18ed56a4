/* kv_pubsub_session.h — one worker's topics, and who of its sessions subscribes to them; its own thread
 * only. */
#pragma once
#include "engine/kv/kv_call.h"

/* A topic that sessions of this worker subscribe to. */
struct kv_topic {
    struct hash_node in_table;
    struct list in_patterns; /* alone if it is none */
    struct list subscriptions;
    enum kv_topic_kind kind;
    void *channel; /* of kv->source, if it is one of its */
    size_t name_bytes;
    char name[];
};

/* One session's to one topic. */
struct kv_subscription {
    struct hash_node in_subscriber;
    struct list in_topic, in_order;
    struct kv_topic *topic;
    struct session *session;
    uint64_t moment; /* it is for messages after it */
};

/* What a session subscribes to: session->subscriber. */
struct kv_subscriber {
    struct {
        struct hash_table by_name;
        struct list in_order;
    } kinds[KV_TOPIC_KINDS];
};

static inline struct bytes kv_topic_name(const struct kv_topic *topic)
{
    return bytes_of(topic->name, topic->name_bytes);
}

/* The worker's topic; null if none of its sessions subscribes to it. */
struct kv_topic *kv_topic_find(const struct kv *kv, enum kv_topic_kind kind, struct bytes name);

/* Adds a subscription unless the session has it already. ERR_NO_MEMORY, and nothing has changed. */
enum err kv_subscription_add(struct kv *kv, struct session *session, enum kv_topic_kind kind,
                             struct bytes name);

/* Ends a subscription, if there is one. `name` may be the topic's own. */
void kv_subscription_end(struct kv *kv, struct session *session, enum kv_topic_kind kind,
                         struct bytes name);

/* The oldest subscription of a kind that a session has; null if none. */
struct kv_subscription *kv_subscription_first(const struct session *session, enum kv_topic_kind kind);
