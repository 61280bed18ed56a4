#include "text.h"
#include "base/hash.h"
#include <stdlib.h>

struct text *text_reserve(size_t size)
{
    struct text *text = malloc(sizeof *text + size);

    if (text == NULL)
        return NULL;
    atomic_init(&text->holders, 1);
    text->size = size;
    return text;
}

void text_seal(struct text *text)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t hash = hash_bytes(text_bytes(text), 0); /* no secret seed: the tag outlives the process */

    text->etag[0] = text->etag[TEXT_ETAG_BYTES - 1] = '"';
    for (int i = 0; i < 16; i++)
        text->etag[1 + i] = digits[hash >> (60 - 4 * i) & 15];
}

struct text *text_create(struct bytes bytes)
{
    struct text *text = text_reserve(bytes.size);

    if (text == NULL)
        return NULL;
    if (bytes.size > 0)
        memcpy(text->data, bytes.data, bytes.size);
    text_seal(text);
    return text;
}

struct text *text_hold(struct text *text)
{
    atomic_fetch_add_explicit(&text->holders, 1, memory_order_relaxed);
    return text;
}

void text_release(struct text *text)
{
    if (text != NULL && atomic_fetch_sub_explicit(&text->holders, 1, memory_order_acq_rel) == 1)
        free(text);
}
