/* kv_string.c — commands that read whole strings: Redis 7's answers. */
#include "engine/kv/kv_change.h"
#include "engine/kv/kv_lifetime.h"

/* Says the value of the key at argument `index`, or that there is none. */
static inline void reply_key(const struct kv_call *call, uint32_t index)
{
    nh_key key = kv_key(call, index);
    nh_value value;

    if (kv_peek(call, key, &value) != NH_OK)
        reply_kind(call->reply, OUTCOME_nothing);
    else if (LIKELY(value.size < LOAN_BYTES_MIN) ||
             !kv_lend(call, key, &value, &(struct outcome){.kind = OUTCOME_value}))
        kv_reply_value(call, &value);
}

void kv_get(const struct kv_call *call) { reply_key(call, 1); }

void kv_mget(const struct kv_call *call)
{
    reply_aggregate(call->reply, OUTCOME_array, call->argument_count - 1);
    for (uint32_t i = 1; i < call->argument_count; i++)
        reply_key(call, i);
}

void kv_strlen(const struct kv_call *call)
{
    uint64_t bytes = 0;
    nh_value value;

    if (kv_peek(call, kv_key(call, 1), &value) == NH_OK) {
        bytes = value.size;
        nh_release(call->kv->store, &value);
    }
    reply_integer(call->reply, (int64_t)bytes);
}

/* Says a value that the store has lent by `result`, or why it has not. */
static void reply_lent(const struct kv_call *call, nh_result result, nh_value *value)
{
    if (result == NH_OK)
        kv_reply_value(call, value);
    else if (result == NH_MISSING)
        reply_kind(call->reply, OUTCOME_nothing);
    else
        kv_refused(call, result);
}

/* An exchange for a value whose time is over is a deletion, in one step with the reading. */
static nh_result take(const struct kv_call *call, nh_value *value)
{
    static const nh_put_options over = {.size = sizeof over, .ttl_ms = -1};
    int32_t had_before = 0;
    nh_result result = nh_exchange(call->kv->store, call->now.mono_ms, kv_key(call, 1), (nh_bytes){"", 0},
                                   &over, value, &had_before);

    if (result == NH_OK && !had_before)
        result = NH_MISSING;
    (void)kv_count_read(call, kv_key(call, 1), result);
    if (result == NH_OK)
        kv_changed(call, kv_key(call, 1), KV_EVENT_del);
    return result;
}

void kv_getdel(const struct kv_call *call)
{
    nh_value value;
    nh_result result = take(call, &value);

    reply_lent(call, result, &value);
}

/* ---- GETEX --------------------------------------------------------------------------------------------
 */

/* Reads the words behind GETEX key. False if an error was said. */
static bool read_getex_options(const struct kv_call *call, struct kv_lifetime *lifetime)
{
    for (uint32_t i = 2; i < call->argument_count; i++) {
        if (kv_argument_is(call, i, BYTES("persist")) && lifetime->unit.size == 0) {
            lifetime->is_ended = true;
        } else if (!kv_lifetime_take(call, &i, lifetime)) {
            kv_syntax_error(call);
            return false;
        }
    }
    return true;
}

/* Whether the key has an expiry to lose; asked only if somebody wants to know. */
static bool has_expiry(const struct kv_call *call)
{
    nh_value value;
    bool has;

    if (nh_borrow(call->kv->store, call->now.mono_ms, kv_key(call, 1), &value) != NH_OK)
        return false;
    has = value.expires_at_ms != 0;
    nh_release(call->kv->store, &value);
    return has;
}

void kv_getex(const struct kv_call *call)
{
    struct kv_lifetime lifetime = {.is_kept = false};
    bool loses_expiry = false;
    nh_result result;
    int64_t ttl_ms;
    nh_value value;

    if (!read_getex_options(call, &lifetime))
        return;
    if (lifetime.unit.size == 0 && !lifetime.is_ended) {
        kv_get(call);
        return;
    }
    if (lifetime.unit.size > 0) { /* Redis looks at the number only if there is a value */
        if (kv_peek(call, kv_key(call, 1), &value) != NH_OK) {
            reply_kind(call->reply, OUTCOME_nothing);
            return;
        }
        nh_release(call->kv->store, &value);
    }
    if (!kv_lifetime_ttl(call, &lifetime, &ttl_ms))
        return;
    if (ttl_ms < 0) {
        result = take(call, &value);
    } else {
        loses_expiry = ttl_ms == 0 && kv_is_listened_to(call) && has_expiry(call);
        result = nh_get_and_touch(call->kv->store, call->now.mono_ms, kv_key(call, 1), ttl_ms, &value);
        if (lifetime.is_ended) /* else it was counted above */
            (void)kv_count_read(call, kv_key(call, 1), result);
        if (result == NH_OK && ttl_ms > 0)
            kv_changed(call, kv_key(call, 1), KV_EVENT_expire);
        else if (result == NH_OK && loses_expiry)
            kv_changed(call, kv_key(call, 1), KV_EVENT_persist);
    }
    reply_lent(call, result, &value);
}
