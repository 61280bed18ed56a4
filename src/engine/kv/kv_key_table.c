#include "engine/kv/kv_key_table.h"
#include "base/bytes.h"
#include <stdlib.h>

enum { BUCKETS_MIN = 8 };

/* The low bits may have chosen the table already. */
static struct kv_key_node **bucket_of(const struct kv_key_table *table, uint64_t hash)
{
    return &table->buckets[(hash >> 16) & (table->bucket_count - 1)];
}

struct kv_key_node *kv_key_table_find(const struct kv_key_table *table, uint64_t hash, nh_key key)
{
    if (table->count == 0)
        return NULL;
    for (struct kv_key_node *node = *bucket_of(table, hash); node != NULL; node = node->next)
        if (node->hash == hash && node->key.space == key.space &&
            bytes_equal(bytes_of(node->key.data, node->key.size), bytes_of(key.data, key.size)))
            return node;
    return NULL;
}

/* Without memory for more buckets the chains become longer, and nothing else. */
static void grow(struct kv_key_table *table)
{
    struct kv_key_table wider = {.bucket_count =
                                     table->bucket_count > 0 ? 2 * table->bucket_count : BUCKETS_MIN};

    wider.buckets = calloc(wider.bucket_count, sizeof *wider.buckets);
    if (wider.buckets == NULL)
        return;
    for (size_t i = 0; i < table->bucket_count; i++) {
        for (struct kv_key_node *node = table->buckets[i], *next; node != NULL; node = next) {
            struct kv_key_node **bucket = bucket_of(&wider, node->hash);
            next = node->next;
            node->next = *bucket;
            *bucket = node;
        }
    }
    free(table->buckets);
    table->buckets = wider.buckets;
    table->bucket_count = wider.bucket_count;
}

bool kv_key_table_put(struct kv_key_table *table, struct kv_key_node *node)
{
    struct kv_key_node **bucket;

    if (table->count >= table->bucket_count)
        grow(table);
    if (table->bucket_count == 0)
        return false;
    bucket = bucket_of(table, node->hash);
    node->next = *bucket;
    *bucket = node;
    table->count++;
    return true;
}

void kv_key_table_remove(struct kv_key_table *table, struct kv_key_node *node)
{
    struct kv_key_node **link = bucket_of(table, node->hash);

    while (*link != node)
        link = &(*link)->next;
    *link = node->next;
    table->count--;
}

struct kv_key_node *kv_key_table_next(const struct kv_key_table *table, size_t *cursor)
{
    while (*cursor < table->bucket_count && table->buckets[*cursor] == NULL)
        ++*cursor;
    if (*cursor < table->bucket_count)
        return table->buckets[*cursor];
    *cursor = 0;
    return NULL;
}

void kv_key_table_fini(struct kv_key_table *table)
{
    free(table->buckets);
    *table = (struct kv_key_table){0};
}
