/* nuthatch.h — a concurrent store of byte values by byte keys, with expiry and eviction, for programs
 * that want a cache inside their own process.
 *
 * Threads: any thread may call any function on one store at the same time, but for nh_destroy, which
 * must be the last call. No function prints, exits, installs a signal handler or reads a clock: every
 * call that depends on time takes `now_ms`, milliseconds on a clock of the caller's that does not go
 * back (CLOCK_MONOTONIC will do), so that a test can let an hour pass.
 *
 * Keys are 1 to NH_KEY_BYTES_MAX bytes, values 0 to the configured maximum; both may hold any byte.
 * A key lives in a space, a number below NH_SPACE_ALL: the same bytes in two spaces are two keys.
 *
 * Functions that can fail return a nh_result; a result leaves through the last arguments, which are
 * written only as each function says. Any function that takes a key returns NH_INVALID for one that is
 * empty, null or in NH_SPACE_ALL, and NH_TOO_LARGE for one that is too long. */
#ifndef NUTHATCH_H
#define NUTHATCH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define NH_API __attribute__((visibility("default")))
#else
#define NH_API
#endif

#define NH_KEY_BYTES_MAX 65535u
#define NH_TAGS_MAX      16u

typedef struct nh_store nh_store;   /* a store */
typedef struct nh_cursor nh_cursor; /* a walk over a store */

/* A borrowed run of bytes. */
typedef struct nh_bytes {
    const void *data;
    size_t size;
} nh_bytes;

typedef struct nh_key {
    const void *data;
    size_t size;
    uint32_t space;
} nh_key;

typedef int32_t nh_result;
#define NH_OK        0
#define NH_MISSING   1 /* no such key, or expired */
#define NH_EXISTS    2 /* nh_add: the key is there already */
#define NH_CHANGED   3 /* compare-and-swap: the version is another one by now */
#define NH_TYPE      4 /* nh_increment: the value is not a decimal number */
#define NH_RANGE     5 /* nh_increment: the sum does not fit; a limit out of range */
#define NH_TOO_LARGE 6 /* key or value above the maximum */
#define NH_FULL      7 /* no room could be made: what is left is borrowed */
#define NH_NO_MEMORY 8 /* the system gave none */
#define NH_INVALID   9 /* an argument that no caller should pass */

/* A few words for a person. Static. */
NH_API const char *nh_result_text(nh_result result);

/* The library's version, such as "0.1.0", and a number that changes when this header's structs do. */
NH_API const char *nh_version(void);
NH_API uint32_t nh_abi_version(void);

/* ---- a store ---------------------------------------------------------------------------------- */

/* Set `size` to sizeof(nh_options); leave what you do not care about zero. (The same holds for the other
 * structs with a size: it lets a program and a library of different versions work together.) */
typedef struct nh_options {
    size_t size;
    uint64_t memory_bytes;    /* the limit, index and bookkeeping included; 0: 64 MiB; at least 1 MiB */
    uint64_t value_bytes_max; /* 0: 64 MiB; lowered to half of memory_bytes, and to 4095 MiB */
    uint64_t hash_seed;       /* 0: random; fixed only in tests */
} nh_options;

/* Returns NH_OK with `*store`; NH_RANGE, NH_INVALID, NH_NO_MEMORY. `options` may be null. */
NH_API nh_result nh_create(const nh_options *options, nh_store **store);

/* Frees the store. Nothing may be borrowed from it and no other thread may be inside a call. */
NH_API void nh_destroy(nh_store *store);

/* ---- reading ---------------------------------------------------------------------------------- */

/* A value borrowed from the store. The bytes stay readable and unchanged until nh_release, even if the
 * key is overwritten, deleted, expired or evicted meanwhile; release soon, as borrowed memory counts
 * against the limit and cannot be reused. */
