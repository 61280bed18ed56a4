/* kv_tier_memcached.h — memcached's commands where the keys are in the shared tier.
 *
 * Reads are answered from what is near. All else is one command of the tier's, or a script where that does
 * not do (kv_tier_scripts.h), at the key's slot. */
#pragma once
#include "engine/kv/kv_memcached.h"
#include "engine/kv/tier/kv_tier_errand.h"
#include "engine/kv/tier/kv_tier_item.h"

/* Runs a command about keys that has passed the guards. */
void kv_tier_memcached(const struct kv_call *call);

/* get, gets, gat, gats. */
void kv_tier_memcached_get(const struct kv_call *call);

/* ---- what they share --------------------------------------------------------------------------------- */

/* Of a value that is too large to be stored: what it was to replace is gone all the same, as it must not be
 * taken for the new value. */
void kv_tier_memcached_drop_old(const struct kv_call *call, struct bytes key);

/* How long a value may become, as scripts want it. */
void kv_tier_memcached_add_bytes_max(struct kv_tier_words *words, const struct kv_call *call);
