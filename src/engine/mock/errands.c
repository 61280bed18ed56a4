#include "errands.h"
#include "base/compiler.h"
#include "base/thread.h"
#include <stdlib.h>

struct errands {
    pthread_t thread;
    pthread_mutex_t lock; /* of the rest */
    pthread_cond_t news;  /* for the thread: there is one, or it is to end */
    pthread_cond_t ended; /* an errand has */
    bool has_thread, is_ending;
    struct list waiting;
    size_t waiting_count;
    const struct errand *under_way; /* null: none */
};

struct errands *errands_create(void)
{
    struct errands *made = calloc(1, sizeof *made);

    if (made == NULL)
        return NULL;
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->news, NULL);
    pthread_cond_init(&made->ended, NULL);
    list_init(&made->waiting);
    return made;
}

void errands_destroy(struct errands *errands)
{
    if (errands == NULL)
        return;
    if (errands->has_thread) {
        pthread_mutex_lock(&errands->lock);
        errands->is_ending = true;
        pthread_mutex_unlock(&errands->lock);
        pthread_cond_signal(&errands->news);
        pthread_join(errands->thread, NULL);
    }
    pthread_cond_destroy(&errands->ended);
    pthread_cond_destroy(&errands->news);
    pthread_mutex_destroy(&errands->lock);
    free(errands);
}

/* With the lock held. */
static struct errand *take_first(struct errands *errands)
{
    struct errand *first = CONTAINER_OF(errands->waiting.next, struct errand, in_waiting);

    list_remove(&first->in_waiting);
    errands->waiting_count--;
    return first;
}

static void *run(void *context)
{
    struct errands *errands = context;

    pthread_mutex_lock(&errands->lock);
    while (!errands->is_ending) {
        struct errand *errand;
        if (list_is_empty(&errands->waiting)) {
            pthread_cond_wait(&errands->news, &errands->lock);
            continue;
        }
        errand = take_first(errands);
        errands->under_way = errand;
        pthread_mutex_unlock(&errands->lock);
        errand->run(errand);
        pthread_mutex_lock(&errands->lock);
        errands->under_way = NULL;
        loop_post(errand->loop, &errand->task); /* under the lock: who takes it back may end the loop */
        pthread_cond_broadcast(&errands->ended);
    }
    pthread_mutex_unlock(&errands->lock);
    return NULL;
}

static void on_done(struct task *task)
{
    struct errand *errand = CONTAINER_OF(task, struct errand, task);
    errand->done(errand);
}

bool errands_add(struct errands *errands, struct errand *errand)
{
    bool is_added;

    errand->task.run = on_done;
    pthread_mutex_lock(&errands->lock);
    if (!errands->has_thread)
        errands->has_thread = thread_start(&errands->thread, run, errands);
    is_added = errands->waiting_count < ERRANDS_WAITING_MAX && errands->has_thread;
    if (is_added) {
        list_append(&errands->waiting, &errand->in_waiting);
        errands->waiting_count++;
    }
    pthread_mutex_unlock(&errands->lock);
    if (is_added)
        pthread_cond_signal(&errands->news);
    return is_added;
}

void errands_take_back(struct errands *errands, struct errand *errand)
{
    pthread_mutex_lock(&errands->lock);
    while (errands->under_way == errand)
        pthread_cond_wait(&errands->ended, &errands->lock);
    if (!list_is_empty(&errand->in_waiting)) {
        list_remove(&errand->in_waiting);
        errands->waiting_count--;
    }
    pthread_mutex_unlock(&errands->lock);
}
