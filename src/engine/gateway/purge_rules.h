/* purge_rules.h — purges by prefix: a list of rules that look-ups ask until a walk over the store has
 * carried them out.
 *
 * Why both: a walk alone would block its loop or take effect late, and a list alone would grow for ever. A
 * purge is done when its rule is in the list; the walk, in slices (purge.c), lets the rule go again.
 *
 * Rules are numbered. Whoever fetches a response notes the number first (its birth): the response is
 * touched by the later rules alone. A look-up while there are no rules, or none that is younger than what
 * was found, costs one load.
 *
 * A rule that is let go has touched all that is stored, but neither what is still being fetched and was
 * begun before it, nor what is given for its URLs though it is stored for others. So the last ones are
 * remembered, for these alone; what is older than all of them is refused.
 *
 * Any thread may call anything. */
#pragma once
#include "base/bytes.h"
#include "base/err.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

enum { PURGE_RULES_MAX = 64 }; /* that wait for the walk; and that are remembered after it */

enum purged {
    PURGED_NOT,
    PURGED_SOFTLY, /* stale */
    PURGED,        /* gone */
};

struct purge_rule {
    uint64_t number;
    bool is_soft;
    size_t size;
    char *prefix; /* of the path, if it begins with '/', else of the whole URL; empty: of all */
};

struct purge_rules {
    pthread_rwlock_t lock;                   /* guards both lists */
    struct purge_rule list[PURGE_RULES_MAX]; /* the first `count`, oldest first */
    size_t count;
    struct purge_rule retired_list[PURGE_RULES_MAX]; /* the first `retired_count`, oldest first: those that
                                                      * left the list, and that no later one includes */
    size_t retired_count;
    uint64_t forgotten;       /* the newest of those that left the retired ones, too; 0: none has */
    _Atomic uint64_t number;  /* of the last rule there was */
    _Atomic uint64_t newest;  /* in the list; 0: there is none */
    _Atomic uint64_t retired; /* rules up to this one have left the list */
};

void purge_rules_init(struct purge_rules *rules);
void purge_rules_fini(struct purge_rules *rules);

/* Goes on counting where an earlier life stopped, whose rules are forgotten. Before anybody else uses them.
 */
static inline void purge_rules_start(struct purge_rules *rules, uint64_t birth)
{
    rules->forgotten = birth;
    atomic_store_explicit(&rules->number, birth, memory_order_release);
    atomic_store_explicit(&rules->retired, birth, memory_order_release);
}

/* The birth of what is begun now. */
static inline uint64_t purge_rules_birth(const struct purge_rules *rules)
{
    return atomic_load_explicit(&rules->number, memory_order_acquire);
}

/* A number for a purge that needs no rule: what has a lower birth was begun before it. */
static inline uint64_t purge_rules_moment(struct purge_rules *rules)
{
    return atomic_fetch_add_explicit(&rules->number, 1, memory_order_acq_rel) + 1;
}

/* The number of the newest rule in the list; 0 if there is none. */
static inline uint64_t purge_rules_newest(const struct purge_rules *rules)
{
    return atomic_load_explicit(&rules->newest, memory_order_acquire);
}

/* Adds a rule, which counts at once; `prefix` is copied. OK; ERR_RANGE if too many wait; ERR_NO_MEMORY. */
enum err purge_rules_add(struct purge_rules *rules, struct bytes prefix, bool is_soft);

/* As a rule of everything would do, but needs no room: what is being fetched is touched from here on. What
 * is stored is not; who calls drops that, once the puts that have not seen this have happened. */
void purge_rules_forget(struct purge_rules *rules);

/* What the rules younger than `birth` do to the response stored under `key`, which begins with its URL. */
enum purged purge_rules_ask_list(struct purge_rules *rules, uint64_t birth, struct bytes key);
static inline enum purged purge_rules_ask(struct purge_rules *rules, uint64_t birth, struct bytes key)
{
    return birth >= atomic_load_explicit(&rules->newest, memory_order_acquire)
               ? PURGED_NOT
               : purge_rules_ask_list(rules, birth, key);
}

/* Whether a purge by `prefix` touches what is stored under `key`. */
bool purge_prefix_matches(struct bytes prefix, struct bytes key);

/* Whether a response that was begun at `birth` may be stored or shared now, or given for the URL of `key`
 * though it is stored for another: false if a rule touches it, or could have done so and is forgotten.
 * Costs two loads if there was no rule since. */
bool purge_rules_permit(struct purge_rules *rules, uint64_t birth, struct bytes key);

/* Lets the rules up to `number` go: a walk that began after they came has carried them out. */
void purge_rules_retire(struct purge_rules *rules, uint64_t number);
