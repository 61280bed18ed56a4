/* coder.h — a body coded piece by piece: zlib, brotli or zstd behind one face.
 *
 * A coder takes a quarter of a MiB to two; who makes many keeps count. */
#pragma once
#include "base/buffer.h"
#include "coding/accept_encoding.h"

struct coder;

/* Null without memory. `coding` is not identity. */
struct coder *coder_create(enum coding coding);
void coder_destroy(struct coder *coder); /* may be given null */

enum coder_flush {
    CODER_MORE,  /* keep what is better kept */
    CODER_FLUSH, /* all that was given can be decoded from what has come out */
    CODER_END,   /* the body ends here */
};

/* Appends to `coded` what becomes of `bytes`. False if there is no memory: the coder is then of no use. */
bool coder_feed(struct coder *coder, struct bytes bytes, enum coder_flush flush, struct buffer *coded);
