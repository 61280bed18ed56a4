/* links: nuthatch-http nuthatch-message nuthatch-base */
#include "base/compiler.h"
#include "protocol/http/http1.h"
#include "test.h"
#include <stdlib.h>

struct read {
    enum http1_result result;
    int status;
    size_t consumed;
    struct buffer data;
};

/* Reads `wire` as it comes in pieces of `step` bytes; what a call leaves is given again with the next. */
static struct read read_body(int64_t body_bytes, struct bytes wire, size_t step)
{
    struct read read = {.result = HTTP1_MORE};
    struct http1_body body;
    size_t given = 0;

    http1_body_init(&body, body_bytes);
    for (;;) {
        size_t piece_size = given - read.consumed;
        char *piece = malloc(piece_size + 1); /* alone, so that a look beyond it is seen */
        struct bytes data;
        size_t consumed = 77;

        memcpy(piece, wire.data + read.consumed, piece_size);
        read.result = http1_body_read(&body, bytes_of(piece, piece_size), &data, &consumed, &read.status);
        if (read.result == HTTP1_BAD) {
            free(piece);
            EXPECT(!http1_body_is_done(&body));
            return read;
        }
        EXPECT(consumed <= piece_size && data.size <= consumed);
        EXPECT(data.size == 0 || (data.data >= piece && data.data + data.size <= piece + consumed));
        EXPECT_EQ(http1_body_is_done(&body), read.result == HTTP1_DONE);
        buffer_append(&read.data, data);
        read.consumed += consumed;
        free(piece);
        if (read.result == HTTP1_DONE)
            return read;
        if (consumed > 0)
            continue;
        EXPECT_EQ(piece_size, 0); /* without an error everything is dealt with */
        if (given == wire.size)
            return read;
        given = wire.size - given < step ? wire.size : given + step;
    }
}

/* 0 for DONE, -1 for MORE, else the status. */
static int outcome_of(const struct read *read)
{
    return read->result == HTTP1_DONE ? 0 : read->result == HTTP1_MORE ? -1 : read->status;
}

struct body_case {
    struct bytes wire;
    int status;
    const char *data; /* what is handed out, also before an error */
    size_t left;      /* bytes that belong to the next message */
};

static void check_bodies(int64_t body_bytes, const struct body_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t step = 1; step <= cases[i].wire.size + 1; step++) {
            struct read read = read_body(body_bytes, cases[i].wire, step);
            if (outcome_of(&read) != cases[i].status)
                fail_msg("\"%.*s\" by %zu gave %d, wanted %d", BYTES_PRINTF(cases[i].wire), step,
                         outcome_of(&read), cases[i].status);
            EXPECT_TEXT(buffer_bytes(&read.data), bytes_of_text(cases[i].data));
            if (read.result == HTTP1_DONE)
                EXPECT_EQ(cases[i].wire.size - read.consumed, cases[i].left);
            buffer_fini(&read.data);
        }
    }
}

#define CHUNKED(wire, status, data, left)                                                                  \
    {                                                                                                      \
        BYTES_INIT(wire), status, data, left                                                               \
    }
#define END "\r\n0\r\n\r\n"

TEST(a_chunked_body_is_read_and_what_follows_it_is_left)
{
    static const struct body_case cases[] = {
        CHUNKED("0\r\n\r\n", 0, "", 0),
        CHUNKED("5\r\nhello" END, 0, "hello", 0),
        CHUNKED("5\r\nhello" END "GET / HTTP/1.1", 0, "hello", 14),
        CHUNKED("5\r\nhello\r\n1\r\n \r\n00a\r\nwide\r\n\r\n00" END, 0, "hello wide\r\n\r\n00", 0),
        CHUNKED("A\r\n0123456789" END, 0, "0123456789", 0),
        CHUNKED("a\r\n0123456789" END, 0, "0123456789", 0),
        CHUNKED("0000000000000001\r\nx" END, 0, "x", 0),
        CHUNKED("000\r\n\r\n", 0, "", 0),
        CHUNKED("1;a\r\nx" END, 0, "x", 0),
        CHUNKED("1;a=b;c=\"d ;\\\"\x80\t\";e\r\nx" END, 0, "x", 0),
        CHUNKED("1;a=\"\"\r\nx\r\n0;z\r\n\r\n", 0, "x", 0),
        CHUNKED("0\r\nTrailer: a\tb\r\nX:\r\n\r\nnext", 0, "", 4),
        CHUNKED("0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nnext", 0, "", 4),
        CHUNKED("5\r\nhel", -1, "hel", 0),
        CHUNKED("5\r\nhello\r\n", -1, "hello", 0),
        CHUNKED("0\r\n", -1, "", 0),
        CHUNKED("0\r\n\r", -1, "", 0),
        CHUNKED("", -1, "", 0),
        CHUNKED("4000000000000000\r\nx", -1, "x", 0), /* 2^62 */
    };
    check_bodies(HTTP_BODY_UNKNOWN, cases, COUNT_OF(cases));
}

