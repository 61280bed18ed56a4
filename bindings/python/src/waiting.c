/* waiting.c — see waiting.h */
#include "waiting.h"
#include <pthread.h>
#include <time.h>

static bool init_one(struct waiting *waiting)
{
    pthread_condattr_t attributes;
    bool is_ready;

    *waiting = (struct waiting){.change_count = 0};
    if (pthread_condattr_init(&attributes) != 0)
        return false;
    is_ready = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
               pthread_cond_init(&waiting->changed, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    if (is_ready && pthread_mutex_init(&waiting->mutex, NULL) != 0) {
        pthread_cond_destroy(&waiting->changed);
        is_ready = false;
    }
    return is_ready;
}

static void fini_first(struct cache *cache, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pthread_mutex_destroy(&cache->waiting[i].mutex);
        pthread_cond_destroy(&cache->waiting[i].changed);
    }
}

bool waiting_init(struct cache *cache)
{
    for (size_t i = 0; i < WAITING_STRIPES; i++)
        if (!init_one(&cache->waiting[i])) {
            fini_first(cache, i);
            PyErr_NoMemory();
            return false;
        }
    return true;
}

void waiting_fini(struct cache *cache) { fini_first(cache, WAITING_STRIPES); }

struct waiting *waiting_of(struct cache *cache, nh_key key)
{
    const unsigned char *bytes = key.data;
    uint32_t hash = 2166136261u; /* FNV-1a of the end, where keys differ most */

    for (size_t i = key.size > 32 ? key.size - 32 : 0; i < key.size; i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return &cache->waiting[(hash ^ hash >> 16) % WAITING_STRIPES];
}

void waiting_wait(struct cache *cache, struct waiting *waiting, uint64_t seen)
{
    struct timespec until;
    PyThreadState *thread;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += WAITING_SLICE_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    waiting->waiting_count++;
    cache->waiting_count++;
    thread = cache_unlock(cache);
    pthread_mutex_lock(&waiting->mutex);
    while (waiting->change_count == seen)
        if (pthread_cond_timedwait(&waiting->changed, &waiting->mutex, &until) != 0)
            break;
    pthread_mutex_unlock(&waiting->mutex);
    cache_lock(cache, thread);
    waiting->waiting_count--;
    cache->waiting_count--;
}

static void tell(struct waiting *waiting)
{
    if (waiting->waiting_count == 0)
        return; /* who is about to wait holds the GIL from its question on */
    pthread_mutex_lock(&waiting->mutex);
    waiting->change_count++;
    pthread_cond_broadcast(&waiting->changed);
    pthread_mutex_unlock(&waiting->mutex);
}

void waiting_tell(struct cache *cache, nh_key key)
{
    if (cache->waiting_count > 0)
        tell(waiting_of(cache, key));
}

void waiting_tell_all(struct cache *cache)
{
    for (size_t i = 0; i < WAITING_STRIPES; i++)
        tell(&cache->waiting[i]);
}
