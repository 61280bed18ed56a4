/* nuthatch.h — a concurrent store of byte values by byte keys, with expiry and eviction, for programs
 * that want a cache inside their own process.
 *
 * Threads: any thread may call any function on one store at the same time, but for nh_restore, which must
 * be the first call, and nh_destroy and nh_save, which must be the last. Looking a key up takes no lock; a
 * loan of a value in pieces, and a lease, take one for a moment. No function prints, exits, installs a
 * signal handler or reads a clock: every call that depends on time takes `now_ms`, milliseconds on a clock
 * of the caller's that does not go back (CLOCK_MONOTONIC will do), so that a test can let an hour pass.
 *
 * Memory: everything, index and bookkeeping included, lives in one mapping of `memory_bytes`, made by
 * nh_create and touched as it fills; nothing is allocated beside it but what a caller borrows beyond the
 * bound that nh_borrow tells, cursors, writers, and a buffer while nh_save or nh_restore is at work, or
 * nh_copy on a value in pieces.
 *
 * Keys are 0 to NH_KEY_BYTES_MAX bytes, values 0 to the configured maximum; both may hold any byte.
 * A key lives in a space, a number below NH_SPACES: the same bytes in two spaces are two keys.
 *
 * Functions that can fail return a nh_result; a result leaves through the last arguments, which are
 * written only as each function says. Any function that takes a key returns NH_INVALID for one whose data
 * is null or that is in no space, and NH_TOO_LARGE for one that is too long. */
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

#define NH_KEY_BYTES_MAX      65535u /* and no more than half a segment: see nh_stats.key_bytes_max */
#define NH_TAGS_MAX           128u
#define NH_SPACES             1024u
#define NH_INSIGHT_SPACES_MAX 8u
#define NH_SPACES_LIMITED_MAX 7u /* of them may have bounds of their own: nh_space_bound */

typedef struct nh_store nh_store;   /* a store */
typedef struct nh_cursor nh_cursor; /* a walk over a store */
typedef struct nh_writer nh_writer; /* a value that is being written in pieces */

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
#define NH_MISSING   1  /* no such key, or expired */
#define NH_EXISTS    2  /* nh_add: the key is there already */
#define NH_CHANGED   3  /* the key was written, deleted or purged meanwhile; a lease is over */
#define NH_TYPE      4  /* nh_increment: the value is not a decimal number */
#define NH_RANGE     5  /* nh_increment: the sum does not fit; a limit out of range */
#define NH_TOO_LARGE 6  /* key or value above the maximum */
#define NH_FULL      7  /* no room could be made: too much is borrowed, or still being written */
#define NH_NO_MEMORY 8  /* the system gave none */
#define NH_INVALID   9  /* an argument that no caller should pass */
#define NH_GROWING   10 /* nh_value_piece: no more yet, the writer is still at it */
#define NH_ABORTED   11 /* nh_value_piece: the writer gave up */
#define NH_IO        12 /* nh_save, nh_restore: the system refused; errno says why */
#define NH_CORRUPT   13 /* nh_restore: the file is none of ours, of another version, or damaged */

/* A few words for a person. Static. */
NH_API const char *nh_result_text(nh_result result);

/* The library's version, such as "0.1.0", and a number that changes when this header's structs do: a
 * program that was built with another header than the library should not go on. */
#define NH_ABI_VERSION 4u
NH_API const char *nh_version(void);
NH_API uint32_t nh_abi_version(void);

/* ---- a store ---------------------------------------------------------------------------------- */

/* Set `size` to sizeof(nh_options); leave what you do not care about zero. (The same holds for the other
 * structs with a size: it lets a program and a library of different versions work together.) */
#define NH_DROPPED_EXPIRED 1
#define NH_DROPPED_EVICTED 2

