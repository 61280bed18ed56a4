/* test_slot.c — from keys to slots, held against what a cluster's CLUSTER KEYSLOT says.
 * links: nuthatch-valkey */
#include "base/random_source.h"
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

/* CRC16/XMODEM as it is defined, bit by bit. */
static uint16_t crc16_by_bits(const unsigned char *bytes, size_t count)
{
    uint32_t crc = 0;

    for (size_t i = 0; i < 8 * count; i++) {
        crc ^= (uint32_t)(bytes[i / 8] >> (7 - i % 8) & 1) << 15;
        crc = (crc << 1 ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
    }
    return (uint16_t)crc;
}

TEST(keys_of_any_length_and_bytes_have_the_slot_of_their_remainder)
{
    struct random_source random = random_source_of(1, 0, 0);
    unsigned char key[40];

    for (unsigned round = 0; round < 20000; round++) {
        size_t size = round % sizeof key;
        for (size_t i = 0; i < size; i++)
            if ((key[i] = (unsigned char)random_next(&random)) == '{')
                key[i] = '}';
        EXPECT_EQ(valkey_slot(bytes_of((char *)key, size)), crc16_by_bits(key, size) % VALKEY_SLOT_COUNT);
    }
}

TEST(every_slot_has_letters_and_digits_that_lead_to_it)
{
    for (uint32_t slot = 0; slot < VALKEY_SLOT_COUNT; slot++) {
        char tag[VALKEY_TAG_BYTES];
        valkey_slot_tag((uint16_t)slot, tag);
        EXPECT_EQ(valkey_slot(bytes_of(tag, sizeof tag)), slot);
        for (size_t i = 0; i < sizeof tag; i++)
            EXPECT((tag[i] >= '0' && tag[i] <= '9') || (tag[i] >= 'A' && tag[i] <= 'Z') ||
                   (tag[i] >= 'a' && tag[i] <= 'z'));
    }
}

RUN_TESTS(TEST_ROW(every_slot_has_letters_and_digits_that_lead_to_it),
          TEST_ROW(slots_are_as_the_cluster_computes_them),
          TEST_ROW(keys_of_any_length_and_bytes_have_the_slot_of_their_remainder))
