/* fleet_question.h — what has the fleet of this key? One question for all that ask on a worker.
 *
 *      log ──► witness ──┬──► nothing, not for all, or varies
 *       │         │      ├──► it is what is here
 *       │         │      └──► answer ──► pieces ──► put into the node's store
 *       └─────────┴────────── away: nobody knows
 *
 * Everything has a deadline, and ends in a reply. On the worker's thread. */
#pragma once
#include "fleet.h"

enum fleet_verdict {
    FLEET_AWAY,        /* the tier does not say: as without it */
    FLEET_NOTHING,     /* nobody has an answer, or none that could be had */
    FLEET_HAS,         /* `number` is the present one, and in the store if that had room for it */
    FLEET_VARIES,      /* ask for the variant: the store has the marker now */
    FLEET_NOT_FOR_ALL, /* the store has a note of that now */
};

struct fleet_reply {
    enum fleet_verdict verdict;
    uint64_t number; /* what the witness named, also if that is of no use; 0: nothing */
    bool is_soft;
    bool was_brought; /* from the tier, for this question */
};

struct question;

/* Embedded by who asks. */
struct asker {
    /* Once; may be from inside question_ask. The asker is free by then. */
    void (*told)(struct asker *asker, const struct fleet_reply *reply);
    struct question *question; /* null: it asks nothing */
    struct list in_question;
};

/* Asks for `key`, whose first `primary_size` bytes are the URL's, and which `id` is of. `is_fenced`: the
 * tier is asked after now, of purges, too, whatever is near. */
void question_ask(struct fleet_worker *fleet, struct asker *asker, const struct fleet_id *id,
                  const struct cache_key *key, const struct route *route, bool is_fenced);

/* What those wait for that have not asked yet has changed, perhaps. */
void questions_look(struct fleet_worker *fleet);

/* It is not told any more. Fine if it asks nothing. */
void question_leave(struct asker *asker);

/* All that is under way ends; nobody may ask any more. */
void questions_destroy(struct fleet_worker *fleet);
