/* kv_keyspace.c — whether keys are there, and that they be no longer: Redis 7's answers. */
#include "engine/kv/kv_change.h"

void kv_del(const struct kv_call *call)
{
    int64_t count = 0;

    for (uint32_t i = 1; i < call->argument_count; i++) {
        if (nh_delete(call->kv->store, call->now.mono_ms, kv_key(call, i)) != NH_OK)
            continue;
        kv_changed(call, kv_key(call, i), KV_EVENT_del);
        count++;
    }
    reply_integer(call->reply, count);
}

/* To delete is to forget at once, whatever the value's size: there is no other way for UNLINK. */
void kv_unlink(const struct kv_call *call) { kv_del(call); }

void kv_exists(const struct kv_call *call)
{
    int64_t count = 0;
    nh_value value;

    for (uint32_t i = 1; i < call->argument_count; i++) {
        if (kv_peek(call, kv_key(call, i), &value) != NH_OK)
            continue;
        nh_release(call->kv->store, &value);
        count++;
    }
    reply_integer(call->reply, count);
}

/* To look a key up is to use it, here also after CLIENT NO-TOUCH. */
void kv_touch(const struct kv_call *call)
{
    bool was_unnoticed = call->session->is_unnoticed;

    call->session->is_unnoticed = false;
    kv_exists(call);
    call->session->is_unnoticed = was_unnoticed;
}

void kv_type(const struct kv_call *call)
{
    struct outcome outcome = {.kind = OUTCOME_text, .bytes = BYTES("none")};
    nh_value value;

    if (kv_peek(call, kv_key(call, 1), &value) == NH_OK) {
        nh_release(call->kv->store, &value);
        outcome.bytes = BYTES("string");
    }
    reply_say(call->reply, &outcome);
}

/* ---- all keys -----------------------------------------------------------------------------------------
 */

void kv_dbsize(const struct kv_call *call)
{
    reply_integer(call->reply, (int64_t)nh_count(call->kv->store, kv_space(call)));
}

/* ASYNC and SYNC are the same to this store: a space is cleared in one step. */
static bool flush_is_understood(const struct kv_call *call)
{
    if (call->argument_count == 1 ||
        (call->argument_count == 2 &&
         (kv_argument_is(call, 1, BYTES("async")) || kv_argument_is(call, 1, BYTES("sync")))))
        return true;
    kv_syntax_error(call);
    return false;
}

void kv_flushdb(const struct kv_call *call)
{
    if (!flush_is_understood(call))
        return;
    nh_clear(call->kv->store, kv_space(call));
    kv_flushed(call, kv_space(call));
    reply_kind(call->reply, OUTCOME_ok);
}

/* The spaces a cache client can choose, and no more: what a gateway keeps in the same store stays. */
void kv_flushall(const struct kv_call *call)
{
    if (!flush_is_understood(call))
        return;
    for (uint32_t database = 0; database < KV_DATABASES; database++) {
        uint32_t space = kv_space_of(call->kv, database);
        nh_clear(call->kv->store, space);
        kv_flushed(call, space);
    }
    reply_kind(call->reply, OUTCOME_ok);
}
