/* kv_expiry.c — when keys expire: Redis 7's answers. */
#include "base/number.h"
#include "engine/kv/kv_change.h"
#include "engine/kv/kv_lifetime.h"

/* ---- setting it ---------------------------------------------------------------------------------------
 */

/* Reads NX XX GT LT from argument 3 on. False if an error was said. */
static bool read_conditions(const struct kv_call *call, uint32_t *conditions)
{
    *conditions = 0;
    for (uint32_t i = 3; i < call->argument_count; i++) {
        if (kv_argument_is(call, i, BYTES("nx"))) {
            *conditions |= NH_TOUCH_IF_NEVER;
        } else if (kv_argument_is(call, i, BYTES("xx"))) {
            *conditions |= NH_TOUCH_IF_SOME;
        } else if (kv_argument_is(call, i, BYTES("gt"))) {
            *conditions |= NH_TOUCH_IF_LATER;
        } else if (kv_argument_is(call, i, BYTES("lt"))) {
            *conditions |= NH_TOUCH_IF_EARLIER;
        } else {
            size_t size = call->arguments[i].size;
            kv_error(call, "ERR Unsupported option %.*s", (int)(size < 480 ? size : 480),
                     call->arguments[i].data);
            return false;
        }
    }
    if (*conditions & NH_TOUCH_IF_NEVER && *conditions != NH_TOUCH_IF_NEVER) {
        kv_error(call, "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if (*conditions & NH_TOUCH_IF_LATER && *conditions & NH_TOUCH_IF_EARLIER) {
        kv_error(call, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

/* Reads argument 2 as a time from now on; one that is over is negative. False if an error was said. */
static bool read_ttl(const struct kv_call *call, bool is_seconds, bool is_absolute, int64_t *ttl_ms)
{
    int64_t now_wall_ms = call->now.mono_ms + kv_wall_ahead_ms(call), time_ms;

    if (!int64_parse(call->arguments[2], &time_ms)) {
        kv_integer_error(call);
        return false;
    }
    if ((is_seconds && __builtin_mul_overflow(time_ms, 1000, &time_ms)) ||
        (!is_absolute && time_ms > INT64_MAX - now_wall_ms)) {
        kv_lifetime_error(call);
        return false;
    }
    if (is_absolute && __builtin_sub_overflow(time_ms, now_wall_ms, ttl_ms))
        *ttl_ms = INT64_MIN;
    else if (!is_absolute)
        *ttl_ms = time_ms;
    if (*ttl_ms == 0)
        *ttl_ms = -1; /* to the store, 0 is no time but "never" */
    return true;
}

static void expire(const struct kv_call *call, bool is_seconds, bool is_absolute)
{
    uint32_t conditions;
    nh_result result;
    int64_t ttl_ms;

    if (!read_conditions(call, &conditions) || !read_ttl(call, is_seconds, is_absolute, &ttl_ms))
        return;
    result = nh_touch_if(call->kv->store, call->now.mono_ms, kv_key(call, 1), ttl_ms, conditions);
    if (result == NH_OK)
        kv_changed(call, kv_key(call, 1), ttl_ms < 0 ? KV_EVENT_del : KV_EVENT_expire);
    if (result == NH_OK || result == NH_MISSING || result == NH_CHANGED)
        reply_integer(call->reply, result == NH_OK);
    else
        kv_refused(call, result);
}

void kv_expire(const struct kv_call *call) { expire(call, true, false); }

void kv_pexpire(const struct kv_call *call) { expire(call, false, false); }

void kv_expireat(const struct kv_call *call) { expire(call, true, true); }

void kv_pexpireat(const struct kv_call *call) { expire(call, false, true); }

void kv_persist(const struct kv_call *call)
{
    nh_result result =
        nh_touch_if(call->kv->store, call->now.mono_ms, kv_key(call, 1), 0, NH_TOUCH_IF_SOME);

    if (result == NH_OK)
        kv_changed(call, kv_key(call, 1), KV_EVENT_persist);
    if (result == NH_OK || result == NH_MISSING || result == NH_CHANGED)
        reply_integer(call->reply, result == NH_OK);
    else
        kv_refused(call, result);
}

/* ---- telling it ---------------------------------------------------------------------------------------
 */

/* When the key expires, on the store's clock; -2 without the key, -1 without an expiry. The store's clock
 * may have begun anywhere, but what is there expires later than now. */
static bool find_expiry(const struct kv_call *call, int64_t *expires_at_ms)
{
    nh_value value;

    if (kv_borrow(call, kv_key(call, 1), &value) != NH_OK) {
        reply_integer(call->reply, -2);
        return false;
    }
    *expires_at_ms = value.expires_at_ms;
    nh_release(call->kv->store, &value);
    if (*expires_at_ms != 0)
        return true;
    reply_integer(call->reply, -1);
    return false;
}

/* To the nearest second, as Redis rounds. */
static int64_t to_seconds(int64_t time_ms) { return time_ms / 1000 + (time_ms % 1000 >= 500); }

void kv_ttl(const struct kv_call *call)
{
    int64_t expires_at_ms;

    if (find_expiry(call, &expires_at_ms))
        reply_integer(call->reply, to_seconds(expires_at_ms - call->now.mono_ms));
}

void kv_pttl(const struct kv_call *call)
{
    int64_t expires_at_ms;

    if (find_expiry(call, &expires_at_ms))
        reply_integer(call->reply, expires_at_ms - call->now.mono_ms);
}

void kv_expiretime(const struct kv_call *call)
{
    int64_t expires_at_ms;

    if (find_expiry(call, &expires_at_ms))
        reply_integer(call->reply, to_seconds(expires_at_ms + kv_wall_ahead_ms(call)));
}

void kv_pexpiretime(const struct kv_call *call)
{
    int64_t expires_at_ms;

    if (find_expiry(call, &expires_at_ms))
        reply_integer(call->reply, expires_at_ms + kv_wall_ahead_ms(call));
}
