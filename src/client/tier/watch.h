/* watch.h — reads whose `changed` is waited for: told when what they found does not hold any more. One
 * worker's; the loop's thread. */
#pragma once
#include "base/hash_table.h"
#include "client/tier/marks.h"

struct watches {
    struct hash_table by_key; /* by own_writes_hash of the key */
    struct list all;
    struct timer timer; /* set while there are some: for those that expire, or whose mark holds no more */
};

/* What cannot be watched is told to have changed after so long: who waits looks again, without haste. */
enum { WATCH_BLIND_MS = 100 };

void watches_init(struct watches *watches);

/* Before the read is under way, so that it need not fail afterwards: false if there is no memory. */
bool watch_prepare(struct tier_read *read, struct bytes key, uint64_t hash);
/* What was found is watched from now on: through the source in `mark`, or blindly if the mark is zeroed.
 * `expires_at_ms`: 0 never. */
void watch_begin(struct tier_worker *worker, struct tier_read *read, struct tier_mark mark,
                 int64_t expires_at_ms);
/* Watched or only prepared: no more. */
void watch_end(struct tier_worker *worker, struct tier_read *read);

void watches_tell_key(struct tier_worker *worker, struct bytes key, uint64_t hash);
/* A mark may have ceased to hold: in the next turn those are told whose has. */
void watches_look(struct tier_worker *worker);
void watches_tell_all(struct tier_worker *worker);
/* Those that are left when the worker is destroyed are forgotten. */
void watches_fini(struct tier_worker *worker);
