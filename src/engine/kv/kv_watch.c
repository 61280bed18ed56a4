#include "engine/kv/kv_watch.h"
#include "base/hash.h"
#include "base/list.h"
#include "engine/kv/kv_change.h"
#include "engine/kv/kv_key_table.h"
#include "engine/kv/kv_transaction.h"
#include <stdlib.h>

enum { STRIPES = 64 };

struct stripe {
    alignas(64) pthread_mutex_t lock;
    struct hash_table keys; /* of struct watched */
};

struct kv_watch_table {
    uint64_t seed;
    struct stripe stripes[STRIPES];
};

/* A key that somebody watches; its stripe's lock is over all but the key itself. */
struct watched {
    struct kv_key_node node;
    struct list watchers; /* of struct watcher */
    char bytes[];
};

/* One session's interest in one key. */
struct watcher {
    struct list in_key;
    struct kv_watch *watch;
    struct watched *watched;
    struct watcher *next; /* of the session */
    uint32_t database;    /* whose space may be another by now: SWAPDB */
    bool was_there;
    uint64_t version; /* if it was */
};

struct kv_watch {
    _Atomic bool is_touched; /* a key was changed since */
    struct watcher *first;
    uint64_t bytes; /* that all this takes */
};

struct kv_watch_table *kv_watch_table_create(void)
{
    struct kv_watch_table *table = aligned_alloc(alignof(struct kv_watch_table), sizeof *table);

    if (table == NULL)
        return NULL;
    table->seed = hash_seed_random();
    for (size_t i = 0; i < STRIPES; i++) {
        table->stripes[i].keys = (struct hash_table){0};
        pthread_mutex_init(&table->stripes[i].lock, NULL);
    }
    return table;
}

/* Sessions have ended before: nothing is watched. */
void kv_watch_table_destroy(struct kv_watch_table *table)
{
    if (table == NULL)
        return;
    for (size_t i = 0; i < STRIPES; i++) {
        pthread_mutex_destroy(&table->stripes[i].lock);
    }
    free(table);
}

/* The space is not part of the hash: keys of the same name in two spaces are rare enough. */
static uint64_t hash_of(const struct kv_watch_table *table, nh_key key)
{
    return hash_bytes(bytes_of(key.data, key.size), table->seed);
}

void kv_watch_touch(struct kv_hub *hub, nh_key key)
{
    uint64_t hash = hash_of(hub->watches, key);
    struct stripe *stripe = &hub->watches->stripes[hash % STRIPES];
    struct kv_key_node *node;

    pthread_mutex_lock(&stripe->lock);
    node = kv_key_table_find(&stripe->keys, hash, key);
    if (node != NULL) {
        struct list *watchers = &CONTAINER_OF(node, struct watched, node)->watchers;
        for (struct list *link = watchers->next; link != watchers; link = link->next)
            atomic_store_explicit(&CONTAINER_OF(link, struct watcher, in_key)->watch->is_touched, true,
                                  memory_order_relaxed);
    }
    pthread_mutex_unlock(&stripe->lock);
}

/* The key's entry in its stripe, made if need be; null without memory. */
static struct watched *find_or_make(struct stripe *stripe, uint64_t hash, nh_key key)
{
    struct kv_key_node *node = kv_key_table_find(&stripe->keys, hash, key);
    struct watched *watched;

    if (node != NULL)
        return CONTAINER_OF(node, struct watched, node);
    watched = malloc(sizeof *watched + key.size);
    if (watched == NULL)
        return NULL;
    if (key.size > 0)
        memcpy(watched->bytes, key.data, key.size);
    watched->node = (struct kv_key_node){.hash = hash, .key = {watched->bytes, key.size, key.space}};
    list_init(&watched->watchers);
    if (kv_key_table_put(&stripe->keys, &watched->node))
        return watched;
    free(watched);
    return NULL;
}

static bool is_watching(const struct watched *watched, const struct kv_watch *watch)
{
    for (const struct list *link = watched->watchers.next; link != &watched->watchers; link = link->next)
        if (CONTAINER_OF(link, struct watcher, in_key)->watch == watch)
            return true;
    return false;
}

