/* kv_admin.h — what the administrator's commands know of all workers: who is connected, what was slow, what
 * went wrong, who pauses everybody and who watches. One per hub.
 *
 * A session's fields change only inside the gate, on its own worker: who is alone may read those of all. */
#pragma once
#include "base/list.h"
#include "base/now.h"
#include "engine/kv/kv_counts.h"
#include "engine/kv/kv_latency.h"
#include "engine/kv/kv_slowlog.h"

struct kv;
struct session;

/* Of all cache sessions. */
struct kv_clients {
    pthread_mutex_t lock;
    struct list sessions; /* by their in_clients, the oldest first */
};

/* CLIENT PAUSE: see kv_pause.c. */
struct kv_pause {
    _Atomic int64_t end_ms; /* monotonic; 0: nobody waits */
    _Atomic bool is_of_all; /* else of what may write */
};

/* Figures of the last whole second, and the highest: see kv_tick. */
struct kv_pulse {
    _Atomic uint64_t commands_per_s, received_bytes_per_s, sent_bytes_per_s;
    _Atomic uint64_t memory_bytes_peak;
    int64_t at_ms; /* the first worker's, like what follows */
    uint64_t commands, received_bytes, sent_bytes;
};

struct kv_admin {
    struct kv_clients clients;
    struct kv_pause pause;
    struct kv_slowlog slowlog;
    struct kv_latency latency;
    struct kv_errors errors;
    struct kv_pulse pulse;
    _Atomic uint32_t *monitor_counts; /* one per worker */
    struct kv **engines;              /* one per worker; null until kv_join */
    char run_id[41];                  /* 40 hexadecimal digits that no other start has */
};

/* Null without memory. */
struct kv_admin *kv_admin_create(unsigned worker_count);
void kv_admin_destroy(struct kv_admin *admin);

/* Has the counts of this engine told with those of all. Before its thread runs; the engine stays in place.
 */
void kv_join(struct kv *kv);

/* By the first worker, now and then; at most once a second something happens. */
void kv_tick(struct kv *kv, struct now now);

/* CONFIG RESETSTAT: counts begin anew. By a worker that is alone. */
void kv_reset_counts(struct kv *kv);
