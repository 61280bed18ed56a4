/* shard.h — one part of a store: a lock, an index, and a share of the memory.
 *
 *   (1) Every byte in use is charged to a shard or to the store, and pool_bytes + what shards hold as
 *       credit + what is charged = the limit. Nothing is charged that was not drawn from the pool.
 *   (2) A linked entry has one reference from the table. One that is borrowed has more, is never
 *       evicted, and when unlinked stays charged until the last reference goes.
 *   (3) An entry is dead if its time has come, its space was cleared after it was put, or a tag of it
 *       was purged. A dead entry is never lent; it leaves when it is met.
 *
 * Functions named shard_… want the shard's lock held. Entries that have no reference left are handed
 * back through a `struct grave`, to be freed when the lock is gone. */
#pragma once
#include "store/lock.h"
#include "store/table.h"
#include <stdalign.h>

/* What a shard knows of one space. */
struct space {
    uint64_t live_count;
    uint64_t dead_count;      /* cleared, not freed yet */
    uint64_t cleared_version; /* entries up to this version are dead */
    uint32_t number;
    bool in_use;
};

/* A small open-addressed table of spaces; one that holds nothing is forgotten when it grows. */
struct spaces {
    struct space *rows;
    uint32_t capacity; /* 0 or a power of two */
    uint32_t used;
};

struct shard_counts {
    uint64_t hits, misses, puts, deletes, expired, evicted, purged;
};

struct shard {
    alignas(128) struct lock lock;
    uint8_t number;
    struct table table;
    struct nh_store *store;
    uint64_t version;         /* of the last write */
    uint64_t cleared_version; /* of the last clear of any space: what is younger needs no look */
    struct shard_counts counts;
    uint64_t live_count;
    uint64_t dead_count; /* cleared, not freed yet */
    uint64_t borrowed_bytes;
    uint64_t credit_bytes; /* drawn from the pool and not in use */
    uint64_t used_bytes;   /* charged here */
    uint64_t evict_hand;   /* bucket numbers */
    uint64_t sweep_hand;
    struct spaces spaces;
};

struct nh_store {
    uint64_t hash_seed;
    uint64_t memory_bytes_max;
    uint64_t value_bytes_max;
    uint64_t credit_batch_bytes; /* a shard draws about so much from the pool at a time */
    uint32_t shard_count;        /* a power of two */
    uint32_t tag_slot_mask;
    struct shard *shards;
    /* Generations of tags, by hash: a purge adds one. Of two tags in one slot, purging one purges both. */
    _Atomic uint64_t *tag_generations;
    alignas(64) _Atomic uint64_t pool_bytes;
    _Atomic uint64_t rejected;
    _Atomic uint32_t room_hand; /* the shard where the next search for room begins */
    _Atomic uint32_t sweep_hand;
    struct lock room_lock; /* one search for room at a time; taken before a shard's lock, never within */
};

/* Entries to free once no lock is held. */
struct grave {
    struct entry *first;
};

enum { TAG_SLOT_BITS = 18 }; /* of a tag mark: generation above, slot below */

uint64_t store_hash(const struct nh_store *store, nh_key key);
struct shard *store_shard(const struct nh_store *store, uint64_t hash);

/* The mark of a tag as of now. */
uint64_t store_tag_mark(const struct nh_store *store, struct bytes tag);

bool shard_init(struct shard *shard, struct nh_store *store, uint8_t number);
void shard_fini(struct shard *shard);

/* ---- memory ---- */

/* Draws and gives back bytes of the store's pool: all or nothing, or what there is. */
bool pool_draw(struct nh_store *store, uint64_t bytes);
uint64_t pool_draw_up_to(struct nh_store *store, uint64_t bytes);
void pool_return(struct nh_store *store, uint64_t bytes);

/* Charges bytes without evicting anything. */
bool shard_charge(struct shard *shard, uint64_t bytes);
void shard_refund(struct shard *shard, uint64_t bytes);

/* Charges bytes, evicting from this shard. False if this shard has not enough to give: others may. */
bool shard_reserve(struct shard *shard, int64_t now_ms, uint64_t bytes, struct grave *grave);

/* Frees up to about `bytes` for the store at large, by credit and eviction; returns how many. */
uint64_t shard_yield(struct shard *shard, int64_t now_ms, uint64_t bytes, struct grave *grave);

/* ---- entries ---- */

/* Where the living entry of `key` is. A dead one is unlinked. */
struct place shard_find(struct shard *shard, int64_t now_ms, uint64_t hash, nh_key key,
                        struct grave *grave);

/* Links a charged entry under a new key. False if there is no memory for the index. */
bool shard_insert(struct shard *shard, int64_t now_ms, uint64_t hash, struct entry *entry,
                  struct grave *grave);

/* Links an entry in place of another of the same key. The caller has settled the charges of both, but
 * for an old one that is borrowed: its last borrower pays it back. */
void shard_replace(struct shard *shard, struct place place, struct entry *entry, struct grave *grave);

enum leaving { LEAVING_DELETED, LEAVING_EXPIRED, LEAVING_EVICTED, LEAVING_PURGED, LEAVING_CLEARED };
void shard_unlink(struct shard *shard, struct place place, enum leaving why, struct grave *grave);

/* Takes and gives back a reference. */
void shard_pin(struct shard *shard, struct entry *entry);
void shard_unpin(struct shard *shard, struct entry *entry, struct grave *grave);

/* Unlinks what is dead, looking at up to `*budget_count` entries from the sweep hand on, and lowers the
 * budget. True if the hand came round. */
bool shard_sweep(struct shard *shard, int64_t now_ms, size_t *budget_count, size_t *freed_count,
                 struct grave *grave);

void shard_clear(struct shard *shard, uint32_t space);

/* The row of a space, or null. */
struct space *shard_space(const struct shard *shard, uint32_t number);

void grave_empty(struct grave *grave);
