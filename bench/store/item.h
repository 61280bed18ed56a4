/* item.h — item number `id`: its key of 32 bytes, its value, and how large that is. */
#pragma once
#include "store/random.h"
#include <nuthatch.h>
#include <stdbool.h>
#include <string.h>

enum { KEY_BYTES = 32, KEY_DIGITS = 8, ITEM_BYTES_MAX = 1024 };

/* "key:000…" and eight hexadecimal digits, last first: written without a loop, as it is done between
 * measured calls. */
static inline void key_write(char key[KEY_BYTES], uint32_t id)
{
    static const char prefix[] = "key:00000000000000000000";
    uint64_t nibbles = id, above_nine;

    nibbles = (nibbles | nibbles << 16) & 0x0000ffff0000ffffu;
    nibbles = (nibbles | nibbles << 8) & 0x00ff00ff00ff00ffu;
    nibbles = (nibbles | nibbles << 4) & 0x0f0f0f0f0f0f0f0fu;
    above_nine = (nibbles + 0x0606060606060606u) >> 4 & 0x0101010101010101u;
    nibbles += 0x3030303030303030u + above_nine * ('a' - '9' - 1);
    memcpy(key, prefix, KEY_BYTES - KEY_DIGITS);
    memcpy(key + KEY_BYTES - KEY_DIGITS, &nibbles, KEY_DIGITS);
}

static inline nh_key key_of(const char key[KEY_BYTES]) { return (nh_key){key, KEY_BYTES, 0}; }

/* In low … high, the same for the same id: the rule of the replay. */
static inline uint32_t value_bytes_of(uint32_t id, uint32_t low, uint32_t high)
{
    return low == high ? low : low + (uint32_t)(mix64(id ^ 0x5bd1e995u) % (high - low + 1));
}

/* A value's first bytes say whose it is. */
static inline void value_mark(char *value, uint32_t id) { memcpy(value, &id, sizeof id); }
static inline uint32_t value_owner(const char *value)
{
    uint32_t id;
    memcpy(&id, value, sizeof id);
    return id;
}

/* ---- stores of them ------------------------------------------------------------------------------- */

/* A store of so much memory, with a fixed hash seed: two runs do the same. Stops if it cannot be. */
nh_store *store_open(uint64_t memory_bytes, bool huge_pages);
/* The same with other options; `size` and `hash_seed` are set. */
nh_store *store_open_with(const nh_options *wanted);

/* Puts item `id` with a value of `value_bytes`, at most ITEM_BYTES_MAX, that lives for `ttl_ms`, 0 for
 * ever. Stops if the store refuses. */
void item_put(nh_store *store, int64_t now_ms, uint32_t id, uint32_t value_bytes, int64_t ttl_ms);

/* Is it there? Stops if the store answers with another item's value. Counts as a read. */
bool item_get(nh_store *store, int64_t now_ms, uint32_t id);

nh_stats stats_of(nh_store *store);
