/* links: nuthatch-base */
#include "base/buffer.h"
#include "test.h"

/* Under UBSan, which knows that adding even 0 to a null pointer is undefined. */
TEST(nothing_may_be_a_null_pointer_and_has_a_rest_and_can_be_appended)
{
    struct bytes nothing = {NULL, 0};
    struct buffer buffer = {0};

    EXPECT_EQ(bytes_after(nothing, 0).size, 0);
    EXPECT_EQ(bytes_first(nothing, 0).size, 0);
    EXPECT_EQ(bytes_trim(nothing).size, 0);
    EXPECT(bytes_start_with(nothing, nothing));
    buffer_append(&buffer, nothing);
    EXPECT_EQ(buffer.size, 0);
    EXPECT(!buffer.failed);
    EXPECT(buffer.data == NULL);
}

RUN_TESTS(TEST_ROW(nothing_may_be_a_null_pointer_and_has_a_rest_and_can_be_appended))
