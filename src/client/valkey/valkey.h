/* valkey.h — one worker's client of the shared tier: a Valkey or Redis cluster, or a single server (with
 * replicas or without).
 *
 * Calls go to the server that has their slot, over one tracked connection to each (source.h), all that was
 * asked in a turn of the loop in one write. MOVED, ASK, TRYAGAIN, CLUSTERDOWN, LOADING, MASTERDOWN and
 * READONLY are dealt with here, within a budget of redirections and the call's deadline; MOVED and ASK of a
 * server that is of no cluster are answers like any other. The order of calls
 * of one slot is kept through them. A call whose connection is lost is asked again only if none of it was
 * sent, or if it says that it may be. Everything happens on the loop's thread. */
#pragma once
#include "base/counters.h"
#include "client/valkey/source.h"

enum { VALKEY_SLOT_COUNT = 16384, VALKEY_SOURCES_MAX = 4096 };

struct valkey; /* opaque: valkey.c */

/* CRC16 (XMODEM) of the key, or of what is between its first { and the } behind it if that is not empty. */
uint16_t valkey_slot(struct bytes key);
/* Letters and digits that have `slot`, and so have keys with them between { and }. */
enum { VALKEY_TAG_BYTES = 4 };
void valkey_slot_tag(uint16_t slot, char tag[VALKEY_TAG_BYTES]);

struct valkey_command {
    const struct bytes *arguments;
    uint32_t argument_count;
};

enum valkey_flags {
    VALKEY_MAY_REPEAT = 1,      /* running it twice is as good as once */
    VALKEY_REPLICA_WILL_DO = 2, /* see valkey_options.reads_from_replicas */
    VALKEY_UNTRACKED = 4,       /* it reads, and what it reads is not kept: one command */
    /* One command that runs a script of somebody's, who chooses the text of its errors. A MOVED among them
     * is believed once the servers that are known say the same, an ASK if it names one of those, and every
     * other error is the answer. */
    VALKEY_RUNS_SCRIPT = 8,
};

/* Which server is asked. */
enum valkey_target {
    VALKEY_SLOT, /* that which has `slot` */
    VALKEY_ANY,  /* any primary */
    VALKEY_NODE, /* the primary of number `node`, below valkey_primary_count */
};

/* One or several commands that are sent to one server behind each other. Of these only the ones that were
 * redirected are asked again, where they were sent to; a block from MULTI to EXEC is asked again whole. */
struct valkey_order {
    const struct valkey_command *commands;
    uint32_t command_count; /* at most VALKEY_COMMANDS_MAX */
    enum valkey_target target;
    uint16_t slot;
    uint16_t node;
    unsigned flags;      /* enum valkey_flags */
    int64_t deadline_ms; /* monotonic; 0: now and call_timeout_ms */
};
enum { VALKEY_COMMANDS_MAX = 8 };

/* How a call ended. */
struct valkey_answer {
    enum err
        err; /* OK: `replies` are there, each of which may be an error of the server's. Else ERR_TIMEOUT,
              * ERR_UNREACHABLE, ERR_FULL (too much is under way), ERR_LOOP (too many redirections),
              * ERR_SYNTAX (what came is no reply), ERR_NO_MEMORY, ERR_CANCELLED (the client stops) */
    bool may_have_run;                /* with an error: nobody knows */
    const struct resp_reply *replies; /* one for each command; readable during the call */
    struct bytes text; /* with an error: what to tell, such as "CLUSTERDOWN Hash slot not served" */
    /* Where the replies are from; `source` is null if what was read may not be kept: it came by ASK, from a
     * connection that tracks nothing, or from one that has changed meanwhile. */
    struct source *source;
    uint32_t generation;
    int64_t sent_ms; /* when that was asked */
    /* Who has said the last of the replies; may be null. For who finds that no server gives such a reply to
     * what was asked, so that one has been left out, or is too many, and what follows belongs to others:
     * source_reconnect. */
    struct source *speaker;
};

