/* kv_tier_state.h — what the files of this folder share. */
#pragma once
#include "client/valkey/server_commands.h"
#include "client/valkey/split.h"
#include "client/valkey/subscriptions.h"
#include "engine/kv/kv_guard.h"
#include "engine/kv/tier/kv_tier.h"
#include "message/late.h"
#include "net/loop.h"

/* One worker's. */
struct kv_tier {
    struct kv *kv;
    struct tier_worker *worker;
    struct tier *tier;
    struct valkey *valkey;
    struct loop *loop;
    struct server_commands *commands; /* null until the tier has said what it has */
    struct valkey_call commands_call;
    bool commands_are_asked, commands_are_refused;
    int64_t commands_asked_ms, commands_failed_ms;
    struct list own_links; /* connections that serve one session at a time: kv_tier_link.c */
    size_t link_count;     /* of them */
    struct timer look;
    struct subscriptions *subscriptions;
};

static inline struct kv_tier *kv_tier_of(const struct kv *kv) { return kv->elsewhere_state; }

/* One command on its way to the tier and back. It is freed when its answer has been said, or when nobody
 * waits for that any more. */
struct kv_tier_request {
    struct kv_tier *tier;
    struct session *session;
    struct late *late;
    /* Gives up what is under way; null: nothing is. */
    void (*cancel)(struct kv_tier_request *request);
    union {
        struct valkey_call call;
        struct tier_read read;
        struct split_call *split;
        void *part; /* of another file's */
    };
    enum command_id id; /* COMMAND_UNKNOWN: none of ours */
    bool writes;
    bool is_fenced;      /* a read: no answer to an earlier one will do */
    bool has_asked_keys; /* the tier was asked where the keys are */
    uint8_t attempt_count;
    uint16_t first_node, node_count; /* of those that RANDOMKEY has asked */
    uint64_t scanned_tag;            /* SCAN: of the server that is asked */
    uint8_t resp_version;
    uint32_t key_count;
    uint32_t *keys; /* indexes of arguments; its own */
    uint32_t argument_count;
    struct bytes arguments[]; /* with their bytes behind them */
};

/* ---- kv_tier.c -------------------------------------------------------------------------------------- */

/* Counts a command that has run, or is under way now, and shows it to who monitors. Not if it is held. */
void kv_tier_note_run(const struct kv_call *call);

/* ---- kv_tier_request.c ------------------------------------------------------------------------------ */

/* Takes the place of the call's answer; `late_flags` as of late.h. The session has one command more under
 * way that may write, if `writes`. Null: an error was said. */
struct kv_tier_request *kv_tier_request_create(const struct kv_call *call, unsigned late_flags,
                                               bool writes);

/* Makes one with nothing special about its answer, and has `go` carry it out; a read is fenced if it must
 * pass by what is near. If there is no memory an error was said. */
void kv_tier_request_begin(const struct kv_call *call, bool writes,
                           void (*go)(struct kv_tier_request *request));

/* Reads a key, past what is near if `is_fenced`; `done` has what was found, and is to set request->cancel
 * to null. */
void kv_tier_request_read(struct kv_tier_request *request, nh_key key, bool is_fenced,
                          void (*done)(struct tier_read *read, const struct tier_found *found));

/* Where to say the answer; null: nowhere. kv_tier_request_end follows in any case. */
static inline struct reply *kv_tier_request_reply(struct kv_tier_request *request)
{
    request->tier->kv->running = request->id; /* an error that is said now is its failure */
    return request->late->begin(request->late);
}
/* It has been answered, and is gone. */
void kv_tier_request_end(struct kv_tier_request *request);

/* Answers with an error, and is gone. */
void kv_tier_request_fail(struct kv_tier_request *request, const char *format, ...) PRINTF_LIKE(2, 3);

/* Answers with what became of a call: what the server has said in the session's version, or an error. */
void kv_tier_request_answer(struct kv_tier_request *request, const struct valkey_answer *answer);

/* What is said of a call that came to nothing. */
void kv_tier_say_failure(struct reply *reply, enum err err, bool may_have_run, struct bytes text);

/* What is said of a read that has failed. */
void kv_tier_say_not_read(struct reply *reply, const struct tier_found *found);

/* Drops what is near of the keys that the request writes. */
void kv_tier_request_forget(const struct kv_tier_request *request);

/* Whether a read must pass by what is near: the session's own writes are under way before it. */
static inline bool kv_tier_must_ask(const struct kv_call *call)
{
    return call->session->write_count > 0 || call->session->elsewhere != NULL; /* it watches */
}

/* ---- kv_tier_commands.c ----------------------------------------------------------------------------- */

/* KV_PASS if it is known what commands the tier has, or that it does not tell; KV_KEPT: the command is
 * offered again when it is; KV_REFUSED: it cannot be asked, an error was said. */
enum kv_pass kv_tier_await_commands(const struct kv_call *call);

