/* loop_epoll.c — the back end for kernels and containers without io_uring.
 *
 * Streams are registered once, edge-triggered, for everything: no epoll_ctl as they go. An edge sets
 * `readable`, which a short read clears; a send that did not take all waits for the edge that says
 * "writable". Listeners and watches are level-triggered. */
#include "net/loop_common.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 256,
    INPUT_BYTES = 64 * 1024,
    READS_MAX = 4,    /* of one stream in a row, for fairness */
    ACCEPTS_MAX = 64, /* likewise */
};

/* In the low bits of an event's data; the rest is a stream's address or a number. */
enum subject { SUBJECT_stream, SUBJECT_listener, SUBJECT_watch, SUBJECT_wake };
enum { SUBJECT_BITS = 2, SUBJECT_MASK = 3 };

struct loop_epoll {
    struct loop common;
    int epoll_fd;
    char input[INPUT_BYTES];
};

static struct loop_epoll *epoll_of(struct loop *loop)
{
    return CONTAINER_OF(loop, struct loop_epoll, common);
}

static bool control(struct loop *loop, int operation, int fd, uint32_t events, uint64_t data)
{
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(epoll_of(loop)->epoll_fd, operation, fd, &event) == 0;
}

/* ---- streams ----------------------------------------------------------------------------------- */

static void on_open(struct stream *stream)
{
    if (!control(stream->loop, EPOLL_CTL_ADD, stream->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                 (uint64_t)(uintptr_t)stream | SUBJECT_stream))
        stream_break(stream, err_from_errno(errno));
}

static void on_receive(struct stream *stream)
{
    if (stream->readable && stream_wants_input(stream))
        stream_make_ready(stream);
}

