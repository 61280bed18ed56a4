/* links: nuthatch-gateway nuthatch-message nuthatch-base z brotlidec zstd */
#include "base/compiler.h"
#include "coding/coder.h"
#include "engine/gateway/policy/coded.h"
#include "http_text.h"
#include "test.h"
#include <brotli/decode.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

static struct accepted_codings accepted_of(const char *value)
{
    struct http_field field = {HTTP_HEADER_ACCEPT_ENCODING, BYTES("Accept-Encoding"), bytes_of_text(value)};

    return accepted_codings_of(&(struct http_fields){&field, value[0] == '-' ? 0 : 1});
}

/* "-" stands for no field at all. */
TEST(the_best_coding_that_the_client_takes_is_chosen)
{
    static const struct {
        const char *accepted;
        enum coding chosen;
        const char *normal;
    } cases[] = {
        {"-", CODING_IDENTITY, ""},
        {"", CODING_IDENTITY, "identity"},
        {"identity", CODING_IDENTITY, "identity"},
        {"gzip", CODING_GZIP, "gzip"},
        {"x-gzip", CODING_GZIP, "gzip"},
        {"GZip", CODING_GZIP, "gzip"},
        {"gzip, deflate, br", CODING_BROTLI, "br, gzip"},
        {"gzip, deflate, br, zstd", CODING_ZSTD, "br, gzip, zstd"},
        {"zstd,br,gzip", CODING_ZSTD, "br, gzip, zstd"},
        {"br;q=0.5, gzip;q=0.8", CODING_GZIP, "br, gzip"},
        {"br;q=1.0, gzip;q=0.999", CODING_BROTLI, "br, gzip"},
        {"gzip;q=0", CODING_IDENTITY, "identity"},
        {"gzip;q=0.000", CODING_IDENTITY, "identity"},
        {"*", CODING_ZSTD, "br, gzip, zstd"},
        {"*;q=0.1, br", CODING_BROTLI, "br, gzip, zstd"},
        {"br;q=0, *", CODING_ZSTD, "gzip, zstd"},
        {"identity, gzip;q=0.5", CODING_IDENTITY, "gzip"},
        {"identity;q=0.5, gzip;q=0.5", CODING_GZIP, "gzip"},
        {"identity;q=0, gzip", CODING_GZIP, "gzip, identity;q=0"},
        {"*;q=0", CODING_IDENTITY, "identity;q=0"},
        {"gzip, *;q=0", CODING_GZIP, "gzip, identity;q=0"},
        {"gzip;q=2", CODING_IDENTITY, "identity"},
        {"gzip;q=1.001", CODING_IDENTITY, "identity"},
        {"gzip;q=.5", CODING_IDENTITY, "identity"},
        {"gzip;q=", CODING_IDENTITY, "identity"},
        {"gzip ; q=0.5", CODING_GZIP, "gzip"},
        {"deflate, compress", CODING_IDENTITY, "identity"},
        {",, gzip,", CODING_GZIP, "gzip"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[ACCEPTED_CODINGS_BYTES_MAX];
        struct accepted_codings accepted = accepted_of(cases[i].accepted);
        size_t size = accepted_codings_format(&accepted, text);
        if (coding_choose(&accepted) != cases[i].chosen ||
            !bytes_equal(bytes_of(text, size), bytes_of_text(cases[i].normal)))
            fail_msg("%s: chose %d, normal \"%.*s\"", cases[i].accepted, coding_choose(&accepted),
                     (int)size, text);
    }
}

TEST(what_may_be_coded)
{
    static const struct route_policy policy = {.compress = 1, .compress_bytes_min = 1000};
    static const struct {
        int status;
        int64_t body_bytes;
        const char *fields;
        bool may;
    } cases[] = {
        {200, 1000, "Content-Type: application/json\r\n", true},
        {200, HTTP_BODY_UNKNOWN, "Content-Type: application/json\r\n", true},
        {200, 999, "Content-Type: application/json\r\n", false},
        {404, 1000, "Content-Type: application/problem+json\r\n", true},
        {206, 1000, "Content-Type: application/json\r\n", false},
        {200, 1000, "Content-Type: Text/HTML; charset=utf-8\r\n", true},
        {200, 1000, "Content-Type: text/event-stream\r\n", false},
        {200, 1000, "Content-Type: image/png\r\n", false},
        {200, 1000, "Content-Type: image/svg+xml\r\n", true},
        {200, 1000, "ETag: \"a\"\r\n", false},
        {200, 1000, "Content-Type: text/css\r\nContent-Encoding: br\r\n", false},
        {200, 1000, "Content-Type: text/css\r\nCache-Control: max-age=1, no-transform\r\n", false},
        {200, 1000, "Content-Type: text/css\r\nCache-Control: max-age=1\r\n", true},
    };
    static const struct route_policy off = {.compress_bytes_min = 1};
    struct http_text request;

    http_text_read(&request, "Accept-Encoding: gzip");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes fields = bytes_of_text(cases[i].fields);
        struct coding_plan plan =
            coding_plan_of(&policy, &request.fields, cases[i].status, fields, cases[i].body_bytes);
        if (plan.may_be_coded != cases[i].may || (plan.coding == CODING_GZIP) != cases[i].may)
            fail_msg("%s", cases[i].fields);
        EXPECT(!coding_plan_of(&off, &request.fields, 200, fields, 5000).may_be_coded);
    }
    http_text_read(&request, "Accept-Encoding: gzip\nRange: bytes=0-1");
    EXPECT_EQ(coding_plan_of(&policy, &request.fields, 200, bytes_of_text(cases[0].fields), 5000).coding,
              CODING_IDENTITY);
    http_text_read(&request, "Accept-Encoding: gzip\nCache-Control: no-transform");
    EXPECT_EQ(coding_plan_of(&policy, &request.fields, 200, bytes_of_text(cases[0].fields), 5000).coding,
              CODING_IDENTITY);
}

