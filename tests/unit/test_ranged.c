/* links: nuthatch-gateway nuthatch-message nuthatch-base */
#include "base/compiler.h"
#include "engine/gateway/policy/ranged.h"
#include "http_text.h"
#include "test.h"
#include <assert.h>

TEST(a_range_counts_for_a_get_whose_if_range_names_the_same_bytes)
{
#define MODIFIED "Sun, 06 Nov 1994 08:49:37 GMT"
    static const char strong[] =
        "ETag: \"a\"\r\nLast-Modified: " MODIFIED "\r\nDate: Sun, 06 Nov 1994 08:49:38 GMT\r\n";
    static const char weak[] = "ETag: W/\"a\"\r\nLast-Modified: " MODIFIED "\r\nDate: " MODIFIED "\r\n";
    static const struct {
        const char *fields, *rendered;
        enum http_method method;
        enum http_ranges_kind kind;
    } cases[] = {
        {"Range: bytes=0-1", strong, HTTP_METHOD_GET, HTTP_RANGES_PARTS},
        {"Range: bytes=99-", strong, HTTP_METHOD_GET, HTTP_RANGES_OUTSIDE},
        {"Range: bytes=0-1", strong, HTTP_METHOD_HEAD, HTTP_RANGES_NONE},
        {"Range: bytes=0-1", strong, HTTP_METHOD_POST, HTTP_RANGES_NONE},
        {"If-Range: \"a\"", strong, HTTP_METHOD_GET, HTTP_RANGES_NONE},
        {"Range: bytes=0-1\nRange: bytes=0-1", strong, HTTP_METHOD_GET, HTTP_RANGES_NONE},
        {"Range: bytes=0-1\nIf-Range: \"a\"", strong, HTTP_METHOD_GET, HTTP_RANGES_PARTS},
        {"If-Range: \"a\"\nRange: bytes=99-", strong, HTTP_METHOD_GET, HTTP_RANGES_OUTSIDE},
        {"Range: bytes=99-\nIf-Range: \"b\"", strong, HTTP_METHOD_GET, HTTP_RANGES_NONE},
        {"Range: bytes=0-1\nIf-Range: \"a\"\nIf-Range: \"a\"", strong, HTTP_METHOD_GET, HTTP_RANGES_NONE},
        {"Range: bytes=0-1\nIf-Range: \"a\", \"b\"", strong, HTTP_METHOD_GET, HTTP_RANGES_NONE},
        {"Range: bytes=0-1\nIf-Range: W/\"a\"", strong, HTTP_METHOD_GET, HTTP_RANGES_NONE},
        {"Range: bytes=0-1\nIf-Range: *", strong, HTTP_METHOD_GET, HTTP_RANGES_NONE},
        {"Range: bytes=0-1\nIf-Range: \"a\"", weak, HTTP_METHOD_GET, HTTP_RANGES_NONE},
        {"Range: bytes=0-1\nIf-Range: W/\"a\"", weak, HTTP_METHOD_GET, HTTP_RANGES_NONE},
        {"Range: bytes=0-1\nIf-Range: " MODIFIED, strong, HTTP_METHOD_GET, HTTP_RANGES_PARTS},
        {"Range: bytes=0-1\nIf-Range: " MODIFIED, weak, HTTP_METHOD_GET,
         HTTP_RANGES_NONE}, /* the same second */
        {"Range: bytes=0-1\nIf-Range: Sun, 06 Nov 1994 08:49:38 GMT", strong, HTTP_METHOD_GET,
         HTTP_RANGES_NONE},
        {"Range: bytes=0-1\nIf-Range: Sunday, 06-Nov-94 08:49:37 GMT", strong, HTTP_METHOD_GET,
         HTTP_RANGES_NONE},
        {"Range: bytes=0-1\nIf-Range: ", strong, HTTP_METHOD_GET, HTTP_RANGES_NONE},
        {"Range: bytes=0-1\nIf-Range: ", "", HTTP_METHOD_GET, HTTP_RANGES_NONE},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_text fields;
        struct http_request request = {.method = cases[i].method};
        http_text_read(&fields, cases[i].fields);
        request.fields = fields.fields;
        if (ranges_wanted(&request, bytes_of_text(cases[i].rendered), 10, 1700000000000).kind !=
            cases[i].kind)
            fail_msg("%zu: %s", i, cases[i].fields);
    }
}

