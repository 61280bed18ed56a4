/* kv_notify.h — keyspace notifications: what happened to keys, published to channels named after the key
 * and after the event, as far as the operator's flags ask for it. */
#pragma once
#include "base/bytes.h"
#include "engine/kv/kv_change.h"

/* A bit for each letter of Redis's notify-keyspace-events. */
#define KV_NOTIFY_LETTERS "g$lshzxetdnKEm"

/* Reads letters, `A` for all classes but n and m. False, with `*flags` as it was, if one is none. */
bool kv_notify_parse(struct bytes text, uint32_t *flags);

/* Writes the letters as Redis's CONFIG GET tells them; returns how many bytes. */
enum { KV_NOTIFY_TEXT_BYTES = sizeof KV_NOTIFY_LETTERS };
size_t kv_notify_format(uint32_t flags, char text[KV_NOTIFY_TEXT_BYTES]);

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
