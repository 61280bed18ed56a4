/* links: nuthatch-net */
#include "net/pool.h"
#include "test.h"
#include <stdlib.h>

static struct buffer *filled(struct pool *pool, size_t size)
{
    struct buffer *buffer = pool_take(pool);
    EXPECT(buffer != NULL);
    EXPECT_EQ(buffer->size, 0);
    for (size_t i = 0; i < size; i++)
        buffer_append_byte(buffer, 'x');
    return buffer;
}

TEST(a_buffer_comes_back_empty_and_with_its_memory)
{
    struct pool *pool = calloc(1, sizeof *pool);
    struct buffer *buffer = filled(pool, 5000);
    pool_give(pool, buffer);
    EXPECT(pool_take(pool) == buffer);
    EXPECT_EQ(buffer->size, 0);
    EXPECT(buffer->capacity >= 5000);
    pool_give(pool, buffer);
    pool_fini(pool);
    free(pool);
}

TEST(a_buffer_that_grew_large_is_not_kept)
{
    struct pool *pool = calloc(1, sizeof *pool);
    pool_give(pool, filled(pool, POOL_BUFFER_BYTES_MAX + 1));
    EXPECT_EQ(pool->count, 0);
    EXPECT_EQ(pool->bytes, 0);
    free(pool);
}

TEST(the_pool_is_bounded_in_number_and_in_bytes)
{
    static const struct {
        size_t size, count_max;
    } cases[] = {{1, POOL_BUFFERS_MAX}, {POOL_BUFFER_BYTES_MAX, POOL_BYTES_MAX / POOL_BUFFER_BYTES_MAX}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct pool *pool = calloc(1, sizeof *pool);
        struct buffer *buffers[POOL_BUFFERS_MAX + 10];
        for (size_t j = 0; j < COUNT_OF(buffers); j++)
            buffers[j] = filled(pool, j < cases[i].count_max + 10 ? cases[i].size : 0);
        for (size_t j = 0; j < COUNT_OF(buffers); j++) {
            pool_give(pool, buffers[j]);
            EXPECT(pool->count <= POOL_BUFFERS_MAX);
            EXPECT(pool->bytes <= POOL_BYTES_MAX);
        }
        pool_fini(pool);
        EXPECT_EQ(pool->count, 0);
        EXPECT_EQ(pool->bytes, 0);
        free(pool);
    }
}

TEST(what_lay_unused_since_the_last_trim_is_freed_and_the_rest_stays)
{
    struct pool *pool = calloc(1, sizeof *pool);
    struct buffer *buffers[10];
    for (size_t i = 0; i < COUNT_OF(buffers); i++)
        buffers[i] = filled(pool, 100);
    for (size_t i = 0; i < COUNT_OF(buffers); i++)
        pool_give(pool, buffers[i]);
    pool_trim(pool);
    EXPECT_EQ(pool->count, 10); /* all were in use since */
    for (size_t i = 0; i < 3; i++)
        buffers[i] = pool_take(pool);
    for (size_t i = 0; i < 3; i++)
        pool_give(pool, buffers[i]);
    pool_trim(pool);
    EXPECT_EQ(pool->count, 3);
    pool_trim(pool);
    EXPECT_EQ(pool->count, 0);
    EXPECT_EQ(pool->bytes, 0);
    free(pool);
}

RUN_TESTS(TEST_ROW(a_buffer_comes_back_empty_and_with_its_memory),
          TEST_ROW(a_buffer_that_grew_large_is_not_kept),
          TEST_ROW(the_pool_is_bounded_in_number_and_in_bytes),
          TEST_ROW(what_lay_unused_since_the_last_trim_is_freed_and_the_rest_stays))
