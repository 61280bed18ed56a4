#include "net/loop_common.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void pool_timer_fired(struct timer *timer)
{
    struct loop *loop = CONTAINER_OF(timer, struct loop, pool_timer);

    pool_trim(&loop->pool);
    if (loop->pool.count > 0)
        timer_set(loop, timer, loop->now.mono_ms + POOL_TRIM_MS);
}

static enum err create_back_end(const struct loop_options *options, int wake_fd, struct loop **loop)
{
    const char *reason = "";
    enum err err;

    if (options->kind != LOOP_EPOLL) {
        err = loop_uring_create(wake_fd, loop, &reason);
        if (err != ERR_UNSUPPORTED || options->kind == LOOP_URING)
            return err;
        log_write(options->log, LOG_INFO, "io_uring is not available here (%s): using epoll", reason);
    }
    return loop_epoll_create(wake_fd, loop);
}

enum err loop_create(const struct loop_options *options, struct loop **result)
{
    int wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct loop *loop;
    enum err err;

    if (wake_fd < 0)
        return err_from_errno(errno);
    err = create_back_end(options, wake_fd, &loop);
    if (err != OK) {
        close(wake_fd);
        return err;
    }
    loop->clock = options->clock;
    loop->log = options->log;
    loop->now = clock_read(options->clock);
    loop->wake_fd = wake_fd;
    list_init(&loop->touched);
    list_init(&loop->ready);
    list_init(&loop->closing);
    list_init(&loop->lenders);
    timer_init(&loop->loan_timer, stream_loan_timer_fired);
    list_init(&loop->listeners);
    for (size_t i = 0; i < WATCH_BUCKETS; i++)
        list_init(&loop->watches[i]);
    timer_init(&loop->pool_timer, pool_timer_fired);
    wheel_init(&loop->wheel, loop->now.mono_ms);
    resolver_init(&loop->resolver);
    atomic_init(&loop->tasks, NULL);
    atomic_init(&loop->asleep, false);
    atomic_init(&loop->stopping, false);
    *result = loop;
    return OK;
}

void loop_destroy(struct loop *loop)
{
    int wake_fd = loop->wake_fd;

    resolver_fini(&loop->resolver);
    pool_fini(&loop->pool);
    buffer_fini(&loop->scrap);
    loop->back_end->destroy(loop);
    close(wake_fd);
}

struct now loop_now(const struct loop *loop) { return loop->now; }

enum loop_kind loop_kind(const struct loop *loop) { return loop->back_end->kind; }

/* ---- waking ------------------------------------------------------------------------------------ */

static void wake(struct loop *loop)
{
    uint64_t one = 1;
    ssize_t written = write(loop->wake_fd, &one, sizeof one); /* full means awake as well */
    (void)written;
}

void loop_drain_wake(struct loop *loop)
{
    uint64_t count;
    ssize_t got = read(loop->wake_fd, &count, sizeof count);
    (void)got;
}

void loop_stop(struct loop *loop)
{
    int saved_errno = errno; /* a signal handler must leave it */

    atomic_store(&loop->stopping, true);
    wake(loop);
    errno = saved_errno;
}

void loop_post(struct loop *loop, struct task *task)
{
    struct task *newest = atomic_load_explicit(&loop->tasks, memory_order_relaxed);

    do
        task->next = newest;
    while (!atomic_compare_exchange_weak(&loop->tasks, &newest, task));
    /* Either we see that the loop is asleep or it sees the task before it sleeps: both sides are
     * sequentially consistent. */
    if (atomic_load(&loop->asleep) && atomic_exchange(&loop->asleep, false))
        wake(loop);
}

static void run_tasks(struct loop *loop)
{
    struct task *newest, *oldest = NULL;

    if (atomic_load_explicit(&loop->tasks, memory_order_relaxed) == NULL)
        return;
    newest = atomic_exchange(&loop->tasks, NULL);
    while (newest != NULL) {
        struct task *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        struct task *task = oldest;
        oldest = task->next; /* before it runs, which may be its end */
        task->run(task);
    }
}

/* ---- the turn ---------------------------------------------------------------------------------- */

void loop_woken(struct loop *loop)
{
    atomic_store_explicit(&loop->asleep, false, memory_order_relaxed);
    loop->now = clock_read(loop->clock);
}

