/* loop_common.h — what the two back ends of loop.h share: the turn, the streams' states, the mailbox.
 *
 * One turn:  flush what was touched ─► hand it to the kernel and wait ─► dispatch what came ─► held input
 *            ─► tasks ─► timers.   Streams that are done are closed as part of the flush.
 *
 * A stream's life:  open ──stream_close──► closing (output leaves) ──► lingering (input is dropped)
 *                     └───── broken, aborted, or lingered enough ─────────┴──► dead ──► closed
 * A dead stream is `closed` once the kernel holds no request that refers to it: the back end says so by
 * stream_settle. */
#pragma once
#include "net/lent.h"
#include "net/loop.h"
#include "net/pool.h"
#include "net/resolve.h"
#include "net/timers.h"

enum {
    WATCH_BUCKETS = 256,
    LINGER_MS = 2000,
    LINGER_BYTES_MAX = 256 * 1024,
    ACCEPT_RETRY_MS = 100,
    POOL_TRIM_MS = 5000,
    FAKE_CLOCK_WAIT_MS_MIN = 10,
};

/* What the two back ends do differently. */
struct back_end {
    enum loop_kind kind;
    void (*destroy)(struct loop *loop);
    /* Hands what was prepared to the kernel, waits for something to happen for at most `timeout_ms` (-1:
     * for ever), calls loop_woken, and dispatches. */
    void (*wait)(struct loop *loop, int64_t timeout_ms);
    /* Hands what was prepared to the kernel; loop_run is about to return. */
    void (*leave)(struct loop *loop);
    void (*open)(struct stream *stream);
    /* Begins or stops to receive according to stream_wants_input; called often. */
    void (*receive)(struct stream *stream);
    /* Sends `sending`, reporting to stream_sent now or later. */
    void (*send)(struct stream *stream);
    /* Takes back what is being sent, so that stream_recalled can be called, now or later. */
    void (*recall)(struct stream *stream);
    /* The stream has died: takes back what the kernel was asked for. stream_settle is called after it. */
    void (*cut)(struct stream *stream);
    /* The stream is in the ready list: goes on with its input. */
    void (*ready)(struct stream *stream);
    void (*listener_arm)(struct listener *listener);
    void (*listener_disarm)(struct listener *listener);
    /* The watch has new events (perhaps 0). */
    void (*watch_changed)(struct watch *watch);
};

struct loop {
    const struct back_end *back_end;
    const struct clock *clock;
    struct log *log;
    struct now now;
    struct list touched, ready, closing;
    struct pool pool;
    struct timer pool_timer;
    struct list lenders; /* streams with something lent, longest first */
    struct timer loan_timer;
    struct buffer scrap; /* takes the output that nobody will get */
    uint64_t last_number;
    struct list listeners;
    struct list watches[WATCH_BUCKETS]; /* by number */
    struct wheel wheel;
    struct resolver resolver;
    int wake_fd;                               /* an eventfd */
    _Alignas(64) _Atomic(struct task *) tasks; /* newest first */
    atomic_bool asleep;                        /* whoever sets it to false must write to wake_fd */
    atomic_bool stopping;
};

/* ---- parts of the turn (stream.c) -------------------------------------------------------------- */

/* Sends what was appended, begins and ends receiving, closes what is done. */
void stream_flush_all(struct loop *loop);

/* Hands out input that was held back. */
void stream_continue_ready(struct loop *loop);

/* ---- for the back ends ------------------------------------------------------------------------- */

/* Each makes its own struct, which begins with a struct loop, and fills in `back_end`. `wake_fd` is to be
 * watched and belongs to the caller. ERR_UNSUPPORTED if the kernel refuses; `*reason` then says why,
 * static. */
enum err loop_epoll_create(int wake_fd, struct loop **loop);
enum err loop_uring_create(int wake_fd, struct loop **loop, const char **reason);

/* The waiting is over: reads the clock. */
void loop_woken(struct loop *loop);

/* wake_fd is readable. */
void loop_drain_wake(struct loop *loop);

static inline bool stream_wants_input(const struct stream *stream)
{
    return !stream->dead && !stream->ended && (stream->closing || !stream->paused);
}

static inline void stream_touch(struct stream *stream)
{
    if (list_is_empty(&stream->in_touched) && !stream->dead)
        list_append(&stream->loop->touched, &stream->in_touched);
}

static inline void stream_make_ready(struct stream *stream)
{
    if (list_is_empty(&stream->in_ready) && !stream->dead)
        list_append(&stream->loop->ready, &stream->in_ready);
}

/* The kernel has taken `count` more bytes of `sending`. */
void stream_sent(struct stream *stream, size_t count);

/* How much of what is being sent the kernel has not taken. */
static inline size_t stream_unsent_bytes(const struct stream *stream)
{
    return stream->sending->size +
           (UNLIKELY(stream->sending_lent != NULL) ? stream->sending_lent->bytes : 0) -
           stream->sending_offset;
}

/* What was being sent has left: it was the last to need sending_lent. */
void stream_forget_lent(struct stream *stream);

/* Nothing that is being sent is with the kernel any more: what of it is lent is copied. */
void stream_recalled(struct stream *stream);

/* The loans of some stream have been out for LOAN_MS. */
void stream_loan_timer_fired(struct timer *timer);

/* Input arrived, or its end. */
void stream_input(struct stream *stream, struct bytes bytes);
void stream_input_end(struct stream *stream);

/* Input as the owner sees it, or its end. Both call the owner, hold it back, or drop it. */
void stream_deliver(struct stream *stream, struct bytes bytes);
void stream_deliver_end(struct stream *stream);

/* Gives the buffer, if there is one, back to the pool and makes it null. */
void stream_give_buffer(struct loop *loop, struct buffer **buffer);

/* Cuts the stream; only the first `why` counts. */
void stream_break(struct stream *stream, enum err why);

/* Has the stream closed if it is dead and nothing of it is with the kernel. */
void stream_settle(struct stream *stream);

/* Listeners and watches are known to the kernel by a number that is never used twice, so that a completion
 * that comes late finds nobody: null. */
void listener_number(struct listener *listener);
struct listener *listener_find(struct loop *loop, uint64_t number);
void watch_number(struct watch *watch);
struct watch *watch_find(struct loop *loop, uint64_t number);

/* Accepting failed with `errno_value`: has it go on at once or after ACCEPT_RETRY_MS. */
void listener_failed(struct listener *listener, int errno_value);
