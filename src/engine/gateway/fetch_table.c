#include "fetch_table.h"
#include "fetch_state.h"

struct fetch_shard *shard_of(struct gateway *gateway, uint64_t hash)
{
    return &gateway->shards[hash % FETCH_SHARDS];
}

static struct fence *fence_of(struct fetch_shard *shard, uint64_t hash)
{
    return &shard->fences[hash / FETCH_SHARDS % FENCES_PER_SHARD];
}

uint32_t fence_count(struct fetch_shard *shard, uint64_t hash)
{
    uint32_t count;

    pthread_mutex_lock(&shard->store_lock);
    count = fence_of(shard, hash)->count;
    pthread_mutex_unlock(&shard->store_lock);
    return count;
}

bool shard_is_fenced(struct fetch_shard *shard, uint64_t hash, uint32_t before)
{
    const struct fence *fence = fence_of(shard, hash);
    uint32_t count = fence->count - before;

    return count > 1 || (count == 1 && fence->last_hash == (uint32_t)(hash >> 32));
}

bool fetch_is_fenced(const struct fetch *fetch)
{
    return shard_is_fenced(fetch->shard, fetch->hash, fetch->fence_count);
}

uint32_t shard_poison(struct fetch_shard *shard, uint64_t hash)
{
    uint32_t count = ++fence_of(shard, hash)->count;

    fence_of(shard, hash)->last_hash = (uint32_t)(hash >> 32);
    pthread_mutex_lock(&shard->lock);
    for (struct list *node = shard->fetches.next, *next; node != &shard->fetches; node = next) {
        struct fetch *fetch = CONTAINER_OF(node, struct fetch, in_table);
        next = node->next;
        if (fetch->hash == hash)
            fetch_leave_table(fetch);
    }
    pthread_mutex_unlock(&shard->lock);
    return count;
}

void fetch_leave_table(struct fetch *fetch) { list_remove(&fetch->in_table); }

/* Under the lock. */
static bool is_of(const struct fetch *fetch, struct bytes key, struct bytes range)
{
    return bytes_equal(buffer_bytes(&fetch->key), key) && bytes_equal(buffer_bytes(&fetch->range), range);
}

void fetch_enter_table(struct fetch *fetch)
{
    for (struct list *node = fetch->shard->fetches.next; node != &fetch->shard->fetches; node = node->next)
        if (is_of(CONTAINER_OF(node, struct fetch, in_table), buffer_bytes(&fetch->key),
                  buffer_bytes(&fetch->range)))
            return;
    list_append(&fetch->shard->fetches, &fetch->in_table);
}

/* What it brings may have been purged since it began: who comes now must not get that. Under the lock: its
 * tags change no more once its head is there. */
static bool was_purged(const struct fetch *fetch, struct bytes key)
{
    struct purge_watch without_tags = {.birth = fetch->watch.birth,
                                       .purge_number = fetch->watch.purge_number};

    return purge_watch_forbids(fetch->has_head ? &fetch->watch : &without_tags, fetch->gateway, key);
}

bool fetch_join(struct fetch_shard *shard, const struct fetch_order *order, struct reader *reader)
{
    for (struct list *node = shard->fetches.next; node != &shard->fetches; node = node->next) {
        struct fetch *fetch = CONTAINER_OF(node, struct fetch, in_table);
        if (fetch->requested.mono_ms < order->begun_since_ms ||
            !is_of(fetch, cache_key_bytes(order->key), order->range) ||
            was_purged(fetch, cache_key_bytes(order->key)))
            continue;
        if (order->quota_class < fetch->quota_class)
            fetch->quota_class = order->quota_class;
        if (reader != NULL)
            fetch_attach(fetch, reader, false);
        return true;
    }
    return false;
}
