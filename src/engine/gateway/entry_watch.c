#include "entry_watch.h"
#include "base/hash.h"
#include "fetch_table.h"
#include "fleet_watch.h"
#include <stdlib.h>

struct entry_watch {
    struct gateway_worker *worker;
    struct fetch_shard *shard;
    uint64_t hash; /* of the primary key: of two with the same, each hears of the other's changes */
    struct list in_shard, in_worker;
    struct task task;
    struct fleet_watch *far;      /* what other nodes do; null: there are none, or it was not to be had */
    void (*changed)(void *owner); /* null once it has ended */
    void *owner;
    bool is_posted; /* under the shard's lock */
};

static void destroy(struct entry_watch *watch)
{
    list_remove(&watch->in_worker);
    free(watch);
}

static void tell(struct task *task)
{
    struct entry_watch *watch = CONTAINER_OF(task, struct entry_watch, task);

    pthread_mutex_lock(&watch->shard->lock);
    watch->is_posted = false;
    pthread_mutex_unlock(&watch->shard->lock);
    if (watch->changed == NULL)
        destroy(watch);
    else
        watch->changed(watch->owner);
}

/* Has it told, under the lock. */
static void call(struct entry_watch *watch)
{
    if (watch->is_posted)
        return;
    watch->is_posted = true;
    loop_post(watch->worker->loop, &watch->task);
}

static void on_far_change(void *owner)
{
    struct entry_watch *watch = owner;

    pthread_mutex_lock(&watch->shard->lock);
    call(watch);
    pthread_mutex_unlock(&watch->shard->lock);
}

static void end_far(struct entry_watch *watch)
{
    if (watch->far != NULL)
        fleet_watch_end(watch->far);
    watch->far = NULL;
}

struct entry_watch *entry_watch_begin(struct gateway_worker *worker, const struct cache_key *key,
                                      void (*changed)(void *owner), void *owner)
{
    struct entry_watch *watch = calloc(1, sizeof *watch);
    struct fleet_id id;

    if (watch == NULL)
        return NULL;
    watch->worker = worker;
    watch->hash = hash_bytes(cache_key_primary(key), worker->gateway->seed);
    watch->shard = shard_of(worker->gateway, watch->hash);
    watch->task.run = tell;
    watch->changed = changed;
    watch->owner = owner;
    list_append(&worker->entry_watches, &watch->in_worker);
    pthread_mutex_lock(&watch->shard->lock);
    list_append(&watch->shard->watches, &watch->in_shard);
    pthread_mutex_unlock(&watch->shard->lock);
    if (fleet_takes(worker, cache_key_primary(key), key->primary_size, &id))
        watch->far = fleet_watch_begin(worker->fleet, &id, on_far_change, watch);
    return watch;
}

void entry_watch_end(struct entry_watch *watch)
{
    bool is_posted;

    end_far(watch);
    pthread_mutex_lock(&watch->shard->lock);
    list_remove(&watch->in_shard);
    is_posted = watch->is_posted;
    pthread_mutex_unlock(&watch->shard->lock);
    watch->changed = NULL;
    if (!is_posted) /* else its task is still to run */
        destroy(watch);
}

void entry_watches_destroy(struct gateway_worker *worker)
{
    for (struct list *node = worker->entry_watches.next, *next; node != &worker->entry_watches;
         node = next) {
        struct entry_watch *watch = CONTAINER_OF(node, struct entry_watch, in_worker);
        next = node->next;
        end_far(watch);
        pthread_mutex_lock(&watch->shard->lock);
        list_remove(&watch->in_shard);
        pthread_mutex_unlock(&watch->shard->lock);
        destroy(watch);
    }
}

void entry_changed(struct gateway *gateway, uint64_t hash)
{
    struct fetch_shard *shard = shard_of(gateway, hash);

    pthread_mutex_lock(&shard->lock);
    for (struct list *node = shard->watches.next; node != &shard->watches; node = node->next) {
        struct entry_watch *watch = CONTAINER_OF(node, struct entry_watch, in_shard);
        if (watch->hash == hash)
            call(watch);
    }
    pthread_mutex_unlock(&shard->lock);
}

void entries_changed(struct gateway *gateway)
{
    for (size_t i = 0; i < FETCH_SHARDS; i++) {
        struct fetch_shard *shard = &gateway->shards[i];
        pthread_mutex_lock(&shard->lock);
        for (struct list *node = shard->watches.next; node != &shard->watches; node = node->next)
            call(CONTAINER_OF(node, struct entry_watch, in_shard));
        pthread_mutex_unlock(&shard->lock);
    }
}
