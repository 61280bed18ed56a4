/* valkey_parts.h — what the files behind valkey.h share: a client, its servers, its calls, its gates.
 *
 *   valkey.c           the client as its owner sees it
 *   valkey_call.c      a call: to which server, and how it ends
 *   valkey_answer.c    what came back, what next
 *   valkey_gate.c      calls of a slot that wait, in their order
 *   valkey_overtaken.c which of them a later one has overtaken
 *   valkey_servers.c   the servers and who has which slots
 *   valkey_refresh.c   learning the map
 *
 * A call is in exactly one place: under way at a server, waiting (in its slot's gate, or among the loose
 * ones if it has no slot), or ended and not yet told. */
#pragma once
#include "base/random_source.h"
#include "client/valkey/map_query.h"
#include "client/valkey/permitted.h"
#include "client/valkey/redirection.h"
#include "client/valkey/slot_map.h"

enum {
    VALKEY_TEXT_BYTES_MAX = 160, /* of what a server says, kept for whom it concerns */
    VALKEY_REPLICAS_MAX = 8,     /* of one primary that are read from */
    VALKEY_INQUIRIES_MAX = 2,    /* servers asked at a time for the map */
};

struct text {
    char data[VALKEY_TEXT_BYTES_MAX];
    size_t size;
};
void valkey_text_set(struct text *text, struct bytes bytes); /* what does not fit is left out */
/* "10.0.0.1 port 6379: not permitted: NOAUTH …": where, what, and what was said of it if that is more. */
void valkey_text_set_failure(struct text *text, const struct link_address *address, enum err why,
                             struct bytes said);
static inline struct bytes text_bytes(const struct text *text) { return bytes_of(text->data, text->size); }

struct server {
    struct valkey *valkey;
    struct link_address address;
    struct source *source; /* null: it is of no use now, or must not be connected to */
    uint16_t number;       /* its place in valkey->servers, and from first_state on in the states */
    bool is_primary;       /* what it is connected to as */
    bool is_refused;       /* its address is not permitted */
    bool has_failed;       /* the last attempt to connect to it came to nothing */
    bool is_open;          /* was told so, and not that it is lost */
    bool has_canary;
    uint16_t canary_slot;
    uint32_t slot_count;
    uint32_t call_count; /* under way at it, or waiting to ask it */
    int64_t used_ms;     /* when it last had a slot or a call */
    int64_t reconnected_ms;
    struct text why; /* of has_failed and is_refused */
    uint16_t replicas[VALKEY_REPLICAS_MAX];
    uint16_t replica_count, next_replica;
    uint16_t primary; /* of a replica that is read from; else MAP_NOBODY */
};

/* Of one slot: who waits, because something before it has been redirected or has nobody to go to.
 *   (1) while a gate is there every new call of the slot waits in it;
 *   (2) nobody leaves it while a call of the slot is under way that is not known to have run: it may come
 *       back, and belongs before them;
 *   (3) `waiting` is in the order in which the calls were asked;
 *   (4) those that leave it together go to one server: of two, sent to at once, the one that an ASK of long
 *       ago has named may run its part last. */
struct gate {
    struct valkey *valkey;
    uint16_t slot;
    struct list waiting, flying; /* of struct call's in_place */
    struct timer timer;
    bool is_kicked; /* gate_kick is at it */
    struct list in_gates;
};

enum call_place { CALL_UNDER_WAY, CALL_WAITING, CALL_ENDED };

struct call {
    struct link_request request;
    struct valkey *valkey;
    struct valkey_call *outer;
    enum call_place place;
    struct list in_calls; /* of all that have not ended */
    struct list in_place; /* gate->waiting or flying, valkey->loose or ended */
    struct timer deadline;
    uint64_t sequence;
    int64_t asked_ms;      /* when the call began */
    int64_t not_before_ms; /* of one that waits */
    enum valkey_target target;
    uint16_t slot, node;
    unsigned flags;
    bool is_redirected; /* waits, having been asked already */
    bool is_overtaken;  /* a later one that shares a key with it has run */
    bool is_transaction;
    bool may_have_run;
    bool was_asked_aside;   /* some reply is from a server that was asked by ASK */
    bool is_mixed;          /* replies are from more than one asking */
    bool is_doubted;        /* a script's MOVED: waits for what the map says to it */
    uint64_t doubted_round; /* how many rounds had begun then */
    uint16_t asked_number;  /* of the server that was asked last, other than with ASKING */
    uint32_t redirection_count, wait_count, loss_count;
    struct server *server;     /* asked now, or last */
    struct server *ask_server; /* to be asked next, with ASKING; null: whoever has the slot */
    struct source *source;     /* under way: where */
    uint32_t generation;       /* of source when it was asked */
    bool with_asking;
    bool is_counted;                /* in valkey->under_way */
    bool is_late;                   /* its deadline has passed; it ends in the next turn */
    struct redirection redirection; /* the first of this asking; NONE */
    struct text text;
    enum err err; /* of one that has ended */
    uint32_t command_count;
    uint32_t asked_count, heard_count; /* commands of this asking, replies of it */
    uint8_t asked[VALKEY_COMMANDS_MAX];
    uint8_t again[VALKEY_COMMANDS_MAX]; /* those that have to be asked again */
    uint32_t again_count;
    uint32_t command_at[VALKEY_COMMANDS_MAX + 1]; /* offsets in `bytes` */
    struct resp_reply *replies;  /* of several commands: copies, with null nodes where there is none yet */
    struct resp_reply *borrowed; /* that of them which is no copy; null: none */
    char *bytes;                 /* the commands, rendered */
};

