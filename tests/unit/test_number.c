/* links: nuthatch-base */
#include "base/buffer.h"
#include "base/number.h"
#include "test.h"
#include <stdio.h>

TEST(only_canonical_numbers_that_fit_are_read)
{
    static const struct {
        const char *text;
        bool is_number;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"-1", true, -1},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"99999999999999999999999", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"+1", false, 0},
        {"01", false, 0},
        {"-0", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"0x1", false, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t value = 77;
        EXPECT_EQ(int64_parse(bytes_of_text(cases[i].text), &value), cases[i].is_number);
        EXPECT_EQ(value, cases[i].is_number ? cases[i].value : 77);
    }
}

TEST(a_number_survives_the_way_to_text_and_back)
{
    static const int64_t values[] = {0, 1, -1, 10, -10, 99, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        struct buffer text = {0};
        int64_t value;
        buffer_append_int64(&text, values[i]);
        EXPECT(int64_parse(buffer_bytes(&text), &value));
        EXPECT_EQ(value, values[i]);
        buffer_fini(&text);
    }
}

TEST(a_number_of_any_length_is_written_as_printf_does)
{
    uint64_t power = 1;

    for (int digits = 1; digits <= 20; digits++, power *= 10)
        for (int i = -101; i <= 101; i++) {
            char text[NUMBER_TEXT_BYTES], wanted[32];
            uint64_t value = power + (uint64_t)i;
            int size = snprintf(wanted, sizeof wanted, "%llu", (unsigned long long)value);
            EXPECT_TEXT(bytes_of(text, uint64_format(text, value)), bytes_of(wanted, (size_t)size));
        }
}

TEST(up_to_three_decimals_are_read_as_thousandths)
{
    static const struct {
        const char *text;
        uint64_t thousandths; /* UINT64_MAX: refused */
    } cases[] = {
        {"0", 0},
        {"1", 1000},
        {"0.25", 250},
        {"007.5", 7500},
        {"1.001", 1001},
        {"100", 100000},
        {"100.001", UINT64_MAX},
        {"1.0001", UINT64_MAX},
        {"1.", UINT64_MAX},
        {".5", UINT64_MAX},
        {"", UINT64_MAX},
        {"-1", UINT64_MAX},
        {"1,5", UINT64_MAX},
        {"1.5.5", UINT64_MAX},
        {"1. 5", UINT64_MAX},
        {"18446744073709551616", UINT64_MAX},
        {"18446744073709551", UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t read = 12345;
        bool is_read = thousandths_parse(bytes_of_text(cases[i].text), 100000, &read);
        EXPECT_EQ(is_read, cases[i].thousandths != UINT64_MAX);
        EXPECT_EQ(read, is_read ? cases[i].thousandths : 12345);
    }
}

RUN_TESTS(TEST_ROW(only_canonical_numbers_that_fit_are_read),
          TEST_ROW(a_number_survives_the_way_to_text_and_back),
          TEST_ROW(a_number_of_any_length_is_written_as_printf_does),
          TEST_ROW(up_to_three_decimals_are_read_as_thousandths))