/* Embedded by who calls. */
struct valkey_call {
    /* The call has ended and is the caller's again. In the order of the wire; never from inside
     * valkey_call. */
    void (*done)(struct valkey_call *call, const struct valkey_answer *answer);
    /* the client's */
    void *inner;
    enum err refusal; /* of one that could not begin, until it is told so */
    struct list in_refused;
};

/* What the client tells its owner; all on the loop's thread. */
struct valkey_callbacks {
    void (*invalidated)(void *owner, struct source *source, struct bytes key);
    void (*flushed)(void *owner, struct source *source, enum source_flush why);
    /* `slot` is served by another server now, or by none: what was read of it holds no longer. */
    void (*slot_moved)(void *owner, uint16_t slot);
    /* There is a usable server for at least one slot, for the first time or again; there is none any more.
     */
    void (*came)(void *owner);
    void (*went)(void *owner);
};

/* `states` has VALKEY_SOURCES_MAX entries, of which this client uses those from `first_state` to before
 * `end_state`. Begins to connect. ERR_NO_MEMORY. */
enum err valkey_create(const struct valkey_options *options, struct loop *loop, struct counters *counters,
                       struct source_state *states, uint32_t first_state, uint32_t end_state,
                       const struct valkey_callbacks *callbacks, void *owner, struct valkey **valkey);
/* Ends all calls with ERR_CANCELLED, in a later turn, and closes. `stopped` is called once, last. */
void valkey_stop(struct valkey *valkey, void (*stopped)(void *owner));
/* After `stopped`, or if the loop has ended. */
void valkey_destroy(struct valkey *valkey);

/* Begins a call: what `order` points at is copied. An error that is known at once is told by `done` too, in
 * a later turn. */
void valkey_ask(struct valkey *valkey, struct valkey_call *call, const struct valkey_order *order);

/* Gives it up: `done` will not be called. The commands may run all the same. */
void valkey_give_up(struct valkey *valkey, struct valkey_call *call);

/* A connection of its own to the server that has `slot` (or to any), for what must not share one: blocking
 * commands, WATCH, subscriptions. It does not track and is not redirected: who owns it opens another.
 * Greeted like the others; at most options' in_flight_max requests. The owner closes it (link.h).
 * ERR_UNREACHABLE: the server is not known; ERR_NO_MEMORY. */
enum err valkey_open_link(struct valkey *valkey, int slot_or_any, const struct link_callbacks *callbacks,
                          void *owner, struct link **link);
/* A redirection that such a connection has met: what it says of the map is noted. True if it was one. */
bool valkey_note_redirection(struct valkey *valkey, const struct resp_node *error);

bool valkey_is_cluster(const struct valkey *valkey);
size_t valkey_primary_count(const struct valkey *valkey); /* of those that are known */
int64_t valkey_call_timeout_ms(const struct valkey *valkey);
/* Whether a server is known for `slot` and its connection is open. */
bool valkey_can_reach(const struct valkey *valkey, uint16_t slot);
/* The source that has `slot`; null if there is none that is open. */
struct source *valkey_source_of(const struct valkey *valkey, uint16_t slot);

/* A server that is known, as far as the client knows it. */
struct valkey_server_facts {
    const struct link_address *address;
    const struct source *source; /* null: it is not connected to */
    uint16_t number;             /* among those of this client */
    bool is_primary;
    uint32_t slot_count;
    uint32_t in_flight; /* calls */
};
/* Fills in at most `capacity` and returns how many there are; readable until the loop's turn ends. */
size_t valkey_servers(const struct valkey *valkey, struct valkey_server_facts *facts, size_t capacity);

/* Slots that one server has, `first` to `last`. */
struct valkey_slot_range {
    uint16_t first, last, server; /* by its number */
};
/* Fills in at most `capacity` ranges, by their slots, and returns how many there are. */
size_t valkey_slot_ranges(const struct valkey *valkey, struct valkey_slot_range *ranges, size_t capacity);
