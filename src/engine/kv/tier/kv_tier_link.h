/* kv_tier_link.h — what cannot share a connection: commands that block, WATCH and the transaction behind
 * it. Each has a connection to the tier of its own, for as long as it takes. */
#pragma once
#include "engine/kv/tier/kv_tier_state.h"

enum { KV_TIER_LINKS_MAX = 1000 }; /* of one worker at a time */

struct kv_tier_own; /* a connection of one session's; opaque */

/* Begins to open one to the server that has `slot`; any if negative. Null, and `*why` says it: too many,
 * or nobody to connect to. */
struct kv_tier_own *kv_tier_own_open(struct kv_tier *tier, int slot, const char **why);

/* Sends `bytes` once it is open; nothing else may be under way. `replied` is told the last of `reply_count`
 * replies and is to answer the request; if the connection is lost before, the request is answered with an
 * error. */
void kv_tier_own_ask(struct kv_tier_own *own, struct kv_tier_request *request, struct bytes bytes,
                     uint32_t reply_count,
                     void (*replied)(struct kv_tier_request *request, const struct resp_reply *reply));

/* The first error that was said before the last reply; empty if none was. Until it is closed. */
struct bytes kv_tier_own_error(const struct kv_tier_own *own);

/* Whether it is lost: nothing can be asked. */
bool kv_tier_own_is_lost(const struct kv_tier_own *own);
int kv_tier_own_slot(const struct kv_tier_own *own);

/* Closes it; what is under way is given up without a word. */
void kv_tier_own_close(struct kv_tier_own *own);

/* Passes a command on that may block; it has passed the guards. */
void kv_tier_block(const struct kv_call *call);

/* True if the session has answers under way that must have come first: the command is offered again then.
 */
bool kv_tier_hold(const struct kv_call *call);

/* True if the server that has `key` cannot be reached, such as while its replica takes over: the command is
 * offered again, as long as calls wait (call_timeout_ms). */
bool kv_tier_await_server(const struct kv_call *call, struct bytes key);

/* Now and then, on the worker's thread: whether connections still lead to who has the slot. */
void kv_tier_links_look(struct kv_tier *tier);