typedef struct nh_value {
    nh_bytes bytes;
    uint64_t version;      /* changes at every write of the key: the "cas unique" of memcached */
    int64_t expires_at_ms; /* 0: never */
    int64_t stale_at_ms;   /* 0: no soft expiry; the value is stale from here on */
    uint32_t flags;        /* the caller's, as it was put */
    uint32_t reserved;
    void *pin; /* the store's; null once released, when a second release does nothing */
} nh_value;

/* Borrows the value of `key` as of `now_ms`: NH_OK with `*value`, which must be released once; or
 * NH_MISSING. Counts as a use of the key. */
NH_API nh_result nh_borrow(nh_store *store, int64_t now_ms, nh_key key, nh_value *value);
NH_API void nh_release(nh_store *store, nh_value *value);

/* Copies the value into `buffer`, at most `capacity` bytes of it, and says in `*size`, if not null, how
 * large it is. NH_OK; NH_MISSING. */
NH_API nh_result nh_get(nh_store *store, int64_t now_ms, nh_key key, void *buffer, size_t capacity,
                        size_t *size);

/* Asks memory for what a look-up of these keys will touch; a hint before a batch of calls. */
NH_API void nh_prefetch(nh_store *store, const nh_key *keys, size_t count);

/* ---- writing ---------------------------------------------------------------------------------- */

/* How a value is put. Set `size` to sizeof(nh_put_options); zero means "no". */
typedef struct nh_put_options {
    size_t size;
    int64_t ttl_ms;       /* from now; 0: none. Negative: already expired, so the key ends missing */
    int64_t soft_ttl_ms;  /* from now; 0: none. The value is stale afterwards, though still served */
    uint32_t flags;       /* returned with the value */
    uint32_t keep_ttl;    /* not 0: an existing key keeps its expiry and soft expiry */
    const nh_bytes *tags; /* up to NH_TAGS_MAX names; nh_purge_tag drops all values that carry one */
    size_t tag_count;
} nh_put_options;

/* Stores copies of `key` and `value`. `options` may be null. `version`, if not null, receives the new
 * version. On any error the old value stays.
 *   nh_put      whatever was there
 *   nh_add      only if the key is missing, else NH_EXISTS
 *   nh_replace  only if the key is there, else NH_MISSING
 *   nh_cas      only if the key is there at `expected_version`, else NH_MISSING or NH_CHANGED
 * All may return NH_TOO_LARGE, NH_FULL, NH_NO_MEMORY, NH_INVALID. */
NH_API nh_result nh_put(nh_store *store, int64_t now_ms, nh_key key, nh_bytes value,
                        const nh_put_options *options, uint64_t *version);
NH_API nh_result nh_add(nh_store *store, int64_t now_ms, nh_key key, nh_bytes value,
                        const nh_put_options *options, uint64_t *version);
NH_API nh_result nh_replace(nh_store *store, int64_t now_ms, nh_key key, nh_bytes value,
                            const nh_put_options *options, uint64_t *version);
NH_API nh_result nh_cas(nh_store *store, int64_t now_ms, nh_key key, nh_bytes value,
                        const nh_put_options *options, uint64_t expected_version, uint64_t *version);

/* Like nh_put, and lends what was there before: `*before` is borrowed and must be released if
 * `*had_before` is not 0. On an error `*had_before` is 0. */
NH_API nh_result nh_exchange(nh_store *store, int64_t now_ms, nh_key key, nh_bytes value,
                             const nh_put_options *options, nh_value *before, int32_t *had_before);

/* Deletes the key: NH_OK if it was there, else NH_MISSING. */
NH_API nh_result nh_delete(nh_store *store, int64_t now_ms, nh_key key);

/* Sets the key's expiry to `ttl_ms` from now: 0 removes it, negative deletes the key at once. Version and
 * soft expiry stay. NH_OK; NH_MISSING. */
NH_API nh_result nh_touch(nh_store *store, int64_t now_ms, nh_key key, int64_t ttl_ms);