/* Looks `watcher`'s key up, for what it is now. */
static bool look_up(const struct kv_call *call, const struct watcher *watcher, uint64_t *version)
{
    nh_key key = watcher->watched->node.key;
    nh_result result;
    nh_value value;

    key.space = kv_space_of(call->kv, watcher->database);
    result = nh_borrow(call->kv->store, call->now.mono_ms, key, &value);
    *version =
        0; /* a key that is there but cannot be lent: no version is 0, so the transaction will fail */
    if (result == NH_OK) {
        *version = value.version;
        nh_release(call->kv->store, &value);
    }
    return result == NH_OK || result == NH_FULL || result == NH_NO_MEMORY;
}

/* The interest is entered before the key is looked up: a change is told, or was seen. */
static bool watch_key(const struct kv_call *call, struct kv_watch *watch, nh_key key)
{
    uint64_t hash = hash_of(call->kv->hub->watches, key);
    struct stripe *stripe = &call->kv->hub->watches->stripes[hash % STRIPES];
    struct watcher *watcher = malloc(sizeof *watcher);
    struct watched *watched = NULL;
    bool is_new = false;

    if (watcher == NULL)
        return false;
    pthread_mutex_lock(&stripe->lock);
    watched = find_or_make(stripe, hash, key);
    if (watched != NULL && !is_watching(watched, watch)) {
        *watcher = (struct watcher){
            .watch = watch, .watched = watched, .next = watch->first, .database = call->session->database};
        list_append(&watched->watchers, &watcher->in_key);
        is_new = true;
    }
    pthread_mutex_unlock(&stripe->lock);
    if (!is_new) {
        free(watcher);
        return watched != NULL;
    }
    watcher->was_there = look_up(call, watcher, &watcher->version);
    watch->first = watcher;
    watch->bytes += sizeof *watcher + sizeof *watched + key.size;
    return true;
}

void kv_watch(const struct kv_call *call)
{
    struct session *session = call->session;

    if (session->transaction != NULL) {
        kv_error(call, "ERR WATCH inside MULTI is not allowed");
        return;
    }
    if (session->watch == NULL) {
        session->watch = calloc(1, sizeof *session->watch);
        if (session->watch == NULL) {
            kv_refused(call, NH_NO_MEMORY);
            return;
        }
        kv_listen(call);
    }
    for (uint32_t i = 1; i < call->argument_count; i++) {
        if (session->watch->bytes > kv_transaction_bytes_max(call->kv)) {
            kv_error(call, "ERR more keys are watched than a connection may buffer");
            return;
        }
        if (!watch_key(call, session->watch, kv_key(call, i))) {
            kv_refused(call, NH_NO_MEMORY);
            return;
        }
    }
    reply_kind(call->reply, OUTCOME_ok);
}

void kv_unwatch(const struct kv_call *call)
{
    kv_watch_end(call->kv->hub, call->session);
    reply_kind(call->reply, OUTCOME_ok);
}

bool kv_watch_holds(const struct kv_call *call)
{
    const struct kv_watch *watch = call->session->watch;
    uint64_t version;

    if (watch == NULL)
        return true;
    if (atomic_load_explicit(&watch->is_touched, memory_order_relaxed))
        return false;
    for (const struct watcher *watcher = watch->first; watcher != NULL; watcher = watcher->next)
        if (look_up(call, watcher, &version) != watcher->was_there ||
            (watcher->was_there && version != watcher->version))
            return false;
    return true;
}

void kv_watch_end(struct kv_hub *hub, struct session *session)
{
    struct kv_watch *watch = session->watch;

    if (watch == NULL)
        return;
    for (struct watcher *watcher = watch->first, *next; watcher != NULL; watcher = next) {
        struct watched *watched = watcher->watched;
        struct stripe *stripe = &hub->watches->stripes[watched->node.hash % STRIPES];

        next = watcher->next;
        pthread_mutex_lock(&stripe->lock);
        list_remove(&watcher->in_key);
        if (list_is_empty(&watched->watchers)) {
            kv_key_table_remove(&stripe->keys, &watched->node);
            free(watched);
        }
        pthread_mutex_unlock(&stripe->lock);
        free(watcher);
    }
    free(watch);
    session->watch = NULL;
    kv_unlisten(hub);
}
