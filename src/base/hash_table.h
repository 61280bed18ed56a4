/* hash_table.h — structs found by a hash; the caller owns them, and compares what the hash stands for.
 *
 * A zeroed struct is an empty table that holds no memory. One thread at a time. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A field of what is in the table. */
struct hash_node {
    struct hash_node *next;
    uint64_t hash;
};

struct hash_table {
    struct hash_node **chains;
    size_t chain_count; /* a power of two, or 0 */
    size_t node_count;
};

/* False, with the table as it was, if there is no memory. */
bool hash_table_insert(struct hash_table *table, struct hash_node *node, uint64_t hash);

/* Takes out `node`, which is in the table. The last one takes the table's memory with it. */
void hash_table_remove(struct hash_table *table, struct hash_node *node);

/* The first node with that hash, and those behind it with the same; null when there is no more. */
struct hash_node *hash_table_first(const struct hash_table *table, uint64_t hash);
struct hash_node *hash_table_next(const struct hash_node *node);
