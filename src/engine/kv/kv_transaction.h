/* kv_transaction.h — commands that are kept between MULTI and EXEC, and then run with nobody between.
 *
 * A session that is in a transaction has one (session->transaction) and the guard that keeps its commands.
 * They are copied into one buffer, which may become as large as what a connection may buffer. */
#pragma once
#include "engine/kv/kv_call.h"

struct kv_transaction;

/* How many bytes one session may keep for later. */
uint64_t kv_transaction_bytes_max(const struct kv *kv);

/* How many commands are kept; -1 outside of a transaction. */
int kv_transaction_length(const struct session *session);

/* A command was refused before it could be kept: EXEC will not run the others. */
void kv_transaction_spoil(struct session *session);

bool kv_transaction_is_spoiled(const struct session *session); /* which is in one */

/* Calls `each` for every command that is kept, in their order; the arguments stay readable until the
 * transaction ends. Once, and by who runs them elsewhere. */
void kv_transaction_visit(struct session *session,
                          void (*each)(void *owner, enum command_id id, const struct bytes *arguments,
                                       uint32_t argument_count),
                          void *owner);

/* EXEC came with arguments: the transaction is over, and the error says so. */
void kv_transaction_refuse(const struct kv_call *call);

/* Out of the transaction, if the session is in one: nothing is kept or watched any more. */
void kv_transaction_end(struct kv_hub *hub, struct session *session);
