#include "engine/kv/kv_change.h"
#include "engine/kv/kv_notify.h"
#include "engine/kv/kv_tracking.h"
#include "engine/kv/kv_watch.h"

static uint32_t count_of(const _Atomic uint32_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

void kv_tell_change(const struct kv_call *call, nh_key key, enum kv_event event)
{
    struct kv_hub *hub = call->kv->hub;

    kv_notify(call, key, event);
    kv_watch_touch(hub, key);
    if (count_of(&hub->tracker_count) > 0)
        kv_tracking_tell(call, key);
    if (count_of(&hub->broadcast_count) > 0)
        kv_tracking_collect(call, key);
}

void kv_tell_miss(const struct kv_call *call, nh_key key) { kv_notify(call, key, KV_EVENT_keymiss); }

void kv_tell_flush(const struct kv_call *call, uint32_t space)
{
    (void)space; /* a watched key that was there is missed at EXEC; who tracks is told that all have gone */
    if (count_of(&call->kv->hub->tracker_count) > 0)
        kv_tracking_tell_flush(call);
}

void kv_listen(const struct kv_call *call)
{
    struct kv_hub *hub = call->kv->hub;
    bool was_alone = kv_is_alone(call->kv);

    if (!was_alone && atomic_load_explicit(&hub->listener_count, memory_order_relaxed) == 0) {
        kv_go_alone(call->kv);
        atomic_fetch_add_explicit(&hub->listener_count, 1, memory_order_relaxed);
        kv_go_together(call->kv);
    } else {
        atomic_fetch_add_explicit(&hub->listener_count, 1, memory_order_relaxed);
    }
}

void kv_unlisten(struct kv_hub *hub)
{
    atomic_fetch_sub_explicit(&hub->listener_count, 1, memory_order_relaxed);
}
