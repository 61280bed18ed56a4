/* loop_uring.c — the back end over io_uring: one system call a turn.
 *
 * Receiving is multishot into a ring of provided buffers, accepting is multishot, and output is sent by
 * requests that go out with the call that waits. Of these only failures and short counts are reported:
 *   (1) A send of the first kind (`send_now`) never waits. Once the call that submitted it is back it has
 *       either succeeded or its completion is in the queue, but for an overflow of the queue, which is
 *       emptied first. So finish_sends runs before any callback and the accounts are exact in all of them.
 *   (2) What did not fit is sent by requests of the second kind, which wait for room, take what fits, and
 *       always report.
 *   (3) At most one send of a stream is with the kernel (`send_in_flight`), and at most one receive
 *       (`armed`). A stream's address is in the kernel's hands only while one of the two is set.
 *   (4) A receive that ended, for want of buffers too, is armed again in the flush of the turn, when all
 *       buffers have been given back. */
#include "net/loop_common.h"
#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    SUBMISSIONS = 2048,
    COMPLETIONS = 16384,
    INPUT_BUFFERS = 512, /* a power of two */
    INPUT_BUFFER_BYTES = 4096,
    INPUT_GROUP = 0,
};

/* In the low bits of a request's user data; the rest is a stream's address or a number. */
enum subject {
    SUBJECT_receive,
    SUBJECT_send_now,
    SUBJECT_send_later,
    SUBJECT_accept,
    SUBJECT_watch,
    SUBJECT_wake,
    SUBJECT_nobody,
};
enum { SUBJECT_BITS = 3, SUBJECT_MASK = 7 };

struct loop_uring {
    struct loop common;
    struct io_uring ring;
    struct io_uring_buf_ring *input_ring;
    char *input;
    int returned_count;    /* input buffers given back that the kernel has not been told of */
    bool on_thread;        /* the ring is enabled and registered with the running thread */
    bool enabled, hurried; /* hurried: somebody waits for the outcome of a send_now */
    struct stream **sent;  /* those with a send_now since the last finish_sends */
    size_t sent_count, sent_capacity;
};

static struct loop_uring *uring_of(struct loop *loop)
{
    return CONTAINER_OF(loop, struct loop_uring, common);
}

static struct io_uring_sqe *next_request(struct loop *loop)
{
    struct io_uring *ring = &uring_of(loop)->ring;
    struct io_uring_sqe *request;

    while (UNLIKELY((request = io_uring_get_sqe(ring)) == NULL))
        io_uring_submit(ring);
    return request;
}

static uint64_t data_of_stream(struct stream *stream, enum subject subject)
{
    return (uint64_t)(uintptr_t)stream | subject;
}

static uint64_t data_of_number(uint64_t number, enum subject subject)
{
    return number << SUBJECT_BITS | subject;
}

static void cancel(struct loop *loop, uint64_t data)
{
    struct io_uring_sqe *request = next_request(loop);
    io_uring_prep_cancel64(request, data, 0);
    request->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(request, SUBJECT_nobody);
}

/* ---- receiving --------------------------------------------------------------------------------- */

static void on_open(struct stream *stream) { (void)stream; /* the flush arms it */ }

static void on_receive(struct stream *stream)
{
    bool wanted = stream_wants_input(stream);

    if (wanted && !stream->armed) {
        struct io_uring_sqe *request = next_request(stream->loop);
        io_uring_prep_recv_multishot(request, stream->fd, NULL, 0, 0);
        request->flags |= IOSQE_BUFFER_SELECT;
        request->buf_group = INPUT_GROUP;
        io_uring_sqe_set_data64(request, data_of_stream(stream, SUBJECT_receive));
        stream->armed = true;
    } else if (UNLIKELY(!wanted && stream->armed && !stream->cancelling)) {
        cancel(stream->loop,
               data_of_stream(stream, SUBJECT_receive)); /* what has arrived stays in the socket */
        stream->cancelling = true;
    }
}

