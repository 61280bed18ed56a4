/* fetch_lease.h — of all nodes of a fleet one fetches: the lease of a fetch, and what it puts on the tier.
 *
 *     ┌──────► taking ──► held ──► published, or given back
 *     │ changed  │
 *     └───────waiting ──► (the fetch is over: AGAIN)
 *
 * A fetch has a lease from before its request leaves. One whose lease another node has sends nothing: once
 * that node has put its answer its readers look again; once it has given up, or is gone, the lease is taken
 * here. Who has waited for the route's coalesce-timeout sends its request all the same, for all its
 * readers.
 *
 * While it is held the URL's witness is watched: if that changes, a purge came, and nobody joins the fetch
 * any more. What it brings is refused then by the tier, as the purge took the lease away; this node drops
 * it as well. On the fetch's thread. */
#pragma once
#include "fleet.h"

struct fetch;
struct lease;

/* Begins to take the lease of order->key for a fetch that has not been sent. `number` is what the tier had,
 * 0 for nothing: if it has something else by then, the fetch ends with AGAIN. False: there is none to be
 * had, and the fetch may be sent at once. */
bool fetch_lease_take(struct fetch *fetch, const struct http_request *request, uint64_t number);

/* What a response that is about to be stored will be to the fleet; all 0: nothing, it is this node's alone
 * by its nature. With the lease its number is odd. Without it it is even, and nobody else's: so it counts
 * while the tier is away or takes nothing, and no longer, as this node would not hear of a write by way of
 * another. */
struct stored_shared fetch_lease_share(const struct fetch *fetch);

/* The response has been stored here: if the lease is held, it is put on the tier, and the lease ends with
 * that. */
void fetch_lease_publish(struct fetch *fetch, const struct stored_response *response, int64_t keep_ms);

/* The lease, if there is one, ends without an answer. `is_not_for_all`: nobody need wait for another. */
void fetch_lease_give_back(struct fetch *fetch, bool is_not_for_all);

/* Those that are left; the loop has ended. */
void leases_destroy(struct fleet_worker *fleet);
