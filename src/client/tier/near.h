/* near.h — what lies in the store: values that were read, each with its mark, and keys that are missing.
 *
 * A value's flags are its mark's source, with NEAR_NOTHING if there is none and the key is known to be
 * missing; its note is the epoch. So nothing is added to the bytes, and they are lent as they lie. Any
 * thread. */
#pragma once
#include "client/tier/marks.h"

#define NEAR_NOTHING (UINT32_C(1) << 31) /* of nh_value.flags; a mark's source has the others */

struct near_store {
    nh_store *store;
    struct marks *marks;
    _Atomic uint64_t spaces[NH_SPACES / 64]; /* a bit for each that was kept into */
};

enum near_look {
    NEAR_LOOK_VALUE,
    NEAR_LOOK_NOTHING,
    NEAR_LOOK_DOUBTED, /* there was something, but it is not known to hold */
    NEAR_LOOK_ABSENT,
};
enum near_look near_peek(struct near_store *near, int64_t now_ms, nh_key key, nh_value *value);
enum near_look near_borrow(struct near_store *near, int64_t now_ms, nh_key key, nh_value *value);

/* Puts what was read: `value` null means that the key is missing. What was near before does not stay.
 * False: the store does not take it, and nothing of the key is near. */
bool near_keep(struct near_store *near, int64_t now_ms, nh_key key, const struct bytes *value,
               struct tier_mark mark, int64_t ttl_ms);

/* Drops what is near of the key in `slot`, in all spaces, and counts that it was told. True if there was
 * something. */
bool near_drop(struct near_store *near, struct bytes key, uint16_t slot);