typedef struct nh_options {
    size_t size;
    uint64_t memory_bytes;    /* the limit, all included; 0: 64 MiB; 1 MiB to 16 TiB */
    uint64_t value_bytes_max; /* 0: 64 MiB; lowered to half of memory_bytes, and to 4095 MiB */
    uint64_t hash_seed;       /* 0: random; fixed only in tests */
    uint32_t insight_spaces;  /* keep a miss-ratio curve for the first so many spaces that are read, at most
                               * 8, in 256 KiB each, and the hot keys of all. 0: no insight */
    uint32_t huge_pages;      /* not 0: ask for transparent huge pages, but for the bookkeeping */
    /* Told of each key that leaves by itself: `cause` says why. An expired key may be missing for a while
     * before it leaves. Called on any thread, inside a call of the store's and with locks of the store
     * held: it may copy the key, which is good during the call only, and must not call the store. */
    void (*dropped)(void *context, nh_key key, int32_t cause);
    void *dropped_context;
} nh_options;

/* Returns NH_OK with `*store`; NH_RANGE, also if insight leaves too little of so small a memory;
 * NH_INVALID, NH_NO_MEMORY. `options` may be null. */
NH_API nh_result nh_create(const nh_options *options, nh_store **store);

/* Frees the store. Nothing may be borrowed from it and no other thread may be inside a call. */
NH_API void nh_destroy(nh_store *store);

/* ---- reading ---------------------------------------------------------------------------------- */

/* A value lent by the store. The bytes stay readable and unchanged until nh_release, even if the key is
 * overwritten, deleted, expired or evicted meanwhile. A value that does not fit into
 * one segment (nh_stats.segment_bytes) with its key lies in pieces: `bytes` is the first of them and
 * nh_value_piece gives the rest. */
typedef struct nh_value {
    nh_bytes bytes;        /* all of the value, or its first piece if bytes.size < size */
    uint64_t size;         /* of the whole value; so far, if it is growing */
    uint64_t version;      /* changes at every write of the key: the "cas unique" of memcached */
    int64_t expires_at_ms; /* 0: never */
    int64_t stale_at_ms;   /* 0: no soft expiry; the value is stale from here on */
    uint32_t flags;        /* the caller's, as it was put */
    uint32_t traits;       /* NH_VALUE_… */
    uint32_t
        *note; /* where its note is: see nh_put_options.note; null if it has none, or is lent as a copy */
    void *pin; /* the store's, as is the next; null once released: a second release does nothing */
    uint64_t pin_place;
} nh_value;
#define NH_VALUE_STALE    1u /* its soft expiry has come, or a tag of it was purged softly */
#define NH_VALUE_GROWING  2u /* a writer is still appending: size is what there was at this moment */
#define NH_VALUE_NEGATIVE 4u /* nh_fetch and cursors only: the key is known to be missing */

/* Borrows the value of `key` as of `now_ms`: NH_OK with `*value`, which must be released once, by any
 * thread; or NH_MISSING. Counts as a use of the key. A borrowed value pins its segment, which cannot be
 * reused meanwhile. Once an eighth of all segments is pinned, values in one piece are copied for the
 * borrower (nh_stats.borrowed_copied_bytes), and for those in several, or growing, the answer is NH_FULL
 * until something is released; what is in a pinned segment can be borrowed still. NH_NO_MEMORY if such a
 * copy fails. */
NH_API nh_result nh_borrow(nh_store *store, int64_t now_ms, nh_key key, nh_value *value);

/* Like nh_borrow for a moment only, and faster: release it on this thread, without waiting for anything,
 * before any call that writes. While it is held no memory at all can be reused. `version` is 0. */
NH_API nh_result nh_peek(nh_store *store, int64_t now_ms, nh_key key, nh_value *value);

/* The same, but no use of the key: when memory is full it may be evicted as if nobody had asked. */
NH_API nh_result nh_borrow_unnoticed(nh_store *store, int64_t now_ms, nh_key key, nh_value *value);
NH_API nh_result nh_peek_unnoticed(nh_store *store, int64_t now_ms, nh_key key, nh_value *value);

NH_API void nh_release(nh_store *store, nh_value *value);

/* The bytes of a lent value from `offset` on, as far as they lie in one piece. NH_OK with `*piece`;
 * NH_MISSING at the end; NH_GROWING, NH_ABORTED. */
NH_API nh_result nh_value_piece(nh_store *store, const nh_value *value, uint64_t offset, nh_bytes *piece);

