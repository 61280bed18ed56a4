/* kv_key_table.h — a hash table of things that have a key of the store, linked through themselves.
 *
 * A zeroed table is empty and holds no memory. It owns its buckets, never what is in them. One thread at a
 * time: whoever shares one has a lock for it. */
#pragma once
#include "nuthatch.h"
#include <stdbool.h>

/* Lies in what is kept, which keeps the bytes of the key, too. */
struct kv_key_node {
    struct kv_key_node *next;
    uint64_t hash; /* keyed: see base/hash.h */
    nh_key key;
};

struct kv_key_table {
    struct kv_key_node **buckets;
    size_t bucket_count; /* 0 or a power of two */
    size_t count;
};

/* The one of `key`, or null. */
struct kv_key_node *kv_key_table_find(const struct kv_key_table *table, uint64_t hash, nh_key key);

/* Puts `node`, with hash and key filled in and not in the table yet. False without memory. */
bool kv_key_table_put(struct kv_key_table *table, struct kv_key_node *node);

/* Takes out a node that is in the table. */
void kv_key_table_remove(struct kv_key_table *table, struct kv_key_node *node);

/* Some node at the place of `*cursor` or behind it, for who takes them out one after the other; null at the
 * end, where the cursor begins anew. */
struct kv_key_node *kv_key_table_next(const struct kv_key_table *table, size_t *cursor);

/* Gives the buckets back. */
void kv_key_table_fini(struct kv_key_table *table);
