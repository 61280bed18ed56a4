/* variants.h — the variants of one URL in the store: which fields tell them apart, and how many there may
 * be.
 *
 *   URL             the marker: the names of Vary, a generation, how many variants there have been
 *   URL "\n" …      the variants themselves, by generation and values
 *   URL "\n#" n     the key of the variant that has place n: who comes when all places are taken drops the
 *                   oldest, so that no client can fill the store with the variants of one URL
 *
 * Call these while other puts for the URL are kept out: struct fetch_shard, (2). */
#pragma once
#include "engine/gateway/policy/cache_key.h"
#include "gateway_state.h"

enum { VARIANTS_MAX = 32 };

/* Makes `key`, a primary one, that of the variant that `fields` ask for where Vary is `names`, and sees
 * that it will be found. `is_shared`: it is to be the fleet's. False if that cannot be: the response is not
 * to be stored then. */
bool variants_enter(struct gateway *gateway, int64_t now_mono_ms, struct cache_key *key, struct bytes names,
                    const struct http_fields *fields, bool is_shared);

/* Has the variants of `primary` told apart by these names, under keys of this generation, as the fleet
 * does. False if that cannot be. */
bool variants_adopt(struct gateway *gateway, int64_t now_mono_ms, struct bytes primary, uint64_t generation,
                    struct bytes names);

/* The fleet has no variants: of those that are known here all are forgotten, if their generation was its.
 */
void variants_forsake(struct gateway *gateway, int64_t now_mono_ms, struct bytes primary);

/* Has those known so far count as stale. False if `primary` has none. */
bool variants_make_stale(struct gateway *gateway, int64_t now_mono_ms, struct bytes primary);
