/* links: nuthatch-kv-tier nuthatch-kv nuthatch-store nuthatch-message nuthatch-base
 * memcached's items as strings of the tier. */
#include "engine/kv/tier/kv_tier_item.h"
#include "test.h"

#define HEAD "\0nhItem"

TEST(an_item_comes_back_as_it_was_and_is_plain_where_it_can_be)
{
    static const struct {
        struct kv_tier_item item;
        size_t head_bytes;
    } cases[] = {
        {{.value = BYTES_INIT("hello")}, 0},
        {{.value = BYTES_INIT("")}, 0},
        {{.value = BYTES_INIT("\0nhIte")}, 0},
        {{.value = BYTES_INIT(HEAD)}, 12},
        {{.value = BYTES_INIT(HEAD "\0\0\0\0\1v")}, 12},
        {{.value = BYTES_INIT("v"), .flags = 1}, 12},
        {{.value = BYTES_INIT("v"), .flags = UINT32_MAX}, 12},
        {{.value = BYTES_INIT(""), .is_won = true}, 12},
        {{.value = BYTES_INIT("v"), .flags = 0x01020304, .is_won = true, .is_stale = true}, 12},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char raw[64];
        const struct kv_tier_item *item = &cases[i].item;
        size_t head_bytes = kv_tier_item_write_head(item, raw);
        struct kv_tier_item back;

        EXPECT_EQ(head_bytes, cases[i].head_bytes);
        memcpy(raw + head_bytes, item->value.data, item->value.size);
        back = kv_tier_item_of(bytes_of(raw, head_bytes + item->value.size));
        EXPECT(bytes_equal(back.value, item->value));
        EXPECT_EQ(back.flags, item->flags);
        EXPECT_EQ(back.is_stale, item->is_stale);
        EXPECT_EQ(back.is_won, item->is_won);
    }
}

TEST(a_string_that_is_cut_short_is_no_head)
{
    struct bytes raw = BYTES(HEAD "\0\0\0\0\7v");

    for (size_t size = 0; size < 12; size++)
        EXPECT_EQ(kv_tier_item_of(bytes_first(raw, size)).value.size, size);
    EXPECT_EQ(kv_tier_item_of(bytes_first(raw, 12)).value.size, 0u);
    EXPECT_EQ(kv_tier_item_of(raw).flags, 7u);
}

static uint64_t version(struct bytes raw)
{
    uint64_t number = 0;

    EXPECT(kv_tier_item_version(raw, &number));
    return number;
}

TEST(a_version_is_of_value_flags_and_staleness_and_not_of_who_was_told)
{
    EXPECT_EQ(version(BYTES("abc")), 0xa9993e364706816au); /* the begin of its SHA-1 */
    EXPECT_EQ(version(BYTES("")), 0xda39a3ee5e6b4b0du);
    EXPECT(version(BYTES("v")) != version(BYTES(HEAD "\0\0\0\0\1v")));
    EXPECT(version(BYTES(HEAD "\0\0\0\0\1v")) != version(BYTES(HEAD "\1\0\0\0\1v")));
    EXPECT_EQ(version(BYTES(HEAD "\0\0\0\0\1v")), version(BYTES(HEAD "\2\0\0\0\1v")));
    EXPECT_EQ(version(BYTES(HEAD "\1\0\0\0\1v")), version(BYTES(HEAD "\3\0\0\0\1v")));
}

RUN_TESTS(TEST_ROW(an_item_comes_back_as_it_was_and_is_plain_where_it_can_be),
          TEST_ROW(a_string_that_is_cut_short_is_no_head),
          TEST_ROW(a_version_is_of_value_flags_and_staleness_and_not_of_who_was_told))
