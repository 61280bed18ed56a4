/* fleet.h — one gateway among the nodes of a fleet, which share what they fetch by way of the tier.
 *
 * A node answers from its own store, as without a tier. Of an entry that the fleet has, too, it first looks
 * at the witness (fleet/witness.h), which is kept near: a few bytes that say which answer is the present
 * one. While that names the entry's number, it holds. What is not there, or does not hold, is a question to
 * the tier (fleet_question.h); what nobody has is fetched by the one node that gets the lease
 * (fetch_lease.c).
 *
 * Purges of all nodes are in a log on the tier (fleet/fleet_log.h), which each worker reads and is told of.
 * Nothing is given, or taken from the tier, before all of it that is known was done here.
 *
 *   (1) What is at the tier is older than a purge only if the purge's record is in the log, or in
 * `errands`, or the script that takes it out has run. So: ask, with errands and the log done, and only then
 * read. (2) Each worker has a mark of the log of its own, from the connection that it read it by. While the
 * mark holds the worker has heard of every purge that was acknowledged max-staleness ago. (3) A variant is
 * given only while the URL's witness, too, is near, and names the generation that is in its key: so what
 * takes the URL's witness out takes all variants along, known by name or not.
 *
 * While the tier cannot be reached a node goes on with its store and its own fetches, as without a tier. */
#pragma once
#include "client/tier/tier.h"
#include "engine/gateway/fleet/fleet_key.h"
#include "engine/gateway/fleet/fleet_log.h"
#include "engine/gateway/fleet/witness.h"
#include "engine/gateway/policy/cache_tags.h"
#include "gateway_state.h"

enum {
    FLEET_ASK_MS = 500,    /* until a question is given up, and its asker goes on as without a tier */
    FLEET_WRITE_MS = 3000, /* likewise of what is put there */
    FLEET_AWAY_MS = 1000,  /* after which it is tried again */
    FLEET_REFUSED_MS = 10000,
    FLEET_LEASE_MS = 10000,
    FLEET_NOTE_MS = 5000, /* how long it is known that an answer is not for all */
    FLEET_AWAY_PLACES = 64,
    FLEET_ERRANDS_MAX = 1024,
    FLEET_PIECE_MS = 60000,                        /* until a piece of what was never put goes */
    FLEET_PUBLISHING_BYTES_MAX = 64 * 1024 * 1024, /* of a worker's on their way to the tier */
};

/* The gateway's, for all its workers. */
struct fleet {
    struct tier *tier;
    uint32_t space; /* of what is near */
    uint64_t node;  /* random: whose records these are */
    uint16_t log_slot;
    _Atomic int64_t node_count; /* of the fleet, as was seen last; 0: never */
    /* All that follows under the lock, but that the numbers may be looked at without. */
    pthread_mutex_t lock;
    _Atomic uint64_t
        number; /* of the last purge of the log that was done here; 0: the log was never read */
    _Atomic uint64_t acknowledged;   /* of the last one that was asked for here, once the tier has it */
    _Atomic uint64_t record_errands; /* that wait to be in the log */
    struct buffer log;               /* as it was read last: for answers that are older than its purges */
    struct list errands;             /* fleet_errands.c: what is to be done on the tier, oldest first */
    size_t errand_count;
    uint64_t errand_number; /* of the last one */
    uint64_t owed_number;   /* everything is to be dropped, as was asked for last by this one; or 0 */
    bool owed_is_under_way;
    struct fleet_worker *sender; /* who does them */
    struct list purge_waits;     /* purge_wait.c */
};

/* One worker's. */
struct fleet_worker {
    struct gateway_worker *worker;
    struct fleet *fleet;
    struct tier_worker *tier;
    struct tier_read log_read;
    struct tier_mark log_mark; /* zeroed: the log is to be read */
    bool is_reading_log, is_watching_log;
    bool is_making_log;
    unsigned log_unkept_count; /* reads in a row that may not be kept */
    struct tier_read fence_read;
    bool is_fencing;
    uint64_t fence_begun, fence_done; /* numbers of reads for who asks fenced */
    int64_t log_away_until_ms;
    struct timer log_timer;
    struct list questions;
    struct list leases, publications;
    size_t publishing_bytes;
    struct list limits;                          /* fleet_limits.c: the tier is asked for turns */
    struct timer here_timer;                     /* likewise: the node is there */
    struct list calls;                           /* scripts under way */
    int64_t away_until_ms[FLEET_AWAY_PLACES];    /* by slot: its server did not answer */
    int64_t refused_until_ms[FLEET_AWAY_PLACES]; /* likewise: it answers, but takes nothing */
    /* Of the sender. */
    struct task errand_task;
    bool errand_is_posted; /* under the fleet's lock */
    struct timer errand_timer;
    struct fleet_script *owed_script;
    uint64_t owed_number; /* up to which it is carried out */
    int64_t owed_retry_at_ms;
};

/* ---- fleet.c ------------------------------------------------------------------------------------- */

void fleet_init(struct fleet *fleet, struct tier *tier, uint32_t space);
void fleet_fini(struct fleet *fleet, struct log *log);

/* The part of `worker`, whose `fleet` it becomes. ERR_NO_MEMORY. */
enum err fleet_join(struct gateway_worker *worker, struct tier_worker *tier);
/* The loop has ended. */
void fleet_part(struct gateway_worker *worker);
/* Nothing that has an end is under way. */
bool fleet_is_idle(const struct gateway_worker *worker);

