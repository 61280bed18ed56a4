/* flight.h — reads under way: each a request to the tier that one or several readers wait for.
 *
 * A flight asks PTTL and GET (or GETRANGE), one behind the other, each a call of its own: so what is pushed
 * between the two replies is told between them. PTTL goes first, for then only its number has to be
 * remembered, and the value is put near and handed on as it lies in the input.
 *
 *   A push before the reply to PTTL is of a write that both have seen: nothing is lost (one connection).
 *   A push between the two: value and lifetime do not belong together. Handed on, not kept: poisoned.
 *   A push behind both drops what was kept, as the value is put near before the next reply is looked at.
 *   With a receiver of its own for pushes (RESP2) nobody knows the order: every push poisons. */
#pragma once
#include "base/hash_table.h"
#include "client/tier/tier.h"

struct tier_flight; /* opaque: flight.c */

struct flights {
    struct hash_table by_key;   /* by own_writes_hash of the key; the newest first */
    struct list refused;        /* reads for which there was no memory, to be told so */
    struct timer refusal_timer; /* set while there are some */
};

void flights_init(struct flights *flights);
/* No call is under way any more: who is still to be told of a refusal is. */
void flights_stop(struct tier_worker *worker);
/* Those that are left when the worker is destroyed are forgotten, with their readers. */
void flights_fini(struct tier_worker *worker);

/* `key`, with its hash, has changed: a push came through `source`. */
void flights_poison(struct tier_worker *worker, struct source *source, struct bytes key, uint64_t hash);
