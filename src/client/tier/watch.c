#include "client/tier/tier_inner.h"
#include <stdlib.h>

/* Between two looks at those that nobody will tell of. */
enum { WATCH_LOOK_MS = 50 };

struct tier_watch {
    struct hash_node in_table; /* while is_in_table */
    struct list in_list;       /* of all that have begun, or of those that are being told */
    struct tier_read *read;
    bool is_in_table;
    uint16_t slot;
    uint64_t hash;
    struct tier_mark mark;
    int64_t due_ms; /* 0: never */
    struct bytes key;
    char key_bytes[];
};

static struct tier_watch *in_list(struct list *node)
{
    return CONTAINER_OF(node, struct tier_watch, in_list);
}

/* Tells those in `told`; each may end others, or begin new ones. */
static void tell(struct list *told)
{
    while (!list_is_empty(told)) {
        struct tier_watch *watch = in_list(told->next);
        struct tier_read *read = watch->read;
        list_remove(&watch->in_list);
        read->watch = NULL;
        free(watch);
        read->changed(read);
    }
}

static void take(struct watches *watches, struct tier_watch *watch, struct list *told)
{
    if (watch->is_in_table)
        hash_table_remove(&watches->by_key, &watch->in_table);
    watch->is_in_table = false;
    list_remove(&watch->in_list);
    list_append(told, &watch->in_list);
}

static void on_look(struct timer *timer)
{
    struct watches *watches = CONTAINER_OF(timer, struct watches, timer);
    struct tier_worker *worker = CONTAINER_OF(watches, struct tier_worker, watches);
    const struct marks *marks = worker->tier->marks;
    int64_t now_ms = tier_now_ms(worker);
    struct list told;

    list_init(&told);
    for (struct list *node = watches->all.next, *next; node != &watches->all; node = next) {
        struct tier_watch *watch = in_list(node);
        next = node->next;
        if ((watch->due_ms != 0 && now_ms >= watch->due_ms) ||
            (watch->mark.slot_epoch != 0 && !marks_hold(marks, watch->mark, watch->slot, now_ms)))
            take(watches, watch, &told);
    }
    if (!list_is_empty(&watches->all))
        timer_set(worker->loop, &watches->timer, now_ms + WATCH_LOOK_MS);
    tell(&told);
}

void watches_init(struct watches *watches)
{
    *watches = (struct watches){0};
    list_init(&watches->all);
    timer_init(&watches->timer, on_look);
}

bool watch_prepare(struct tier_read *read, struct bytes key, uint64_t hash)
{
    struct tier_watch *watch = malloc(sizeof *watch + key.size);

    if (watch == NULL)
        return false;
    *watch = (struct tier_watch){.read = read, .hash = hash, .slot = valkey_slot(key)};
    list_init(&watch->in_list);
    if (key.size > 0)
        memcpy(watch->key_bytes, key.data, key.size);
    watch->key = bytes_of(watch->key_bytes, key.size);
    read->watch = watch;
    return true;
}

void watch_begin(struct tier_worker *worker, struct tier_read *read, struct tier_mark mark,
                 int64_t expires_at_ms)
{
    struct watches *watches = &worker->watches;
    struct tier_watch *watch = read->watch;
    int64_t now_ms = tier_now_ms(worker);

    watch->mark = mark;
    watch->due_ms = expires_at_ms;
    /* Without memory for the table it would never be found: then it is as if it could not be watched. */
    watch->is_in_table = hash_table_insert(&watches->by_key, &watch->in_table, watch->hash);
    if (mark.slot_epoch == 0 || !watch->is_in_table)
        watch->due_ms = now_ms + WATCH_BLIND_MS;
    list_append(&watches->all, &watch->in_list);
    if (!timer_is_set(&watches->timer))
        timer_set(worker->loop, &watches->timer, now_ms + WATCH_LOOK_MS);
}

void watch_end(struct tier_worker *worker, struct tier_read *read)
{
    struct tier_watch *watch = read->watch;

    if (watch == NULL)
        return;
    if (watch->is_in_table)
        hash_table_remove(&worker->watches.by_key, &watch->in_table);
    list_remove(&watch->in_list);
    read->watch = NULL;
    free(watch);
}

void watches_tell_key(struct tier_worker *worker, struct bytes key, uint64_t hash)
{
    struct list told;

    list_init(&told);
    for (struct hash_node *node = hash_table_first(&worker->watches.by_key, hash), *next; node != NULL;
         node = next) {
        struct tier_watch *watch = CONTAINER_OF(node, struct tier_watch, in_table);
        next = hash_table_next(node);
        if (bytes_equal(watch->key, key))
            take(&worker->watches, watch, &told);
    }
    tell(&told);
}

void watches_look(struct tier_worker *worker)
{
    if (!list_is_empty(&worker->watches.all))
        timer_set(worker->loop, &worker->watches.timer, tier_now_ms(worker));
}

void watches_tell_all(struct tier_worker *worker)
{
    struct watches *watches = &worker->watches;
    struct list told;

    list_init(&told);
    while (!list_is_empty(&watches->all))
        take(watches, in_list(watches->all.next), &told);
    timer_cancel(worker->loop, &watches->timer);
    tell(&told);
}

void watches_fini(struct tier_worker *worker)
{
    struct watches *watches = &worker->watches;

    while (!list_is_empty(&watches->all))
        watch_end(worker, in_list(watches->all.next)->read);
    timer_cancel(worker->loop, &watches->timer);
}