static void return_buffer(struct loop_uring *uring, unsigned index)
{
    io_uring_buf_ring_add(uring->input_ring, uring->input + (size_t)index * INPUT_BUFFER_BYTES,
                          INPUT_BUFFER_BYTES, (unsigned short)index, INPUT_BUFFERS - 1,
                          uring->returned_count++);
}

static void received(struct loop_uring *uring, struct stream *stream, const struct io_uring_cqe *completion)
{
    unsigned index = completion->flags >> IORING_CQE_BUFFER_SHIFT;
    int result = completion->res;

    if (UNLIKELY((completion->flags & IORING_CQE_F_MORE) == 0)) {
        stream->armed = false;
        stream->cancelling = false;
        stream_touch(stream); /* (4) */
    }
    if (LIKELY(result > 0))
        stream_input(stream, bytes_of(uring->input + (size_t)index * INPUT_BUFFER_BYTES, (size_t)result));
    else if (result == 0)
        stream_input_end(stream);
    else if (result != -ENOBUFS && result != -ECANCELED && result != -EINTR && result != -EAGAIN)
        stream_break(stream, err_from_errno(-result));
    if ((completion->flags & IORING_CQE_F_BUFFER) != 0)
        return_buffer(uring, index);
    if (UNLIKELY(stream->dead))
        stream_settle(stream);
}

static void on_ready(struct stream *stream) { (void)stream; /* what was held back is all there was */ }

/* ---- sending ----------------------------------------------------------------------------------- */

/* All that is being sent from its offset on; of what is lent, perhaps only a part. */
static size_t prepare_send(struct io_uring_sqe *request, struct stream *stream, unsigned flags)
{
    struct lent *lent = stream->sending_lent;
    size_t size;

    if (LIKELY(lent == NULL)) {
        size = stream->sending->size - stream->sending_offset;
        io_uring_prep_send(request, stream->fd, stream->sending->data + stream->sending_offset, size,
                           (int)flags);
    } else {
        size = lent_gather(lent, stream->sending, stream->sending_offset);
        io_uring_prep_sendmsg(request, stream->fd, &lent->message, flags);
    }
    return size;
}

static void send_later(struct stream *stream)
{
    struct io_uring_sqe *request = next_request(stream->loop);

    /* Without MSG_WAITALL, so that each bit of progress is seen. */
    prepare_send(request, stream, MSG_NOSIGNAL);
    io_uring_sqe_set_data64(request, data_of_stream(stream, SUBJECT_send_later));
    stream->send_in_flight = true;
}

static bool remember_sent(struct loop_uring *uring, struct stream *stream)
{
    if (UNLIKELY(uring->sent_count == uring->sent_capacity)) {
        size_t capacity = uring->sent_capacity > 0 ? uring->sent_capacity * 2 : 64;
        struct stream **sent = realloc(uring->sent, capacity * sizeof *sent);
        if (sent == NULL)
            return false;
        uring->sent = sent;
        uring->sent_capacity = capacity;
    }
    uring->sent[uring->sent_count++] = stream;
    return true;
}

static void on_send(struct stream *stream)
{
    struct loop_uring *uring = uring_of(stream->loop);
    struct io_uring_sqe *request;

    if (UNLIKELY(!remember_sent(uring, stream))) {
        send_later(stream);
        return;
    }
    request = next_request(stream->loop);
    stream->send_now_bytes = prepare_send(request, stream, MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL);
    request->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(request, data_of_stream(stream, SUBJECT_send_now));
    stream->send_in_flight = true;
    stream->send_now = true;
    if (UNLIKELY(stream->closing || stream->wants_drained))
        uring->hurried = true;
}

/* A send has come back with `result`. */
static void send_ended(struct stream *stream, int result)
{
    if (stream->send_now) /* it never waited, however long ago that was */
        stream->waits_since_ms = stream->loop->now.mono_ms;
    stream->send_in_flight = false;
    stream->send_now = false;
    if (result >= 0)
        stream_sent(stream, (size_t)result);
    else if (result != -EAGAIN && result != -EINTR && !stream->dead &&
             !(stream->recalled && result == -ECANCELED))
        stream_break(stream, err_from_errno(-result));
    if (UNLIKELY(stream->recalled))
        stream_recalled(stream);
    if (UNLIKELY(stream->dead))
        stream_settle(stream);
    else if (stream->sending != NULL)
        send_later(stream); /* (2) */
}

