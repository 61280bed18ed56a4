#include "watcher.h"
#include "base/hash.h"
#include "base/thread.h"
#include "file_identity.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    LOOK_MS = 100,
    SETTLE_MS = 20,   /* what is not the same after this is still being written */
    FILE_TICK_MS = 20 /* at least as long as times of files may lag behind the clock */
};

struct watcher {
    struct watcher_options options;
    char *what;
    pthread_t thread;
    pthread_mutex_t lock; /* of the next two */
    pthread_cond_t news;
    bool is_ending;
    /* the thread's */
    struct buffer paths;
    uint64_t known; /* what the files were like when they were last read */
    bool is_unsure; /* or may have been: they are read once more */
};

/* One number for what all the files are like; one that is not there counts as well. */
static uint64_t look(struct bytes paths)
{
    uint64_t sum = 0;

    while (paths.data != NULL && paths.size > 0) {
        struct file_identity identity = {0};
        size_t size = strlen(paths.data) + 1;
        if (file_identity_of(paths.data, &identity) != OK)
            identity = (struct file_identity){0};
        sum = hash_bytes(bytes_of((const char *)&identity, sizeof identity), sum + 1);
        paths = bytes_after(paths, size);
    }
    return sum;
}

static int64_t wall_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static bool has_changed_since(struct bytes paths, int64_t since_ns)
{
    while (paths.size > 0) {
        struct file_identity identity;
        if (file_identity_of(paths.data, &identity) == OK && identity.changed_ns >= since_ns)
            return true;
        paths = bytes_after(paths, strlen(paths.data) + 1);
    }
    return false;
}

/* From here on other files are looked at. Of those that are new nobody knows what they were like before
 * they were read. The look that counts from here on comes first: what changes behind it is seen the next
 * time. */
static void take_paths(struct watcher *watcher, struct buffer *paths, uint64_t seen, int64_t began_ns)
{
    watcher->known = look(buffer_bytes(paths));
    watcher->is_unsure = look(buffer_bytes(&watcher->paths)) != seen ||
                         has_changed_since(buffer_bytes(paths), began_ns - FILE_TICK_MS * INT64_C(1000000));
    buffer_fini(&watcher->paths);
    watcher->paths = *paths;
    *paths = (struct buffer){0};
}

static bool is_same_list(const struct buffer *a, const struct buffer *b)
{
    return bytes_equal(buffer_bytes(a), buffer_bytes(b));
}

/* `seen` is what the files were like before they are read: what comes while they are is seen the next time.
 */
static void reload(struct watcher *watcher, uint64_t seen)
{
    struct buffer paths = {0}, message = {0};
    int64_t began_ns = wall_ns();
    enum err err =
        watcher->options.reload(watcher->options.subject, watcher->options.source, &paths, &message);

    while (message.size > 0 && message.data[message.size - 1] == '\n')
        message.size--;
    if (err == OK)
        log_write(watcher->options.log, LOG_INFO, "%s has changed and was read again", watcher->what);
    else
        log_write(watcher->options.log, LOG_ERROR, "%s has changed, but what was there stays: %.*s",
                  watcher->what, message.size > 0 ? (int)message.size : (int)strlen(err_text(err)),
                  message.size > 0 ? message.data : err_text(err));
    watcher->known = seen;
    watcher->is_unsure = false;
    if (!paths.failed && paths.size > 0 && !is_same_list(&paths, &watcher->paths))
        take_paths(watcher, &paths, seen, began_ns);
    buffer_fini(&paths);
    buffer_fini(&message);
}

static void pause_for(int ms)
{
    struct timespec pause = {0, ms * 1000000L};
    nanosleep(&pause, NULL);
}

static void look_once(struct watcher *watcher)
{
    uint64_t seen = look(buffer_bytes(&watcher->paths));

    if (seen == watcher->known && !watcher->is_unsure)
        return;
    pause_for(SETTLE_MS);
    if (look(buffer_bytes(&watcher->paths)) == seen)
        reload(watcher, seen);
}

static void *run(void *context)
{
    struct watcher *watcher = context;

    pthread_mutex_lock(&watcher->lock);
    while (!watcher->is_ending) {
        struct timespec due;
        clock_gettime(CLOCK_MONOTONIC, &due);
        due.tv_nsec += LOOK_MS * 1000000L;
        due.tv_sec += due.tv_nsec / 1000000000L;
        due.tv_nsec %= 1000000000L;
        if (pthread_cond_timedwait(&watcher->news, &watcher->lock, &due) != ETIMEDOUT)
            continue;
        pthread_mutex_unlock(&watcher->lock);
        look_once(watcher);
        pthread_mutex_lock(&watcher->lock);
    }
    pthread_mutex_unlock(&watcher->lock);
    return NULL;
}

static void watcher_free(struct watcher *watcher)
{
    pthread_cond_destroy(&watcher->news);
    pthread_mutex_destroy(&watcher->lock);
    buffer_fini(&watcher->paths);
    free(watcher->what);
    free(watcher);
}

enum err watcher_create(const struct watcher_options *options, struct watcher **watcher)
{
    struct watcher *made = calloc(1, sizeof *made);

    if (made == NULL)
        return ERR_NO_MEMORY;
    made->options = *options;
    pthread_mutex_init(&made->lock, NULL);
    thread_condition_init(&made->news);
    made->what = strdup(options->what);
    buffer_append(&made->paths, options->paths);
    if (made->what == NULL || made->paths.failed) {
        watcher_free(made);
        return ERR_NO_MEMORY;
    }
    made->known = look(buffer_bytes(&made->paths));
    if (!thread_start(&made->thread, run, made)) {
        watcher_free(made);
        return ERR_SYSTEM;
    }
    *watcher = made;
    return OK;
}

void watcher_destroy(struct watcher *watcher)
{
    if (watcher == NULL)
        return;
    pthread_mutex_lock(&watcher->lock);
    watcher->is_ending = true;
    pthread_mutex_unlock(&watcher->lock);
    pthread_cond_signal(&watcher->news);
    pthread_join(watcher->thread, NULL);
    watcher_free(watcher);
}