/* Copies the value into `buffer`, at most `capacity` bytes of it, and says in `*size`, if not null, how
 * large it is. NH_OK; NH_MISSING. */
NH_API nh_result nh_get(nh_store *store, int64_t now_ms, nh_key key, void *buffer, size_t capacity,
                        size_t *size);

/* nh_get for many keys, each with a result of its own. Their memory is asked for all at once, so that the
 * misses of the processor's caches are waited for together. NH_OK; NH_INVALID for null requests. */
typedef struct nh_get_request {
    nh_key key;
    void *buffer;
    size_t capacity;
    size_t value_bytes; /* out: as *size of nh_get */
    nh_result result;   /* out */
    uint32_t reserved;
} nh_get_request;
NH_API nh_result nh_get_many(nh_store *store, int64_t now_ms, nh_get_request *requests, size_t count);

/* Asks memory for what a look-up of these keys, of the first 64 at most, will touch; a hint before a batch
 * of calls. */
NH_API void nh_prefetch(nh_store *store, const nh_key *keys, size_t count);

/* nh_borrow, and a touch in the same step (see nh_touch). On NH_FULL or NH_NO_MEMORY nothing is lent, but
 * the key may have its new expiry. */
NH_API nh_result nh_get_and_touch(nh_store *store, int64_t now_ms, nh_key key, int64_t ttl_ms,
                                  nh_value *value);

/* ---- reading through: leases ----------------------------------------------------------------------
 *
 * Of many callers that miss the same key, or find it stale, one gets a lease: it is to compute the value
 * and nh_fill it. The others wait, or serve what is stale. A lease ends with nh_fill, nh_give_up, its time,
 * or any write, delete or purge that touches the key: then nh_fill is refused, so that what was computed
 * from older data cannot replace newer. There is room for about one lease for each 16 KiB of memory_bytes,
 * 256 at least and 262,144 at most; when it is short, one that ends soon is forgotten, as if its time were
 * over. */
typedef struct nh_fetch_options {
    size_t size;
    int64_t lease_ms;       /* how long the lease lasts; 0: 10 s */
    uint32_t early_percent; /* XFetch's beta, in percent: 100 is the usual, 0 never refreshes early. One
                             * caller may get a lease before the (soft) expiry, the likelier the nearer it
                             * is and the longer the value took to compute (nh_put_options.cost_ms) */
    uint32_t reserved;
} nh_fetch_options;

typedef int32_t nh_fetch_state;
#define NH_FETCH_HIT         0 /* *value is lent and fresh */
#define NH_FETCH_HIT_LEASE   1 /* *value is lent and fresh, and you recompute it early */
#define NH_FETCH_STALE       2 /* *value is lent and stale; someone else recomputes it */
#define NH_FETCH_STALE_LEASE 3 /* *value is lent and stale; you recompute it */
#define NH_FETCH_MISS_WAIT   4 /* nothing; someone else computes it: ask again in a moment */
#define NH_FETCH_MISS_LEASE  5 /* nothing; you compute it */

/* NH_OK with `*state`; `*value` lent in the first four; `*lease` not 0 in those named so. `options` may be
 * null. A negative entry is lent like a value; its traits say NH_VALUE_NEGATIVE. NH_FULL, NH_NO_MEMORY as
 * nh_borrow: there is no lease then. */
NH_API nh_result nh_fetch(nh_store *store, int64_t now_ms, nh_key key, const nh_fetch_options *options,
                          nh_fetch_state *state, uint64_t *lease, nh_value *value);

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
    uint32_t cost_ms;  /* what it took to compute the value: for nh_fetch_options.early_percent */
    uint32_t negative; /* not 0: remember that the key is missing where the values come from. To all but
                        * nh_fetch, cursors and counts it is missing here; the value says what you like */
    uint32_t note;     /* not 0: 32 bits beside the value that whoever has borrowed it may change where they
                        * are (nh_value.note), by atomic operations and without a new version. A change may
                        * be lost while the store moves the value */
    uint32_t reserved;
    uint64_t version; /* not 0: the value's version is this, not one of the store's making. It is for the
                       * caller to see that a version never comes back */
    uint64_t as_of_purge; /* not 0: what nh_purge_number said before the value's making began. A purge of
                           * one of its tags since then is a purge of this value too */
} nh_put_options;

