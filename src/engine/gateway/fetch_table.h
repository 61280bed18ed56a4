/* fetch_table.h — the table of fetches by URL, and the fences that tell a fetch that its URL was
 * invalidated meanwhile. Any thread; see struct fetch_shard. */
#pragma once
#include "gateway_state.h"

/* `hash`: of the primary key, by the gateway's seed. */
struct fetch_shard *shard_of(struct gateway *gateway, uint64_t hash);

/* From here on no fetch of the URL that began before is joined, or stored. Returns the fence's count: who
 * has it knows of this, and of nothing later. Under `store_lock`. */
uint32_t shard_poison(struct fetch_shard *shard, uint64_t hash);

/* Whether the URL was invalidated since its fence had the count `before`, or may have been: many share a
 * fence, which knows the last only. Under `store_lock`. */
bool shard_is_fenced(struct fetch_shard *shard, uint64_t hash, uint32_t before);

/* What a fetch has to know before its request leaves. Takes `store_lock`. */
uint32_t fence_count(struct fetch_shard *shard, uint64_t hash);
