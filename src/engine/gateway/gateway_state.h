/* gateway_state.h — what the gateway's files share of it: nobody else's business. */
#pragma once
#include "base/compiler.h"
#include "base/list.h"
#include "base/random_source.h"
#include "engine/gateway/policy/parts.h"
#include "engine/gateway/policy/stored_response.h"
#include "engine/gateway/routing/edited_request.h"
#include "engine/gateway/routing/plan.h"
#include "gateway.h"
#include "purge_rules.h"
#include <pthread.h>

enum { FETCH_SHARDS = 64, FENCES_PER_SHARD = 256, PAGE_SET_WORDS = 4096 };

/* Invalidations of the URLs that share it. `last_hash`: the upper half of the last one's. */
struct fence {
    uint32_t count, last_hash;
};

/* A part of the table of fetches; a primary key and all its variants belong to one.
 *   (1) `lock` guards the list and everything of the fetches of this shard that other threads may touch.
 *   (2) `store_lock` is held while a response is put and while a URL is invalidated, so that no response
 *       that was asked for before an invalidation is put after it. It is taken before `lock`. */
struct fetch_shard {
    _Alignas(64) pthread_mutex_t store_lock;
    pthread_mutex_t lock;
    struct list fetches; /* those that may be joined */
    struct list watches; /* see entry_watch.h; by (1) */
    /* A fetch keeps its fence's count from before its request left. By (2). */
    struct fence fences[FENCES_PER_SHARD];
    /* Of URLs whose paths share one of this shard's counts: see search_alias.h. Under store_lock. */
    uint32_t taken_out_counts[FENCES_PER_SHARD];
};

/* How far a walk that carries out purges by prefix has come; see gateway_sweep. */
struct purge_sweep {
    uint64_t position; /* of the store's cursor; 0: none is under way */
    uint64_t up_to;    /* the rules that it carries out */
};

struct gateway {
    pthread_mutex_t plan_lock; /* of the next two */
    struct route_plan *plan;   /* the newest; held */
    struct list workers;
    nh_store *store;
    struct log *log;
    struct bytes purge_token;
    uint64_t seed; /* of seals and of the table */
    /* From the monotonic clock to the clock of stored moments, which goes on over a restart. */
    int64_t stored_clock_offset_ms;
    _Atomic uint64_t generation; /* of markers of variants */
    uint32_t space;
    struct purge_rules purge_rules;
    struct purge_sweep sweep;
    struct line_sink *access_log; /* or null */
    enum access_format access_format;
    struct fleet *fleet; /* null: there is no shared tier; see fleet.h */
    /* A bit for the hash of each there has been; see page_set.h. */
    _Atomic uint64_t page_sets[PAGE_SET_WORDS];
    int64_t tier_timeout_ms;
    struct fetch_shard shards[FETCH_SHARDS];
};

struct gateway_worker {
    struct gateway *gateway;
    struct loop *loop;
    struct counters *counters;
    struct route_plan *plan; /* that requests begin under; held */
    struct list upstreams;   /* its parts of them, as they came to be needed */
    struct list in_gateway;
    struct task follow;   /* there is a newer plan, or a part that may go */
    atomic_bool is_told;  /* `follow` is on its way */
    struct list fetches;  /* whose calls are this worker's */
    struct list passages; /* exchanges, and what is left of them */
    struct list coded_exchanges;
    struct list tunnels;
    struct list inquiries; /* of ours; see inquiry.h */
    struct list errands;   /* for which there are some; see errand.h */
    size_t errand_count;
    struct random_source random;
    struct list entry_watches;
    unsigned coder_count;         /* at work */
    struct edited_request edited; /* for the length of one call */
    uint64_t seen_count;          /* requests that the access log might have */
    struct fleet_worker *fleet;   /* its part, or null */
    bool is_stopping;
    bool checks_health; /* of origins: it alone does */
};

/* ---- replan.c ------------------------------------------------------------------------------------ */

/* The worker's part of `upstream`, which is made if it is not there; null if that cannot be. */
struct upstream_worker *worker_upstream(struct gateway_worker *worker, struct upstream *upstream);