/* Stores copies of `key` and `value`. `options` may be null. `version`, if not null, receives the new
 * version. On any error the old value stays, unless it was evicted in the search for room.
 *   nh_put      whatever was there
 *   nh_add      only if the key is missing, else NH_EXISTS
 *   nh_replace  only if the key is there, else NH_MISSING
 *   nh_cas      only if the key is there at `expected_version`, else NH_MISSING or NH_CHANGED
 * All may return NH_TOO_LARGE, NH_FULL, NH_NO_MEMORY, NH_INVALID, and, with as_of_purge, NH_CHANGED: a tag
 * of the value was purged meanwhile, softly or not. */
NH_API nh_result nh_put(nh_store *store, int64_t now_ms, nh_key key, nh_bytes value,
                        const nh_put_options *options, uint64_t *version);
NH_API nh_result nh_add(nh_store *store, int64_t now_ms, nh_key key, nh_bytes value,
                        const nh_put_options *options, uint64_t *version);
NH_API nh_result nh_replace(nh_store *store, int64_t now_ms, nh_key key, nh_bytes value,
                            const nh_put_options *options, uint64_t *version);
NH_API nh_result nh_cas(nh_store *store, int64_t now_ms, nh_key key, nh_bytes value,
                        const nh_put_options *options, uint64_t expected_version, uint64_t *version);

/* nh_cas for the value alone: flags, expiry, soft expiry and tags stay. */
NH_API nh_result nh_cas_value(nh_store *store, int64_t now_ms, nh_key key, nh_bytes value,
                              uint64_t expected_version, uint64_t *version);

/* Puts what `from` holds at `to`, whatever was there, with flags, expiry, soft expiry and tags. NH_OK;
 * NH_MISSING; NH_GROWING if a writer is still at the value; the errors of nh_borrow and nh_put. */
NH_API nh_result nh_copy(nh_store *store, int64_t now_ms, nh_key from, nh_key to, uint64_t *version);

/* Like nh_put, and lends what was there before: `*before` is borrowed and must be released if
 * `*had_before` is not 0. On an error `*had_before` is 0. */
NH_API nh_result nh_exchange(nh_store *store, int64_t now_ms, nh_key key, nh_bytes value,
                             const nh_put_options *options, nh_value *before, int32_t *had_before);

/* Puts what a lease was given for: NH_OK, NH_CHANGED if the lease has ended, and the errors of nh_put. */
NH_API nh_result nh_fill(nh_store *store, int64_t now_ms, nh_key key, uint64_t lease, nh_bytes value,
                         const nh_put_options *options, uint64_t *version);

/* Ends a lease without a value, so that somebody else may have the next: NH_OK; NH_CHANGED if something
 * else has ended it. */
NH_API nh_result nh_give_up(nh_store *store, nh_key key, uint64_t lease);

/* Ends all leases. For the child of a fork: those who are computing are in its parent. */
NH_API void nh_end_leases(nh_store *store);

/* Adds `more` behind or before the value, in one step; flags, expiry, soft expiry and tags are kept. NH_OK;
 * NH_MISSING; NH_GROWING if a writer is still at the value; NH_TOO_LARGE, NH_FULL, NH_NO_MEMORY. `version`
 * as in nh_put. */
NH_API nh_result nh_append(nh_store *store, int64_t now_ms, nh_key key, nh_bytes more, uint64_t *version);
NH_API nh_result nh_prepend(nh_store *store, int64_t now_ms, nh_key key, nh_bytes more, uint64_t *version);

/* Deletes the key: NH_OK if it was there, else NH_MISSING. */
NH_API nh_result nh_delete(nh_store *store, int64_t now_ms, nh_key key);

/* Sets the key's expiry to `ttl_ms` from now: 0 removes it, negative deletes the key at once. Version and
 * soft expiry stay. NH_OK; NH_MISSING; NH_FULL if that wants a copy for which there is no room. */
NH_API nh_result nh_touch(nh_store *store, int64_t now_ms, nh_key key, int64_t ttl_ms);

