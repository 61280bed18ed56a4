/* gateway.h — the caching reverse proxy: one per role, with a part per worker.
 *
 * A state machine per exchange (passage.h) over pure policy functions: key, storable, freshness,
 * validate. Fetches belong to the cache, not to the client that caused them: any number of clients, on
 * any worker, wait for one. */
#pragma once
#include "access_line.h"
#include "base/counters.h"
#include "base/err.h"
#include "base/line_sink.h"
#include "base/log.h"
#include "engine/gateway/routing/plan.h"
#include "message/exchange.h"
#include "net/loop.h"
#include "nuthatch.h"

struct gateway; /* shared by the workers */
struct tier;    /* client/tier/tier.h */
struct tier_worker;
struct gateway_worker; /* one worker's part: its loop, its connections to the origin */

struct gateway_options {
    struct plan_spec plan;        /* with at least one upstream */
    nh_store *store;              /* shared with the other roles */
    uint32_t space;               /* the space its entries live in */
    struct tier *tier;            /* that it shares with other nodes; null: none. Outlives it */
    uint32_t near_space;          /* with a tier: the space for what is near of it, and nothing else */
    int64_t tier_timeout_ms;      /* with a tier: how long a purge waits for it */
    struct bytes purge_token;     /* that PURGE must bear; not copied. Empty: nobody may */
    struct line_sink *access_log; /* or null; the caller's */
    enum access_format access_format;
    struct log *log;
};

/* Returns OK with `*gateway`; errors as of plan_create. */
enum err gateway_create(const struct gateway_options *options, struct gateway **gateway);

/* All its workers must have been destroyed. */
void gateway_destroy(struct gateway *gateway);

/* The part of the worker that runs `loop`; called before the loop runs or on its thread. */
enum err gateway_worker_create(struct gateway *gateway, struct loop *loop, struct counters *counters,
                               struct gateway_worker **worker);

/* With a tier: the worker's part of it, before its loop runs or on its thread. It outlives the worker.
 * ERR_NO_MEMORY. */
enum err gateway_worker_use_tier(struct gateway_worker *worker, struct tier_worker *tier);

/* Carries out purges by prefix, about `budget_count` entries of them; by one of its workers, now and then.
 */
void gateway_worker_sweep(struct gateway_worker *worker, int64_t now_mono_ms, size_t budget_count);

/* Begins to stop: fetches without waiting clients are cancelled. On the loop's thread. */
void gateway_worker_stop(struct gateway_worker *worker);
/* True when nothing of this worker's is in flight any more. */
bool gateway_worker_is_idle(const struct gateway_worker *worker);
/* After the loop has ended; no exchange of this worker may be alive. */
void gateway_worker_destroy(struct gateway_worker *worker);

/* Makes a new plan for it, sharing with its present one what is the same; errors as of plan_create. */
enum err gateway_plan(struct gateway *gateway, const struct plan_spec *spec, struct route_plan **plan);
/* From now on requests begin under `plan`, whose reference is taken over. What is stored stays, and so does
 * what is in flight. Any thread. */
void gateway_follow(struct gateway *gateway, struct route_plan *plan);

/* A store that is saved and restored takes the entries along; what makes them ours and says how old they
 * are goes with them. hand_over: after the last worker has ended, before the store is saved. take_over:
 * after the store was restored, before a worker begins. Entries whose age cannot be known are dropped. Both
 * need the time of day to go forward in between, as nh_restore does. */
void gateway_hand_over(struct gateway *gateway, struct now now);
void gateway_take_over(struct gateway *gateway, struct now now);

/* `begin` takes a struct gateway_worker. */
extern const struct exchange_engine gateway_engine;
