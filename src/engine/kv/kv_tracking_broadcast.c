/* kv_tracking_broadcast.c — changed keys told to who asked for all keys with a prefix: collected while a
 * connection's commands run, then sent to all workers, each of which looks whom it concerns. */
#include "engine/kv/kv_clients.h"
#include "engine/kv/kv_tracking.h"
#include <stdlib.h>

/* A changed key, while it is collected: the bytes follow, padded. */
struct collected {
    uint64_t writer_id;
    size_t key_bytes;
};

enum { ALIGNMENT = alignof(struct collected) };

static size_t record_bytes(size_t key_bytes)
{
    return sizeof(struct collected) + (key_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

void kv_tracking_collect(const struct kv_call *call, nh_key key)
{
    struct collected *collected =
        (struct collected *)buffer_reserve(&call->kv->changed_keys, record_bytes(key.size));

    call->kv->changed_key_count++;
    if (collected == NULL)
        return; /* the buffer has failed, and that will be seen */
    *collected = (struct collected){call->session->id, key.size};
    if (key.size > 0)
        memcpy(collected + 1, key.data, key.size);
    buffer_commit(&call->kv->changed_keys, record_bytes(key.size));
}

/* ---- the letter ---------------------------------------------------------------------------------------
 */

struct change {
    struct bytes key;
    uint64_t writer_id; /* the last to change it */
    size_t order;       /* among those of one key */
};

struct broadcast {
    struct kv_letter letter;
    struct bytes *keys; /* room for as many as there are changes, for who reads */
    size_t count;
    struct change changes[]; /* by key; the keys' bytes lie behind */
};

static bool starts_with(struct bytes key, const struct kv_prefix *prefix)
{
    return bytes_start_with(key, bytes_of(prefix->bytes, prefix->size));
}

static void tell_prefix(struct kv *kv, struct kv_tracker *tracker, const struct kv_prefix *prefix,
                        struct broadcast *broadcast)
{
    struct kv_told told = {broadcast->keys, 0};

    for (size_t i = 0; i < broadcast->count; i++) {
        const struct change *change = &broadcast->changes[i];
        if (starts_with(change->key, prefix) &&
            !(tracker->is_noloop && change->writer_id == tracker->session->id))
            broadcast->keys[told.count++] = change->key;
    }
    if (told.count > 0)
        kv_tracking_say(kv, tracker, &told);
}

static void read_broadcast(struct kv *kv, struct kv_letter *letter)
{
    struct broadcast *broadcast = CONTAINER_OF(letter, struct broadcast, letter);

    if (kv != NULL && kv->trackers.next != NULL) {
        for (struct list *link = kv->trackers.next; link != &kv->trackers; link = link->next) {
            struct kv_tracker *tracker = CONTAINER_OF(link, struct kv_tracker, in_worker);
            for (size_t i = 0; i < tracker->prefix_count && tracker->is_broadcast; i++)
                tell_prefix(kv, tracker, tracker->prefixes[i], broadcast);
        }
    }
    free(broadcast);
}

static int compare_changes(const void *left, const void *right)
{
    const struct change *a = left, *b = right;
    int order = bytes_compare(a->key, b->key);

    if (order != 0)
        return order;
    return a->order < b->order ? -1 : 1;
}

/* All that was collected, each key once. Null without memory. */
static struct broadcast *write_broadcast(const struct kv *kv)
{
    const struct buffer *changed = &kv->changed_keys;
    size_t room = kv->changed_key_count, count = 0;
    struct broadcast *broadcast =
        malloc(sizeof *broadcast + room * (sizeof(struct change) + sizeof(struct bytes)) + changed->size);
    char *copy;

    if (broadcast == NULL)
        return NULL;
    *broadcast = (struct broadcast){.letter = {.read = read_broadcast},
                                    .keys = (struct bytes *)(broadcast->changes + room)};
    copy = (char *)(broadcast->keys + room);
    memcpy(copy, changed->data, changed->size);
    for (size_t at = 0; at < changed->size; count++) {
        const struct collected *collected = (const struct collected *)(copy + at);
        broadcast->changes[count] = (struct change){
            {(const char *)(collected + 1), collected->key_bytes}, collected->writer_id, count};
        at += record_bytes(collected->key_bytes);
    }
    qsort(broadcast->changes, count, sizeof broadcast->changes[0], compare_changes);
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && bytes_equal(broadcast->changes[i].key, broadcast->changes[i + 1].key))
            continue; /* changed again later */
        broadcast->changes[broadcast->count++] = broadcast->changes[i];
    }
    return broadcast;
}

void kv_tracking_broadcast(struct kv *kv)
{
    for (unsigned worker = 0; worker < kv->hub->worker_count; worker++) {
        struct broadcast *broadcast = kv->changed_keys.failed ? NULL : write_broadcast(kv);
        if (broadcast != NULL)
            kv_send(kv->hub, kv, worker, &broadcast->letter);
        else
            kv_tracking_alarm(kv, worker);
    }
    buffer_fini(&kv->changed_keys);
    kv->changed_key_count = 0;
    kv_read_own_letters(kv);
}

/* ---- how many -----------------------------------------------------------------------------------------
 */

static void collect_prefixes(const struct kv_tracker *tracker, struct buffer *prefixes)
{
    for (size_t i = 0; i < tracker->prefix_count; i++) {
        struct bytes prefix = bytes_of(tracker->prefixes[i]->bytes, tracker->prefixes[i]->size);
        buffer_append(prefixes, bytes_of(&prefix, sizeof prefix));
    }
}

static int compare_prefixes(const void *left, const void *right)
{
    const struct bytes *a = left, *b = right;

    return bytes_compare(*a, *b);
}

uint64_t kv_tracking_prefix_count(struct kv *kv)
{
    struct buffer prefixes = {0};
    struct list *sessions;
    uint64_t count = 0;

    if (atomic_load_explicit(&kv->hub->broadcast_count, memory_order_relaxed) == 0)
        return 0;
    sessions = kv_clients_hold(kv);
    for (struct list *at = sessions->next; at != sessions; at = at->next) {
        const struct session *session = CONTAINER_OF(at, struct session, in_clients);
        if (session->tracker != NULL)
            collect_prefixes(session->tracker, &prefixes);
    }
    if (!prefixes.failed && prefixes.size > 0) {
        struct bytes *sorted = (struct bytes *)(void *)prefixes.data;
        size_t total = prefixes.size / sizeof *sorted;
        qsort(sorted, total, sizeof *sorted, compare_prefixes);
        for (size_t i = 0; i < total; i++)
            count += i == 0 || !bytes_equal(sorted[i - 1], sorted[i]);
    }
    kv_clients_release(kv);
    buffer_fini(&prefixes);
    return count;
}
