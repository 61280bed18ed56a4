/* test_slot.c — from keys to slots, held against what a cluster's CLUSTER KEYSLOT says.
 * links: nuthatch-valkey */
#include "client/valkey/valkey.h"
#include "test.h"

TEST(slots_are_as_the_cluster_computes_them)
{
    static const struct {
        const char *key;
        uint16_t slot;
    } cases[] = {
        {"", 0},
        {"123456789", 12739},
        {"foo", 12182},
        {"{foo}bar", 12182},
        {"x{foo}{bar}", 12182},
        {"{}foo", 9500},
        {"foo{", 7673},
        {"{{a}}", 10276},
        {"a}b{c}", 7365},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        EXPECT_EQ(valkey_slot(bytes_of_text(cases[i].key)), cases[i].slot);
}

RUN_TESTS(TEST_ROW(slots_are_as_the_cluster_computes_them))