TEST(a_malformed_chunked_body_is_refused)
{
    static const struct body_case cases[] = {
        CHUNKED("\r\nx", 400, "", 0),
        CHUNKED("-0\r\n\r\n", 400, "", 0),
        CHUNKED("-1\r\nx", 400, "", 0),
        CHUNKED("+1\r\nx", 400, "", 0),
        CHUNKED("0x1\r\nx", 400, "", 0),
        CHUNKED("1_0\r\nx", 400, "", 0),
        CHUNKED("g\r\nx", 400, "", 0),
        CHUNKED(" 1\r\nx", 400, "", 0),
        CHUNKED("1 \r\nx", 400, "", 0),
        CHUNKED("1 ;a\r\nx", 400, "", 0),
        CHUNKED("1\t\r\nx", 400, "", 0),
        CHUNKED("\0001\r\nx", 400, "", 0),
        CHUNKED("1\nx", 400, "", 0),
        CHUNKED("1\rx", 400, "", 0),
        CHUNKED("1\r\r\nx", 400, "", 0),
        CHUNKED("00000000000000001\r\nx", 400, "", 0),
        CHUNKED("10000000000000000\r\nx", 400, "", 0),
        CHUNKED("4000000000000001\r\nx", 400, "", 0),
        CHUNKED("8000000000000000\r\nx", 400, "", 0),
        CHUNKED("ffffffffffffffff\r\nx", 400, "", 0),
        CHUNKED("1;\r\nx", 400, "", 0),
        CHUNKED("1; a\r\nx", 400, "", 0),
        CHUNKED("1;a \r\nx", 400, "", 0),
        CHUNKED("1;a =b\r\nx", 400, "", 0),
        CHUNKED("1;a= b\r\nx", 400, "", 0),
        CHUNKED("1;a=\r\nx", 400, "", 0),
        CHUNKED("1;=b\r\nx", 400, "", 0),
        CHUNKED("1;a=b=c\r\nx", 400, "", 0),
        CHUNKED("1;a=\"b\"c\r\nx", 400, "", 0),
        CHUNKED("1;a=\"b\r\nx", 400, "", 0),
        CHUNKED("1;a=\"b\\\r\nx", 400, "", 0),
        CHUNKED("1;a\n\r\nx", 400, "", 0),
        CHUNKED("1;a\nb\r\nx", 400, "", 0),
        CHUNKED("1;a\rb\r\nx", 400, "", 0),
        CHUNKED("1;a=\"\n\"\r\nx", 400, "", 0),
        CHUNKED("1;a=\"\r\"\r\nx", 400, "", 0),
        CHUNKED("1;;\r\nx", 400, "", 0),
        CHUNKED("1\r\nx0\r\n\r\n", 400, "x", 0),
        CHUNKED("1\r\nx\n0\r\n\r\n", 400, "x", 0),
        CHUNKED("1\r\nx\r0\r\n\r\n", 400, "x", 0),
        CHUNKED("1\r\nxy\r\n0\r\n\r\n", 400, "x", 0),
        CHUNKED("1\r\nx\r\n\r\n0\r\n\r\n", 400, "x", 0),
        CHUNKED("0\r\n\n", 400, "", 0),
        CHUNKED("0\r\n\rX", 400, "", 0),
        CHUNKED("0\r\nX\r\n\r\n", 400, "", 0),
        CHUNKED("0\r\n: a\r\n\r\n", 400, "", 0),
        CHUNKED("0\r\nX : a\r\n\r\n", 400, "", 0),
        CHUNKED("0\r\n X: a\r\n\r\n", 400, "", 0),
        CHUNKED("0\r\nX: a\r\n b\r\n\r\n", 400, "", 0),
        CHUNKED("0\r\nX: a\n\r\n", 400, "", 0),
        CHUNKED("0\r\nX: a\rb\r\n\r\n", 400, "", 0),
        CHUNKED("0\r\nX: \0\r\n\r\n", 400, "", 0),
        CHUNKED("0\r\nX\x80: a\r\n\r\n", 400, "", 0),
    };
    check_bodies(HTTP_BODY_UNKNOWN, cases, COUNT_OF(cases));
}

