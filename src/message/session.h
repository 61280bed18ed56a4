/* session.h — what one cache connection has said about itself. Owned by its connection. */
#pragma once
#include "base/list.h"
#include <stdbool.h>
#include <stdint.h>

enum {
    SESSION_NAME_BYTES_MAX = 64,
    SESSION_ADDRESS_BYTES = 112, /* has room for a Unix socket's path */
    SESSION_WRITTEN_SLOTS_MAX = 8,
};

/* What of a connection's answers is left out (CLIENT REPLY). */
enum session_silence { SILENCE_NONE, SILENCE_NEXT, SILENCE_ALL };

struct late;
struct reply;
struct kv_resident;
struct kv_tracker;
struct kv_transaction;
struct kv_watch;
struct kv_subscriber; /* the engine's */
struct kv_user;

struct session {
    uint64_t id;             /* unique in this process */
    int64_t connected_at_ms; /* monotonic */
    uint32_t database;       /* that its keys live in: what SELECT chose */
    uint8_t resp_version;    /* 2 or 3: how outcomes are rendered */
    bool closing;            /* set by an engine: close once the answers so far have left */
    uint8_t silence;         /* enum session_silence: what CLIENT REPLY asked for */
    uint32_t guards;         /* the engine's: what looks at its commands before they run */
    struct kv_user *user;    /* the engine's: who it is, held; null before kv_session_begin */
    uint64_t users_age;      /* the engine's: when it last looked who that is */
    bool is_stranger;        /* must say who it is before it may do anything */
    /* Has the connection closed, on the session's worker: behind the answers so far if they can leave now,
     * else at once. The session ends in a later turn. The connection's; may be null. */
    void (*cut)(struct session *session);
    /* For what is said beside answers, such as a message of a channel; on the session's worker, and not
     * while one of its commands is being answered. push_begin returns null if the connection is ending, or
     * holds so much that its client has not read that it is cut now. The connection's. */
    struct reply *(*push_begin)(struct session *session);
    void (*push_end)(struct session *session);
    /* No further command is to be run until go_on, which is the connection's: what its commands have
     * brought about is more than could be dealt with as yet. Both are told on the session's worker. */
    bool must_wait;
    struct list in_waiting;
    void (*go_on)(struct session *session); /* null: it is never made to wait */
    /* Takes the place of the answer of the command that is being run: see late.h. `flags` as there;
     * `held_bytes`: what is held for it until it ends. Null without memory. The connection's; null where
     * answers cannot be late. */
    struct late *(*take_late)(struct session *session, unsigned flags, uint64_t held_bytes);
    uint32_t late_count;     /* the connection's: answers that are late */
    uint32_t write_count;    /* the engine's: of these, of commands that may write */
    void *elsewhere;         /* the engine's: a connection by which it watches keys that are elsewhere */
    int64_t awaits_since_ms; /* the engine's: for a server elsewhere that cannot be reached; 0: for none */
    bool keeps_blocking;     /* the engine's: of what it keeps for EXEC, a command may block elsewhere */
    uint8_t written_count;   /* the engine's: see kv_tier_wait.c */
    uint16_t written_slots[SESSION_WRITTEN_SLOTS_MAX];
    struct kv_subscriber *subscriber; /* the engine's: what it subscribes to; null if to nothing */
    /* The engine's, null at first. */
    struct kv_transaction *transaction; /* between MULTI and EXEC */
    struct kv_watch *watch;             /* keys that it watches */
    struct kv_tracker *tracker;         /* how it tracks what it reads */
    struct kv_resident *resident;       /* by which others find it */
    /* The engine's: what the administrator is told of it. */
    struct list in_clients, in_monitors; /* zeroed while it is in none */
    int64_t active_ms;                   /* monotonic: when its last batch of commands began */
    uint32_t worker;
    uint16_t last_command, subcommand_of; /* enum command_id */
    const char *last_subcommand;          /* of the container subcommand_of; static, or null */
    bool is_killed;
    bool is_monitor;
    bool is_never_evicted; /* CLIENT NO-EVICT */
    bool is_unnoticed;     /* CLIENT NO-TOUCH: its reads are no uses of the keys */
    /* Its next command, and what follows, is to be offered again from held_until_ms on, or at go_on, or
     * when no answer is late any more. */
    bool is_held;
    int64_t held_until_ms;
    int64_t wakes_at_ms; /* DEBUG SLEEP: when it is over; 0: it does not sleep */
    int fd;              /* the connection's */
    bool is_memcached;
    char name[SESSION_NAME_BYTES_MAX + 1];
    char library_name[SESSION_NAME_BYTES_MAX + 1], library_version[SESSION_NAME_BYTES_MAX + 1];
    char peer[SESSION_ADDRESS_BYTES], local[SESSION_ADDRESS_BYTES]; /* "127.0.0.1:5000" */
};
