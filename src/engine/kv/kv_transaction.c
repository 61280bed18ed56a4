#include "engine/kv/kv_transaction.h"
#include "engine/kv/kv_guard.h"
#include "engine/kv/kv_tracking.h"
#include "engine/kv/kv_watch.h"
#include <stdlib.h>

enum { BYTES_MAX_UNLESS_TOLD = 64 * 1024 * 1024 };

/* Of the guards, those that look at the members of a transaction as they run, too: all behind the queue. */
#define GUARDS_OF_MEMBERS (~(((unsigned)KV_GUARD_transaction << 1) - 1))

struct kv_transaction {
    struct buffer kept; /* one struct kept after the other */
    size_t count;
    bool is_spoiled; /* EXEC will be refused: nothing more is kept */
};

/* A command, with the bytes of its arguments behind them. Until EXEC the arguments point not into memory
 * but into the buffer, which still moves: they are offsets. */
struct kept {
    size_t record_bytes; /* of all this, a multiple of its alignment */
    enum command_id id;
    uint32_t argument_count;
    struct bytes arguments[];
};

uint64_t kv_transaction_bytes_max(const struct kv *kv)
{
    return kv->kept_bytes_max > 0 ? kv->kept_bytes_max : BYTES_MAX_UNLESS_TOLD;
}

void kv_multi(const struct kv_call *call)
{
    struct session *session = call->session;

    if (session->transaction != NULL) {
        kv_error(call, "ERR MULTI calls can not be nested");
        return;
    }
    session->transaction = calloc(1, sizeof *session->transaction);
    if (session->transaction == NULL) {
        kv_refused(call, NH_NO_MEMORY);
        return;
    }
    session->guards |= KV_GUARD_transaction;
    reply_kind(call->reply, OUTCOME_ok);
}

/* ---- keeping ------------------------------------------------------------------------------------------
 */

static size_t record_bytes_of(const struct kv_call *call)
{
    size_t bytes = sizeof(struct kept) + call->argument_count * sizeof(struct bytes);

    for (uint32_t i = 0; i < call->argument_count; i++)
        bytes += call->arguments[i].size;
    return (bytes + alignof(struct kept) - 1) / alignof(struct kept) * alignof(struct kept);
}

static void keep(const struct kv_call *call, struct buffer *buffer, size_t record_bytes)
{
    struct kept *kept = (struct kept *)buffer_reserve(buffer, record_bytes);
    size_t offset = sizeof *kept + call->argument_count * sizeof(struct bytes);

    if (kept == NULL)
        return;
    *kept = (struct kept){record_bytes, call->id, call->argument_count};
    for (uint32_t i = 0; i < call->argument_count; i++) {
        struct bytes argument = call->arguments[i];
        if (argument.size > 0)
            memcpy((char *)kept + offset, argument.data, argument.size);
        kept->arguments[i] = (struct bytes){(const char *)(uintptr_t)offset, argument.size};
        offset += argument.size;
    }
    buffer_commit(buffer, record_bytes);
}

enum kv_pass kv_guard_transaction(const struct kv_call *call)
{
    struct kv_transaction *transaction = call->session->transaction;
    size_t record_bytes;

    switch (call->id) {
    case COMMAND_exec:
    case COMMAND_discard:
    case COMMAND_multi:
    case COMMAND_watch:
    case COMMAND_quit:
    case COMMAND_reset: return KV_PASS;
    default: break;
    }
    if (!transaction->is_spoiled) {
        record_bytes = record_bytes_of(call);
        if (transaction->kept.size + record_bytes > kv_transaction_bytes_max(call->kv)) {
            kv_error(call, "ERR the transaction is larger than a connection may buffer");
            return KV_REFUSED;
        }
        keep(call, &transaction->kept, record_bytes);
        if (transaction->kept.failed) {
            kv_refused(call, NH_NO_MEMORY);
            return KV_REFUSED;
        }
        transaction->count++;
    }
    reply_say(call->reply, &(struct outcome){.kind = OUTCOME_text, .bytes = BYTES("QUEUED")});
    return KV_KEPT;
}

int kv_transaction_length(const struct session *session)
{
    return session->transaction != NULL ? (int)session->transaction->count : -1;
}

void kv_transaction_spoil(struct session *session)
{
    if (session->transaction == NULL)
        return;
    session->transaction->is_spoiled = true;
    buffer_fini(&session->transaction->kept);
}

/* ---- EXEC and DISCARD ---------------------------------------------------------------------------------
 */

/* Its arguments are where they point from now on. Returns its size. */
static size_t settle(struct kept *kept)
{
    for (uint32_t i = 0; i < kept->argument_count; i++)
        kept->arguments[i].data = (const char *)kept + (uintptr_t)kept->arguments[i].data;
    return kept->record_bytes;
}

bool kv_transaction_is_spoiled(const struct session *session) { return session->transaction->is_spoiled; }

void kv_transaction_visit(struct session *session,
                          void (*each)(void *owner, enum command_id id, const struct bytes *arguments,
                                       uint32_t argument_count),
                          void *owner)
{
    struct buffer *buffer = &session->transaction->kept;

    for (size_t at = 0; at < buffer->size;) {
        struct kept *kept = (struct kept *)(void *)(buffer->data + at);
        at += settle(kept);
        each(owner, kept->id, kept->arguments, kept->argument_count);
    }
}

static void run_members(const struct kv_call *exec, struct kv_transaction *transaction)
{
    struct kv_call call = *exec;

    reply_aggregate(exec->reply, OUTCOME_array, transaction->count);
    for (size_t at = 0, record_bytes; at < transaction->kept.size; at += record_bytes) {
        struct kept *kept = (struct kept *)(transaction->kept.data + at);
        unsigned guards = (call.session->guards | call.kv->guards) & GUARDS_OF_MEMBERS;

        record_bytes = settle(kept);
        call.id = kept->id;
        call.arguments = kept->arguments;
        call.argument_count = kept->argument_count;
        if (guards == 0 || kv_guards_ask(&call, guards) == KV_PASS)
            kv_execute(&call);
    }
}

void kv_exec(const struct kv_call *call)
{
    struct kv_transaction *transaction = call->session->transaction;

    if (transaction == NULL) {
        kv_error(call, "ERR EXEC without MULTI");
        return;
    }
    if (transaction->is_spoiled) {
        kv_error(call, "EXECABORT Transaction discarded because of previous errors.");
    } else {
        kv_go_alone(call->kv);
        if (kv_watch_holds(call))
            run_members(call, transaction);
        else
            reply_kind(call->reply, OUTCOME_nothing_array);
        kv_go_together(call->kv);
    }
    kv_transaction_end(call->kv->hub, call->session);
}

void kv_discard(const struct kv_call *call)
{
    if (call->session->transaction == NULL) {
        kv_error(call, "ERR DISCARD without MULTI");
        return;
    }
    kv_transaction_end(call->kv->hub, call->session);
    reply_kind(call->reply, OUTCOME_ok);
}

void kv_transaction_refuse(const struct kv_call *call)
{
    kv_error(call,
             "EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command");
    if (call->session->transaction != NULL)
        kv_transaction_end(call->kv->hub, call->session);
}

void kv_transaction_end(struct kv_hub *hub, struct session *session)
{
    if (session->transaction != NULL) {
        buffer_fini(&session->transaction->kept);
        free(session->transaction);
        session->transaction = NULL;
        session->guards &= ~(unsigned)KV_GUARD_transaction;
        kv_tracking_end_caching(session);
    }
    kv_watch_end(hub, session);
}