/* How many calls to it this worker has in flight. */
size_t worker_call_count(const struct gateway_worker *worker, const struct upstream *upstream);

/* Has the worker look, in a turn to come, for a newer plan and for parts that may go. Any thread. */
void worker_tell(struct gateway_worker *worker);

/* The worker's beginning, and its end: no call may be alive then. */
void worker_join(struct gateway_worker *worker, struct gateway *gateway);
void worker_part(struct gateway_worker *worker);

/* The newest plan, to be released. Any thread. */
struct route_plan *gateway_hold_plan(struct gateway *gateway);

/* ---- inquiry.c: those that are left when the loop has ended ------------------------------------------ */

void inquiries_destroy(struct gateway_worker *worker);

/* ---- tunnel.c: likewise; their exchanges are over -------------------------------------------------- */

void tunnels_destroy(struct gateway_worker *worker);

/* ---- entry_watch.c: likewise ----------------------------------------------------------------------- */

void entry_watches_destroy(struct gateway_worker *worker);

/* ---- the store ----------------------------------------------------------------------------------- */

static inline nh_key gateway_key(const struct gateway *gateway, struct bytes key)
{
    return (nh_key){key.data, key.size, gateway->space};
}

/* The first piece of a value: all of it, but for large responses. */
static inline struct bytes bytes_of_value(const nh_value *value)
{
    return bytes_of(value->bytes.data, value->bytes.size);
}

static inline bool value_decode(const struct gateway *gateway, const nh_value *value,
                                struct stored_response *response)
{
    if (!stored_response_decode(bytes_of_value(value), value->size, gateway->seed, response))
        return false;
    response->received_mono_ms -= gateway->stored_clock_offset_ms;
    return true;
}

/* What purges have done to `response`, found as `value` under `key`; soft ones are noted in its flags.
 * False if it is gone. */
static inline bool is_unpurged(struct gateway *gateway, struct bytes key, const nh_value *value,
                               struct stored_response *response)
{
    if (value->traits & NH_VALUE_STALE)
        response->flags |= STORED_PURGED;
    switch (purge_rules_ask(&gateway->purge_rules, response->birth, key)) {
    case PURGED_NOT: return true;
    case PURGED_SOFTLY: response->flags |= STORED_PURGED; return true;
    case PURGED: return false;
    }
    UNREACHABLE();
}

/* The response that `value` is, as far as no purge has come between: false if it is none, or gone. `key` is
 * what it was found under. */
static inline bool value_response(struct gateway *gateway, struct bytes key, const nh_value *value,
                                  struct stored_response *response)
{
    return value_decode(gateway, value, response) && is_unpurged(gateway, key, value, response);
}

/* Likewise the parts of one, which no purge at all may have touched. */
static inline bool value_parts(struct gateway *gateway, struct bytes key, const nh_value *value,
                               struct parts *parts)
{
    if (!parts_decode(bytes_of_value(value), value->size, gateway->seed, parts))
        return false;
    parts->response.received_mono_ms -= gateway->stored_clock_offset_ms;
    return is_unpurged(gateway, key, value, &parts->response) && !(parts->response.flags & STORED_PURGED);
}

/* The body from `offset` on, as far as it lies in one piece. */
static inline struct bytes value_body_piece(const struct gateway *gateway, const nh_value *value,
                                            const struct stored_response *response, uint64_t offset)
{
    nh_bytes piece;
    if (nh_value_piece(gateway->store, value, value->size - response->body_bytes + offset, &piece) != NH_OK)
        return (struct bytes){NULL, 0};
    return bytes_of(piece.data, piece.size);
}

/* Whether that is the whole body. */
static inline bool value_has_body(const struct gateway *gateway, const nh_value *value,
                                  const struct stored_response *response, struct bytes body)
{
    if (response->body_bytes != body.size)
        return false;
    while (body.size > 0) {
        struct bytes piece = value_body_piece(gateway, value, response, response->body_bytes - body.size);
        if (piece.size == 0 || !bytes_start_with(body, piece))
            return false;
        body = bytes_after(body, piece.size);
    }
    return true;
}