/* Whether the fleet shares what is kept under such a key. */
static inline bool fleet_takes(const struct gateway_worker *worker, struct bytes key, size_t primary_size,
                               struct fleet_id *id)
{
    return worker->fleet != NULL && fleet_id_of(id, key, primary_size);
}

/* Whether what was found under `key` may be given without a question. The hot path. */
bool fleet_holds_here(struct fleet_worker *fleet, const struct cache_key *key,
                      const struct stored_response *response, int64_t now_ms);
static inline bool fleet_holds(const struct gateway_worker *worker, const struct cache_key *key,
                               const struct stored_response *response, int64_t now_ms)
{
    return worker->fleet == NULL || fleet_holds_here(worker->fleet, key, response, now_ms);
}

/* Neighbouring slots are mostly one server's. */
static inline size_t fleet_place_of(uint16_t slot)
{
    return (size_t)slot * FLEET_AWAY_PLACES / VALKEY_SLOT_COUNT;
}

/* A server did not answer, or did. */
void fleet_note_away(struct fleet_worker *fleet, uint16_t slot, int64_t now_ms);
void fleet_note_back(struct fleet_worker *fleet, uint16_t slot);
bool fleet_is_away(const struct fleet_worker *fleet, uint16_t slot, int64_t now_ms);

/* A server can be read, but takes nothing: it has no memory, or we have no permission. What was fetched
 * here meanwhile cannot be put there, and counts all the same. */
void fleet_note_refused(struct fleet_worker *fleet, uint16_t slot, int64_t now_ms, struct bytes why);
bool fleet_counts_alone(const struct fleet_worker *fleet, const struct stored_shared *shared,
                        int64_t now_ms);

/* Whether all purges that are known have been done here, so that the tier may be read: see (1) and (2). */
bool fleet_is_ready(const struct fleet_worker *fleet, int64_t now_ms);
/* Whether there is no use in waiting for that. */
bool fleet_log_is_away(const struct fleet_worker *fleet, int64_t now_ms);
void fleet_note_log_late(struct fleet_worker *fleet, int64_t now_ms);
/* Sees that the log is read, if it is not being read. */
void fleet_read_log(struct fleet_worker *fleet);

/* Whether the log was read after `number`, which is one more than fence_begun was, was noted; sees to it if
 * not, and then has questions looked at. */
bool fleet_log_is_fenced(struct fleet_worker *fleet, uint64_t number);

/* What the purges of the log do to an answer of `birth`, of `key`, with these tags. */
enum purged fleet_rules_ask(struct fleet *fleet, uint64_t birth, struct bytes key,
                            const struct cache_tags *tags);

/* The birth of what is asked for now. */
static inline uint64_t fleet_birth(const struct fleet *fleet)
{
    return atomic_load_explicit(&fleet->number, memory_order_acquire);
}

static inline nh_key fleet_nh_key(const struct fleet_worker *fleet, const struct fleet_key *key)
{
    return (nh_key){key->text, key->size, fleet->fleet->space};
}

/* ---- fleet_script.c: scripts on their way -------------------------------------------------------- */

struct fleet_script;
/* `result` is the integer that came, or the number that a text says; meaningless if `err` is not OK. */
typedef void fleet_script_done(void *owner, enum err err, int64_t result);

/* Runs one of fleet_scripts.h. `done`, which may be null, is called later, once; with `owner` gone first
 * call fleet_script_forget. ERR_REFUSED: the server said an error. Null if there is no memory: then it is
 * not called. */
struct fleet_script *fleet_script_run(struct fleet_worker *fleet, const char *script,
                                      const struct fleet_key *keys, size_t key_count,
                                      const struct bytes *arguments, size_t argument_count,
                                      int64_t deadline_ms, fleet_script_done *done, void *owner);
/* The same of SET key value PX milliseconds. */
struct fleet_script *fleet_script_set(struct fleet_worker *fleet, const struct fleet_key *key,
                                      struct bytes value, int64_t ttl_ms, int64_t deadline_ms,
                                      fleet_script_done *done, void *owner);
void fleet_script_forget(struct fleet_script *script);
void fleet_scripts_give_up(struct fleet_worker *fleet);

/* ---- fleet_errands.c: what was purged here, and is to be on the tier ------------------------------ */

/* All of the URL with that key is gone, or stale, at this node: so it is to be for all. Any thread. */
void fleet_tell_url(struct gateway *gateway, const struct cache_key *key, bool is_soft);
/* The record of a purge that was done here. Any thread. */
void fleet_tell_rule(struct gateway *gateway, enum fleet_rule rule, struct bytes text, bool is_soft);

/* Whether something is to be done on the tier to the URL. Any thread. */
bool fleet_has_errand(struct fleet *fleet, uint64_t url);

/* The number of what was asked for last. Any thread. */
uint64_t fleet_errand_number(struct fleet *fleet);
/* Whether something behind `since` and up to `until` is still to be done. Under the lock. */
bool fleet_errands_wait(struct fleet *fleet, uint64_t since, uint64_t until);
size_t fleet_errand_count(struct fleet *fleet); /* of what is still to be done */

/* What was to be done is not known any more: an earlier life ended before it was. Any thread. */
void fleet_owe_everything(struct fleet *fleet);

void fleet_errands_init(struct fleet_worker *fleet);
void fleet_errands_fini(struct fleet_worker *fleet);
void fleet_errands_destroy(struct fleet *fleet);