TEST(what_goes_out_is_the_same_in_pieces_of_any_size_and_as_long_as_was_said)
{
    static const char body[] = "0123456789";
    static const struct {
        const char *range, *type, *wanted;
    } cases[] = {
        {"", "text/a", "0123456789"},
        {"bytes=3-5", "text/a", "345"},
        {"bytes=-4,0-0", "text/a",
         "\r\n--00000000000000ff\r\nContent-Type: text/a\r\nContent-Range: bytes 6-9/10\r\n\r\n6789"
         "\r\n--00000000000000ff\r\nContent-Type: text/a\r\nContent-Range: bytes 0-0/10\r\n\r\n0"
         "\r\n--00000000000000ff--\r\n"},
        {"bytes=0-1,9-", "",
         "\r\n--00000000000000ff\r\nContent-Range: bytes 0-1/10\r\n\r\n01"
         "\r\n--00000000000000ff\r\nContent-Range: bytes 9-9/10\r\n\r\n9\r\n--00000000000000ff--\r\n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases) * 11; i++) {
        struct http_ranges ranges = http_ranges_of(bytes_of_text(cases[i / 11].range), 10);
        struct outgoing outgoing;
        struct buffer out = {0};

        outgoing_init(&outgoing, &ranges, 10);
        outgoing.type = bytes_of_text(cases[i / 11].type);
        outgoing.boundary = 255;
        EXPECT_EQ(outgoing_bytes(&outgoing), strlen(cases[i / 11].wanted));
        while (!outgoing_is_done(&outgoing)) {
            struct outgoing_piece piece = outgoing_next(&outgoing, i % 11 + 1);
            EXPECT(piece.size <= i % 11 + 1);
            buffer_append(&out, piece.text);
            buffer_append(&out, bytes_of(body + piece.offset, piece.size));
        }
        assert(out.data != NULL);
        EXPECT_TEXT(buffer_bytes(&out), bytes_of_text(cases[i / 11].wanted));
        buffer_fini(&out);
    }
}

TEST(nothing_goes_out_of_what_is_empty_or_outside)
{
    struct outgoing outgoing;

    outgoing_init(&outgoing, &(struct http_ranges){0}, 0);
    EXPECT(outgoing_is_done(&outgoing) && outgoing_bytes(&outgoing) == 0);
    outgoing_init(&outgoing, &(struct http_ranges){.kind = HTTP_RANGES_OUTSIDE}, 10);
    EXPECT(outgoing_is_done(&outgoing) && outgoing_bytes(&outgoing) == 0);
}

TEST(the_fields_of_a_part_are_the_whole_s_and_say_which_part_it_is)
{
    struct bytes rendered = BYTES("Content-Type: text/a\r\nX: y\r\n");
    struct http_ranges one = http_ranges_of(BYTES("bytes=1-2"), 10),
                       two = http_ranges_of(BYTES("bytes=1-2,4-5"), 10);
    struct outgoing outgoing;
    struct buffer lines = {0};

    outgoing_init(&outgoing, &one, 10);
    ranged_fields_render(&lines, rendered, &outgoing);
    EXPECT_TEXT(buffer_bytes(&lines),
                BYTES("Content-Type: text/a\r\nX: y\r\nContent-Range: bytes 1-2/10\r\n"));
    buffer_clear(&lines);
    outgoing_init(&outgoing, &two, 10);
    ranged_fields_render(&lines, rendered, &outgoing);
    EXPECT_TEXT(buffer_bytes(&lines),
                BYTES("X: y\r\nContent-Type: multipart/byteranges; boundary=0000000000000000\r\n"));
    buffer_fini(&lines);
}

RUN_TESTS(TEST_ROW(a_range_counts_for_a_get_whose_if_range_names_the_same_bytes),
          TEST_ROW(what_goes_out_is_the_same_in_pieces_of_any_size_and_as_long_as_was_said),
          TEST_ROW(nothing_goes_out_of_what_is_empty_or_outside),
          TEST_ROW(the_fields_of_a_part_are_the_whole_s_and_say_which_part_it_is))