/* Makes the value stale at once, whoever's clock is asked: its soft expiry becomes a moment long past, and
 * nh_fetch gives a lease for it. Value, version, expiry, flags, tags and note stay, and a lease that the
 * key has ends, also if the key is missing. NH_OK; NH_MISSING; NH_FULL if that wants a copy for which there
 * is no room. */
NH_API nh_result nh_make_stale(nh_store *store, int64_t now_ms, nh_key key);

/* Gives the value a note if it has none; version and expiry stay. NH_OK; NH_EXISTS: it has one; NH_MISSING;
 * NH_FULL if that wants a copy for which there is no room. */
NH_API nh_result nh_annotate(nh_store *store, int64_t now_ms, nh_key key, uint32_t note);

/* nh_touch, if all of `conditions` hold at that moment: NH_CHANGED, and nothing was done, if one does not.
 * No expiry is later than every other. A negative `ttl_ms` counts as the moment that it says. */
#define NH_TOUCH_IF_NEVER   1u /* the key has no expiry */
#define NH_TOUCH_IF_SOME    2u /* the key has an expiry */
#define NH_TOUCH_IF_LATER   4u /* the new expiry is later than the key's */
#define NH_TOUCH_IF_EARLIER 8u /* the new expiry is earlier than the key's */
NH_API nh_result nh_touch_if(nh_store *store, int64_t now_ms, nh_key key, int64_t ttl_ms,
                             uint32_t conditions);

/* Reads the value as a decimal number, adds `delta` and writes the sum back as text, in one step.
 * Flags, expiry, soft expiry and tags are kept. `mode` chooses the arithmetic:
 *   NH_INCREMENT_SIGNED     a missing key counts as 0 and is made; overflow is NH_RANGE (Redis INCRBY)
 *   NH_INCREMENT_UNSIGNED   a missing key is NH_MISSING; `delta`, read as unsigned, is added mod 2^64
 *   NH_DECREMENT_UNSIGNED   the same, subtracted; stops at 0 (memcached decr)
 * NH_OK with the sum (as int64 or as uint64 bits) in `*sum`, if not null; NH_MISSING, NH_TYPE, NH_RANGE,
 * NH_FULL; NH_TOO_LARGE where the largest value is shorter than the sum. */
#define NH_INCREMENT_SIGNED   0
#define NH_INCREMENT_UNSIGNED 1
#define NH_DECREMENT_UNSIGNED 2
NH_API nh_result nh_increment(nh_store *store, int64_t now_ms, nh_key key, int64_t delta, int32_t mode,
                              int64_t *sum);

/* Drops every value that carries `tag` and was put before this call, at a cost that does not depend on how
 * many there are: they are missing at once (with NH_PURGE_SOFT: stale at once, and served as such), and
 * leave nh_count when nh_sweep or eviction meets them. Memory for tags is fixed: names are hashed to 1,024
 * slots and up to 262,144 (about one for each 4 KiB of memory_bytes), and a purge drops, besides its own,
 * what carries a tag of the same slot. `how`: NH_PURGE_DROP or NH_PURGE_SOFT. NH_OK; NH_INVALID. */
#define NH_PURGE_DROP 0
#define NH_PURGE_SOFT 1
NH_API nh_result nh_purge_tag(nh_store *store, nh_bytes tag, int32_t how);

/* A number for the purges by tag so far, never 0. Who makes values outside of the store, and has no lease,
 * asks for it before he begins, and puts with it (nh_put_options.as_of_purge); nh_check_tags tells whether
 * he need go on: NH_OK; NH_CHANGED if one of `count` tags was purged since, softly or not; NH_INVALID. */
NH_API uint64_t nh_purge_number(nh_store *store);
NH_API nh_result nh_check_tags(nh_store *store, const nh_bytes *tags, size_t count, uint64_t purge_number);

/* Drops every value of one space, or of all spaces with NH_SPACE_ALL. They are missing and uncounted at
 * once; the memory comes back as nh_sweep and new values need it. */
#define NH_SPACE_ALL UINT32_MAX
NH_API void nh_clear(nh_store *store, uint32_t space);

