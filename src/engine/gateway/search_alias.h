/* search_alias.h — finding an answer that is stored for another query of the same path, because its
 * No-Vary-Search says that the difference makes none.
 *
 *   rule    path "\n&"                        a generation, and the No-Vary-Search that came last for it
 *   alias   path "\n=" generation canonical   the key, of a URL, of an answer for all such queries
 *
 * where a path is a URL's key without the query, and canonical is what the rule has count of it. Both are
 * hints: what is found is given only if its own No-Vary-Search says so. But who takes out what is stored
 * for one URL has to find what would be given for it:
 *
 *   (1) An alias is put under the store lock of its path's shard, and only if nothing of the paths that
 * share a count was taken out since the fetch began; who takes out first adds to that count, under the
 * lock, and then follows the alias.
 *
 *   (2) An alias counts only as long as the rule that it was put by: who takes out can follow no other. A
 * rule put again while it is there keeps its generation, and lives no shorter than its aliases; after
 * another, or once lost, it has a new one, and no alias of before is met again. */
#pragma once
#include "engine/gateway/policy/cache_key.h"
#include "gateway_state.h"

/* Makes `key`, that of a URL, the key of another whose answer may do. False if none is known. */
bool search_alias_follow(struct gateway *gateway, int64_t now_mono_ms, struct cache_key *key);

/* Whether an answer with these fields, stored for `stored`, is one for `wanted`: both keys of URLs. */
bool search_alias_holds(struct bytes fields, const struct cache_key *stored,
                        const struct cache_key *wanted);

/* For (1), of the path of a key, which may be below that of a URL. */
uint32_t search_alias_count(struct gateway *gateway, struct bytes key);

/* An answer with these fields has been stored under `key`, which may be below that of a URL; `count` is of
 * before it was asked for. */
void search_alias_put(struct gateway *gateway, int64_t now_mono_ms, struct bytes key, struct bytes fields,
                      uint32_t count, int64_t ttl_ms);

/* What is stored for the URL of `key` is to be taken out. True with the key in `*other` if what is stored
 * for another would be given for it, too. */
bool search_alias_take_out(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key,
                           struct cache_key *other);