/* Sends what one system call takes. True if the socket has room for more, and more there is. */
static bool send_some(struct stream *stream)
{
    struct lent *lent = stream->sending_lent;
    size_t size = LIKELY(lent == NULL) ? stream->sending->size - stream->sending_offset
                                       : lent_gather(lent, stream->sending, stream->sending_offset);
    ssize_t count;

    do
        count = LIKELY(lent == NULL) ? send(stream->fd, stream->sending->data + stream->sending_offset,
                                            size, MSG_NOSIGNAL | MSG_DONTWAIT)
                                     : sendmsg(stream->fd, &lent->message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (count < 0 && errno == EINTR);
    if (count < 0 && errno != EAGAIN) {
        stream_break(stream, err_from_errno(errno));
        return false;
    }
    stream->waits_writable = count < (ssize_t)size;
    stream_sent(stream, count > 0 ? (size_t)count : 0);
    return UNLIKELY(stream->sending != NULL) && !stream->waits_writable;
}

static void on_send(struct stream *stream)
{
    while (UNLIKELY(send_some(stream))) /* what is lent may lie in more runs than go at once */
        continue;
}

static void on_recall(struct stream *stream) { stream_recalled(stream); }

static void on_cut(struct stream *stream) { stream->waits_writable = false; }

static void on_ready(struct stream *stream)
{
    struct loop_epoll *epoll = epoll_of(stream->loop);

    if (!stream->readable)
        return;
    for (int i = 0; i < READS_MAX; i++) {
        ssize_t count = recv(stream->fd, epoll->input, INPUT_BYTES, MSG_DONTWAIT);
        if (count > 0) {
            /* A short read has emptied the socket, but for an end that was announced already. */
            if (count < INPUT_BYTES && !stream->hung_up)
                stream->readable = false;
            stream_input(stream, bytes_of(epoll->input, (size_t)count));
            if (!stream->readable || !stream_wants_input(stream))
                return;
        } else if (count == 0) {
            stream->readable = false;
            stream_input_end(stream);
            return;
        } else if (errno == EAGAIN) {
            stream->readable = false;
            return;
        } else if (errno != EINTR) {
            stream_break(stream, err_from_errno(errno));
            return;
        }
    }
    stream_make_ready(stream);
}

static void on_stream_event(struct stream *stream, uint32_t events)
{
    if (stream->dead)
        return;
    if (UNLIKELY(stream->waits_writable && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0)) {
        on_send(stream);
        if (stream->dead)
            return;
    }
    if (LIKELY((events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0)) {
        stream->readable = true;
        if (UNLIKELY((events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0))
            stream->hung_up = true;
        if (stream_wants_input(stream) && list_is_empty(&stream->in_ready))
            on_ready(stream);
    }
}

/* ---- listeners --------------------------------------------------------------------------------- */

static void on_listener_arm(struct listener *listener)
{
    listener_number(listener);
    listener->armed = control(listener->loop, EPOLL_CTL_ADD, listener->fd, EPOLLIN,
                              listener->number << SUBJECT_BITS | SUBJECT_listener);
    if (!listener->armed)
        listener_failed(listener, errno == EAGAIN ? ENOMEM : errno);
}

static void on_listener_disarm(struct listener *listener)
{
    if (listener->armed)
        control(listener->loop, EPOLL_CTL_DEL, listener->fd, 0, 0);
    listener->armed = false;
}

static void on_listener_event(struct loop *loop, uint64_t number)
{
    for (int i = 0; i < ACCEPTS_MAX; i++) {
        struct listener *listener = listener_find(loop, number); /* `accepted` may have stopped it */
        int fd;

        if (listener == NULL)
            return;
        fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            listener->accepted(listener, fd);
        } else if (errno == EAGAIN) {
            return;
        } else {
            listener_failed(listener, errno);
            if (!listener->armed)
                return;
        }
    }
}

/* ---- watches ----------------------------------------------------------------------------------- */

static void on_watch_changed(struct watch *watch)
{
    uint32_t events = ((watch->events & WATCH_READABLE) != 0 ? EPOLLIN | EPOLLRDHUP : 0u) |
                      ((watch->events & WATCH_WRITABLE) != 0 ? EPOLLOUT : 0u);

    if (watch->events == 0) {
        control(watch->loop, EPOLL_CTL_DEL, watch->fd, 0,
                0); /* fails if the descriptor is closed: as good */
        watch->armed = false;
        return;
    }
    watch_number(watch);
    control(watch->loop, watch->armed ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, watch->fd, events,
            watch->number << SUBJECT_BITS | SUBJECT_watch);
    watch->armed = true;
}

static void on_watch_event(struct loop *loop, uint64_t number, uint32_t events)
{
    struct watch *watch = watch_find(loop, number);
    int result = 0;

    if (watch == NULL)
        return;
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
        result |= watch->events & WATCH_READABLE;
    if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0)
        result |= watch->events & WATCH_WRITABLE;
    if ((events & EPOLLERR) != 0)
        result |= WATCH_ERROR;
    watch->ready(watch, result);
}

/* ---- the loop ---------------------------------------------------------------------------------- */

static void on_wait(struct loop *loop, int64_t timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(epoll_of(loop)->epoll_fd, events, EVENTS_MAX,
                           timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms);

    loop_woken(loop);
    for (int i = 0; i < count; i++) {
        uint64_t data = events[i].data.u64;
        switch ((enum subject)(data & SUBJECT_MASK)) {
        case SUBJECT_stream:
            on_stream_event((struct stream *)(uintptr_t)data, events[i].events); /* its bits are 0 */
            break;
        case SUBJECT_listener: on_listener_event(loop, data >> SUBJECT_BITS); break;
        case SUBJECT_watch: on_watch_event(loop, data >> SUBJECT_BITS, events[i].events); break;
        case SUBJECT_wake: loop_drain_wake(loop); break;
        }
    }
}

static void on_leave(struct loop *loop) { (void)loop; }

static void on_destroy(struct loop *loop)
{
    close(epoll_of(loop)->epoll_fd);
    free(epoll_of(loop));
}

static const struct back_end back_end = {
    .kind = LOOP_EPOLL,
    .destroy = on_destroy,
    .wait = on_wait,
    .leave = on_leave,
    .open = on_open,
    .receive = on_receive,
    .send = on_send,
    .recall = on_recall,
    .cut = on_cut,
    .ready = on_ready,
    .listener_arm = on_listener_arm,
    .listener_disarm = on_listener_disarm,
    .watch_changed = on_watch_changed,
};

enum err loop_epoll_create(int wake_fd, struct loop **loop)
{
    struct loop_epoll *epoll = aligned_alloc(_Alignof(struct loop_epoll), sizeof *epoll);
    enum err err;

    if (epoll == NULL)
        return ERR_NO_MEMORY;
    epoll->common = (struct loop){.back_end = &back_end};
    epoll->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll->epoll_fd < 0 || !control(&epoll->common, EPOLL_CTL_ADD, wake_fd, EPOLLIN, SUBJECT_wake)) {
        err = err_from_errno(errno);
        goto fail;
    }
    *loop = &epoll->common;
    return OK;

fail:
    if (epoll->epoll_fd >= 0)
        close(epoll->epoll_fd);
    free(epoll);
    return err;
}
