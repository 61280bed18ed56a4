#include "coder.h"
#include "base/compiler.h"
#include <brotli/encode.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

/* What pays at the speed of a server: most of the saving for a few nanoseconds a byte. */
enum { GZIP_LEVEL = 6, BROTLI_QUALITY = 4, BROTLI_WINDOW_BITS = 18, ZSTD_LEVEL = 3, ZSTD_WINDOW_BITS = 18 };
enum { GZIP_WINDOW_BITS = 15 + 16, GZIP_MEMORY_LEVEL = 8, ROOM_BYTES = 8 * 1024 };

struct coder {
    enum coding coding;
    z_stream gzip;
    BrotliEncoderState *brotli;
    ZSTD_CStream *zstd;
};

struct coder *coder_create(enum coding coding)
{
    struct coder *coder = calloc(1, sizeof *coder);
    bool is_ready = false;

    if (coder == NULL)
        return NULL;
    coder->coding = CODING_IDENTITY; /* until there is something to destroy */
    switch (coding) {
    case CODING_GZIP:
        is_ready = deflateInit2(&coder->gzip, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW_BITS, GZIP_MEMORY_LEVEL,
                                Z_DEFAULT_STRATEGY) == Z_OK;
        break;
    case CODING_BROTLI:
        coder->brotli = BrotliEncoderCreateInstance(NULL, NULL, NULL);
        is_ready = coder->brotli != NULL &&
                   BrotliEncoderSetParameter(coder->brotli, BROTLI_PARAM_QUALITY, BROTLI_QUALITY) &&
                   BrotliEncoderSetParameter(coder->brotli, BROTLI_PARAM_LGWIN, BROTLI_WINDOW_BITS);
        break;
    case CODING_ZSTD:
        coder->zstd = ZSTD_createCStream();
        is_ready =
            coder->zstd != NULL &&
            !ZSTD_isError(ZSTD_CCtx_setParameter(coder->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL)) &&
            !ZSTD_isError(ZSTD_CCtx_setParameter(coder->zstd, ZSTD_c_windowLog, ZSTD_WINDOW_BITS));
        break;
    case CODING_IDENTITY:
    case CODING_COUNT: UNREACHABLE();
    }
    if (is_ready)
        coder->coding = coding;
    if (is_ready)
        return coder;
    coder_destroy(coder);
    return NULL;
}

void coder_destroy(struct coder *coder)
{
    if (coder == NULL)
        return;
    if (coder->coding == CODING_GZIP)
        deflateEnd(&coder->gzip);
    if (coder->brotli != NULL)
        BrotliEncoderDestroyInstance(coder->brotli);
    ZSTD_freeCStream(coder->zstd);
    free(coder);
}

static bool feed_gzip(z_stream *gzip, struct bytes bytes, enum coder_flush flush, struct buffer *coded)
{
    static const int flushes[] = {
        [CODER_MORE] = Z_NO_FLUSH, [CODER_FLUSH] = Z_SYNC_FLUSH, [CODER_END] = Z_FINISH};

    gzip->next_in = (z_const Bytef *)(uintptr_t)bytes.data;
    gzip->avail_in = (uInt)bytes.size;
    do {
        char *room = buffer_reserve(coded, ROOM_BYTES);
        if (room == NULL)
            return false;
        gzip->next_out = (Bytef *)room;
        gzip->avail_out = ROOM_BYTES;
        if (deflate(gzip, flushes[flush]) == Z_STREAM_ERROR)
            return false;
        buffer_commit(coded, ROOM_BYTES - gzip->avail_out);
    } while (gzip->avail_out == 0);
    return true;
}

static bool feed_brotli(BrotliEncoderState *brotli, struct bytes bytes, enum coder_flush flush,
                        struct buffer *coded)
{
    static const BrotliEncoderOperation operations[] = {[CODER_MORE] = BROTLI_OPERATION_PROCESS,
                                                        [CODER_FLUSH] = BROTLI_OPERATION_FLUSH,
                                                        [CODER_END] = BROTLI_OPERATION_FINISH};
    const uint8_t *next_in = (const uint8_t *)bytes.data;
    size_t in_left = bytes.size;

    do {
        size_t out_left = ROOM_BYTES;
        char *room = buffer_reserve(coded, ROOM_BYTES);
        uint8_t *next_out = (uint8_t *)room;
        if (room == NULL || !BrotliEncoderCompressStream(brotli, operations[flush], &in_left, &next_in,
                                                         &out_left, &next_out, NULL))
            return false;
        buffer_commit(coded, ROOM_BYTES - out_left);
    } while (in_left > 0 || BrotliEncoderHasMoreOutput(brotli));
    return true;
}

static bool feed_zstd(ZSTD_CStream *zstd, struct bytes bytes, enum coder_flush flush, struct buffer *coded)
{
    static const ZSTD_EndDirective directives[] = {
        [CODER_MORE] = ZSTD_e_continue, [CODER_FLUSH] = ZSTD_e_flush, [CODER_END] = ZSTD_e_end};
    ZSTD_inBuffer in = {bytes.data, bytes.size, 0};
    size_t remaining;

    do {
        ZSTD_outBuffer out = {buffer_reserve(coded, ROOM_BYTES), ROOM_BYTES, 0};
        if (out.dst == NULL)
            return false;
        remaining = ZSTD_compressStream2(zstd, &out, &in, directives[flush]);
        if (ZSTD_isError(remaining))
            return false;
        buffer_commit(coded, out.pos);
    } while (in.pos < in.size || (flush != CODER_MORE && remaining > 0));
    return true;
}

bool coder_feed(struct coder *coder, struct bytes bytes, enum coder_flush flush, struct buffer *coded)
{
    switch (coder->coding) {
    case CODING_GZIP: return feed_gzip(&coder->gzip, bytes, flush, coded);
    case CODING_BROTLI: return feed_brotli(coder->brotli, bytes, flush, coded);
    case CODING_ZSTD: return feed_zstd(coder->zstd, bytes, flush, coded);
    case CODING_IDENTITY:
    case CODING_COUNT: break;
    }
    UNREACHABLE();
}
