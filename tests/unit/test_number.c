/* links: nuthatch-base */
#include "base/buffer.h"
#include "base/number.h"
#include "test.h"

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

RUN_TESTS(TEST_ROW(only_canonical_numbers_that_fit_are_read),
          TEST_ROW(a_number_survives_the_way_to_text_and_back))
