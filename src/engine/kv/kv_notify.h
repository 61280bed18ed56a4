/* kv_notify.h — keyspace notifications: what happened to keys, published to channels named after the key
 * and after the event, as far as the operator's flags ask for it. */
#pragma once
#include "engine/kv/kv_change.h"
#include "engine/kv/kv_notify_flags.h"

/* Before any worker runs. */
void kv_notify_begin(struct kv_hub *hub, uint32_t flags);
/* By a command, such as CONFIG SET: what began afterwards is told by the new flags. */
void kv_notify_set(const struct kv_call *call, uint32_t flags);
static inline uint32_t kv_notify_flags(const struct kv_hub *hub)
{
    return atomic_load_explicit(&hub->notifications.flags, memory_order_relaxed);
}

/* Tells an event if the flags ask for it. */
void kv_notify(const struct kv_call *call, nh_key key, enum kv_event event);

/* A key has left the store by itself; for nh_options.dropped: any thread, and nothing but a copy is made.
 * The event is told a moment later. Beyond a bound of those that wait to be told, it is lost, and counted.
 */
void kv_notify_dropped(struct kv_hub *hub, nh_key key, enum kv_event event);
