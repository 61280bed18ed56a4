/* quota.h — whether a request may go to an upstream now: what the operator permits, what the upstream has
 * said, how many it seems to bear, and whether it works at all.
 *
 *      quota_ask ──► QUOTA_GO ──► quota_heed (its head came) ─┬─► quota_leave
 *         │ ▲    │               quota_fail (none will)      ─┘
 *         ▼ │    └──► refused
 *      QUOTA_WAIT: ask again when it is due, or woken
 *
 * Limits are kept for each credential apart, as upstreams do; a credential is known here by a hash of it.
 * The breaker and the number of requests under way are for all together.
 *
 *   (1) Nobody goes while somebody with the same credential who asked earlier, and a client waits for,
 * still waits, unless there is enough for both. (2) What is learnt only ever makes less of what is
 * permitted.
 *
 * Any thread may call; each call takes a lock for a moment. Clocks are the caller's. */
#pragma once
#include "base/list.h"
#include "breaker.h"
#include "concurrency.h"
#include "fleet_share.h"
#include "learnt_limits.h"
#include "quota_class.h"
#include "token_bucket.h"
#include <pthread.h>

enum { QUOTA_SETS = 64, QUOTA_WAYS = 8, QUOTA_WAITING_MAX = 1024 };

struct quota_policy {
    struct rate_spec specs[RATE_SPECS_MAX];
    size_t spec_count;
    int64_t burst;     /* as of token_bucket_init */
    int64_t wait_ms;   /* how long a client may be kept waiting */
    bool learns;       /* heeds what the upstream says */
    bool has_free_304; /* the upstream does not count what it answers with 304 */
    int64_t concurrency_least, concurrency_most;
    struct breaker_policy breaker;
};

/* What has changed, so that it can be told once. */
enum quota_news {
    QUOTA_SAME,
    QUOTA_OPENED, /* the upstream is left alone from now on, */
    QUOTA_CLOSED, /* and not any more */
};

struct quota_identity;

struct quota {
    struct quota_policy policy;
    pthread_mutex_t lock;
    /* All that follows under it. */
    struct breaker breaker;
    struct concurrency concurrency;
    struct list waiting; /* tickets, in the order they came */
    size_t waiting_count;
    struct quota_identity *identities[QUOTA_SETS][QUOTA_WAYS]; /* by their hashes */
    int64_t node_count;                                        /* of the fleet, as of fleet_share.h */
    struct quota_identity *others; /* of those there is no place for, together; null until there are */
};

enum quota_verdict {
    QUOTA_GO,
    QUOTA_WAIT,
    QUOTA_LIMITED, /* what the operator permits is used up */
    QUOTA_TOLD,    /* the upstream has said that there are too many */
    QUOTA_BUSY,    /* as many are under way as should be */
    QUOTA_OPEN,    /* the upstream fails */
};

/* One request. Embedded in its owner; zeroed, but for the first eight, before quota_ask. */
struct quota_ticket {
    uint64_t credential; /* a hash; 0: none */
    uint64_t asker;      /* the same at all nodes of a fleet */
    uint64_t path;       /* a hash of the first part of it: which limits a request comes under may depend on
                          * that */
    enum quota_class class;
    bool is_impatient;                         /* as if wait_ms were 0 */
    bool is_conditional;                       /* it may be answered with 304 */
    bool is_shared;                            /* all nodes of a fleet share the operator's limits */
    void (*wake)(struct quota_ticket *ticket); /* on any thread, and under the lock: have it asked again */
    struct quota *quota;                       /* null: nothing is due */
    struct quota_identity *identity;
    struct list in_waiting;
    int64_t asked_mono_ms, began_mono_ms;
    uint64_t number;
    bool is_waiting, waits_for_room, has_gone, is_hedged, is_probe, is_answered;
    bool has_turn; /* the operator's limits have let it go, and it was not sent */
};

void quota_init(struct quota *quota, const struct quota_policy *policy);
/* No ticket may be held. */
void quota_fini(struct quota *quota);

/* Whether it may go. `*due_mono_ms` is, for QUOTA_WAIT, when to ask again at the latest, and for a refusal
 * when it is worth asking anew. After GO and WAIT quota_leave is due. */
enum quota_verdict quota_ask(struct quota *quota, struct quota_ticket *ticket, int64_t now_mono_ms,
                             int64_t *due_mono_ms);

/* The same of a request that goes out another time: its ticket is taken back first. If nothing of it
 * `was_sent`, it has its turn by the operator's limits already. Does not wait. Of one that has left nothing
 * is noted, here and by quota_fail. */
bool quota_ask_again(struct quota_ticket *ticket, bool was_sent, int64_t now_mono_ms);

/* After quota_ask of a ticket that is shared, whatever its verdict: whether the tier is to be asked for
 * turns, and for what. Then quota_share_told is due. `node_count` is as of fleet_share.h. */
struct quota_question {
    struct share_question share;
    uint64_t credential, asker;
};
bool quota_question(struct quota *quota, const struct quota_ticket *ticket, int64_t node_count,
                    int64_t now_mono_ms, struct quota_question *question);

/* What the tier said to that; a null `reply`: nothing. Any thread. */
void quota_share_told(struct quota *quota, uint64_t credential, const struct share_reply *reply,
                      int64_t now_mono_ms);

/* Whether the request may be sent a second time beside the first: where no limit is known, the upstream
 * works, and there is room for more than this; it then takes up that room until quota_leave. */
bool quota_may_hedge(struct quota_ticket *ticket, int64_t now_mono_ms);

/* The head of the answer is there. `*is_limited`: it says to come later. */
enum quota_news quota_heed(struct quota_ticket *ticket, int64_t now_mono_ms, int64_t now_wall_ms,
                           int status, const struct http_fields *fields, bool *is_limited);

/* No answer came, and the upstream is to blame. */
enum quota_news quota_fail(struct quota_ticket *ticket, int64_t now_mono_ms);

/* It is over, or given up while it waited. Repeated, and of a ticket that was refused, it does nothing. */
void quota_leave(struct quota_ticket *ticket);

/* How an upstream stands, for people. What is not limited is -1. */
struct quota_facts {
    enum breaker_state breaker;
    int64_t open_ms; /* for so long it stays open */
    int64_t under_way, waiting;
    int64_t concurrency_limit; /* -1: none */
    int64_t credentials;       /* seen lately */
    /* Of the credential that has least. */
    int64_t tokens, tokens_max; /* of the operator's limits */
    int64_t left, limit;        /* as the upstream has said */
    int64_t reset_ms;
    int64_t told_ms; /* for so long nobody may ask */
};

void quota_read(struct quota *quota, int64_t now_mono_ms, struct quota_facts *facts);