TEST(a_counted_body_is_handed_out_to_its_last_byte)
{
    static const struct body_case cases[] = {
        CHUNKED("hello", 0, "hello", 0),
        CHUNKED("helloGET /", 0, "hello", 5),
        CHUNKED("hel", -1, "hel", 0),
        CHUNKED("", -1, "", 0),
    };
    struct http1_body none;

    check_bodies(5, cases, COUNT_OF(cases));
    http1_body_init(&none, HTTP_BODY_NONE);
    EXPECT(http1_body_is_done(&none));
    http1_body_init(&none, HTTP_BODY_UNKNOWN);
    EXPECT(!http1_body_is_done(&none));
    http1_body_init(&none, INT64_MAX);
    EXPECT(!http1_body_is_done(&none));
}

TEST(framing_without_end_is_refused)
{
    static const struct {
        const char *start, *piece, *end;
        size_t fits; /* so many pieces are fine, and one more is not */
    } cases[] = {
        {"1;a", "b", "\r\nx" END, 4096 - 3 - 2},
        {"1;a=\"", "\\\"", "\"\r\nx" END, (4096 - 5 - 3) / 2},
        {"0\r\n", "X: y\r\n", "\r\n", (8192 - 2) / 6},
        {"0\r\nX: ", "y", "\r\n\r\n", 8192 - 3 - 4},
        {"0\r\nX", "y", ":\r\n\r\n", 8192 - 1 - 5},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (size_t more = 0; more <= 1; more++) {
            struct buffer wire = {0};
            buffer_append(&wire, bytes_of_text(cases[i].start));
            for (size_t j = 0; j < cases[i].fits + more; j++)
                buffer_append(&wire, bytes_of_text(cases[i].piece));
            buffer_append(&wire, bytes_of_text(cases[i].end));
            for (size_t step = 1; step <= wire.size; step += wire.size - 1) {
                struct read read = read_body(HTTP_BODY_UNKNOWN, buffer_bytes(&wire), step);
                EXPECT_EQ(outcome_of(&read), more ? 400 : 0);
                buffer_fini(&read.data);
            }
            buffer_fini(&wire);
        }
    }
}

TEST(a_refused_body_stays_refused)
{
    static const struct bytes wires[] = {BYTES_INIT("1\nx"), BYTES_INIT("1\r\nx\rx"),
                                         BYTES_INIT("4000000000000001\r\n"),
                                         BYTES_INIT("ffffffffffffffff1")};
    for (size_t i = 0; i < COUNT_OF(wires); i++) {
        struct http1_body body;
        struct bytes rest = wires[i], data;
        size_t consumed;
        int status = 0;
        enum http1_result result;

        http1_body_init(&body, HTTP_BODY_UNKNOWN);
        while ((result = http1_body_read(&body, rest, &data, &consumed, &status)) == HTTP1_MORE)
            rest = bytes_after(rest, consumed);
        for (int again = 0; again < 3; again++) {
            EXPECT_EQ(result, HTTP1_BAD);
            EXPECT_EQ(status, 400);
            result = http1_body_read(&body, rest, &data, &consumed, &status);
        }
    }
}

TEST(what_is_rendered_in_chunks_is_read_back)
{
    struct buffer wire = {0}, sent = {0};
    struct read read;

    for (size_t size = 1; size < 70000; size = size * 3 + 1) {
        char *piece = malloc(size);
        memset(piece, (int)('a' + size % 26), size);
        http1_render_chunk(&wire, bytes_of(piece, size));
        buffer_append(&sent, bytes_of(piece, size));
        free(piece);
    }
    http1_render_last_chunk(&wire);
    read = read_body(HTTP_BODY_UNKNOWN, buffer_bytes(&wire), 1000);
    EXPECT_EQ(read.result, HTTP1_DONE);
    EXPECT_EQ(read.consumed, wire.size);
    EXPECT(bytes_equal(buffer_bytes(&read.data), buffer_bytes(&sent)));
    buffer_fini(&read.data);
    buffer_fini(&wire);
    buffer_fini(&sent);
}

RUN_TESTS(TEST_ROW(a_chunked_body_is_read_and_what_follows_it_is_left),
          TEST_ROW(a_malformed_chunked_body_is_refused),
          TEST_ROW(a_counted_body_is_handed_out_to_its_last_byte), TEST_ROW(framing_without_end_is_refused),
          TEST_ROW(a_refused_body_stays_refused), TEST_ROW(what_is_rendered_in_chunks_is_read_back))
