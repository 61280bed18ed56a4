#include "engine/kv/tier/kv_tier_item.h"
#include <openssl/evp.h>

enum { STATE_AT = 7, FLAGS_AT = 8, STALE = 1, WON = 2 };
#define MAGIC bytes_of("\0nhItem", STATE_AT)

struct kv_tier_item kv_tier_item_of(struct bytes raw)
{
    struct kv_tier_item item = {.value = raw};

    if (raw.size < KV_TIER_ITEM_HEAD_BYTES || !bytes_start_with(raw, MAGIC))
        return item;
    for (size_t i = FLAGS_AT; i < KV_TIER_ITEM_HEAD_BYTES; i++)
        item.flags = item.flags << 8 | (unsigned char)raw.data[i];
    item.is_stale = (raw.data[STATE_AT] & STALE) != 0;
    item.is_won = (raw.data[STATE_AT] & WON) != 0;
    item.value = bytes_after(raw, KV_TIER_ITEM_HEAD_BYTES);
    return item;
}

void kv_tier_item_write_flags(uint32_t flags, char text[4])
{
    for (size_t i = 0; i < 4; i++)
        text[i] = (char)(flags >> (24 - 8 * i));
}

size_t kv_tier_item_write_head(const struct kv_tier_item *item, char head[KV_TIER_ITEM_HEAD_BYTES])
{
    if (item->flags == 0 && !item->is_stale && !item->is_won && !bytes_start_with(item->value, MAGIC))
        return 0;
    memcpy(head, MAGIC.data, STATE_AT);
    head[STATE_AT] = (char)((item->is_stale ? STALE : 0) | (item->is_won ? WON : 0));
    kv_tier_item_write_flags(item->flags, head + FLAGS_AT);
    return KV_TIER_ITEM_HEAD_BYTES;
}

struct bytes kv_tier_item_string(const struct kv_tier_item *item, struct buffer *copy)
{
    char head[KV_TIER_ITEM_HEAD_BYTES];
    size_t head_bytes = kv_tier_item_write_head(item, head);

    if (head_bytes == 0)
        return item->value;
    buffer_append(copy, bytes_of(head, head_bytes));
    buffer_append(copy, item->value);
    return buffer_bytes(copy);
}

bool kv_tier_item_version(struct bytes raw, uint64_t *version)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    struct kv_tier_item item = kv_tier_item_of(raw);
    char head[KV_TIER_ITEM_HEAD_BYTES];
    size_t head_bytes = 0;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool is_made;

    if (item.value.size != raw.size) { /* it has a head: that counts without who was told */
        memcpy(head, raw.data, sizeof head);
        head[STATE_AT] = item.is_stale ? STALE : 0;
        head_bytes = sizeof head;
    }
    is_made = context != NULL && EVP_DigestInit_ex(context, EVP_sha1(), NULL) == 1 &&
              EVP_DigestUpdate(context, head, head_bytes) == 1 &&
              EVP_DigestUpdate(context, item.value.data, item.value.size) == 1 &&
              EVP_DigestFinal_ex(context, digest, NULL) == 1;
    EVP_MD_CTX_free(context);
    if (!is_made)
        return false;
    *version = 0;
    for (size_t i = 0; i < 8; i++)
        *version = *version << 8 | digest[i];
    *version += *version == 0;
    return true;
}
