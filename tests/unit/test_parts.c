/* links: nuthatch-gateway nuthatch-message nuthatch-base */
#include "base/compiler.h"
#include "engine/gateway/policy/parts.h"
#include "test.h"
#include <stdlib.h>
#include <time.h>

enum { SIZE = 60 };

/* Parts with these ranges, all of one representation. */
static struct parts parts_with(const struct http_range *list, size_t count)
{
    struct parts parts = {.size = SIZE, .count = count};
    memcpy(parts.list, list, count * sizeof *list);
    parts.response = (struct stored_response){
        .status = 206, .etag = BYTES("\"a\""), .fields = BYTES("ETag: \"a\"\r\n"), .lifetime_ms = 1000};
    parts.response.etag = bytes_of(parts.response.fields.data + 6, 3);
    return parts;
}

TEST(parts_that_are_joined_hold_what_both_held_and_nothing_else)
{
    unsigned seed = (unsigned)time(NULL);

    srand(seed);
    for (int round = 0; round < 20000; round++) {
        bool is_held[SIZE] = {false};
        struct parts parts = {.size = SIZE}, joined = {0};
        for (int i = 0; i < rand() % 12; i++) {
            uint64_t start = (uint64_t)rand() % SIZE, end = start + 1 + (uint64_t)rand() % 9;
            struct http_range range = {start, end < SIZE ? end : SIZE};
            EXPECT(parts_join(&parts, range, &joined));
            parts = joined;
            for (uint64_t at = range.start; at < range.end; at++)
                is_held[at] = true;
        }
        for (uint64_t at = 0, offset = 0; at < SIZE; at++) {
            struct http_range one = {at, at + 1};
            uint64_t found = 999;
            if (parts_find(&parts, &one, &found) != is_held[at] || (is_held[at] && found != offset))
                fail_msg("seed %u: byte %llu", seed, (unsigned long long)at);
            offset += is_held[at];
        }
        for (size_t i = 1; i < parts.count; i++)
            EXPECT(parts.list[i - 1].end < parts.list[i].start);
    }
}

TEST(there_are_only_so_many_parts)
{
    struct parts parts = {.size = 100}, joined;

    for (uint64_t i = 0; i < PARTS_MAX; i++) {
        EXPECT(parts_join(&parts, (struct http_range){i * 2, i * 2 + 1}, &joined));
        parts = joined;
    }
    EXPECT(!parts_join(&parts, (struct http_range){90, 91}, &joined));
    EXPECT(parts_join(&parts, (struct http_range){0, 91}, &joined));
    EXPECT_EQ(joined.count, 1);
}

TEST(a_range_is_found_where_one_part_holds_all_of_it)
{
    static const struct http_range list[] = {{0, 5}, {10, 20}};
    struct parts parts = parts_with(list, 2);
    uint64_t offset;

    EXPECT(parts_find(&parts, &(struct http_range){10, 20}, &offset) && offset == 5);
    EXPECT(parts_find(&parts, &(struct http_range){12, 13}, &offset) && offset == 7);
    EXPECT(!parts_find(&parts, &(struct http_range){4, 6}, &offset));
    EXPECT(!parts_find(&parts, &(struct http_range){4, 11}, &offset));
    EXPECT(!parts_find(&parts, &(struct http_range){19, 21}, &offset));
    EXPECT(!parts_are_whole(&parts));
}

