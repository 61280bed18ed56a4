/* test.h — cmocka in our words: TEST(a_sentence) { … }, EXPECT_…, and RUN_TESTS(names…). */
#pragma once
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "base/bytes.h"

#define TEST(sentence) static void sentence(void **state __attribute__((unused)))

#ifdef __clang_analyzer__ /* which does not know that a test ends there */
#undef skip
#define skip()                    __builtin_trap()
#define EXPECT(condition)         ((condition) ? (void)0 : __builtin_trap())
#define EXPECT_EQ(actual, wanted) EXPECT((uintmax_t)(actual) == (uintmax_t)(wanted))
#else
#define EXPECT(condition)         assert_true(condition)
#define EXPECT_EQ(actual, wanted) assert_int_equal(actual, wanted)
#endif
#define EXPECT_TEXT(actual, wanted)                                                                        \
    do {                                                                                                   \
        struct bytes actual_ = (actual), wanted_ = (wanted);                                               \
        if (!bytes_equal(actual_, wanted_))                                                                \
            fail_msg("got \"%.*s\", wanted \"%.*s\"", BYTES_PRINTF(actual_), BYTES_PRINTF(wanted_));       \
    } while (0)

#define TEST_ROW(sentence) cmocka_unit_test(sentence)
#define RUN_TESTS(...)                                                                                     \
    int main(void)                                                                                         \
    {                                                                                                      \
        const struct CMUnitTest tests[] = {__VA_ARGS__};                                                   \
        return cmocka_run_group_tests(tests, NULL, NULL);                                                  \
    }
