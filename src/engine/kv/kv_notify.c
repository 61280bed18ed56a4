#include "engine/kv/kv_notify.h"
#include "engine/kv/kv_database.h"
#include <stdio.h>
#include <stdlib.h>

enum { DROPPED_BYTES_MAX = 4 << 20 };

static const struct {
    char letter; /* the class */
    const char *name;
} events[] = {
#define EVENT(id, class, name) {class, name},
#include "tables/kv_events.def"
#undef EVENT
};

/* Without a kind of channel nothing is told, whatever the classes. */
static bool are_wanted(uint32_t flags)
{
    uint32_t kinds = kv_notify_flag('K') | kv_notify_flag('E');
    return (flags & kinds) != 0 && (flags & ~kinds) != 0;
}

void kv_notify_begin(struct kv_hub *hub, uint32_t flags)
{
    atomic_store_explicit(&hub->notifications.flags, flags, memory_order_relaxed);
    if (are_wanted(flags))
        atomic_fetch_add_explicit(&hub->listener_count, 1, memory_order_relaxed);
}

void kv_notify_set(const struct kv_call *call, uint32_t flags)
{
    struct kv_hub *hub = call->kv->hub;
    uint32_t before = atomic_exchange_explicit(&hub->notifications.flags, flags, memory_order_relaxed);

    if (are_wanted(flags) && !are_wanted(before))
        kv_listen(call);
    else if (!are_wanted(flags) && are_wanted(before))
        kv_unlisten(hub);
}

/* ---- telling -------------------------------------------------------------------------------------- */

static bool is_wanted(const struct kv_hub *hub, uint32_t flags, enum kv_event event)
{
    return are_wanted(flags) && (flags & kv_notify_flag(events[event].letter)) != 0 &&
           (kv_pubsub_table_topics(hub->topics, KV_TOPIC_CHANNEL) > 0 ||
            kv_pubsub_table_topics(hub->topics, KV_TOPIC_PATTERN) > 0);
}

/* Publishes `text` to "__<kind>@<database>__:<name>". A notification that there is no memory for is none.
 */
static void publish(struct kv *kv, struct session *session, const char *kind, uint32_t space,
                    struct bytes name, struct bytes text)
{
    struct buffer channel = {0};
    uint64_t subscription_count;

    buffer_append_format(&channel, "__%s@%u__:", kind, (unsigned)kv_database_of(kv->hub, space));
    buffer_append(&channel, name);
    if (!channel.failed)
        (void)kv_publish_message(kv, session, KV_TOPIC_CHANNEL, buffer_bytes(&channel), text,
                                 &subscription_count);
    buffer_fini(&channel);
}

static void tell(struct kv *kv, struct session *session, uint32_t flags, uint32_t space, struct bytes key,
                 enum kv_event event)
{
    struct bytes name = bytes_of_text(events[event].name);

    if (flags & kv_notify_flag('K'))
        publish(kv, session, "keyspace", space, key, name);
    if (flags & kv_notify_flag('E'))
        publish(kv, session, "keyevent", space, name, key);
}

void kv_notify(const struct kv_call *call, nh_key key, enum kv_event event)
{
    uint32_t flags = kv_notify_flags(call->kv->hub);

    if (is_wanted(call->kv->hub, flags, event))
        tell(call->kv, call->session, flags, key.space, bytes_of(key.data, key.size), event);
}

/* ---- keys that leave by themselves ---------------------------------------------------------------- */

struct dropped {
    struct kv_letter letter;
    enum kv_event event;
    uint32_t space;
    size_t key_bytes;
    char key[];
};

static void read_dropped(struct kv *kv, struct kv_letter *letter)
{
    struct dropped *dropped = CONTAINER_OF(letter, struct dropped, letter);

    if (kv != NULL) {
        struct kv_notifications *notifications = &kv->hub->notifications;
        uint64_t lost_count = atomic_exchange(&notifications->lost_count, 0);
        uint32_t flags = kv_notify_flags(kv->hub);
        bool is_told = is_wanted(kv->hub, flags, dropped->event);

        atomic_fetch_sub(&notifications->waiting_bytes, sizeof *dropped + dropped->key_bytes);
        if (is_told && kv_publishing_is_ahead(kv)) /* no client is there to wait */
            lost_count++;
        else if (is_told)
            tell(kv, NULL, flags, dropped->space, bytes_of(dropped->key, dropped->key_bytes),
                 dropped->event);
        if (lost_count > 0)
            counters_add(kv->counters, METRIC_notifications_lost, lost_count);
    }
    free(dropped);
}

void kv_notify_dropped(struct kv_hub *hub, nh_key key, enum kv_event event)
{
    struct kv_notifications *notifications = &hub->notifications;
    size_t bytes = sizeof(struct dropped) + key.size;
    struct dropped *dropped = NULL;

    if (kv_database_of(hub, key.space) == KV_DATABASES || !is_wanted(hub, kv_notify_flags(hub), event))
        return;
    if (atomic_fetch_add(&notifications->waiting_bytes, bytes) + bytes <= DROPPED_BYTES_MAX)
        dropped = malloc(bytes);
    if (dropped == NULL) {
        atomic_fetch_sub(&notifications->waiting_bytes, bytes);
        atomic_fetch_add(&notifications->lost_count, 1);
        return;
    }
    *dropped = (struct dropped){{NULL, read_dropped}, event, key.space, key.size};
    memcpy(dropped->key, key.data, key.size);
    kv_send(hub, NULL, 0, &dropped->letter);
}
