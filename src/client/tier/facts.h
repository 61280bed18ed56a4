/* facts.h — what a worker knows of its servers beside what is near: how long they take, and whether they
 * are coherent, which is said in the log when it changes. */
#pragma once
#include "client/tier/round_trips.h"
#include "client/tier/tier.h"

struct source_facts {
    struct round_trips trips;
    bool was_coherent;
};

struct facts {
    struct source_facts **of; /* by index from first_source on; null: nothing of it yet */
    uint32_t first_source, source_count;
    struct timer timer;
};

enum err facts_init(struct tier_worker *worker, uint32_t first_source, uint32_t source_count);
void facts_stop(struct tier_worker *worker);
void facts_fini(struct tier_worker *worker);

/* A read of `source` took so long. */
void facts_note_round_trip(struct tier_worker *worker, const struct source *source, uint64_t us);
