/* text.h — an immutable piece of an answer with its entity tag, held by any number of threads. */
#pragma once
#include "base/bytes.h"
#include <stdatomic.h>
#include <stdint.h>

enum { TEXT_ETAG_BYTES = 18 }; /* 16 hex digits in quotes */

/* Whoever got one holds it until text_release. */
struct text {
    _Atomic uint32_t holders;
    char etag[TEXT_ETAG_BYTES];
    size_t size;
    char data[];
};

/* A copy of `bytes` with one holder, the caller; null without memory. The same bytes have the same tag, in
 * any process. */
struct text *text_create(struct bytes bytes);

/* A text of `size` bytes for the caller to fill and then to seal, before anybody else has it; null without
 * memory. */
struct text *text_reserve(size_t size);
void text_seal(struct text *text);

struct text *text_hold(struct text *text);
void text_release(struct text *text); /* also of null */
static inline struct bytes text_bytes(const struct text *text) { return bytes_of(text->data, text->size); }
static inline struct bytes text_etag(const struct text *text)
{
    return bytes_of(text->etag, TEXT_ETAG_BYTES);
}
