/* lookup_key.h — the key that a request is looked up by: that of its URL, see route_key, or below that by
 * the header fields and cookies which its route tells answers apart by. */
#pragma once
#include "engine/gateway/routing/route.h"
#include "generation_key.h"

/* How long the head of an answer may take, more or less: for generation_key. */
int64_t route_trial_ms(const struct route_policy *policy);

/* `request` is as its upstream sees it. False if it can have no key: it is not cached then. */
bool lookup_key(struct gateway *gateway, const struct route *route, int64_t now_mono_ms, enum key_use use,
                const struct http_request *request, struct cache_key *key);

/* The same of another query of the same path whose answer may do, and in `*wanted` and `*stored` the URLs'
 * keys: see search_alias_holds. False if none is known. */
bool lookup_key_elsewhere(struct gateway *gateway, const struct route *route, int64_t now_mono_ms,
                          const struct http_request *request, struct cache_key *key,
                          struct cache_key *wanted, struct cache_key *stored);
