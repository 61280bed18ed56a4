/* links: nuthatch-mock nuthatch-base */
#include "base/compiler.h"
#include "engine/mock/collections/word_order.h"
#include "test.h"

TEST(words_are_in_the_order_of_the_alphabet_whatever_their_accents_and_case)
{
    static const char *const words[] = {
        /* as localeCompare of JavaScript has them */
        "",    "\t",  " ",      "_",      "-",      "#1",    "%",     "$",      "£",    "10",   "9",
        "a",   "A",   "á",      "Á",      "ab",     "Ab",    "b",     "B",      "lodz", "łódź", "lz",
        "m",   "o",   "ø",      "oz",     "p",      "senor", "señor", "sentir", "z",    "ž",    "Ž",
        "zoo", "Zoo", "zurich", "Zurich", "Zürich", "α",     "Ж",     "ь",      "あ"};

    for (size_t i = 0; i < COUNT_OF(words); i++)
        for (size_t k = 0; k < COUNT_OF(words); k++) {
            int order = word_compare(bytes_of_text(words[i]), bytes_of_text(words[k]));
            EXPECT_EQ((order > 0) - (order < 0), (i > k) - (i < k));
        }
}

TEST(what_is_cut_short_is_compared_as_far_as_it_goes)
{
    static const char *const ends[] = {"\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xff", "\x80"};

    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        EXPECT(word_compare(bytes_of_text(ends[i]), bytes_of_text("a")) != 0);
        EXPECT_EQ(word_compare(bytes_of_text(ends[i]), bytes_of_text(ends[i])), 0);
    }
}

RUN_TESTS(TEST_ROW(words_are_in_the_order_of_the_alphabet_whatever_their_accents_and_case),
          TEST_ROW(what_is_cut_short_is_compared_as_far_as_it_goes))
