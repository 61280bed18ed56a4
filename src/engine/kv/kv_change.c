#include "engine/kv/kv_change.h"
#include "engine/kv/kv_notify.h"

void kv_tell_change(const struct kv_call *call, nh_key key, enum kv_event event)
{
    kv_notify(call, key, event);
}

void kv_tell_miss(const struct kv_call *call, nh_key key) { kv_notify(call, key, KV_EVENT_keymiss); }

void kv_tell_flush(const struct kv_call *call, uint32_t space)
{
    (void)call;
    (void)space;
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