/* Bounds the memory of a space, in whole segments: it always finds room up to `bytes_min` whatever other
 * spaces hold, and makes room among its own values beyond `bytes_max` (0: no bound). Values that are there
 * already count where they are. A space that has had bounds counts as limited from then on, even with both
 * of them 0. NH_OK; NH_RANGE if the minima of all would exceed half of the memory, or
 * bytes_max is smaller than 8 segments or bytes_min; NH_FULL beyond NH_SPACES_LIMITED_MAX spaces. */
NH_API nh_result nh_space_bound(nh_store *store, uint32_t space, uint64_t bytes_min, uint64_t bytes_max);

/* ---- writing in pieces ---------------------------------------------------------------------------- */

/* Begins a value that nh_writer_append makes longer. Nobody sees it before nh_writer_publish, from which
 * moment readers get what there is so far (NH_VALUE_GROWING), or nh_writer_commit, which ends it. A delete,
 * purge or clear, or a write of the same key, after the publish wins: the value then goes on for those who
 * have borrowed it, and commit says NH_CHANGED. It is not evicted before it has ended. One thread at a time
 * per writer. `options` as for nh_put, but for keep_ttl and a negative ttl_ms, which are NH_INVALID. NH_OK
 * with `*writer`; NH_FULL, NH_NO_MEMORY, NH_INVALID, NH_TOO_LARGE. */
NH_API nh_result nh_writer_create(nh_store *store, int64_t now_ms, nh_key key,
                                  const nh_put_options *options, nh_writer **writer);
/* NH_OK; NH_TOO_LARGE or NH_FULL: then nothing was added, and the writer can only be ended. */
NH_API nh_result nh_writer_append(nh_writer *writer, int64_t now_ms, nh_bytes bytes);
/* NH_OK; NH_FULL. What a clear of its space finds begun may be cleared with the rest. */
NH_API nh_result nh_writer_publish(nh_writer *writer, int64_t now_ms);
/* Both end and free the writer. NH_OK; NH_CHANGED, NH_FULL, or what an append said when it failed: then it
 * was aborted. */
NH_API nh_result nh_writer_commit(nh_writer *writer, int64_t now_ms, uint64_t *version);
NH_API void nh_writer_abort(nh_writer *writer);

/* ---- upkeep and insight ----------------------------------------------------------------------- */

/* Frees some of what has expired, was purged or cleared, and packs together what is left in segments that
 * are mostly dead, looking at about `budget_count` entries, and at the rest of the segments that it has
 * begun; returns how many it freed. Call it now and then from any thread; expired values are never
 * served in any case. */
NH_API size_t nh_sweep(nh_store *store, int64_t now_ms, size_t budget_count);

/* A walk over all keys, from `position` on: 0, or where another walk of this store was. Every key that is
 * there from beginning to end of the walk is seen at least once, however the store grows.
 * nh_cursor_next: NH_OK with `*key` and `*value`, both lent until the next call on the cursor (do not
 * release them); NH_MISSING at the end; NH_NO_MEMORY. Where nh_borrow would say NH_FULL, the value is lent
 * as nh_peek would: go on before anything is written. nh_cursor_position: where to go on; keys of the
 * current position may be seen again; 0 at the end. Destroy cursors before their store. One thread per
 * cursor. */
NH_API nh_result nh_cursor_create(nh_store *store, uint64_t position, nh_cursor **cursor);
NH_API nh_result nh_cursor_next(nh_cursor *cursor, int64_t now_ms, nh_key *key, nh_value *value);
NH_API uint64_t nh_cursor_position(const nh_cursor *cursor);
/* Narrows the walk to one space (NH_SPACE_ALL: to none), and has it say NH_MISSING before position `end`,
 * from where it goes on once `end` is higher: a walk in steps of bounded time, as a position is a few keys.
 */
NH_API void nh_cursor_narrow(nh_cursor *cursor, uint32_t space, uint64_t end);
NH_API void nh_cursor_destroy(nh_cursor *cursor);

