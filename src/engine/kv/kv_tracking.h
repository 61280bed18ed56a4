/* kv_tracking.h — clients that keep values of their own and are told when those have changed (CLIENT
 * TRACKING).
 *
 * What a tracking session reads is remembered in a table of the hub before it is read: key -> sessions. So
 * a change is told, or was seen; a client is told too often rather than not at all. Who changes a key takes
 * it out of the table and writes a letter to the workers of those sessions. Broadcasts (BCAST) need no
 * table: keys changed in a turn are collected and told at its end. Keys of the same name in several
 * databases are one, as in Redis. */
#pragma once
#include "base/list.h"
#include "engine/kv/kv_call.h"

struct kv_prefix {
    size_t size;
    char bytes[];
};

/* How a session tracks: session->tracker. Its worker's. */
struct kv_tracker {
    struct list in_worker; /* kv->trackers */
    struct session *session;
    uint64_t redirect_id; /* the session that is told instead; 0: itself */
    bool is_broadcast, is_optin, is_optout, is_noloop;
    bool is_marked; /* CLIENT CACHING was said for the next command */
    bool redirect_is_broken;
    struct kv_prefix **prefixes; /* of a broadcast, in the order of their bytes */
    size_t prefix_count;
};

/* ---- kv_tracking.c: what a session asks for ------------------------------------------------------- */

/* CLIENT's subcommands. */
void kv_client_tracking(const struct kv_call *call);
void kv_client_trackinginfo(const struct kv_call *call);
void kv_client_caching(const struct kv_call *call);
void kv_client_getredir(const struct kv_call *call);

/* -1: the session does not track; 0: it is told itself; else the id of who is told. */
int64_t kv_tracking_redirect(const struct session *session);

/* What CLIENT CACHING said is no more. */
void kv_tracking_end_caching(struct session *session);

/* The session tracks no more; on its worker's thread. */
void kv_tracking_end(struct kv_hub *hub, struct session *session);

/* ---- kv_tracking_table.c: who has read what -------------------------------------------------------- */

struct kv_tracking_table; /* hub->tracking */

struct kv_tracking_table *kv_tracking_table_create(void);
void kv_tracking_table_destroy(struct kv_tracking_table *table);

/* The session is about to read `key`. */
void kv_tracking_remember(const struct kv_call *call, nh_key key);

/* `key` has changed, or all have. */
void kv_tracking_tell(const struct kv_call *call, nh_key key);
void kv_tracking_tell_flush(const struct kv_call *call);

/* Tells of keys that have expired: now and then, outside of commands. */
void kv_tracking_sweep(struct kv *kv, int64_t now_ms);

/* Forgets everything and tells nobody; alone. */
void kv_tracking_clear(struct kv_tracking_table *table);

/* How many keys are remembered, and for how many sessions in all. */
void kv_tracking_count(struct kv_hub *hub, uint64_t *keys, uint64_t *readers);

/* ---- kv_tracking_letters.c: how it is told --------------------------------------------------------- */

/* Sessions that have read a key: the worker above, the id below, so that in order those of one worker lie
 * side by side. */
enum { KV_READER_WORKER_SHIFT = 52 };
static inline uint64_t kv_reader(unsigned worker, uint64_t id)
{
    return (uint64_t)worker << KV_READER_WORKER_SHIFT | id;
}
static inline unsigned kv_reader_worker(uint64_t reader)
{
    return (unsigned)(reader >> KV_READER_WORKER_SHIFT);
}
static inline uint64_t kv_reader_id(uint64_t reader)
{
    return reader & ((UINT64_C(1) << KV_READER_WORKER_SHIFT) - 1);
}

/* Keys of which clients shall be told, or, with no keys, that all have gone. Borrowed. */
struct kv_told {
    const struct bytes *keys;
    size_t count;
};

/* Writes to the workers of `readers`, which are in order. `writer_id`: who changed the key, 0 for nobody.
 * Without memory for a letter: kv_tracking_alarm. */
void kv_tracking_write(struct kv *kv, uint64_t writer_id, struct bytes key, const uint64_t *readers,
                       size_t count);

/* Has all tracking sessions of a worker told that everything has gone. Needs no memory, so it also stands
 * in for what could not be told or remembered for want of it. */
void kv_tracking_alarm(struct kv *kv, unsigned worker);

/* Has all workers told so, once the present command has answered. */
void kv_tracking_write_flush(struct kv *kv);

/* A letter for each worker, made in advance: hub->alarms, to be freed with free. Null without memory. */
struct kv_tracking_alarm *kv_tracking_alarms_create(unsigned worker_count);

/* Tells the tracker's session, or who is told instead; on the tracker's worker, outside of commands. */
void kv_tracking_say(struct kv *kv, struct kv_tracker *tracker, const struct kv_told *told);

/* ---- kv_tracking_broadcast.c ----------------------------------------------------------------------- */

/* How many prefixes are asked for by BCAST, on all workers: each once, and all keys as one. Goes alone if
 * there are any. */
uint64_t kv_tracking_prefix_count(struct kv *kv);

/* Collects a changed key until the turn ends; then kv_tracking_broadcast, which kv_end_turn calls. */
void kv_tracking_collect(const struct kv_call *call, nh_key key);
