#include "engine/kv/kv_lifetime.h"
#include "base/number.h"

int64_t kv_wall_ahead_ms(const struct kv_call *call)
{
    _Atomic int64_t *kept = &call->kv->hub->wall_ahead_ms;
    int64_t ahead_ms = call->now.wall_ms - call->now.mono_ms;
    int64_t kept_ms = atomic_load_explicit(kept, memory_order_relaxed);

    if (kept_ms - ahead_ms <= 1 && ahead_ms - kept_ms <= 1)
        return kept_ms;
    atomic_store_explicit(kept, ahead_ms, memory_order_relaxed); /* the time of day was set */
    return ahead_ms;
}

void kv_lifetime_error(const struct kv_call *call)
{
    kv_error(call, "ERR invalid expire time in '%s' command", command_row(call->id)->name);
}

bool kv_ttl_of(const struct kv_call *call, struct bytes number, bool is_seconds, bool is_absolute,
               int64_t *ttl_ms)
{
    int64_t now_wall_ms = call->now.mono_ms + kv_wall_ahead_ms(call), time_ms;

    if (!int64_parse(number, &time_ms)) {
        kv_integer_error(call);
        return false;
    }
    if (time_ms <= 0 || (is_seconds && time_ms > INT64_MAX / 1000)) {
        kv_lifetime_error(call);
        return false;
    }
    if (is_seconds)
        time_ms *= 1000;
    if (!is_absolute && time_ms > INT64_MAX - now_wall_ms) {
        kv_lifetime_error(call);
        return false;
    }
    if (!is_absolute)
        *ttl_ms = time_ms;
    else
        *ttl_ms = time_ms > now_wall_ms ? time_ms - now_wall_ms : -1;
    return true;
}

bool kv_lifetime_take(const struct kv_call *call, uint32_t *at, struct kv_lifetime *lifetime)
{
    struct bytes word = call->arguments[*at];

    if (!bytes_equal_nocase(word, BYTES("ex")) && !bytes_equal_nocase(word, BYTES("px")) &&
        !bytes_equal_nocase(word, BYTES("exat")) && !bytes_equal_nocase(word, BYTES("pxat")))
        return false;
    if (*at + 1 >= call->argument_count || lifetime->is_kept || lifetime->is_ended)
        return false;
    if (lifetime->unit.size > 0 && !bytes_equal_nocase(lifetime->unit, word))
        return false; /* the same twice is right: the last counts */
    lifetime->unit = word;
    lifetime->number = call->arguments[++*at];
    return true;
}

bool kv_lifetime_ttl(const struct kv_call *call, const struct kv_lifetime *lifetime, int64_t *ttl_ms)
{
    *ttl_ms = 0;
    if (lifetime->unit.size == 0)
        return true;
    return kv_ttl_of(call, lifetime->number, byte_to_lower(lifetime->unit.data[0]) == 'e',
                     lifetime->unit.size == 4, ttl_ms);
}
