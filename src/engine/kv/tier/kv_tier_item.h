/* kv_tier_item.h — an item of memcached's as a string of the shared tier. Pure.
 *
 * An item without flags is its value, as Redis clients write and read it. One with flags, or with a state
 * of memcached's meta commands, has twelve bytes before its value:
 *
 *   0   "\0nhItem"
 *   7   the state: 1 it is stale, 2 somebody was told to recache it
 *   8   the client's flags, the highest byte first
 *
 * and so has a value that begins with those seven bytes by itself. Flags, state and value so come, expire
 * and go together. The scripts of kv_tier_scripts.c read and write the same. */
#pragma once
#include "base/buffer.h"
#include <stdbool.h>
#include <stdint.h>

enum { KV_TIER_ITEM_HEAD_BYTES = 12 };

struct kv_tier_item {
    struct bytes value;
    uint32_t flags;
    bool is_stale, is_won;
};

/* What the string `raw` is; any is an item. The value borrows from it. */
struct kv_tier_item kv_tier_item_of(struct bytes raw);

/* Writes what stands before the value of `item` and returns how many bytes that is: 0 if nothing has to. */
size_t kv_tier_item_write_head(const struct kv_tier_item *item, char head[KV_TIER_ITEM_HEAD_BYTES]);

/* The string that an item is in the tier, in `copy` if it has a head: a buffer that the caller has emptied
 * and will fini. Without memory `copy->failed`. */
struct bytes kv_tier_item_string(const struct kv_tier_item *item, struct buffer *copy);

/* The flags as they stand there. */
void kv_tier_item_write_flags(uint32_t flags, char text[4]);

/* The number that memcached's clients compare ("cas unique"): 64 bits of the SHA-1 of the string, but for
 * whether somebody was told to recache it. So one value has one number, and a value that comes again has
 * its number again. Never 0; false if the SHA-1 cannot be made. */
bool kv_tier_item_version(struct bytes raw, uint64_t *version);
