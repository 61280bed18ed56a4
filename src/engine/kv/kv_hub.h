/* kv_hub.h — what the engines of all workers share: the gate, who wants to know of changes, and letters
 * from one worker to another.
 *
 * A session belongs to its worker; nobody else touches it. Who has something for the sessions of another
 * worker writes that worker a letter, which is read between two batches. Letters of one worker to another
 * arrive in the order they were sent. One to oneself is read as soon as the present command has answered.
 */
#pragma once
#include "engine/kv/kv_config.h"
#include "engine/kv/kv_gate.h"
#include "engine/kv/kv_pubsub_table.h"
#include <stdint.h>

enum { KV_DATABASES = 16 }; /* SELECT chooses among them; memcached lives in the first */

struct kv;
struct kv_directory;
struct kv_tracking_alarm;
struct kv_tracking_table;
struct kv_watch_table;
struct kv_admin;
struct kv_acl;

/* What is told, at the beginning of a struct of its own. */
struct kv_letter {
    struct kv_letter *next;
    /* Reads it on the worker it was sent to, and frees it. A null `kv`: there is no worker any more, only
     * free it. */
    void (*read)(struct kv *kv, struct kv_letter *letter);
};

struct kv_letters {
    struct kv_letter *first, *last; /* both null if there are none */
};

struct kv_mailbox {
    alignas(64) pthread_mutex_t lock;
    struct kv_letters letters;
    bool is_called; /* the worker will look */
    /* Messages of channels on their way to this worker, and whether somebody waits until they are told. */
    _Atomic size_t untold_bytes;
    _Atomic bool is_waited_for;
};

/* Keyspace notifications: see kv_notify.h. */
struct kv_notifications {
    _Atomic uint32_t flags;
    _Atomic size_t waiting_bytes; /* of keys that left by themselves and wait to be told */
    _Atomic uint64_t lost_count;  /* of those that were too many, and are not counted by a worker yet */
};

struct kv_hub {
    struct kv_gate gate;
    struct kv_mailbox *mailboxes; /* one per worker */
    unsigned worker_count;
    struct kv_pubsub_table *topics;
    struct kv_notifications notifications;
    /* Has kv_read_letters called on that worker's thread. Any thread. */
    void (*call)(void *context, unsigned worker);
    void *call_context;
    struct kv_acl *acl; /* the users: see kv_acl.h */
    struct kv_settings settings;
    _Atomic uint32_t guards; /* of all sessions: see kv_guard.h */
    /* When a flush_all with a delay clears, on the monotonic clock: see kv_memcached_flush.c. */
    _Atomic int64_t flush_at_ms; /* 0: none is pending */
    pthread_mutex_t flush_lock;
    _Atomic uint32_t care; /* of all commands: see kv_care.h */
    struct kv_admin *admin;
    _Atomic uint32_t spaces[KV_DATABASES]; /* the store's, of each database: see kv_database.h */
    _Atomic int64_t wall_ahead_ms;         /* see kv_lifetime.h */
    /* How many want to know of changed keys, for whatever reason: none, and a change costs one look. */
    alignas(64) _Atomic uint32_t listener_count;
    _Atomic uint32_t tracker_count, broadcast_count; /* sessions that track, and those of them by BCAST */
    _Atomic uint64_t tracking_keys_max;              /* that the table of tracking may hold */
    struct kv_watch_table *watches;
    struct kv_tracking_table *tracking;
    struct kv_tracking_alarm *alarms;
    struct kv_directory *directory;
};

enum { KV_TRACKING_KEYS_MAX = 1000000 }; /* unless whoever made the hub says otherwise */

/* ERR_NO_MEMORY. A null `call`: whoever made the hub looks into the mailboxes by himself. */
enum err kv_hub_create(unsigned worker_count, void (*call)(void *context, unsigned worker),
                       void *call_context, struct kv_hub **hub);
void kv_hub_destroy(struct kv_hub *hub);

/* Sends a letter, which is the hub's from now on, to a worker. `from` is the sender's engine; null if the
 * sender is no worker. */
void kv_send(struct kv_hub *hub, struct kv *from, unsigned worker, struct kv_letter *letter);

/* Has the worker look, as if a letter had come. Any thread. */
void kv_call_worker(struct kv_hub *hub, unsigned worker);

/* Reads what has arrived for this worker; on its thread, outside of the gate, which it enters for that. */
void kv_read_letters(struct kv *kv);

/* Reads what the worker has sent to itself. */
void kv_read_own_letters(struct kv *kv);