TEST(parts_are_read_as_they_were_written_and_nothing_else_is)
{
    static const struct http_range list[] = {{0, 5}, {10, 12}};
    struct parts parts = parts_with(list, 2), read;
    struct buffer value = {0};

    parts.vary_names = BYTES("accept\n");
    parts.vary_values = BYTES("=a\n");
    parts_encode(&value, 7, &parts);
    buffer_append_literal(&value, "01234ab");
    EXPECT(parts_decode(buffer_bytes(&value), value.size, 7, &read));
    EXPECT(read.size == SIZE && read.count == 2 && memcmp(read.list, list, sizeof list) == 0);
    EXPECT_TEXT(read.vary_names, parts.vary_names);
    EXPECT_TEXT(read.vary_values, parts.vary_values);
    EXPECT_TEXT(read.response.fields, parts.response.fields);
    EXPECT_TEXT(read.response.body, BYTES("01234ab"));
    EXPECT_EQ(read.response.status, 206);
    EXPECT(!parts_decode(buffer_bytes(&value), value.size, 8, &read)); /* another one's seal */
    EXPECT(
        !parts_decode(buffer_bytes(&value), value.size + 1, 7, &read)); /* not as many bytes as it says */
    for (size_t size = 0; size < value.size; size++)
        EXPECT(!parts_decode(bytes_first(buffer_bytes(&value), size), size, 7, &read));
    for (size_t at = 0; at < value.size - 7; at++) {
        value.data[at] ^= 1;
        EXPECT(!parts_decode(buffer_bytes(&value), value.size, 7, &read));
        value.data[at] ^= 1;
    }
    buffer_fini(&value);
}

TEST(only_parts_of_the_same_bytes_are_combined)
{
    static const struct http_range list[] = {{0, 5}};
    struct parts known = parts_with(list, 1), other = known;

    EXPECT(may_combine(&known, &other));
    other.size++;
    EXPECT(!may_combine(&known, &other));
    other = known;
    other.response.etag = BYTES("\"b\"");
    EXPECT(!may_combine(&known, &other));
    other = known;
    other.vary_values = BYTES("=b\n");
    EXPECT(!may_combine(&known, &other));
    other = known;
    other.response.fields = BYTES("Content-Encoding: gzip\r\n");
    EXPECT(!may_combine(&known, &other));
    known.response.etag = other.response.etag = BYTES("W/\"a\"");
    other.response.fields = known.response.fields;
    EXPECT(!may_combine(&known, &other));
    known.response.etag = other.response.etag = BYTES("");
    EXPECT(!may_combine(&known, &other));
}

TEST(newer_fields_take_the_place_of_older_ones)
{
    struct buffer lines = {0};

    parts_fields_render(&lines, BYTES("Date: 1\r\nContent-Type: a\r\nX: 1\r\nx: 2\r\n"),
                        BYTES("Date: 2\r\nContent-Range: bytes 0-1/2\r\nX: 3\r\n"));
    EXPECT_TEXT(buffer_bytes(&lines), BYTES("Content-Type: a\r\nDate: 2\r\nX: 3\r\n"));
    buffer_fini(&lines);
}

TEST(a_206_is_one_part_if_it_says_so_once)
{
    struct http_range range;
    uint64_t size;

    EXPECT(part_of(BYTES("A: b\r\nContent-Range: bytes 1-2/9\r\n"), &range, &size));
    EXPECT(range.start == 1 && range.end == 3 && size == 9);
    EXPECT(!part_of(BYTES("Content-Type: multipart/byteranges; boundary=a\r\n"), &range, &size));
    EXPECT(!part_of(BYTES("Content-Range: bytes 1-2/9\r\nContent-Range: bytes 1-2/9\r\n"), &range, &size));
    EXPECT(!part_of(BYTES("Content-Range: bytes 1-2/*\r\n"), &range, &size));
}

RUN_TESTS(TEST_ROW(parts_that_are_joined_hold_what_both_held_and_nothing_else),
          TEST_ROW(there_are_only_so_many_parts), TEST_ROW(a_range_is_found_where_one_part_holds_all_of_it),
          TEST_ROW(parts_are_read_as_they_were_written_and_nothing_else_is),
          TEST_ROW(only_parts_of_the_same_bytes_are_combined),
          TEST_ROW(newer_fields_take_the_place_of_older_ones),
          TEST_ROW(a_206_is_one_part_if_it_says_so_once))