typedef struct nh_stats {
    size_t size;                    /* set by the caller to sizeof(nh_stats) */
    uint64_t items;                 /* values in the store, not yet freed ones that have expired included */
    uint64_t item_bytes;            /* of keys and values, with what is kept of each; until it is freed */
    uint64_t memory_bytes;          /* in use now */
    uint64_t memory_bytes_max;      /* the limit */
    uint64_t hits, misses;          /* of all calls that read */
    uint64_t puts, deletes;         /* that took effect; a change, or a touch that had to copy, is a put */
    uint64_t expired;               /* freed because their time had come */
    uint64_t evicted;               /* freed to make room */
    uint64_t purged;                /* freed because of a tag */
    uint64_t rejected;              /* writes refused for want of room, or for their size */
    uint64_t stale_served;          /* hits that were stale */
    uint64_t leases;                /* given */
    uint64_t lease_waits;           /* answers NH_FETCH_MISS_WAIT and NH_FETCH_STALE */
    uint64_t fills_refused;         /* nh_fill that came too late */
    uint64_t pinned_bytes;          /* in segments that cannot be reused because of borrowers */
    uint64_t borrowed_copied_bytes; /* allocated for borrowers beyond the bound */
    uint64_t moved;                 /* values copied to another segment to survive */
    uint64_t index_bytes;           /* of memory_bytes */
    uint64_t segment_bytes;         /* what memory is given out in */
    uint64_t key_bytes_max;         /* in this store */
} nh_stats;

/* Sums that are a moment old. NH_OK; NH_INVALID. */
NH_API nh_result nh_stats_read(nh_store *store, nh_stats *stats);

/* How many values `space`, or all spaces with NH_SPACE_ALL, holds, as counted in `items` of nh_stats. */
NH_API uint64_t nh_count(nh_store *store, uint32_t space);

/* One point of a miss-ratio curve: what share of the reads would miss with so much memory. */
typedef struct nh_curve_point {
    uint64_t memory_bytes;
    double miss_ratio; /* 0 … 1 */
} nh_curve_point;

/* The curve of `space` (SHARDS, FAST'15: an estimate from a sample of the keys, of a store that evicts by
 * LRU, up to four times this one's memory): up to `*count` points of rising memory; `*count` becomes how
 * many. NH_OK; NH_MISSING if none is kept, and `*count` is 0. */
NH_API nh_result nh_curve_read(nh_store *store, uint32_t space, nh_curve_point *points, size_t *count);

#define NH_HOT_KEY_BYTES_MAX 250u
typedef struct nh_hot_key {
    uint32_t space;
    uint32_t key_bytes;  /* of the whole key; only the first NH_HOT_KEY_BYTES_MAX are here */
    uint64_t reads;      /* about; in the last minutes, older ones count less and less */
    uint64_t reads_over; /* by how much `reads` may be too high */
    unsigned char key[NH_HOT_KEY_BYTES_MAX];
} nh_hot_key;

/* The most read keys (Space-Saving over a sample), most read first; `*count` as above. NH_OK; NH_MISSING
 * without insight. */
NH_API nh_result nh_hot_keys_read(nh_store *store, nh_hot_key *keys, size_t *count);

/* ---- warm restart ------------------------------------------------------------------------------- */

/* Writes everything that is alive to a file that nh_restore reads: version, checksums, and the moment, so
 * that lifetimes go on counting. `wall_ms` is the time of day in milliseconds since 1970. Nothing may be in
 * use, and what a writer has not ended is left out: afterwards the store can only be destroyed. The file
 * appears complete or not at all. NH_OK; NH_IO, NH_NO_MEMORY. */
NH_API nh_result nh_save(nh_store *store, const char *path, int64_t now_ms, int64_t wall_ms);

/* Puts into a new store, which nobody uses yet, what nh_save left, as far as it has not expired since and
 * fits, and removes the file, since what is written to the store from now on is not in it. The store may be
 * of another size. `*count`, if not null, becomes the number of values. NH_OK; NH_MISSING: no file; NH_IO,
 * NH_NO_MEMORY, NH_CORRUPT: the store is empty then, and the file is left for somebody to look at. A clock
 * that went back is NH_CORRUPT too, and so is a file of a machine with another order of bytes. */
NH_API nh_result nh_restore(nh_store *store, const char *path, int64_t now_ms, int64_t wall_ms,
                            uint64_t *count);

#ifdef __cplusplus
}
#endif
#endif
