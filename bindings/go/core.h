/* core.h — what the Go package asks of libnuthatch, one crossing into C for one
 * question.
 *
 * A gate stands before a store: it counts the calls under way, on counters that
 * threads do not share, so that a store is destroyed by whoever is the last to
 * leave it after nhgo_close, and never under anybody's feet. Any thread may
 * call anything. Nothing here keeps a pointer into Go's memory when it has
 * returned, and what Go passes holds no pointers but `nhgo_loan`, which holds
 * C's alone.
 *
 * A `now_ms` of NHGO_OWN_CLOCK is the machine's monotonic clock, to its tick (1
 * to 10 ms). Results are those of nuthatch.h, and NHGO_CLOSED. */
#pragma once
#include <nuthatch.h>
#include <stdint.h>

#define NHGO_OWN_CLOCK INT64_MIN
#define NHGO_CLOSED    (-1) /* nhgo_close, or nhgo_hold, came before */

/* What Go sees of a gate. It is no incomplete type: Go would look for pointers
 * of its own in it at each call. */
typedef struct nhgo_gate {
    uint64_t face; /* what is behind it: gate.h */
} nhgo_gate;

typedef struct nhgo_opened {
    nhgo_gate *gate;
    uint64_t restored; /* values */
    int32_t result;
    int32_t error_number; /* of NH_IO */
} nhgo_opened;

/* A new store; `path`, if not null, is what nh_save left. */
nhgo_opened nhgo_open(uint64_t memory_bytes, uint64_t value_bytes_max, uint32_t huge_pages,
                      const char *path, int64_t now_ms, int64_t wall_ms);

/* Nobody gets in any more; the store is destroyed once everybody is out, which
 * may be at once. */
void nhgo_close(nhgo_gate *gate);
/* The same for a while: calls are refused until nhgo_unhold. 0 if it is not
 * open. */
int32_t nhgo_hold(nhgo_gate *gate);
void nhgo_unhold(nhgo_gate *gate);
int32_t nhgo_is_idle(nhgo_gate *gate);
/* Of an idle gate that is held: saves the store, and destroys it. errno in
 * `error_number` if NH_IO. */
nhgo_opened nhgo_save(nhgo_gate *gate, const char *path, int64_t now_ms, int64_t wall_ms);
/* Frees the gate, and the store if it is there still. Nobody may be inside, or
 * come. */
void nhgo_free(nhgo_gate *gate);

/* A key in somebody's memory. */
typedef struct nhgo_key {
    uint32_t size, space;
} nhgo_key;

typedef struct nhgo_got {
    uint64_t size; /* of the value, which may be more than there was room for */
    int32_t result;
} nhgo_got;
nhgo_got nhgo_get(nhgo_gate *gate, int64_t now_ms, const uint8_t *key, nhgo_key of, uint8_t *room,
                  uint64_t capacity);

/* A value with all that is known of it. */
typedef struct nhgo_item {
    uint64_t size, version;
    int64_t ttl_ms; /* left; 0: no end */
    uint64_t lease; /* nhgo_fetch: not 0: the caller's to fill or give up */
    uint32_t flags, traits;
    int32_t result, state; /* state: nh_fetch_state of nhgo_fetch */
} nhgo_item;
nhgo_item nhgo_read(nhgo_gate *gate, int64_t now_ms, const uint8_t *key, nhgo_key of, uint8_t *room,
                    uint64_t capacity);
nhgo_item nhgo_fetch(nhgo_gate *gate, int64_t now_ms, const uint8_t *key, nhgo_key of, int64_t lease_ms,
                     uint32_t early_percent, uint8_t *room, uint64_t capacity);

/* A value that is looked at where it lies. NH_OK: the caller is inside until
 * nhgo_return. */
typedef struct nhgo_loan {
    nh_value value;
} nhgo_loan;
int32_t nhgo_lend(nhgo_gate *gate, int64_t now_ms, const uint8_t *key, nhgo_key of, nhgo_loan *loan);
/* Copies all of a value that lies in pieces; `room` has value.size bytes. */
int32_t nhgo_copy_pieces(nhgo_gate *gate, nhgo_loan *loan, uint8_t *room);
void nhgo_return(nhgo_gate *gate, nhgo_loan *loan);

/* How a value is put; see nh_put_options. Tags are their text, one behind the
 * other, and their sizes. */
