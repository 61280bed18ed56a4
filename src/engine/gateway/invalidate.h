/* invalidate.h — a URL's entries, all variants and parts of them, are dropped or become stale, and what is
 * on its way from before is not stored. Any thread. */
#pragma once
#include "engine/gateway/policy/cache_key.h"
#include "gateway_state.h"

/* The key beside a URL's entries under which there are notes of it. */
void marker_of_primary(struct bytes primary, struct cache_key *marker);

/* Forgets everything stored under the primary key, and has no fetch stored that began before. Returns the
 * count of the URL's fence, see shard_poison. */
uint32_t gateway_invalidate(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key);

/* Makes everything stored under the primary key stale, and has no fetch stored that began before. */
void gateway_make_stale(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key);

/* The same at this node alone: the fleet knows. */
uint32_t gateway_invalidate_here(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key);
void gateway_make_stale_here(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key);
