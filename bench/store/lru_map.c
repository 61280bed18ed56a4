#define XXH_INLINE_ALL
#include "store/lru_map.h"
#include "load.h"
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { SHARD_COUNT = 64, BUCKETS_FIRST = 1024 };

struct node {
    struct node *next; /* in its chain */
    struct node *newer, *older;
    uint64_t hash;
    uint32_t key_bytes, value_bytes;
    char bytes[]; /* key, value */
};

struct shard {
    _Alignas(64) pthread_mutex_t mutex;
    struct node **buckets;
    uint64_t bucket_count; /* a power of two */
    uint64_t node_count, node_bytes;
    struct node *newest, *oldest;
};

struct lru_map {
    struct shard shards[SHARD_COUNT];
    uint64_t shard_bytes_max;
};

struct lru_map *lru_map_create(uint64_t memory_bytes)
{
    struct lru_map *map = aligned_alloc(_Alignof(struct lru_map), sizeof *map);

    if (map == NULL)
        stop("no memory");
    map->shard_bytes_max = memory_bytes / SHARD_COUNT;
    for (size_t i = 0; i < SHARD_COUNT; i++) {
        map->shards[i] = (struct shard){.bucket_count = BUCKETS_FIRST};
        pthread_mutex_init(&map->shards[i].mutex, NULL);
        map->shards[i].buckets = allocate(BUCKETS_FIRST * sizeof(struct node *));
    }
    return map;
}

void lru_map_destroy(struct lru_map *map)
{
    for (size_t i = 0; i < SHARD_COUNT; i++) {
        struct node *next;
        for (struct node *node = map->shards[i].newest; node != NULL; node = next) {
            next = node->older;
            free(node);
        }
        free(map->shards[i].buckets);
        pthread_mutex_destroy(&map->shards[i].mutex);
    }
    free(map);
}

static struct shard *shard_of(struct lru_map *map, uint64_t hash) { return &map->shards[hash >> 58]; }

/* The link that points at the node with this key, or at the end of its chain. */
static struct node **find(struct shard *shard, uint64_t hash, const void *key, size_t key_bytes)
{
    struct node **link = &shard->buckets[hash & (shard->bucket_count - 1)];

    while (*link != NULL && ((*link)->hash != hash || (*link)->key_bytes != key_bytes ||
                             memcmp((*link)->bytes, key, key_bytes) != 0))
        link = &(*link)->next;
    return link;
}

static void list_remove(struct shard *shard, struct node *node)
{
    *(node->newer != NULL ? &node->newer->older : &shard->newest) = node->older;
    *(node->older != NULL ? &node->older->newer : &shard->oldest) = node->newer;
}

static void list_add(struct shard *shard, struct node *node)
{
    node->newer = NULL;
    node->older = shard->newest;
    *(shard->newest != NULL ? &shard->newest->newer : &shard->oldest) = node;
    shard->newest = node;
}

static void remove_at(struct shard *shard, struct node **link)
{
    struct node *node = *link;

    *link = node->next;
    list_remove(shard, node);
    shard->node_count--;
    shard->node_bytes -= malloc_usable_size(node) + sizeof(size_t);
    free(node);
}

static void grow(struct shard *shard)
{
    uint64_t count = shard->bucket_count * 2;
    struct node **buckets = allocate(count * sizeof *buckets);

    for (uint64_t i = 0; i < shard->bucket_count; i++) {
        struct node *next;
        for (struct node *node = shard->buckets[i]; node != NULL; node = next) {
            next = node->next;
            node->next = buckets[node->hash & (count - 1)];
            buckets[node->hash & (count - 1)] = node;
        }
    }
    free(shard->buckets);
    shard->buckets = buckets;
    shard->bucket_count = count;
}

bool lru_map_get(struct lru_map *map, const void *key, size_t key_bytes, void *buffer, size_t capacity,
                 size_t *value_bytes)
{
    uint64_t hash = XXH3_64bits(key, key_bytes);
    struct shard *shard = shard_of(map, hash);
    struct node *node;

    pthread_mutex_lock(&shard->mutex);
    node = *find(shard, hash, key, key_bytes);
    if (node != NULL) {
        *value_bytes = node->value_bytes;
        memcpy(buffer, node->bytes + key_bytes,
               node->value_bytes < capacity ? node->value_bytes : capacity);
        if (node != shard->newest) {
            list_remove(shard, node);
            list_add(shard, node);
        }
    }
    pthread_mutex_unlock(&shard->mutex);
    return node != NULL;
}

void lru_map_put(struct lru_map *map, const void *key, size_t key_bytes, const void *value,
                 size_t value_bytes)
{
    uint64_t hash = XXH3_64bits(key, key_bytes);
    struct shard *shard = shard_of(map, hash);
    struct node *node = malloc(sizeof *node + key_bytes + value_bytes), **link;

    if (node == NULL)
        stop("no memory");
    *node =
        (struct node){.hash = hash, .key_bytes = (uint32_t)key_bytes, .value_bytes = (uint32_t)value_bytes};
    memcpy(node->bytes, key, key_bytes);
    memcpy(node->bytes + key_bytes, value, value_bytes);

    pthread_mutex_lock(&shard->mutex);
    link = find(shard, hash, key, key_bytes);
    if (*link != NULL)
        remove_at(shard, link);
    if (shard->node_count >= shard->bucket_count)
        grow(shard);
    link = &shard->buckets[hash & (shard->bucket_count - 1)];
    node->next = *link;
    *link = node;
    list_add(shard, node);
    shard->node_count++;
    shard->node_bytes += malloc_usable_size(node) + sizeof(size_t);
    while (shard->node_bytes + shard->bucket_count * sizeof(struct node *) > map->shard_bytes_max &&
           shard->oldest != node) {
        struct node *oldest = shard->oldest;
        remove_at(shard, find(shard, oldest->hash, oldest->bytes, oldest->key_bytes));
    }
    pthread_mutex_unlock(&shard->mutex);
}
