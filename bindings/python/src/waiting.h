/* waiting.h — callers that wait for what somebody else is computing.
 *
 * Who wants to wait takes the count of the key's stripe, then asks the store, then waits while the count is
 * what it was: a change between the question and the wait is not missed. A lease also ends by the clock,
 * and with writes of other programs' threads, so nobody waits longer than WAITING_SLICE_MS without asking
 * again; that is also how soon a signal is seen. */
#pragma once
#include "binding.h"

enum { WAITING_SLICE_MS = 50 };

bool waiting_init(struct cache *cache);
void waiting_fini(struct cache *cache);

struct waiting *waiting_of(struct cache *cache, nh_key key);

/* Waits until the count is no longer `seen`, but not long. Lets the GIL go. */
void waiting_wait(struct cache *cache, struct waiting *waiting, uint64_t seen);

/* Tells those who wait for the key, or for any, to ask again. */
void waiting_tell(struct cache *cache, nh_key key);
void waiting_tell_all(struct cache *cache);
