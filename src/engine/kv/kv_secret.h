/* kv_secret.h — passwords, which are kept as their SHA-256 only. */
#pragma once
#include "base/bytes.h"
#include <stdbool.h>
#include <stdint.h>

enum { KV_DIGEST_BYTES = 32, KV_DIGEST_TEXT_BYTES = 64 };

struct kv_digest {
    uint8_t bytes[KV_DIGEST_BYTES];
};

/* False if the library refuses. */
bool kv_digest_of(struct bytes password, struct kv_digest *digest);

/* Takes as long whatever they hold. */
bool kv_digest_equal(const struct kv_digest *a, const struct kv_digest *b);

/* 64 lower-case hex digits, not terminated. */
void kv_digest_format(const struct kv_digest *digest, char *text);

/* False unless `text` is 64 lower-case hex digits. */
bool kv_digest_parse(struct bytes text, struct kv_digest *digest);

/* Fills `bytes` with what nobody can guess. False if the system has none. */
bool kv_random_bytes(uint8_t *bytes, size_t size);
