#include "engine/kv/kv_pubsub_table.h"
#include "base/glob.h"
#include "base/hash.h"
#include "base/hash_table.h"
#include "base/list.h"
#include <pthread.h>
#include <stdlib.h>

struct topic {
    struct hash_node in_table;
    struct list in_kind;
    size_t name_bytes;
    uint64_t subscription_count;
    uint32_t by_worker[]; /* subscriptions of each worker; the name lies behind them */
};

struct kv_pubsub_table {
    pthread_mutex_t lock;
    unsigned worker_count;
    uint64_t seed, last_moment;
    struct {
        struct hash_table by_name;
        struct list in_order;
        _Atomic uint64_t count; /* read without the lock: nobody listens, the usual case */
    } kinds[KV_TOPIC_KINDS];
};

static char *name_place(const struct kv_pubsub_table *table, struct topic *topic)
{
    return (char *)(topic->by_worker + table->worker_count);
}

static struct bytes name_of(const struct kv_pubsub_table *table, struct topic *topic)
{
    return bytes_of(name_place(table, topic), topic->name_bytes);
}

enum err kv_pubsub_table_create(unsigned worker_count, struct kv_pubsub_table **created)
{
    struct kv_pubsub_table *table = calloc(1, sizeof *table);

    if (table == NULL)
        return ERR_NO_MEMORY;
    table->worker_count = worker_count;
    table->seed = hash_seed_random();
    pthread_mutex_init(&table->lock, NULL);
    for (int kind = 0; kind < KV_TOPIC_KINDS; kind++)
        list_init(&table->kinds[kind].in_order);
    *created = table;
    return OK;
}

static void remove_topic(struct kv_pubsub_table *table, enum kv_topic_kind kind, struct topic *topic)
{
    hash_table_remove(&table->kinds[kind].by_name, &topic->in_table);
    list_remove(&topic->in_kind);
    atomic_fetch_sub_explicit(&table->kinds[kind].count, 1, memory_order_relaxed);
    free(topic);
}

void kv_pubsub_table_destroy(struct kv_pubsub_table *table)
{
    if (table == NULL)
        return;
    for (int kind = 0; kind < KV_TOPIC_KINDS; kind++)
        while (!list_is_empty(&table->kinds[kind].in_order))
            remove_topic(table, kind,
                         CONTAINER_OF(table->kinds[kind].in_order.next, struct topic, in_kind));
    pthread_mutex_destroy(&table->lock);
    free(table);
}

uint64_t kv_pubsub_hash(const struct kv_pubsub_table *table, struct bytes name)
{
    return hash_bytes(name, table->seed);
}

static struct topic *find(const struct kv_pubsub_table *table, enum kv_topic_kind kind, struct bytes name,
                          uint64_t hash)
{
    struct hash_node *node = hash_table_first(&table->kinds[kind].by_name, hash);

    for (; node != NULL; node = hash_table_next(node)) {
        struct topic *topic = CONTAINER_OF(node, struct topic, in_table);
        if (bytes_equal(name_of(table, topic), name))
            return topic;
    }
    return NULL;
}

static struct topic *add_topic(struct kv_pubsub_table *table, enum kv_topic_kind kind, struct bytes name,
                               uint64_t hash)
{
    size_t head_bytes = sizeof(struct topic) + table->worker_count * sizeof(uint32_t);
    struct topic *topic = malloc(head_bytes + name.size);

    if (topic == NULL)
        return NULL;
    memset(topic, 0, head_bytes);
    topic->name_bytes = name.size;
    if (name.size > 0)
        memcpy(name_place(table, topic), name.data, name.size);
    if (!hash_table_insert(&table->kinds[kind].by_name, &topic->in_table, hash)) {
        free(topic);
        return NULL;
    }
    list_append(&table->kinds[kind].in_order, &topic->in_kind);
    atomic_fetch_add_explicit(&table->kinds[kind].count, 1, memory_order_relaxed);
    return topic;
}

