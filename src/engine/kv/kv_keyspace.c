/* kv_keyspace.c — commands on keys whatever their values: Redis 7's answers. */
#include "base/number.h"
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

void kv_exists(const struct kv_call *call)
{
    int64_t count = 0;
    nh_value value;

    for (uint32_t i = 1; i < call->argument_count; i++) {
        if (kv_borrow(call, kv_key(call, i), &value) != NH_OK)
            continue;
        nh_release(call->kv->store, &value);
        count++;
    }
    reply_integer(call->reply, count);
}

void kv_type(const struct kv_call *call)
{
    struct outcome outcome = {.kind = OUTCOME_text, .bytes = BYTES("none")};
    nh_value value;

    if (nh_borrow(call->kv->store, call->now.mono_ms, kv_key(call, 1), &value) == NH_OK) {
        nh_release(call->kv->store, &value);
        outcome.bytes = BYTES("string");
    }
    reply_say(call->reply, &outcome);
}

/* ---- expiry -------------------------------------------------------------------------------------------
 */

enum { ONLY_WITHOUT = 1, ONLY_WITH = 2, ONLY_LATER = 4, ONLY_EARLIER = 8 };

/* Reads NX XX GT LT from argument 3 on. False if an error was said. */
static bool read_expire_conditions(const struct kv_call *call, unsigned *conditions)
{
    *conditions = 0;
    for (uint32_t i = 3; i < call->argument_count; i++) {
        if (kv_argument_is(call, i, BYTES("nx"))) {
            *conditions |= ONLY_WITHOUT;
        } else if (kv_argument_is(call, i, BYTES("xx"))) {
            *conditions |= ONLY_WITH;
        } else if (kv_argument_is(call, i, BYTES("gt"))) {
            *conditions |= ONLY_LATER;
        } else if (kv_argument_is(call, i, BYTES("lt"))) {
            *conditions |= ONLY_EARLIER;
        } else {
            size_t size = call->arguments[i].size;
            kv_error(call, "ERR Unsupported option %.*s", (int)(size < 128 ? size : 128),
                     call->arguments[i].data);
            return false;
        }
    }
    if ((*conditions & ONLY_WITHOUT) && (*conditions & (ONLY_WITH | ONLY_LATER | ONLY_EARLIER))) {
        kv_error(call, "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if ((*conditions & ONLY_LATER) && (*conditions & ONLY_EARLIER)) {
        kv_error(call, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

/* Whether a key that expires at `before_ms` (0: never) may be made to expire at `after_ms`. */
static bool may_expire(unsigned conditions, int64_t before_ms, int64_t after_ms)
{
    if ((conditions & ONLY_WITHOUT) && before_ms != 0)
        return false;
    if ((conditions & ONLY_WITH) && before_ms == 0)
        return false;
    if ((conditions & ONLY_LATER) && (before_ms == 0 || after_ms <= before_ms))
        return false;
    if ((conditions & ONLY_EARLIER) && before_ms != 0 && after_ms >= before_ms)
        return false;
    return true;
}

/* The condition is checked before the expiry is set, not in one step with it: between two clients that set
 * the expiry of one key at one moment, either may come last. */
static void expire(const struct kv_call *call, bool is_seconds)
{
    nh_store *store = call->kv->store;
    unsigned conditions;
    int64_t ttl_ms;
    nh_value value;
    bool may;

    if (!read_expire_conditions(call, &conditions))
        return;
    if (!int64_parse(call->arguments[2], &ttl_ms)) {
        kv_integer_error(call);
        return;
    }
    if ((is_seconds && __builtin_mul_overflow(ttl_ms, 1000, &ttl_ms)) ||
        ttl_ms > INT64_MAX - call->now.wall_ms) {
        kv_error(call, "ERR invalid expire time in '%s' command", command_row(call->id)->name);
        return;
    }
    if (conditions != 0) {
        int64_t expires_at_ms;
        if (nh_borrow(store, call->now.mono_ms, kv_key(call, 1), &value) != NH_OK) {
            reply_integer(call->reply, 0);
            return;
        }
        if (__builtin_add_overflow(call->now.mono_ms, ttl_ms, &expires_at_ms))
            expires_at_ms = INT64_MAX;
        may = may_expire(conditions, value.expires_at_ms, expires_at_ms);
        nh_release(store, &value);
        if (!may) {
            reply_integer(call->reply, 0);
            return;
        }
    }
    if (nh_touch(store, call->now.mono_ms, kv_key(call, 1), ttl_ms > 0 ? ttl_ms : -1) != NH_OK) {
        reply_integer(call->reply, 0);
        return;
    }
    kv_changed(call, kv_key(call, 1), ttl_ms > 0 ? KV_EVENT_expire : KV_EVENT_del);
    reply_integer(call->reply, 1);
}

void kv_expire(const struct kv_call *call) { expire(call, true); }

void kv_pexpire(const struct kv_call *call) { expire(call, false); }

/* -2 without the key, -1 without an expiry. */
static int64_t milliseconds_left(const struct kv_call *call)
{
    nh_value value;
    int64_t left_ms = -1;

    if (nh_borrow(call->kv->store, call->now.mono_ms, kv_key(call, 1), &value) != NH_OK)
        return -2;
    if (value.expires_at_ms != 0)
        left_ms = value.expires_at_ms > call->now.mono_ms ? value.expires_at_ms - call->now.mono_ms : 0;
    nh_release(call->kv->store, &value);
    return left_ms;
}

void kv_pttl(const struct kv_call *call) { reply_integer(call->reply, milliseconds_left(call)); }

/* To the nearest second, as Redis rounds. */
void kv_ttl(const struct kv_call *call)
{
    int64_t left_ms = milliseconds_left(call);
    reply_integer(call->reply, left_ms < 0 ? left_ms : left_ms / 1000 + (left_ms % 1000 >= 500));
}

/* ---- all keys -----------------------------------------------------------------------------------------
 */

void kv_dbsize(const struct kv_call *call)
{
    reply_integer(call->reply, (int64_t)nh_count(call->kv->store, call->session->space));
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
    nh_clear(call->kv->store, call->session->space);
    kv_flushed(call, call->session->space);
    reply_kind(call->reply, OUTCOME_ok);
}

/* The spaces a cache client can choose, and no more: what a gateway keeps in the same store stays. */
void kv_flushall(const struct kv_call *call)
{
    if (!flush_is_understood(call))
        return;
    for (uint32_t space = 0; space < KV_SPACES; space++) {
        nh_clear(call->kv->store, space);
        kv_flushed(call, space);
    }
    reply_kind(call->reply, OUTCOME_ok);
}
