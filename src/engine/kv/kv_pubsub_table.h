/* kv_pubsub_table.h — the hub's table of topics: which workers have subscribers of which channel or
 * pattern, and how many.
 *
 * It is looked at by who subscribes or publishes, under one lock that is held for one look. Who the
 * subscribers are, only their worker knows: see kv_pubsub.h. */
#pragma once
#include "base/buffer.h"
#include "base/err.h"
#include <stdatomic.h>
#include <stdbool.h>

enum kv_topic_kind { KV_TOPIC_CHANNEL, KV_TOPIC_PATTERN, KV_TOPIC_SHARD, KV_TOPIC_KINDS };

enum { KV_AUDIENCE_WORKERS_MAX = 1024 };

struct kv_pubsub_table; /* opaque: kv_pubsub_table.c */

/* Whom a message reaches. */
struct kv_audience {
    uint64_t subscription_count;
    /* The message's place among all messages and subscriptions: it is for who subscribed before it. */
    uint64_t moment;
    unsigned worker_count;
    uint64_t workers[KV_AUDIENCE_WORKERS_MAX / 64]; /* a bit each */
};

static inline bool kv_audience_has(const struct kv_audience *audience, unsigned worker)
{
    return audience->workers[worker / 64] >> (worker % 64) & 1;
}

/* ERR_NO_MEMORY. `worker_count` is at most KV_AUDIENCE_WORKERS_MAX. */
enum err kv_pubsub_table_create(unsigned worker_count, struct kv_pubsub_table **table);
void kv_pubsub_table_destroy(struct kv_pubsub_table *table);

/* The hash of a topic's name that every table of names uses. */
uint64_t kv_pubsub_hash(const struct kv_pubsub_table *table, struct bytes name);

/* One subscription more of a worker. ERR_NO_MEMORY. */
enum err kv_pubsub_table_join(struct kv_pubsub_table *table, enum kv_topic_kind kind, struct bytes name,
                              unsigned worker, uint64_t *moment);
/* One less, of a topic that the worker has joined. */
void kv_pubsub_table_leave(struct kv_pubsub_table *table, enum kv_topic_kind kind, struct bytes name,
                           unsigned worker);

/* Whom a message to `channel`, of kind CHANNEL or SHARD, reaches at this moment. False: nobody. */
bool kv_pubsub_table_find(struct kv_pubsub_table *table, enum kv_topic_kind kind, struct bytes channel,
                          struct kv_audience *audience);

/* How many subscriptions a topic has; how many topics of a kind there are. */
uint64_t kv_pubsub_table_subscriptions(struct kv_pubsub_table *table, enum kv_topic_kind kind,
                                       struct bytes name);
uint64_t kv_pubsub_table_topics(const struct kv_pubsub_table *table, enum kv_topic_kind kind);

/* Appends the names that fit `pattern`, each a size_t and its bytes; returns how many. */
size_t kv_pubsub_table_names(struct kv_pubsub_table *table, enum kv_topic_kind kind, struct bytes pattern,
                             struct buffer *names);
