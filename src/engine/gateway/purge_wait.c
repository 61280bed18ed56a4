#include "purge_wait.h"
#include "fleet.h"
#include <stdlib.h>

struct purge_wait {
    struct list in_fleet; /* until it is freed */
    struct fleet_worker *fleet;
    uint64_t since, until;
    struct task task;
    bool is_posted; /* under the lock: the task will run, and frees it */
    struct timer timer;
    purge_wait_done *done; /* null: nobody wants to know */
    void *owner;
};

static void free_locked(struct purge_wait *wait)
{
    list_remove(&wait->in_fleet);
    free(wait);
}

static void finish(struct purge_wait *wait, bool is_told)
{
    struct fleet *fleet = wait->fleet->fleet;
    purge_wait_done *done = wait->done;
    void *owner = wait->owner;

    timer_cancel(wait->fleet->worker->loop, &wait->timer);
    pthread_mutex_lock(&fleet->lock);
    free_locked(wait);
    pthread_mutex_unlock(&fleet->lock);
    if (done != NULL)
        done(owner, is_told);
}

static void on_task(struct task *task) { finish(CONTAINER_OF(task, struct purge_wait, task), true); }

static void on_timer(struct timer *timer)
{
    struct purge_wait *wait = CONTAINER_OF(timer, struct purge_wait, timer);
    bool is_posted;

    pthread_mutex_lock(&wait->fleet->fleet->lock);
    is_posted = wait->is_posted;
    pthread_mutex_unlock(&wait->fleet->fleet->lock);
    if (!is_posted)
        finish(wait, false);
}

uint64_t purge_wait_since(const struct gateway_worker *worker)
{
    return worker->fleet != NULL ? fleet_errand_number(worker->fleet->fleet) : 0;
}

struct purge_wait *purge_wait_begin(struct gateway_worker *worker, uint64_t since, purge_wait_done *done,
                                    void *owner, bool *is_told)
{
    struct fleet_worker *fleet = worker->fleet;
    struct purge_wait *wait;
    uint64_t until;
    int64_t now_ms = loop_now(worker->loop).mono_ms;

    *is_told = true;
    if (fleet == NULL)
        return NULL;
    until = fleet_errand_number(fleet->fleet);
    wait = calloc(1, sizeof *wait);
    pthread_mutex_lock(&fleet->fleet->lock);
    *is_told = !fleet_errands_wait(fleet->fleet, since, until);
    if (!*is_told && wait != NULL) {
        *wait = (struct purge_wait){.fleet = fleet,
                                    .since = since,
                                    .until = until,
                                    .task = {.run = on_task},
                                    .done = done,
                                    .owner = owner};
        list_init(&wait->in_fleet);
        timer_init(&wait->timer, on_timer);
        list_append(&fleet->fleet->purge_waits, &wait->in_fleet);
    }
    pthread_mutex_unlock(&fleet->fleet->lock);
    if (*is_told) {
        free(wait);
        return NULL;
    }
    if (wait != NULL)
        timer_set(worker->loop, &wait->timer, now_ms + worker->gateway->tier_timeout_ms);
    return wait;
}

void purge_wait_end(struct purge_wait *wait)
{
    struct fleet *fleet = wait->fleet->fleet;

    timer_cancel(wait->fleet->worker->loop, &wait->timer);
    pthread_mutex_lock(&fleet->lock);
    wait->done = NULL;
    if (!wait->is_posted)
        free_locked(wait);
    pthread_mutex_unlock(&fleet->lock);
}

void purge_waits_look(struct fleet *fleet)
{
    for (struct list *node = fleet->purge_waits.next; node != &fleet->purge_waits; node = node->next) {
        struct purge_wait *wait = CONTAINER_OF(node, struct purge_wait, in_fleet);
        if (wait->is_posted || fleet_errands_wait(fleet, wait->since, wait->until))
            continue;
        wait->is_posted = true;
        loop_post(wait->fleet->worker->loop, &wait->task);
    }
}

void purge_waits_destroy(struct fleet_worker *fleet)
{
    pthread_mutex_lock(&fleet->fleet->lock);
    for (struct list *node = fleet->fleet->purge_waits.next, *next; node != &fleet->fleet->purge_waits;
         node = next) {
        struct purge_wait *wait = CONTAINER_OF(node, struct purge_wait, in_fleet);
        next = node->next;
        if (wait->fleet == fleet)
            free_locked(wait);
    }
    pthread_mutex_unlock(&fleet->fleet->lock);
}