/* Takes the sends of (1) that failed or were short out of the completion queue. */
static void find_failed_sends(struct loop_uring *uring)
{
    struct io_uring_cqe *completion;
    unsigned head;

    io_uring_for_each_cqe(&uring->ring, head, completion) if (UNLIKELY((completion->user_data &
                                                                        SUBJECT_MASK) == SUBJECT_send_now))
    {
        send_ended((struct stream *)(uintptr_t)(completion->user_data & ~(uint64_t)SUBJECT_MASK),
                   completion->res);
        completion->user_data = SUBJECT_nobody;
    }
}

/* The other sends of (1) have succeeded. */
static void finish_sends(struct loop_uring *uring)
{
    for (size_t i = 0; i < uring->sent_count; i++) {
        struct stream *stream = uring->sent[i];
        if (LIKELY(stream->send_now))
            send_ended(stream, (int)stream->send_now_bytes);
    }
    uring->sent_count = 0;
}

static void on_recall(struct stream *stream)
{
    if (!stream->send_in_flight)
        stream_recalled(stream);
    else if (!stream->send_now) /* else send_ended is about to be called */
        cancel(stream->loop, data_of_stream(stream, SUBJECT_send_later));
}

static void on_cut(struct stream *stream)
{
    if (stream->armed && !stream->cancelling) {
        cancel(stream->loop, data_of_stream(stream, SUBJECT_receive));
        stream->cancelling = true;
    }
    if (stream->send_in_flight && !stream->send_now)
        cancel(stream->loop, data_of_stream(stream, SUBJECT_send_later));
}

/* ---- listeners --------------------------------------------------------------------------------- */

