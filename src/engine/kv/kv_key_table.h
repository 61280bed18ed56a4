/* kv_key_table.h — things that have a key of the store, in a hash table (base/hash_table.h). Who shares a
 * table has a lock for it. */
#pragma once
#include "base/bytes.h"
#include "base/compiler.h"
#include "base/hash_table.h"
#include "nuthatch.h"

/* Lies in what is kept, which keeps the bytes of the key, too. */
struct kv_key_node {
    struct hash_node in_table;
    uint64_t hash; /* keyed: see base/hash.h */
    nh_key key;
};

/* The table's own hash: the low bits have chosen the table already. */
static inline uint64_t kv_key_spread(uint64_t hash) { return hash >> 16; }

/* The one of `key`, or null. */
static inline struct kv_key_node *kv_key_table_find(const struct hash_table *table, uint64_t hash,
                                                    nh_key key)
{
    for (struct hash_node *link = hash_table_first(table, kv_key_spread(hash)); link != NULL;
         link = hash_table_next(link)) {
        struct kv_key_node *node = CONTAINER_OF(link, struct kv_key_node, in_table);
        if (node->key.space == key.space &&
            bytes_equal(bytes_of(node->key.data, node->key.size), bytes_of(key.data, key.size)))
            return node;
    }
    return NULL;
}

/* Puts `node`, with hash and key filled in and not in the table yet. False without memory. */
static inline bool kv_key_table_put(struct hash_table *table, struct kv_key_node *node)
{
    return hash_table_insert(table, &node->in_table, kv_key_spread(node->hash));
}

static inline void kv_key_table_remove(struct hash_table *table, struct kv_key_node *node)
{
    hash_table_remove(table, &node->in_table);
}

/* Some node in the chain of `*cursor` or behind it, for who takes them out one after the other; null at the
 * end, where the cursor begins anew. */
static inline struct kv_key_node *kv_key_table_next(const struct hash_table *table, size_t *cursor)
{
    for (; *cursor < table->chain_count; ++*cursor)
        if (table->chains[*cursor] != NULL)
            return CONTAINER_OF(table->chains[*cursor], struct kv_key_node, in_table);
    *cursor = 0;
    return NULL;
}