struct inquiry {
    struct valkey *valkey;
    bool is_active;
    struct map_query query;
    struct inquiry_link *own; /* a connection made for it; null: it asks through `server` */
    struct server *server;    /* whose source it asks through */
    uint32_t hop_count;       /* from a replica to its primary */
    struct timer timer;       /* when it has taken too long */
};

/* What is stopped and destroyed with a client: its subscriptions. */
struct valkey_beside {
    void (*stop)(struct valkey *valkey);
    void (*destroy)(struct valkey *valkey);
};

struct valkey {
    const struct valkey_options *options;
    struct loop *loop;
    struct counters *counters;
    struct source_state *states;
    uint32_t first_state;
    const struct valkey_callbacks *callbacks;
    void *owner;
    struct random_source dice;
    bool is_stopping;
    void (*stopped)(void *owner);
    /* servers */
    struct server **servers; /* server_capacity pointers, null where there is none */
    uint32_t server_capacity;
    uint32_t server_end; /* one more than the highest number that was ever given */
    uint32_t open_count; /* of primaries that have slots */
    bool has_come;
    unsigned classes; /* enum address_class, of the seeds */
    struct slot_map map;
    bool has_map, is_cluster;
    /* calls */
    struct list calls;
    struct list loose, ended;
    struct list refused; /* of valkey_call.in_refused */
    struct timer loose_timer;
    uint32_t waiting_count;
    size_t waiting_bytes; /* of the commands of those that wait */
    uint64_t last_sequence;
    uint64_t compared_count; /* arguments, to see who was overtaken: of the order of how many there are */
    bool end_is_posted;
    struct task end_task;
    struct buffer scratch;
    struct gate *gates[VALKEY_SLOT_COUNT];
    uint32_t under_way[VALKEY_SLOT_COUNT]; /* calls of each slot */
    struct list gate_list;
    /* the map */
    struct inquiry inquiries[VALKEY_INQUIRIES_MAX];
    struct map_answer answers[VALKEY_INQUIRIES_MAX];
    size_t answer_count;
    uint32_t link_count; /* of inquiries and subscriptions, that have not closed */
    bool is_refreshing, refresh_is_wanted;
    uint64_t round_count;                      /* rounds that have begun */
    bool has_failed_to_learn;                  /* every candidate was tried, and none knew */
    bool asks_sources;                         /* this round: those that are connected to */
    uint32_t candidate_count, first_candidate; /* who were tried in this round, beginning with whom */
    int64_t refreshed_ms;                      /* when the last round that taught something ended */
    int64_t refresh_began_ms, refresh_interval_ms;
    uint64_t change_count; /* slots that have changed their server */
    struct timer refresh_timer;
    struct text why;                     /* nothing could be learnt */
    struct subscriptions *subscriptions; /* null: nobody has asked for any */
    const struct valkey_beside *beside;  /* null: nothing */
};

static inline int64_t valkey_now_ms(const struct valkey *valkey) { return loop_now(valkey->loop).mono_ms; }
static inline void valkey_count(struct valkey *valkey, enum metric metric)
{
    counters_add(valkey->counters, metric, 1);
}
/* Has those that have ended told so in a later turn. */
void valkey_post_end(struct valkey *valkey);
/* Tells the owner that the client has stopped, if it is to and nothing is left. */
void valkey_stop_if_done(struct valkey *valkey);
/* `ms` and up to half as much again by chance. */
int64_t valkey_jittered_ms(struct valkey *valkey, int64_t ms);