/* How long the loop may wait, -1 for ever. */
static int64_t wait_ms(struct loop *loop)
{
    int64_t next_ms, wait_ms;

    if (!list_is_empty(&loop->touched) || !list_is_empty(&loop->ready) || !list_is_empty(&loop->closing))
        return 0;
    next_ms = wheel_next_ms(&loop->wheel);
    if (next_ms < 0) {
        wait_ms = -1;
    } else {
        wait_ms = next_ms - loop->now.mono_ms;
        if (wait_ms <= 0)
            return 0;
        /* A clock that stands still must not have us spin: who moves it wakes us. */
        if (loop->clock != &clock_system && wait_ms < FAKE_CLOCK_WAIT_MS_MIN)
            wait_ms = FAKE_CLOCK_WAIT_MS_MIN;
    }
    atomic_store(&loop->asleep, true);
    if (atomic_load(&loop->tasks) != NULL || atomic_load(&loop->stopping))
        return 0;
    return wait_ms;
}

void loop_run(struct loop *loop)
{
    do {
        stream_flush_all(loop);
        loop->back_end->wait(loop, wait_ms(loop));
        stream_continue_ready(loop);
        run_tasks(loop);
        wheel_advance(&loop->wheel, loop->now.mono_ms);
    } while (!atomic_load_explicit(&loop->stopping, memory_order_relaxed));
    atomic_store(&loop->stopping, false);
    stream_flush_all(loop);
    loop->back_end->leave(loop);
}

/* ---- listeners --------------------------------------------------------------------------------- */

static void listener_retry(struct timer *timer)
{
    struct listener *listener = CONTAINER_OF(timer, struct listener, retry);
    listener->loop->back_end->listener_arm(listener);
}

void listener_start(struct loop *loop, struct listener *listener, int fd,
                    void (*accepted)(struct listener *listener, int fd))
{
    int on = 1;

    *listener = (struct listener){.accepted = accepted, .loop = loop, .fd = fd, .started = true};
    timer_init(&listener->retry, listener_retry);
    list_init(&listener->in_numbered);
    list_append(&loop->listeners, &listener->in_numbered);
    /* Accepted sockets inherit it, which saves a system call for each. Not for a Unix socket. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    loop->back_end->listener_arm(listener);
}

void listener_stop(struct listener *listener)
{
    if (!listener->started)
        return;
    listener->started = false;
    listener->loop->back_end->listener_disarm(listener);
    timer_cancel(listener->loop, &listener->retry);
    list_remove(&listener->in_numbered);
}

void listener_number(struct listener *listener) { listener->number = ++listener->loop->last_number; }

struct listener *listener_find(struct loop *loop, uint64_t number)
{
    for (struct list *node = loop->listeners.next; node != &loop->listeners; node = node->next) {
        struct listener *listener = CONTAINER_OF(node, struct listener, in_numbered);
        if (listener->number == number)
            return listener;
    }
    return NULL;
}

void listener_failed(struct listener *listener, int errno_value)
{
    switch (errno_value) {
    /* Of the connection that would have been next, not of the listener: accept(2). */
    case EINTR:
    case EAGAIN:
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ETIMEDOUT:
        if (!listener->armed)
            listener->loop->back_end->listener_arm(listener);
        return;
    default:
        log_write_limited(listener->loop->log, LOG_WARNING, LOG_KIND_DESCRIPTORS,
                          "cannot accept connections for now: %s", strerror(errno_value));
        if (listener->armed)
            listener->loop->back_end->listener_disarm(listener);
        timer_set(listener->loop, &listener->retry, listener->loop->now.mono_ms + ACCEPT_RETRY_MS);
    }
}

/* ---- watches ----------------------------------------------------------------------------------- */

void watch_init(struct loop *loop, struct watch *watch, int fd,
                void (*ready)(struct watch *watch, int events))
{
    *watch = (struct watch){.ready = ready, .loop = loop, .fd = fd};
    list_init(&watch->in_numbered);
}

void watch_set(struct watch *watch, int events)
{
    if (watch->events == events)
        return;
    watch->events = events;
    watch->loop->back_end->watch_changed(watch);
    if (events == 0)
        list_remove(&watch->in_numbered);
}

void watch_number(struct watch *watch)
{
    watch->number = ++watch->loop->last_number;
    list_remove(&watch->in_numbered);
    list_append(&watch->loop->watches[watch->number % WATCH_BUCKETS], &watch->in_numbered);
}

struct watch *watch_find(struct loop *loop, uint64_t number)
{
    struct list *bucket = &loop->watches[number % WATCH_BUCKETS];

    for (struct list *node = bucket->next; node != bucket; node = node->next) {
        struct watch *watch = CONTAINER_OF(node, struct watch, in_numbered);
        if (watch->number == number)
            return watch;
    }
    return NULL;
}
