/* stripe.h — where writers append: each takes a stripe that no other is in, if there is one. A stripe has
 * its own segments that are being filled, so writers do not meet but in the chains of the index. */
#pragma once
#include "store/store.h"

/* Locks a stripe, and lets go of it. */
struct stripe *stripe_acquire(nh_store *store);
void stripe_release(nh_store *store, struct stripe *stripe, int64_t now_ms);

/* The tail for records of a group and queue that expire at `expires_at_ms` (0: never), with room for
 * `bytes`; null if there is no room in the whole store. Holding a stripe, no chain, and not in the epoch.
 */
struct tail *stripe_tail(nh_store *store, struct stripe *stripe, int64_t now_ms, unsigned group,
                         enum queue queue, int64_t expires_at_ms, size_t bytes);

/* Sees that the index has spare buckets. False if there is no room. As above. */
bool stripe_want_spares(nh_store *store, int64_t now_ms);

/* Gives all tails of a stripe to their queues, with its lock held. */
void stripe_seal_all(nh_store *store, struct stripe *stripe);
