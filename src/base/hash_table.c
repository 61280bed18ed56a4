#include "base/hash_table.h"
#include <assert.h>
#include <stdlib.h>

enum { CHAINS_MIN = 8 };

static struct hash_node **chain_of(const struct hash_table *table, uint64_t hash)
{
    return &table->chains[hash & (table->chain_count - 1)];
}

static bool resize(struct hash_table *table, size_t chain_count)
{
    struct hash_table resized = {calloc(chain_count, sizeof *resized.chains), chain_count,
                                 table->node_count};

    if (resized.chains == NULL)
        return false;
    for (size_t i = 0; i < table->chain_count; i++)
        for (struct hash_node *node = table->chains[i], *next; node != NULL; node = next) {
            struct hash_node **chain = chain_of(&resized, node->hash);
            next = node->next;
            node->next = *chain;
            *chain = node;
        }
    free(table->chains);
    *table = resized;
    return true;
}

bool hash_table_insert(struct hash_table *table, struct hash_node *node, uint64_t hash)
{
    struct hash_node **chain;

    /* A table that cannot grow for want of memory has longer chains. */
    if (table->node_count >= table->chain_count &&
        !resize(table, table->chain_count > 0 ? 2 * table->chain_count : CHAINS_MIN) &&
        table->chain_count == 0)
        return false;
    chain = chain_of(table, hash);
    *node = (struct hash_node){*chain, hash};
    *chain = node;
    table->node_count++;
    return true;
}

void hash_table_remove(struct hash_table *table, struct hash_node *node)
{
    struct hash_node **link = chain_of(table, node->hash);

    while (*link != node) {
        assert(*link != NULL);
        link = &(*link)->next;
    }
    *link = node->next;
    if (--table->node_count == 0) {
        free(table->chains);
        *table = (struct hash_table){0};
    } else if (table->chain_count > CHAINS_MIN && table->node_count < table->chain_count / 8) {
        resize(table, table->chain_count / 4);
    }
}

static struct hash_node *find_from(struct hash_node *node, uint64_t hash)
{
    while (node != NULL && node->hash != hash)
        node = node->next;
    return node;
}

struct hash_node *hash_table_first(const struct hash_table *table, uint64_t hash)
{
    return table->chain_count == 0 ? NULL : find_from(*chain_of(table, hash), hash);
}

struct hash_node *hash_table_next(const struct hash_node *node)
{
    return find_from(node->next, node->hash);
}
