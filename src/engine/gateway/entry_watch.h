/* entry_watch.h — being told that what is stored for a URL is not what it was: a fetch, by whichever client
 * on whichever worker, has brought another answer or a confirmation of the same one, or it was invalidated
 * or purged. It may be told once too often, never once too little. That an entry has become stale by its
 * age is not told.
 *
 * With a shared tier the same is told of other nodes, as soon as the tier can be reached: but not what they
 * fetch of a URL whose answers vary. */
#pragma once
#include "engine/gateway/policy/cache_key.h"
#include "gateway_state.h"

struct entry_watch; /* opaque: entry_watch.c */

/* Has `changed` called in turns to come on the worker's thread whenever it may be so; changes that come
 * close together are told once. `key`: the primary part counts. Null if there is no memory. */
struct entry_watch *entry_watch_begin(struct gateway_worker *worker, const struct cache_key *key,
                                      void (*changed)(void *owner), void *owner);

/* `changed` will not be called any more. On the worker's thread, also from inside `changed`. */
void entry_watch_end(struct entry_watch *watch);

/* ---- for those who change it ----------------------------------------------------------------------- */

/* What is stored for the URL whose key has this hash (by the gateway's seed) has changed. Any thread; takes
 * the lock of its shard. */
void entry_changed(struct gateway *gateway, uint64_t hash);

/* Anything may have. */
void entries_changed(struct gateway *gateway);