typedef struct nhgo_settings {
    int64_t ttl_ms, soft_ttl_ms;
    uint32_t flags, cost_ms;
    uint32_t keep_ttl, negative;
} nhgo_settings;

enum { NHGO_PUT, NHGO_ADD, NHGO_REPLACE, NHGO_CAS, NHGO_FILL };

/* `number` is the expected version of NHGO_CAS, the lease of NHGO_FILL. */
int32_t nhgo_put(nhgo_gate *gate, int64_t now_ms, int32_t how, const uint8_t *key, nhgo_key of,
                 const uint8_t *value, uint64_t value_size, nhgo_settings settings, const uint8_t *tag_text,
                 const uint32_t *tag_sizes, uint32_t tag_count, uint64_t number);
int32_t nhgo_give_up(nhgo_gate *gate, const uint8_t *key, nhgo_key of, uint64_t lease);
int32_t nhgo_extend(nhgo_gate *gate, int64_t now_ms, const uint8_t *key, nhgo_key of, const uint8_t *more,
                    uint64_t more_size, int32_t in_front);
int32_t nhgo_delete(nhgo_gate *gate, int64_t now_ms, const uint8_t *key, nhgo_key of);
int32_t nhgo_touch(nhgo_gate *gate, int64_t now_ms, const uint8_t *key, nhgo_key of, int64_t ttl_ms);
int32_t nhgo_make_stale(nhgo_gate *gate, int64_t now_ms, const uint8_t *key, nhgo_key of);

typedef struct nhgo_sum {
    int64_t sum;
    int32_t result;
} nhgo_sum;
nhgo_sum nhgo_increment(nhgo_gate *gate, int64_t now_ms, const uint8_t *key, nhgo_key of, int64_t delta);

int32_t nhgo_purge_tag(nhgo_gate *gate, const uint8_t *tag, uint64_t size, int32_t how);
int32_t nhgo_clear(nhgo_gate *gate, uint32_t space);
nhgo_sum nhgo_count(nhgo_gate *gate, uint32_t space);
int32_t nhgo_sweep(nhgo_gate *gate, int64_t now_ms, uint64_t budget_count);
int32_t nhgo_stats(nhgo_gate *gate, nh_stats *stats);

/* Many operations in one crossing, in their order. Keys lie one behind the
 * other, and so do the values that are to be set; the values that are read are
 * written one behind the other at `room`. */
enum { NHGO_BATCH_GET, NHGO_BATCH_SET, NHGO_BATCH_DELETE };
typedef struct nhgo_operation {
    uint64_t key_at, value_at; /* of a get that was NH_OK, value_at is set: in `room` */
    uint64_t value_size;       /* of a get: set */
    int64_t ttl_ms, soft_ttl_ms;
    uint32_t key_size, flags;
    int32_t what, result;
    uint32_t is_done; /* a get for which there was no room is not: do the rest
                         with more */
    uint32_t reserved;
} nhgo_operation;
typedef struct nhgo_done {
    uint64_t used;       /* of the room */
    uint64_t want;       /* at least so much more room; 0: all are done */
    uint64_t slot_bytes; /* for the next call, or batch */
    int32_t result;
} nhgo_done;
/* `slot_bytes` is how large values that are read are expected to be, which are read
 * the faster for it; larger ones are looked at twice. */
nhgo_done nhgo_batch(nhgo_gate *gate, int64_t now_ms, uint32_t space, nhgo_operation *operations,
                     uint64_t count, const uint8_t *keys, const uint8_t *values, uint8_t *room,
                     uint64_t used, uint64_t capacity, uint64_t slot_bytes);

/* A part of a walk over all keys: whole chains of the index from `position` on,
 * 0 at first, as far as they fit, with no key twice. Keys and values lie one
 * behind the other at `room`. NH_OK with where to go on, 0 at the end;
 * NH_TOO_LARGE: not one chain fits, so give more of both. */
typedef struct nhgo_entry {
    uint64_t at, value_size; /* the value follows the key, but not if it had no room */
    uint32_t key_size, has_value;
} nhgo_entry;
typedef struct nhgo_page {
    uint64_t count, position;
    int32_t result;
} nhgo_page;
nhgo_page nhgo_walk(nhgo_gate *gate, int64_t now_ms, uint32_t space, uint64_t position, nhgo_entry *entries,
                    uint64_t entry_count_max, uint8_t *room, uint64_t capacity);
