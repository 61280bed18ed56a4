/* entry.h — one key with its value, in one allocation:
 *
 *     header │ stale_at_ms, if ENTRY_SOFT │ tag marks │ key │ value │ slack of the allocator
 *
 * Everything but the value's bytes and size (entry_rewrite) stays as it was made, except the fields
 * noted below. All of it is guarded by the lock of the shard that the entry lives in; whoever holds a
 * reference may read key and value without the lock. */
#pragma once
#include "base/bytes.h"
#include "nuthatch.h"
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ENTRY_TAG_COUNT = 0x1f, /* of `extras`: how many tag marks follow */
    ENTRY_SOFT = 0x20,      /* a soft expiry follows */
    ENTRY_UNLINKED = 0x40,  /* no longer in the table: lives until its last reference goes */
};
static_assert(NH_TAGS_MAX <= ENTRY_TAG_COUNT, "a tag count must fit its bits");

struct entry {
    uint64_t version;      /* set when the entry is linked */
    int64_t expires_at_ms; /* 0: never. Changes in place */
    uint32_t references;   /* the table's one, and one of each borrower */
    uint32_t value_bytes;
    uint32_t space;
    uint32_t flags;
    uint16_t key_bytes;
    uint8_t extras;
    uint8_t shard;
    char data[];
};

/* What an entry is made from. */
struct entry_plan {
    nh_key key;
    struct bytes value;
    size_t value_capacity; /* at least this much room for the value, so that it can be rewritten */
    int64_t expires_at_ms;
    int64_t stale_at_ms;
    bool has_soft; /* make room for a soft expiry even if stale_at_ms is 0 */
    uint32_t flags;
    uint8_t shard;
    uint8_t tag_count;
    const uint64_t *tag_marks;
};

/* Bytes to allocate for `plan`, before the allocator's own. */
size_t entry_plan_bytes(const struct entry_plan *plan);

/* A new entry with one reference and version 0; null if there is no memory. */
struct entry *entry_create(const struct entry_plan *plan);

/* What the entry costs, with what the allocator adds to it. */
size_t entry_charge(const struct entry *entry);

/* Puts `value` in place of the value if there is room. Nobody may be reading. */
bool entry_rewrite(struct entry *entry, struct bytes value);

static inline unsigned entry_tag_count(const struct entry *entry)
{
    return entry->extras & ENTRY_TAG_COUNT;
}

static inline size_t entry_soft_bytes(const struct entry *entry)
{
    return entry->extras & ENTRY_SOFT ? sizeof(int64_t) : 0;
}

static inline const char *entry_key(const struct entry *entry)
{
    return entry->data + entry_soft_bytes(entry) + entry_tag_count(entry) * sizeof(uint64_t);
}

static inline const char *entry_value(const struct entry *entry)
{
    return entry_key(entry) + entry->key_bytes;
}

/* Without what the allocator adds. */
static inline size_t entry_bytes(const struct entry *entry)
{
    return (size_t)(entry_value(entry) - (const char *)entry) + entry->value_bytes;
}

static inline uint64_t entry_tag_mark(const struct entry *entry, unsigned i)
{
    uint64_t mark; /* the data has no alignment to speak of */
    memcpy(&mark, entry->data + entry_soft_bytes(entry) + i * sizeof mark, sizeof mark);
    return mark;
}

static inline int64_t entry_stale_at_ms(const struct entry *entry)
{
    int64_t at_ms = 0;
    if (entry->extras & ENTRY_SOFT)
        memcpy(&at_ms, entry->data, sizeof at_ms);
    return at_ms;
}

static inline void entry_set_stale_at_ms(struct entry *entry, int64_t at_ms)
{
    memcpy(entry->data, &at_ms, sizeof at_ms); /* only of an entry that is ENTRY_SOFT */
}

static inline bool entry_has_key(const struct entry *entry, nh_key key)
{
    return entry->key_bytes == key.size && entry->space == key.space &&
           memcmp(entry_key(entry), key.data, key.size) == 0;
}
