/* split.h — a command of several keys as one command for each slot, and their replies as one.
 *
 * MGET, DEL, UNLINK, EXISTS, TOUCH, MSET (not atomic any more, as the cluster's slots answer one by one)
 * and PFCOUNT of one slot, SINTERCARD … stay whole: only those can be split whose answer can be put
 * together. Up to SPLIT_PARTS_AT_ONCE parts are asked at once, the next when one has ended. The reply is as
 * from one server; where a part failed, MGET has an error in the place of each of its keys, the others
 * answer the first error. */
#pragma once
#include "client/valkey/valkey.h"

struct split_call;

enum { SPLIT_PARTS_AT_ONCE = 256 };

/* Whether the command can be split, its keys being of more than one slot. */
bool split_is_possible(struct bytes name);

/* Asks; what `arguments` points at is copied. `done` is told the reply as nodes that are readable during
 * the call, without its raw bytes and without a source; `split` is gone then. Never from inside split_ask.
 * `flags` and `deadline_ms` as of struct valkey_order. ERR_SYNTAX: it cannot be split, or the number of its
 * arguments is wrong; ERR_NO_MEMORY. */
enum err split_ask(struct valkey *valkey, const struct bytes *arguments, uint32_t argument_count,
                   unsigned flags, int64_t deadline_ms,
                   void (*done)(void *owner, const struct valkey_answer *answer), void *owner,
                   struct split_call **split);
void split_give_up(struct split_call *split);
