/* fleet_publish.h — an answer on its way to the tier: its pieces, if it is large, and then, in one step
 * with the end of its lease, itself. On the worker's thread. */
#pragma once
#include "fleet.h"

struct publication_order {
    struct fleet_id lease; /* whose it is may differ: what a URL's answer varies by is known only now */
    struct bytes token;
    struct bytes key; /* under which it is stored here */
    size_t primary_size;
    struct bytes names;                     /* as in struct vary; empty: it does not vary */
    const struct stored_response *response; /* `shared` says what it is to the fleet */
    struct bytes body;
    uint64_t birth;
    int64_t resided_ms, keep_ms;
};

/* Copies what is pointed at. If the tier refuses it, because a purge took the lease away, it is dropped
 * here as well. False if it is not on its way. */
bool publish(struct fleet_worker *fleet, const struct publication_order *order);

void publications_destroy(struct fleet_worker *fleet);
