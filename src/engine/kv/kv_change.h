/* kv_change.h — telling that a key has changed, to whom it may concern.
 *
 * Every command that changed a key says so once the store has it, still inside the gate; so does one that
 * changed nothing but a key's expiry. While nobody listens that costs one look. */
#pragma once
#include "base/compiler.h"
#include "engine/kv/kv_call.h"
#include "engine/kv/kv_hub.h"

enum kv_event {
#define EVENT(id, class, name) KV_EVENT_##id,
#include "tables/kv_events.def"
#undef EVENT
    KV_EVENT_COUNT
};

void kv_tell_change(const struct kv_call *call, nh_key key, enum kv_event event);
void kv_tell_flush(const struct kv_call *call, uint32_t space);

static inline bool kv_is_listened_to(const struct kv_call *call)
{
    return UNLIKELY(atomic_load_explicit(&call->kv->hub->listener_count, memory_order_relaxed) != 0);
}

static inline void kv_changed(const struct kv_call *call, nh_key key, enum kv_event event)
{
    if (kv_is_listened_to(call))
        kv_tell_change(call, key, event);
}

/* A space was cleared. */
static inline void kv_flushed(const struct kv_call *call, uint32_t space)
{
    if (kv_is_listened_to(call))
        kv_tell_flush(call, space);
}

/* One more listener, or one less; inside the gate. When it is the first, no command that began before is
 * still running afterwards: whatever changes from then on is told. */
void kv_listen(const struct kv_call *call);
void kv_unlisten(struct kv_hub *hub);
