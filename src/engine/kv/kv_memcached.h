/* kv_memcached.h — what the families of memcached's commands share: its numbers and times, and what it
 * keeps of an item beside its value.
 *
 * That is in the value's note (nh_put_options.note), which a read changes in place: whether and when the
 * item was read, whether somebody was told to recache it, and whether its key came in base64. A value that
 * a Redis client wrote has no note before a meta command wants to know. */
#pragma once
#include "engine/kv/kv_change.h"

enum {
    ITEM_NOTE = 1u << 31,    /* there is a note */
    ITEM_WON = 1u << 30,     /* somebody was told to recache it, and has not yet */
    ITEM_FETCHED = 1u << 29, /* it was read */
    ITEM_BINARY = 1u << 28,  /* its key is shown in base64 */
    ITEM_SECONDS = (1u << 28) - 1,
};

#define MEMCACHED_BAD_FORMAT BYTES("bad command line format")

void memcached_client_error(const struct kv_call *call, struct bytes why);

/* What memcached says of a write that the store refused. */
void memcached_refused(const struct kv_call *call, nh_result result);

/* ---- numbers and times ------------------------------------------------------------------------------- */

/* A number as C's strtoull reads it: spaces and a plus sign before it, and anything behind a space, are
 * passed over. */
bool memcached_unsigned(struct bytes text, uint64_t highest, uint64_t *value);
bool memcached_signed(struct bytes text, int64_t *value);

/* An "exptime" (0 never, negative at once, up to 30 days relative, else a unix time) as nh_put_options
 * wants a time to live. */
int64_t memcached_ttl_ms(const struct kv_call *call, int64_t exptime_s);

/* ---- items ------------------------------------------------------------------------------------------- */

/* A value that is larger than memcached's clients may store was never received: the parser says so by a
 * data block without bytes. */
static inline bool memcached_is_too_large(struct bytes data) { return data.data == NULL && data.size > 0; }

static inline uint32_t memcached_note(const struct kv_call *call, uint32_t bits)
{
    return ITEM_NOTE | bits | ((uint32_t)(call->now.wall_ms / 1000) & ITEM_SECONDS);
}

/* The note of a lent value; 0 if it has none. */
static inline uint32_t memcached_note_of(const nh_value *value)
{
    return value->note != NULL ? __atomic_load_n(value->note, __ATOMIC_RELAXED) : 0;
}

/* Writes down that a lent value was read just now. A hint: who comes at the same moment may win. */
static inline void memcached_note_use(const struct kv_call *call, const nh_value *value)
{
    uint32_t before = memcached_note_of(value);
    uint32_t after = memcached_note(call, (before & ~ITEM_SECONDS) | ITEM_FETCHED);

    if (value->note != NULL && before != after)
        __atomic_compare_exchange_n(value->note, &before, after, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* Adds bytes behind or before a value, which is then an item that nobody has read or won. `version`: only
 * if it has that one; 0 for any. NH_OK, NH_MISSING, NH_CHANGED, NH_TOO_LARGE (for memcached's clients,
 * too), and what nh_append says. */
nh_result memcached_extend(const struct kv_call *call, nh_key key, nh_bytes more, bool at_end,
                           uint64_t version, nh_put_options *options, uint64_t *new_version);

/* Adds to a number, or takes from it, as memcached does: what becomes shorter keeps its length with spaces
 * behind it. */
struct memcached_sum {
    uint64_t delta;
    bool is_decrement;
    uint64_t if_version; /* 0: any */
    uint64_t version;    /* in: what the new version is to be, or 0; out: the new one, if wanted */
    bool wants_version, has_ttl;
    int64_t ttl_ms;            /* with has_ttl: from now on */
    uint64_t number;           /* out */
    int64_t old_expires_at_ms; /* out */
};
/* NH_OK, NH_MISSING, NH_CHANGED: another version; NH_TYPE: not a number; and what nh_cas says. */
nh_result memcached_add_to(const struct kv_call *call, nh_key key, struct memcached_sum *sum);
