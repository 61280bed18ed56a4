/* links: nuthatch-base
 * A table of structs of which some share a hash, against a plain array. */
#include "base/compiler.h"
#include "base/hash_table.h"
#include "test.h"

enum { ENTRIES = 2000 };

struct entry {
    struct hash_node node;
    bool is_in;
};

static bool is_found(const struct hash_table *table, const struct entry *entry, uint64_t hash)
{
    for (struct hash_node *node = hash_table_first(table, hash); node != NULL;
         node = hash_table_next(node)) {
        EXPECT_EQ(node->hash, hash);
        if (node == &entry->node)
            return true;
    }
    return false;
}

static uint64_t hash_of(size_t i) { return i / 3 * UINT64_C(0x9e3779b97f4a7c15); }

TEST(what_is_in_the_table_is_found_and_nothing_else)
{
    static struct entry entries[ENTRIES];
    struct hash_table table = {0};
    uint64_t random = 1;
    size_t count = 0;

    for (int i = 0; i < 10 * ENTRIES; i++) {
        size_t at;
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        at = (random >> 33) % ENTRIES;
        EXPECT_EQ(is_found(&table, &entries[at], hash_of(at)), entries[at].is_in);
        if (entries[at].is_in)
            hash_table_remove(&table, &entries[at].node);
        else
            EXPECT(hash_table_insert(&table, &entries[at].node, hash_of(at)));
        entries[at].is_in = !entries[at].is_in;
        count += entries[at].is_in ? 1 : (size_t)-1;
        EXPECT_EQ(table.node_count, count);
    }
    for (size_t i = 0; i < ENTRIES; i++) {
        EXPECT_EQ(is_found(&table, &entries[i], hash_of(i)), entries[i].is_in);
        if (entries[i].is_in)
            hash_table_remove(&table, &entries[i].node);
    }
    EXPECT(table.chains == NULL); /* the last one took the memory with it */
}

RUN_TESTS(TEST_ROW(what_is_in_the_table_is_found_and_nothing_else))
