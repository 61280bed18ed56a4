#include "engine/kv/kv_secret.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

bool kv_digest_of(struct bytes password, struct kv_digest *digest)
{
    return EVP_Digest(password.size > 0 ? password.data : "", password.size, digest->bytes, NULL,
                      EVP_sha256(), NULL) == 1;
}

bool kv_digest_equal(const struct kv_digest *a, const struct kv_digest *b)
{
    return CRYPTO_memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

void kv_digest_format(const struct kv_digest *digest, char *text)
{
    static const char digits[] = "0123456789abcdef";

    for (int i = 0; i < KV_DIGEST_BYTES; i++) {
        text[2 * i] = digits[digest->bytes[i] >> 4];
        text[2 * i + 1] = digits[digest->bytes[i] & 15];
    }
}

static int digit_value(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool kv_digest_parse(struct bytes text, struct kv_digest *digest)
{
    if (text.size != KV_DIGEST_TEXT_BYTES)
        return false;
    for (int i = 0; i < KV_DIGEST_BYTES; i++) {
        int high = digit_value(text.data[2 * i]), low = digit_value(text.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        digest->bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool kv_random_bytes(uint8_t *bytes, size_t size) { return RAND_bytes(bytes, (int)size) == 1; }
