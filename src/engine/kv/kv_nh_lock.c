/* kv_nh_lock.c — NH.DELIFEQ and NH.EXPIREIFEQ: what lock libraries otherwise run scripts for. */
#include "base/number.h"
#include "engine/kv/kv_change.h"

/* Whether the key is there with exactly the value of argument `index`, and at which version. */
static bool is_equal(const struct kv_call *call, uint32_t index, uint64_t *version)
{
    struct buffer copy = {0};
    bool equal = false;
    nh_value value;

    if (nh_borrow(call->kv->store, call->now.mono_ms, kv_key(call, 1), &value) != NH_OK)
        return false;
    if (value.size == call->arguments[index].size)
        equal = bytes_equal(kv_value_bytes(call, &value, &copy), call->arguments[index]);
    *version = value.version;
    nh_release(call->kv->store, &value);
    buffer_fini(&copy);
    return equal;
}

/* A value of that version that has already expired: no key, in one step. */
void kv_nh_delifeq(const struct kv_call *call)
{
    nh_put_options gone = {.size = sizeof gone, .ttl_ms = -1};
    nh_result result;
    uint64_t version;

    do { /* again only if another has written the key between two steps: then that one has got on */
        if (!is_equal(call, 2, &version)) {
            reply_integer(call->reply, 0);
            return;
        }
        result = nh_cas(call->kv->store, call->now.mono_ms, kv_key(call, 1), (nh_bytes){"", 0}, &gone,
                        version, NULL);
    } while (result == NH_CHANGED);
    if (result == NH_OK) {
        kv_changed(call, kv_key(call, 1), KV_EVENT_del);
        reply_integer(call->reply, 1);
    } else if (result == NH_MISSING) {
        reply_integer(call->reply, 0);
    } else {
        kv_refused(call, result);
    }
}

/* Runs alone: a touch knows no versions, and a put would forget the tags. */
void kv_nh_expireifeq(const struct kv_call *call)
{
    nh_result result;
    uint64_t version;
    int64_t ttl_ms;

    if (!int64_parse(call->arguments[2], &ttl_ms)) {
        kv_integer_error(call);
        return;
    }
    if (ttl_ms <= 0 || ttl_ms > INT64_MAX - call->now.wall_ms) {
        kv_error(call, "ERR invalid expire time in '%s' command", command_row(call->id)->name);
        return;
    }
    if (!is_equal(call, 3, &version)) {
        reply_integer(call->reply, 0);
        return;
    }
    result = nh_touch(call->kv->store, call->now.mono_ms, kv_key(call, 1), ttl_ms);
    if (result == NH_OK) {
        kv_changed(call, kv_key(call, 1), KV_EVENT_expire);
        reply_integer(call->reply, 1);
    } else if (result == NH_MISSING) {
        reply_integer(call->reply, 0);
    } else {
        kv_refused(call, result);
    }
}