TEST(fields_tell_of_the_coding)
{
    static const struct {
        enum coding coding;
        const char *before, *after;
    } cases[] = {
        {CODING_GZIP, "ETag: \"a\"\r\nX: y\r\n",
         "ETag: W/\"a\"\r\nX: y\r\nContent-Encoding: gzip\r\nVary: Accept-Encoding\r\n"},
        {CODING_GZIP, "etag: W/\"a\"\r\nVary: Accept, accept-encoding\r\n",
         "etag: W/\"a\"\r\nVary: Accept, accept-encoding\r\nContent-Encoding: gzip\r\n"},
        {CODING_BROTLI, "Vary: Accept\r\nRepr-Digest: sha-256=:AA==:\r\nContent-MD5: x\r\n",
         "Vary: Accept\r\nContent-Encoding: br\r\nVary: Accept-Encoding\r\n"},
        {CODING_IDENTITY, "ETag: \"a\"\r\nContent-MD5: x\r\n",
         "ETag: \"a\"\r\nContent-MD5: x\r\nVary: Accept-Encoding\r\n"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buffer fields = {0};
        coded_fields_append(&fields, bytes_of_text(cases[i].before), cases[i].coding);
        EXPECT(bytes_equal(buffer_bytes(&fields), bytes_of_text(cases[i].after)));
        buffer_fini(&fields);
    }
}

/* ---- coding and decoding ------------------------------------------------------------------------ */

enum { TEXT_BYTES = 300000 };

static size_t decode(enum coding coding, struct bytes coded, char *text)
{
    if (coding == CODING_GZIP) {
        z_stream stream = {.next_in = (Bytef *)(uintptr_t)coded.data,
                           .avail_in = (uInt)coded.size,
                           .next_out = (Bytef *)text,
                           .avail_out = TEXT_BYTES};
        EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
        inflate(&stream, Z_SYNC_FLUSH);
        inflateEnd(&stream);
        return stream.total_out;
    }
    if (coding == CODING_BROTLI) {
        BrotliDecoderState *state = BrotliDecoderCreateInstance(NULL, NULL, NULL);
        size_t in_left = coded.size, out_left = TEXT_BYTES;
        const uint8_t *in = (const uint8_t *)coded.data;
        uint8_t *out = (uint8_t *)text;
        EXPECT(BrotliDecoderDecompressStream(state, &in_left, &in, &out_left, &out, NULL) !=
               BROTLI_DECODER_RESULT_ERROR);
        BrotliDecoderDestroyInstance(state);
        return TEXT_BYTES - out_left;
    }
    ZSTD_DStream *stream = ZSTD_createDStream();
    ZSTD_inBuffer in = {coded.data, coded.size, 0};
    ZSTD_outBuffer out = {text, TEXT_BYTES, 0};
    while (in.pos < in.size && !ZSTD_isError(ZSTD_decompressStream(stream, &out, &in)))
        continue;
    ZSTD_freeDStream(stream);
    return out.pos;
}

TEST(what_is_coded_piece_by_piece_is_decoded_whole)
{
    static const size_t piece_sizes[] = {1, 100, 65536, TEXT_BYTES};
    static char text[TEXT_BYTES], decoded[TEXT_BYTES];

    for (size_t i = 0; i < TEXT_BYTES; i++)
        text[i] = "{\"name\":\"nuthatch\",\"id\":"[i % 24] ^ (char)(i % 977 == 0);
    for (int coding = 0; coding < CODING_IDENTITY; coding++) {
        for (size_t i = 0; i < COUNT_OF(piece_sizes); i++) {
            struct coder *coder = coder_create((enum coding)coding);
            struct buffer coded = {0};
            for (size_t at = 0; at < TEXT_BYTES;) {
                size_t size = piece_sizes[i] < TEXT_BYTES - at ? piece_sizes[i] : TEXT_BYTES - at;
                EXPECT(coder_feed(coder, bytes_of(text + at, size), CODER_MORE, &coded));
                at += size;
            }
            EXPECT(coder_feed(coder, (struct bytes){0}, CODER_END, &coded));
            coder_destroy(coder);
            EXPECT(coded.size < TEXT_BYTES / 20);
            EXPECT_EQ(decode((enum coding)coding, buffer_bytes(&coded), decoded), TEXT_BYTES);
            EXPECT(memcmp(text, decoded, TEXT_BYTES) == 0);
            buffer_fini(&coded);
        }
    }
}

TEST(what_was_flushed_can_be_read_before_the_end)
{
    char decoded[TEXT_BYTES];

    for (int coding = 0; coding < CODING_IDENTITY; coding++) {
        struct coder *coder = coder_create((enum coding)coding);
        struct buffer coded = {0};
        EXPECT(coder_feed(coder, BYTES("the first piece"), CODER_FLUSH, &coded));
        EXPECT_EQ(decode((enum coding)coding, buffer_bytes(&coded), decoded), 15);
        EXPECT(coder_feed(coder, BYTES(", the second"), CODER_FLUSH, &coded));
        EXPECT_EQ(decode((enum coding)coding, buffer_bytes(&coded), decoded), 27);
        coder_destroy(coder);
        buffer_fini(&coded);
    }
}

RUN_TESTS(TEST_ROW(the_best_coding_that_the_client_takes_is_chosen), TEST_ROW(what_may_be_coded),
          TEST_ROW(fields_tell_of_the_coding), TEST_ROW(what_is_coded_piece_by_piece_is_decoded_whole),
          TEST_ROW(what_was_flushed_can_be_read_before_the_end))