static void on_listener_arm(struct listener *listener)
{
    struct io_uring_sqe *request = next_request(listener->loop);

    listener_number(listener);
    io_uring_prep_multishot_accept(request, listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    io_uring_sqe_set_data64(request, data_of_number(listener->number, SUBJECT_accept));
    listener->armed = true;
}

static void on_listener_disarm(struct listener *listener)
{
    if (listener->armed)
        cancel(listener->loop, data_of_number(listener->number, SUBJECT_accept));
    listener->armed = false;
}

static void accepted(struct loop *loop, uint64_t number, const struct io_uring_cqe *completion)
{
    struct listener *listener = listener_find(loop, number);

    if (UNLIKELY(listener == NULL)) {
        if (completion->res >= 0)
            close(completion->res);
        return;
    }
    if ((completion->flags & IORING_CQE_F_MORE) == 0)
        listener->armed = false;
    if (completion->res < 0) {
        listener_failed(listener, -completion->res);
        return;
    }
    listener->accepted(listener, completion->res);
    listener = listener_find(loop, number); /* `accepted` may have stopped it */
    if (listener != NULL && !listener->armed)
        on_listener_arm(listener);
}

/* ---- watches ----------------------------------------------------------------------------------- */

static void watch_arm(struct watch *watch)
{
    struct io_uring_sqe *request = next_request(watch->loop);
    unsigned events = ((watch->events & WATCH_READABLE) != 0 ? POLLIN | POLLRDHUP : 0u) |
                      ((watch->events & WATCH_WRITABLE) != 0 ? POLLOUT : 0u);

    watch_number(watch);
    io_uring_prep_poll_add(request, watch->fd, events);
    io_uring_sqe_set_data64(request, data_of_number(watch->number, SUBJECT_watch));
    watch->armed = true;
}

static void on_watch_changed(struct watch *watch)
{
    if (watch->armed)
        cancel(watch->loop, data_of_number(watch->number, SUBJECT_watch));
    watch->armed = false;
    if (watch->events != 0)
        watch_arm(watch);
}

static void watch_ready(struct loop *loop, uint64_t number, int result)
{
    struct watch *watch = watch_find(loop, number);
    int events = 0;

    if (watch == NULL)
        return;
    watch->armed = false;
    if (result < 0) { /* not armed again: it would fail again */
        watch->ready(watch, WATCH_ERROR);
        return;
    }
    if ((result & (POLLIN | POLLRDHUP | POLLHUP | POLLERR)) != 0)
        events |= watch->events & WATCH_READABLE;
    if ((result & (POLLOUT | POLLHUP | POLLERR)) != 0)
        events |= watch->events & WATCH_WRITABLE;
    if ((result & POLLERR) != 0)
        events |= WATCH_ERROR;
    watch->ready(watch, events);
    watch = watch_find(loop, number); /* it may be gone, or armed anew by watch_set */
    if (watch != NULL && !watch->armed)
        watch_arm(watch);
}

/* ---- the loop ---------------------------------------------------------------------------------- */

static void arm_wake(struct loop *loop, int wake_fd)
{
    struct io_uring_sqe *request = next_request(loop);
    io_uring_prep_poll_multishot(request, wake_fd, POLLIN);
    io_uring_sqe_set_data64(request, SUBJECT_wake);
}

static void dispatch(struct loop_uring *uring)
{
    struct loop *loop = &uring->common;
    struct io_uring_cqe *completion;
    unsigned head, count = 0;

    io_uring_for_each_cqe(&uring->ring, head, completion)
    {
        uint64_t rest = completion->user_data & ~(uint64_t)SUBJECT_MASK;
        struct stream *stream = (struct stream *)(uintptr_t)rest;
        count++;
        switch ((enum subject)(completion->user_data & SUBJECT_MASK)) {
        case SUBJECT_receive: received(uring, stream, completion); break;
        case SUBJECT_send_now:
        case SUBJECT_send_later: send_ended(stream, completion->res); break;
        case SUBJECT_accept: accepted(loop, rest >> SUBJECT_BITS, completion); break;
        case SUBJECT_watch: watch_ready(loop, rest >> SUBJECT_BITS, completion->res); break;
        case SUBJECT_wake:
            loop_drain_wake(loop);
            if ((completion->flags & IORING_CQE_F_MORE) == 0)
                arm_wake(loop, loop->wake_fd);
            break;
        case SUBJECT_nobody: break;
        }
    }
    if (uring->returned_count > 0)
        io_uring_buf_ring_advance(uring->input_ring, uring->returned_count);
    uring->returned_count = 0;
    io_uring_cq_advance(&uring->ring, count);
}

/* The ring belongs to the thread that enables it, and its descriptor is registered with one. */
static void join_thread(struct loop_uring *uring)
{
    if (!uring->enabled)
        io_uring_register((unsigned)uring->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    uring->enabled = true;
    io_uring_register_ring_fd(&uring->ring);
    uring->on_thread = true;
}

static void on_wait(struct loop *loop, int64_t timeout_ms)
{
    struct loop_uring *uring = uring_of(loop);
    struct io_uring *ring = &uring->ring;
    bool overflowed;
    int result;

    if (UNLIKELY(!uring->on_thread))
        join_thread(uring);
    if (timeout_ms == 0 || uring->hurried) {
        result = io_uring_submit_and_get_events(ring);
    } else if (timeout_ms < 0) {
        result = io_uring_submit_and_wait(ring, 1);
    } else {
        struct __kernel_timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000};
        struct io_uring_cqe *completion;
        result = io_uring_submit_and_wait_timeout(ring, &completion, 1, &timeout, NULL);
    }
    assert(result != -EEXIST); /* another thread than the one the loop ran on first */
    uring->hurried = false;
    loop_woken(loop);
    do {
        overflowed = (IO_URING_READ_ONCE(*ring->sq.kflags) & IORING_SQ_CQ_OVERFLOW) != 0;
        find_failed_sends(uring);
        if (LIKELY(!overflowed)) /* (1) */
            finish_sends(uring);
        dispatch(uring);
        if (UNLIKELY(overflowed))
            io_uring_get_events(ring);
    } while (UNLIKELY(overflowed));
}

static void on_leave(struct loop *loop)
{
    struct loop_uring *uring = uring_of(loop);

    io_uring_submit_and_get_events(&uring->ring); /* which also lets go of what was cancelled */
    io_uring_unregister_ring_fd(&uring->ring);
    uring->on_thread = false;
}

static void free_all(struct loop_uring *uring)
{
    if (uring->input_ring != MAP_FAILED)
        munmap(uring->input_ring, INPUT_BUFFERS * sizeof(struct io_uring_buf));
    if (uring->input != MAP_FAILED)
        munmap(uring->input, (size_t)INPUT_BUFFERS * INPUT_BUFFER_BYTES);
    free(uring->sent);
    free(uring);
}

static void on_destroy(struct loop *loop)
{
    io_uring_submit_and_get_events(&uring_of(loop)->ring); /* what was cancelled after the last run */
    io_uring_queue_exit(&uring_of(loop)->ring);
    free_all(uring_of(loop));
}

static const struct back_end back_end = {
    .kind = LOOP_URING,
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

/* DEFER_TASKRUN came with Linux 6.1, after all else that is used here. */
enum {
    RING_FLAGS = IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN |
                 IORING_SETUP_SUBMIT_ALL
};

/* Tries a ring: setting one up and entering it may be forbidden each for itself. 0 or a negative errno. */
static int probe(void)
{
    struct io_uring_params params = {.flags = RING_FLAGS};
    struct io_uring_sqe *request;
    struct io_uring ring;
    int result = io_uring_queue_init_params(2, &ring, &params);

    if (result < 0)
        return result;
    request = io_uring_get_sqe(&ring);
    io_uring_prep_nop(request);
    result = io_uring_submit_and_wait(&ring, 1);
    io_uring_queue_exit(&ring);
    return result < 0 ? result : 0;
}

static void *map(size_t size)
{
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int set_up(struct loop_uring *uring)
{
    struct io_uring_params params = {.flags = RING_FLAGS | IORING_SETUP_R_DISABLED | IORING_SETUP_CQSIZE |
                                              IORING_SETUP_CLAMP,
                                     .cq_entries = COMPLETIONS};
    struct io_uring_buf_reg registration = {
        .ring_addr = (uintptr_t)uring->input_ring, .ring_entries = INPUT_BUFFERS, .bgid = INPUT_GROUP};
    int result = io_uring_queue_init_params(SUBMISSIONS, &uring->ring, &params);

    if (result < 0)
        return result;
    result = io_uring_register_buf_ring(&uring->ring, &registration, 0);
    if (result < 0) {
        io_uring_queue_exit(&uring->ring);
        return result;
    }
    for (unsigned i = 0; i < INPUT_BUFFERS; i++)
        return_buffer(uring, i);
    io_uring_buf_ring_advance(uring->input_ring, uring->returned_count);
    uring->returned_count = 0;
    return 0;
}

enum err loop_uring_create(int wake_fd, struct loop **loop, const char **reason)
{
    struct loop_uring *uring = aligned_alloc(_Alignof(struct loop_uring), sizeof *uring);
    int result;

    if (uring == NULL)
        return ERR_NO_MEMORY;
    *uring = (struct loop_uring){.common = {.back_end = &back_end}};
    uring->input_ring = map(INPUT_BUFFERS * sizeof(struct io_uring_buf));
    uring->input = map((size_t)INPUT_BUFFERS * INPUT_BUFFER_BYTES);
    if (uring->input_ring == MAP_FAILED || uring->input == MAP_FAILED) {
        free_all(uring);
        return ERR_NO_MEMORY;
    }
    result = probe();
    if (result == 0)
        result = set_up(uring);
    if (result < 0) {
        *reason = strerrordesc_np(-result);
        free_all(uring);
        return result == -EMFILE || result == -ENFILE ? ERR_NO_DESCRIPTOR : ERR_UNSUPPORTED;
    }
    arm_wake(&uring->common, wake_fd);
    *loop = &uring->common;
    return OK;
}
