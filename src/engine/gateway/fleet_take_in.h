/* fleet_take_in.h — what was read from the tier is put into the node's own store. */
#pragma once
#include "engine/gateway/fleet/fleet_value.h"
#include "fleet.h"
#include "purge_watch.h"

/* What was known before the tier was asked: see purge_watch.h and struct fetch_shard. */
struct fleet_stand {
    struct purge_watch watch;
    uint32_t fence_count;
    uint64_t hash; /* of the primary key, by the gateway's seed */
};

void fleet_stand_begin(struct fleet_stand *stand, struct gateway *gateway, struct bytes primary);
void fleet_stand_fini(struct fleet_stand *stand);

/* Puts an answer of `id`, unless a purge forbids it, here or by the log. `expires_at_ms` is when the tier
 * will drop it: so its age is known without a clock that two machines would have to share. `origin`:
 * "http://host:port" that tags of groups belong to. False if it is not in the store afterwards. */
bool fleet_take_in(struct gateway_worker *worker, const struct fleet_id *id,
                   const struct fleet_answer *answer, struct bytes body, int64_t expires_at_ms,
                   struct bytes origin, struct fleet_stand *stand);

/* The number that the fleet has for what is stored under `key`; 0: none, or nothing is there. */
uint64_t fleet_stored_number(struct gateway *gateway, int64_t now_ms, struct bytes key);

/* Drops what is stored under `key` if that has the number. */
void fleet_drop_number(struct gateway *gateway, int64_t now_ms, struct bytes key, uint64_t number);
