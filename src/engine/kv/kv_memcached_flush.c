/* kv_memcached_flush.c — flush_all, now or at a moment.
 *
 * Until a flush with a delay has come, a guard looks at the time before each command of any client: the
 * first one after the moment finds the items gone, as no command ran between the moment and it. Of several
 * workers one clears, and the others wait until it has. */
#include "engine/kv/kv_guard.h"
#include "engine/kv/kv_memcached.h"

/* The moment of the pending flush is this; 0: none is. */
static void set_flush(struct kv_hub *hub, int64_t at_ms)
{
    atomic_store_explicit(&hub->flush_at_ms, at_ms, memory_order_relaxed);
    if (at_ms != 0)
        atomic_fetch_or_explicit(&hub->guards, KV_GUARD_flush, memory_order_relaxed);
    else
        atomic_fetch_and_explicit(&hub->guards, ~(uint32_t)KV_GUARD_flush, memory_order_relaxed);
}

static void clear(const struct kv_call *call)
{
    uint32_t space = kv_space_of(call->kv, 0);

    nh_clear(call->kv->store, space);
    kv_flushed(call, space);
}

enum kv_pass kv_guard_flush(const struct kv_call *call)
{
    struct kv_hub *hub = call->kv->hub;
    int64_t at_ms = atomic_load_explicit(&hub->flush_at_ms, memory_order_relaxed);

    if (at_ms == 0 || call->now.mono_ms < at_ms)
        return KV_PASS;
    pthread_mutex_lock(&hub->flush_lock);
    if (atomic_load_explicit(&hub->flush_at_ms, memory_order_relaxed) == at_ms) {
        clear(call);
        set_flush(hub, 0);
    }
    pthread_mutex_unlock(&hub->flush_lock);
    return KV_PASS;
}

void kv_memcached_flush_all(const struct kv_call *call)
{
    struct kv_hub *hub = call->kv->hub;
    int64_t delay_s = 0, ttl_ms;

    if (call->argument_count > 3) {
        reply_kind(call->reply, OUTCOME_unknown);
        return;
    }
    if (call->argument_count >= 2 && !memcached_signed(call->arguments[1], &delay_s)) {
        memcached_client_error(call, BYTES("invalid exptime argument"));
        return;
    }
    ttl_ms = memcached_ttl_ms(call, delay_s);
    pthread_mutex_lock(&hub->flush_lock);
    set_flush(hub, ttl_ms > 0 ? call->now.mono_ms + ttl_ms : 0);
    if (ttl_ms <= 0)
        clear(call);
    pthread_mutex_unlock(&hub->flush_lock);
    reply_kind(call->reply, OUTCOME_ok);
}
