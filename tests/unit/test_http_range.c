/* links: nuthatch-message nuthatch-base */
#include "base/compiler.h"
#include "message/http_range.h"
#include "test.h"
#include <stdio.h>

/* "0-1,4-9" of what was understood, "none" or "outside". */
static void describe(const struct http_ranges *ranges, char *text)
{
    *text = '\0';
    switch (ranges->kind) {
    case HTTP_RANGES_NONE: strcpy(text, "none"); return;
    case HTTP_RANGES_OUTSIDE: strcpy(text, "outside"); return;
    case HTTP_RANGES_PARTS: break;
    }
    for (size_t i = 0; i < ranges->count; i++)
        text += sprintf(text, "%s%llu-%llu", i > 0 ? "," : "", (unsigned long long)ranges->list[i].start,
                        (unsigned long long)ranges->list[i].end - 1);
}

TEST(a_range_is_cut_to_what_is_there_and_what_is_no_range_asks_for_the_whole)
{
    static const struct {
        const char *value;
        uint64_t size;
        const char *wanted;
    } cases[] = {
        {"bytes=0-4", 10, "0-4"},
        {"bytes=0-", 10, "0-9"},
        {"bytes=9-", 10, "9-9"},
        {"bytes=-3", 10, "7-9"},
        {"bytes=-30", 10, "0-9"},
        {"bytes=4-99", 10, "4-9"},
        {"BYTES=00004-0005", 10, "4-5"},
        {"bytes=4-99999999999999999999999999", 10, "4-9"},
        {"bytes=-9223372036854775808", 10, "0-9"},
        {"bytes=-99999999999999999999999999", 10, "0-9"},
        {"bytes=10-", 10, "outside"},
        {"bytes=10-20", 10, "outside"},
        {"bytes=99999999999999999999999999-", 10, "outside"},
        {"bytes=-0", 10, "outside"},
        {"bytes=-0,12-", 10, "outside"},
        {"bytes=12-,0-0", 10, "0-0"},
        {"bytes=5-4", 10, "none"},
        {"bytes=0-1,5-4", 10, "none"},
        {"bytes=-9223372036854775608-", 10, "none"},
        {"bytes=", 10, "none"},
        {"bytes=,", 10, "none"},
        {"bytes=-", 10, "none"},
        {"bytes=a-b", 10, "none"},
        {"bytes=0 - 1", 10, "none"},
        {"bytes =0-1", 10, "none"},
        {"bytes=+0-1", 10, "none"},
        {"bytes=0-1;", 10, "none"},
        {"bytes 0-1", 10, "none"},
        {"lines=0-1", 10, "none"},
        {"0-1", 10, "none"},
        {"", 10, "none"},
        {"bytes=0-0, 4-5 ,\t-1", 10, "0-0,4-5,9-9"},
        {"bytes=,0-0,,4-5,", 10, "0-0,4-5"},
        {"bytes=8-9,0-1", 10, "8-9,0-1"},
        {"bytes=0-1,1-2", 10, "0-2"},
        {"bytes=0-1,2-3", 10, "0-3"},
        {"bytes=0-,0-,0-,0-,0-,0-,0-,0-,0-,0-", 10, "0-9"},
        {"bytes=0-1,8-9,4-5,1-4", 10, "0-5,8-9"},
        {"bytes=8-8,0-0,2-2,0-9", 10, "0-9"},
        {"bytes=8-8,4-5,0-1,3-3,2-2", 10, "8-8,0-5"},
        {"bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14", 99, "0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14"},
        {"bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16", 99, "none"},
        {"bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,99-,14-15", 99,
         "0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-15"},
        {"bytes=0-", 0, "outside"},
        {"bytes=0-0", 0, "outside"},
        {"bytes=-1", 0, "none"},
        {"bytes=9223372036854775806-", INT64_MAX, "9223372036854775806-9223372036854775806"},
        {"bytes=9223372036854775807-", INT64_MAX, "outside"},
        {"bytes=0-9223372036854775807", INT64_MAX, "0-9223372036854775806"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_ranges ranges = http_ranges_of(bytes_of_text(cases[i].value), cases[i].size);
        char text[512];
        describe(&ranges, text);
        if (strcmp(text, cases[i].wanted) != 0)
            fail_msg("%s of %llu: %s, wanted %s", cases[i].value, (unsigned long long)cases[i].size, text,
                     cases[i].wanted);
    }
}

TEST(a_content_range_names_a_part_of_a_known_whole)
{
    static const struct {
        const char *value;
        bool is_one;
        uint64_t start, end, size;
    } cases[] = {
        {"bytes 0-4/10", true, 0, 5, 10},
        {"Bytes 9-9/10", true, 9, 10, 10},
        {"bytes 0-9223372036854775806/9223372036854775807", true, 0, INT64_MAX, INT64_MAX},
        {"bytes 0-4/*", false, 0, 0, 0},
        {"bytes */10", false, 0, 0, 0},
        {"bytes 5-4/10", false, 0, 0, 0},
        {"bytes 0-10/10", false, 0, 0, 0},
        {"bytes 0-4/4", false, 0, 0, 0},
        {"bytes 0-4/99999999999999999999", false, 0, 0, 0},
        {"bytes 0-99999999999999999999/5", false, 0, 0, 0},
        {"bytes 0-4", false, 0, 0, 0},
        {"bytes=0-4/10", false, 0, 0, 0},
        {"bytes -4/10", false, 0, 0, 0},
        {"bytes 0-4/10 ", false, 0, 0, 0},
        {"bytes  0-4/10", false, 0, 0, 0},
        {"lines 0-4/10", false, 0, 0, 0},
        {"", false, 0, 0, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_range range = {0};
        uint64_t size = 0;
        if (http_content_range_read(bytes_of_text(cases[i].value), &range, &size) != cases[i].is_one ||
            range.start != cases[i].start || range.end != cases[i].end || size != cases[i].size)
            fail_msg("%s: %llu-%llu of %llu", cases[i].value, (unsigned long long)range.start,
                     (unsigned long long)range.end, (unsigned long long)size);
    }
}

TEST(a_content_range_is_written_as_it_is_read)
{
    struct http_range range = {0, INT64_MAX}, read;
    char text[HTTP_CONTENT_RANGE_BYTES_MAX];
    uint64_t size;
    struct bytes written = bytes_of(text, http_content_range_format(text, &range, INT64_MAX));

    EXPECT_TEXT(written, BYTES("bytes 0-9223372036854775806/9223372036854775807"));
    EXPECT(http_content_range_read(written, &read, &size));
    EXPECT(read.start == range.start && read.end == range.end && size == INT64_MAX);
    EXPECT_TEXT(bytes_of(text, http_content_range_format(text, NULL, 10)), BYTES("bytes */10"));
}

RUN_TESTS(TEST_ROW(a_range_is_cut_to_what_is_there_and_what_is_no_range_asks_for_the_whole),
          TEST_ROW(a_content_range_names_a_part_of_a_known_whole),
          TEST_ROW(a_content_range_is_written_as_it_is_read))
