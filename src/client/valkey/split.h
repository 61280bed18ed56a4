/* split.h — a command of several keys as one command for each slot, and their replies as one.
 *
 * MGET, DEL, UNLINK, EXISTS, TOUCH, MSET (not atomic any more, as the cluster's slots answer one by one)
 * and PFCOUNT of one slot, SINTERCARD … stay whole: only those can be split whose answer can be put
 * together. All parts are asked at once. The reply is as from one server; where a part failed, MGET has an
 * error in the place of each of its keys, the others answer the first error. */
#pragma once
#include "client/valkey/valkey.h"

struct split_call;

/* Whether the command can be split, its keys being of more than one slot. */
bool split_is_possible(struct bytes name);

/* Asks. `done` is told the reply as nodes that are readable during the call; `split` is gone then. `flags`
 * and `deadline_ms` as of struct valkey_order. ERR_NO_MEMORY. */
enum err split_ask(struct valkey *valkey, const struct bytes *arguments, uint32_t argument_count,
                   unsigned flags, int64_t deadline_ms,
                   void (*done)(void *owner, const struct valkey_answer *answer), void *owner,
                   struct split_call **split);
void split_give_up(struct split_call *split);