/* ---- valkey_call.c ---------------------------------------------------------------------------------- */

enum err call_create(struct valkey *valkey, struct valkey_call *outer, const struct valkey_order *order,
                     struct call **call);
void call_destroy(struct call *call);
/* Who would be asked now; null if nobody is known. */
struct server *call_server(struct call *call);
/* Whether it is of no use to wait for who would be asked, `server`; `*why` says why. */
bool call_is_hopeless(const struct call *call, const struct server *server, struct bytes *why);
/* Sends it. ERR_CANCELLED: the server is not connected to, the call is as it was. */
enum err call_send(struct call *call, struct server *server);
/* Takes it out of where it is and tells its owner now; not from inside valkey_ask. */
void call_end(struct call *call, enum err err, struct bytes text);
/* The same in a later turn. */
void call_end_later(struct call *call, enum err err, struct bytes text);
void call_leave_place(struct call *call);
static inline size_t call_bytes(const struct call *call) { return call->command_at[call->command_count]; }
/* Ends it now: with `replies`, or with an error. */
void call_finish(struct call *call, enum err err, struct bytes text, const struct resp_reply *replies);
/* A reply that was kept is freed. */
void call_drop_reply(struct call *call, uint32_t index);
/* The gate of its slot; null: there is none. */
struct gate *call_gate(const struct call *call);

/* ---- valkey_answer.c -------------------------------------------------------------------------------- */

/* As of struct link_request. */
void call_replied(struct link_request *request, const struct resp_reply *reply);
void call_failed(struct link_request *request, enum err why, bool was_sent);
/* Of a call that is doubted: whether the map has given its slot to another server than was asked. */
bool call_has_moved(const struct call *call);
/* The same: whether the map has been asked for since, so that there is nothing more to wait for. */
bool call_knows_map(const struct call *call);
/* The same: the error is the answer, after all. */
void call_end_as_told(struct call *call);

/* ---- valkey_gate.c ---------------------------------------------------------------------------------- */

/* Has `call` wait: in its slot's gate, which is made if need be, or among the loose ones. False: no memory
 * for a gate, or too many or too much wait; the call is nowhere then. */
bool gate_hold(struct call *call);
/* `slot` has another server now: what is asked from here on waits until all that is under way has come
 * back, as that may have to be asked at the new one, too. */
void gate_guard(struct valkey *valkey, uint16_t slot);
/* A call of the slot has left `flying` or something else has changed: lets go who can. */
void gate_kick(struct gate *gate);
void gates_kick_all(struct valkey *valkey);
void loose_kick(struct valkey *valkey);
void gates_fini(struct valkey *valkey);

/* ---- valkey_overtaken.c ----------------------------------------------------------------------------- */

/* `call` has run: whoever waits, or is under way, before it and shares a key with it is marked. */
void gate_note_run(struct gate *gate, const struct call *call);

/* ---- valkey_servers.c ------------------------------------------------------------------------------- */

/* The server of that address, which is made if need be; null: no room for another. */
struct server *server_at(struct valkey *valkey, const struct link_address *address);
/* The same, or null if there is none. */
struct server *server_known(const struct valkey *valkey, const struct link_address *address);
/* Connects to it if it may be, and is not. */
void server_want(struct server *server, bool is_primary);
static inline struct server *server_of_slot(const struct valkey *valkey, uint16_t slot)
{
    uint16_t number = valkey->map.owner[slot];
    return number != MAP_NOBODY ? valkey->servers[number] : NULL;
}
/* A redirection has said where `slot` is. */
void servers_move_slot(struct valkey *valkey, uint16_t slot, struct server *server);
/* The same, wherever that was met; nothing if it is no MOVED. */
void servers_note(struct valkey *valkey, const struct redirection *redirection);
/* Takes in valkey->answers. */
void servers_learn(struct valkey *valkey);
/* The `index`th of the primaries that have slots, or null. */
struct server *servers_primary(const struct valkey *valkey, size_t index);
/* Any of them, open if there is one. */
struct server *servers_any(struct valkey *valkey);
static inline bool server_is_open(const struct server *server)
{
    return server->source != NULL && source_is_open(server->source);
}
void servers_fini(struct valkey *valkey);

/* ---- valkey_refresh.c ------------------------------------------------------------------------------- */

/* Has the map learnt anew, soon; once however often it is asked for. */
void refresh_want(struct valkey *valkey);
void refresh_begin(struct valkey *valkey); /* of a new client */
void refresh_stop(struct valkey *valkey);