/* ---- kv_tier_pass.c --------------------------------------------------------------------------------- */

/* Passes a command on that has passed the guards. */
void kv_tier_pass(const struct kv_call *call);
/* Sends a request to where its keys are. */
void kv_tier_send(struct kv_tier_request *request);
/* As many indexes of keys as fit, and how many there are; 0 also if it cannot be told. */
uint32_t kv_tier_keys_of(const struct kv_tier *tier, enum command_id id, const struct bytes *arguments,
                         uint32_t argument_count, uint32_t *keys, size_t capacity, bool *writes);
/* Finds its keys without asking. False: that is not possible. */
bool kv_tier_find_keys(struct kv_tier_request *request);
/* Whether the tier says that it blocks, if it is not in a transaction. */
bool kv_tier_may_block(const struct kv_call *call);
bool kv_tier_is_of_one_slot(const struct kv_tier_request *request);

/* ---- kv_tier_read.c: reads that may be answered from what is near ------------------------------------ */

void kv_tier_get(const struct kv_call *call);
void kv_tier_mget(const struct kv_call *call);
/* STRLEN, GETRANGE, SUBSTR, EXISTS: false if it has to be passed on. */
bool kv_tier_read_near(const struct kv_call *call);

/* ---- kv_tier_wait.c: WAIT and WAITAOF -----------------------------------------------------------------
 */

bool kv_tier_is_wait(const struct kv_call *call);
void kv_tier_wait(const struct kv_call *call);
/* The session writes to a key of `slot`. */
void kv_tier_note_written(const struct kv_tier *tier, struct session *session, uint16_t slot);
/* The session writes to every server. */
static inline void kv_tier_note_written_everywhere(struct session *session)
{
    session->written_count = SESSION_WRITTEN_SLOTS_MAX + 1;
}

/* ---- kv_tier_scan.c -----------------------------------------------------------------------------------
 */

/* A primary: the first slot that it has, and something that tells it from another. */
struct kv_tier_primary {
    uint16_t slot;
    uint8_t tag;
};
/* All that are known, in the order of their slots; the caller frees it. ERR_NO_MEMORY;
 * ERR_UNREACHABLE: they must have all slots (`are_all`), and some have no server now. */
enum err kv_tier_primaries(const struct kv_tier *tier, bool are_all, struct kv_tier_primary **primaries,
                           size_t *count);

/* SCAN: the cursor names the server, too. */
void kv_tier_send_scan(struct kv_tier_request *request);
void kv_tier_send_random_key(struct kv_tier_request *request);

/* ---- kv_tier_shards.c: commands that every server has to be asked --------------------------------------
 */

/* Sends a request to every primary, and puts their replies together as `policy` says. */
void kv_tier_send_to_all(struct kv_tier_request *request, enum server_reply_policy policy);

/* ---- kv_tier_transaction.c ------------------------------------------------------------------------------
 */

/* EXEC of a transaction that is to be run. */
void kv_tier_exec(const struct kv_call *call);
void kv_tier_watch(const struct kv_call *call);
/* The session watches nothing any more. */
void kv_tier_unwatch(struct session *session);

/* ---- kv_tier_subscribe.c -----------------------------------------------------------------------------
 */

enum err kv_tier_subscribe_begin(struct kv_tier *tier);
/* SUBSCRIBE, PSUBSCRIBE, SSUBSCRIBE, that have passed the guards; nothing of the session is late. */
void kv_tier_subscribe(const struct kv_call *call);
/* The last of the worker's sessions has left it. */
void kv_tier_topic_ends(struct kv *kv, enum kv_topic_kind kind, struct bytes name);

/* ---- kv_tier_pubsub.c --------------------------------------------------------------------------------
 */

/* PUBSUB, that has passed the guards; nothing of the session is late. */
void kv_tier_pubsub(const struct kv_call *call);
/* What every server has said to it, one behind the other. */
void kv_tier_say_pubsub(const struct kv_tier_request *request, const struct resp_node *node,
                        struct reply *reply);

/* ---- kv_tier_shape.c ----------------------------------------------------------------------------------
 */

/* Says what a server has said to our connection as it would have said it to one of the session's version.
 */
void kv_tier_say(const struct kv_tier_request *request, const struct resp_node *node, struct reply *reply);
/* The same of the answer to the command called `name`. */
void kv_tier_say_as(uint8_t resp_version, struct bytes name, const struct resp_node *node,
                    struct reply *reply);

/* ---- kv_tier_refuse.c: what cannot be passed on
 * ---------------------------------------------------------- */

/* Why a command cannot be passed on; null if it can. `command`: as the tier has it, or null. */
const char *kv_tier_refusal(const struct bytes *arguments, uint32_t argument_count,
                            const struct server_command *command);

/* ---- kv_tier_permit.c
 * ------------------------------------------------------------------------------------ */

bool kv_tier_permits(const struct kv_call *call);
