/* kv.h — the cache engine: runs one command against the store and says what came of it.
 *
 * One kv_<id>() per row of tables/commands.def, in a file per family. It never waits: every command is
 * finished when kv_run returns, but for those of keys that are elsewhere (struct kv_elsewhere). */
#pragma once
#include "base/buffer.h"
#include "base/compiler.h"
#include "base/counters.h"
#include "base/list.h"
#include "base/now.h"
#include "engine/kv/kv_counts.h"
#include "engine/kv/kv_hub.h"
#include "engine/kv/kv_pubsub.h"
#include "message/command.h"
#include "message/outcome.h"
#include "message/session.h"
#include "nuthatch.h"

/* What the server tells about itself, for INFO and stats. */
struct kv_facts {
    int64_t started_wall_ms, started_mono_ms;
    unsigned thread_count;
    uint64_t connections_now, connections_max;
    uint64_t metrics[METRIC_COUNT]; /* summed over the workers */
    uint64_t resident_bytes;
    int tcp_port;
    const char *loop_name; /* "io_uring" or "epoll" */
};

struct kv_call;

/* Where keys are not in this process's store alone but elsewhere: who runs the commands about them. */
struct kv_elsewhere {
    /* Deals with the command, if it is elsewhere's: guards, answer and all, at once or later. False: it is
     * to be run here. */
    bool (*run)(const struct kv_call *call);
    /* Whether the session's user may run a command that is not in our table. Says the error if not. */
    bool (*permits)(const struct kv_call *call);
    void (*session_ends)(struct kv *kv, struct session *session);      /* RESET, too */
    void (*add_info)(const struct kv_call *call, struct buffer *text); /* a section of INFO */
    /* The last of this worker's sessions has left a channel or pattern. */
    void (*topic_ends)(struct kv *kv, enum kv_topic_kind kind, struct bytes name);
};

/* Who has something to say on channels of this process whose names begin with `prefix`: it is told which of
 * them this worker's sessions subscribe to, and says it by kv_tell_message, in a later turn. Patterns are
 * not told of. */
struct kv_channel_source {
    struct bytes prefix;
    /* The first of them is in the channel. What is returned, null included, is given back when the last has
     * left it. */
    void *(*begins)(struct kv *kv, struct bytes name);
    void (*ends)(struct kv *kv, void *channel);
};

/* The engine of one worker; filled in by the server, which owns everything it points at. */
struct kv {
    nh_store *store;
    struct kv_hub *hub;
    unsigned number;           /* of the worker, below hub->worker_count */
    struct counters *counters; /* this worker's */
    void (*read_facts)(void *context, struct kv_facts *facts);
    void (*reset_facts)(void *context); /* metrics begin at 0 again */
    void *facts_context;
    uint64_t kept_bytes_max;            /* for one session between MULTI and EXEC; 0: a default */
    uint64_t memcached_value_bytes_max; /* the largest that memcached's clients may make; 0: any */
    void (*stop)(void *context); /* has the process end in good order; null: it cannot be asked for */
    const struct kv_elsewhere *elsewhere; /* null: the store here has all there is */
    void *elsewhere_state;
    const struct kv_channel_source *source; /* null: sessions alone publish */
    void *source_state;
    /* the engine's own; zero at first */
    unsigned guards;      /* of all sessions, as the present batch found them */
    unsigned alone_depth; /* how many that are running have asked to be alone */
    struct kv_letters own_letters;
    struct kv_subscriptions subscriptions; /* of this worker's sessions */
    struct list trackers;                  /* of this worker's sessions; zeroed until there is one */
    struct buffer changed_keys; /* in this turn, for who tracks by broadcast: kv_tracking_broadcast.c */
    size_t changed_key_count;
    unsigned care;           /* of the present batch: see kv_care.h */
    unsigned batch_count;    /* runs freely */
    enum command_id running; /* that errors are counted for; COMMAND_UNKNOWN: none */
    struct list monitors;    /* of this worker's sessions, by in_monitors; zeroed until there is one */
    struct kv_counts counts;
};

/* Sends what was collected in the turn that ends: see kv_tracking_broadcast.c. */
void kv_tracking_broadcast(struct kv *kv);

/* Around commands that arrived together. */
static inline void kv_begin(struct kv *kv)
{
    kv_gate_enter(&kv->hub->gate, kv->number);
    kv->guards = atomic_load_explicit(&kv->hub->guards, memory_order_relaxed);
    kv->care = atomic_load_explicit(&kv->hub->care, memory_order_relaxed);
    if (UNLIKELY(++kv->batch_count % KV_TIMED_BATCHES == 0))
        kv->care = ~0u;
}
static inline void kv_end(struct kv *kv) { kv_gate_leave(&kv->hub->gate, kv->number); }

/* All that a connection had to say has been run, in however many batches: tells who wants to hear of it
 * only now. */
static inline void kv_end_turn(struct kv *kv)
{
    if (UNLIKELY(kv->changed_key_count > 0))
        kv_tracking_broadcast(kv);
}

/* For a command that must find several keys as they are at one moment: see kv_gate.h. May be nested. */
static inline bool kv_is_alone(const struct kv *kv) { return kv->alone_depth > 0; }
static inline void kv_go_alone(struct kv *kv)
{
    if (kv->alone_depth++ == 0)
        kv_gate_go_alone(&kv->hub->gate, kv->number);
}
static inline void kv_go_together(struct kv *kv)
{
    if (--kv->alone_depth == 0)
        kv_gate_go_together(&kv->hub->gate, kv->number);
}

/* A session, with its id, has come to this worker; its connection has ended. On the worker's thread,
 * outside of commands. */
void kv_session_begin(struct kv *kv, struct session *session);
void kv_session_end(struct kv *kv, struct session *session);

/* What is to be done now and then, on every worker; outside of commands. */
void kv_sweep(struct kv *kv, int64_t now_ms);

/* RESET: the session keeps nothing of what it began. */
void kv_session_reset(struct kv *kv, struct session *session);

/* The store's space of a database. */
static inline uint32_t kv_space_of(const struct kv *kv, uint32_t database)
{
    return atomic_load_explicit(&kv->hub->spaces[database], memory_order_relaxed);
}

/* Runs `command`, between kv_begin and kv_end, and says its outcomes. May set session->closing,
 * resp_version, names. */
void kv_run(struct kv *kv, struct now now, struct session *session, const struct command *command,
            struct reply *reply);

/* Asks memory for what these commands will look up: a hint before running them one by one. */
void kv_prefetch(struct kv *kv, const struct session *session, const struct command *commands,
                 size_t count);