enum err kv_pubsub_table_join(struct kv_pubsub_table *table, enum kv_topic_kind kind, struct bytes name,
                              unsigned worker, uint64_t *moment)
{
    uint64_t hash = kv_pubsub_hash(table, name);
    struct topic *topic;

    pthread_mutex_lock(&table->lock);
    topic = find(table, kind, name, hash);
    if (topic == NULL)
        topic = add_topic(table, kind, name, hash);
    if (topic != NULL) {
        topic->by_worker[worker]++;
        topic->subscription_count++;
        *moment = ++table->last_moment;
    }
    pthread_mutex_unlock(&table->lock);
    return topic != NULL ? OK : ERR_NO_MEMORY;
}

void kv_pubsub_table_leave(struct kv_pubsub_table *table, enum kv_topic_kind kind, struct bytes name,
                           unsigned worker)
{
    uint64_t hash = kv_pubsub_hash(table, name);
    struct topic *topic;

    pthread_mutex_lock(&table->lock);
    topic = find(table, kind, name, hash);
    topic->by_worker[worker]--;
    if (--topic->subscription_count == 0)
        remove_topic(table, kind, topic);
    pthread_mutex_unlock(&table->lock);
}

static void add_to_audience(const struct kv_pubsub_table *table, const struct topic *topic,
                            struct kv_audience *audience)
{
    audience->subscription_count += topic->subscription_count;
    for (unsigned i = 0; i < table->worker_count; i++)
        if (topic->by_worker[i] > 0 && !kv_audience_has(audience, i)) {
            audience->workers[i / 64] |= UINT64_C(1) << (i % 64);
            audience->worker_count++;
        }
}

bool kv_pubsub_table_find(struct kv_pubsub_table *table, enum kv_topic_kind kind, struct bytes channel,
                          struct kv_audience *audience)
{
    bool may_be_pattern = kind == KV_TOPIC_CHANNEL && kv_pubsub_table_topics(table, KV_TOPIC_PATTERN) > 0;
    struct topic *topic;

    if (!may_be_pattern && kv_pubsub_table_topics(table, kind) == 0)
        return false;
    *audience = (struct kv_audience){0};
    pthread_mutex_lock(&table->lock);
    audience->moment = ++table->last_moment;
    topic = find(table, kind, channel, kv_pubsub_hash(table, channel));
    if (topic != NULL)
        add_to_audience(table, topic, audience);
    if (may_be_pattern) {
        const struct list *patterns = &table->kinds[KV_TOPIC_PATTERN].in_order;
        for (struct list *node = patterns->next; node != patterns; node = node->next) {
            topic = CONTAINER_OF(node, struct topic, in_kind);
            if (glob_fits(name_of(table, topic), channel))
                add_to_audience(table, topic, audience);
        }
    }
    pthread_mutex_unlock(&table->lock);
    return audience->subscription_count > 0;
}

uint64_t kv_pubsub_table_subscriptions(struct kv_pubsub_table *table, enum kv_topic_kind kind,
                                       struct bytes name)
{
    struct topic *topic;
    uint64_t count = 0;

    pthread_mutex_lock(&table->lock);
    topic = find(table, kind, name, kv_pubsub_hash(table, name));
    if (topic != NULL)
        count = topic->subscription_count;
    pthread_mutex_unlock(&table->lock);
    return count;
}

uint64_t kv_pubsub_table_topics(const struct kv_pubsub_table *table, enum kv_topic_kind kind)
{
    return atomic_load_explicit(&table->kinds[kind].count, memory_order_relaxed);
}

size_t kv_pubsub_table_names(struct kv_pubsub_table *table, enum kv_topic_kind kind, struct bytes pattern,
                             struct buffer *names)
{
    const struct list *topics = &table->kinds[kind].in_order;
    size_t count = 0;

    pthread_mutex_lock(&table->lock);
    for (struct list *node = topics->next; node != topics; node = node->next) {
        struct bytes name = name_of(table, CONTAINER_OF(node, struct topic, in_kind));
        if (!glob_fits(pattern, name))
            continue;
        buffer_append(names, bytes_of(&name.size, sizeof name.size));
        buffer_append(names, name);
        count++;
    }
    pthread_mutex_unlock(&table->lock);
    return count;
}