/* Reads the value as a decimal number, adds `delta` and writes the sum back as text, in one step.
 * Flags, expiry, soft expiry and tags are kept. `mode` chooses the arithmetic:
 *   NH_INCREMENT_SIGNED     a missing key counts as 0 and is made; overflow is NH_RANGE (Redis INCRBY)
 *   NH_INCREMENT_UNSIGNED   a missing key is NH_MISSING; `delta`, read as unsigned, is added mod 2^64
 *   NH_DECREMENT_UNSIGNED   the same, subtracted; stops at 0 (memcached decr)
 * NH_OK with the sum (as int64 or as uint64 bits) in `*sum`; NH_MISSING, NH_TYPE, NH_RANGE, NH_FULL,
 * NH_NO_MEMORY. */
#define NH_INCREMENT_SIGNED   0
#define NH_INCREMENT_UNSIGNED 1
#define NH_DECREMENT_UNSIGNED 2
NH_API nh_result nh_increment(nh_store *store, int64_t now_ms, nh_key key, int64_t delta, int32_t mode,
                              int64_t *sum);

/* Drops every value that carries `tag` and was put before this call, at a cost that does not depend on how
 * many there are: they are missing at once, and leave nh_count when a look-up, nh_sweep or eviction meets
 * them. Memory for tags is fixed: names are hashed to 1,024 slots and up to 262,144 (one for each 4 KiB of
 * memory_bytes), and a purge drops, besides its own, what carries a tag of the same slot. */
NH_API void nh_purge_tag(nh_store *store, int64_t now_ms, nh_bytes tag);

/* Drops every value of one space, or of all spaces with NH_SPACE_ALL. They are missing and uncounted at
 * once; the memory comes back as nh_sweep and new values need it. */
#define NH_SPACE_ALL UINT32_MAX
NH_API void nh_clear(nh_store *store, uint32_t space);

/* ---- upkeep and insight ----------------------------------------------------------------------- */

/* Frees some of what has expired, was purged or cleared, looking at about `budget_count` entries (a few
 * more at most); returns how many it freed. Call it now and then from any thread; expired values are never
 * served in any case. */
NH_API size_t nh_sweep(nh_store *store, int64_t now_ms, size_t budget_count);

/* A walk over all keys. Every key that is there from beginning to end of the walk is seen at least
 * once. nh_cursor_next: NH_OK with `*key` and `*value`, both borrowed until the next call on the cursor
 * (do not release them); NH_MISSING at the end; NH_NO_MEMORY. Destroy cursors before their store. One
 * thread per cursor. */
NH_API nh_result nh_cursor_create(nh_store *store, nh_cursor **cursor);
NH_API nh_result nh_cursor_next(nh_cursor *cursor, int64_t now_ms, nh_key *key, nh_value *value);
NH_API void nh_cursor_destroy(nh_cursor *cursor);

typedef struct nh_stats {
    size_t size;               /* set by the caller to sizeof(nh_stats) */
    uint64_t items;            /* values in the store, not yet freed ones that have expired included */
    uint64_t memory_bytes;     /* in use now */
    uint64_t memory_bytes_max; /* the limit */
    uint64_t hits, misses;     /* of nh_borrow and nh_get */
    uint64_t puts, deletes;    /* that took effect */
    uint64_t expired;          /* freed because their time had come */
    uint64_t evicted;          /* freed to make room */
    uint64_t purged;           /* freed because of a tag */
    uint64_t rejected;         /* puts refused */
    uint64_t borrowed_bytes;   /* borrowed and not released */
} nh_stats;

/* Sums that are a moment old. NH_OK; NH_INVALID. */
NH_API nh_result nh_stats_read(nh_store *store, nh_stats *stats);

/* How many values `space`, or all spaces with NH_SPACE_ALL, holds, as counted in `items` of nh_stats. */
NH_API uint64_t nh_count(nh_store *store, uint32_t space);

#ifdef __cplusplus
}
#endif
#endif
