/* loop.h — one worker's event loop: sockets, timers, tasks from other threads.
 *
 * Completion style, two back ends behind one interface: loop_uring.c and loop_epoll.c. It hands out
 * bytes and never looks at them. All functions are for the loop's own thread, except loop_post and
 * loop_stop. Structs of this header are embedded in their users' structs, so that a connection is one
 * allocation; their fields are the loop's unless a comment says otherwise.
 *
 * Output: an owner appends to stream_output at any time; what was appended during a turn leaves in one
 * write at its end. Input: each piece is handed to `received` once; the owner copies what it cannot use
 * yet. An idle stream holds no buffer. */
#pragma once
#include "base/buffer.h"
#include "base/err.h"
#include "base/list.h"
#include "base/loan.h"
#include "base/log.h"
#include "base/now.h"
#include <stdatomic.h>
#include <sys/socket.h>

struct loop; /* opaque: loop_common.h */
struct tls;

enum loop_kind { LOOP_AUTO, LOOP_URING, LOOP_EPOLL };

struct loop_options {
    enum loop_kind kind;       /* AUTO: io_uring, or epoll with one log line if the kernel refuses it */
    const struct clock *clock; /* kept by reference */
    struct log *log;           /* may be null */
};

/* Returns OK with `*loop`; ERR_UNSUPPORTED if `kind` is URING and the kernel refuses; ERR_NO_MEMORY,
 * ERR_NO_DESCRIPTOR, ERR_SYSTEM. May be called on another thread than loop_run. */
enum err loop_create(const struct loop_options *options, struct loop **loop);

/* All streams, listeners and watches must have been closed. */
void loop_destroy(struct loop *loop);

/* Runs turns until loop_stop; several times in a row is fine, always on the same thread. */
void loop_run(struct loop *loop);

/* Makes loop_run return after its present turn. Any thread, also a signal handler. */
void loop_stop(struct loop *loop);

/* The moment at which the present turn began. */
struct now loop_now(const struct loop *loop);

/* Which back end it is: LOOP_URING or LOOP_EPOLL. */
enum loop_kind loop_kind(const struct loop *loop);

/* ---- tasks: how threads speak to a loop -------------------------------------------------------- */

struct task {
    void (*run)(struct task *task); /* the caller's; called once on the loop's thread */
    struct task *next;
};

/* Has `task` run on the loop's thread in its next turn, and wakes the loop. The task is the loop's until
 * it runs. Any thread, the loop's own included. Tasks of one thread run in the order posted. */
void loop_post(struct loop *loop, struct task *task);

/* ---- timers ------------------------------------------------------------------------------------ */

struct timer {
    void (*fired)(struct timer *timer); /* the owner's */
    int64_t due_ms;                     /* monotonic; 0 when not set */
    struct list in_wheel;
};

void timer_init(struct timer *timer, void (*fired)(struct timer *timer));

/* Sets or moves the timer; it fires once, at `due_ms` or up to about 10 ms later, never before. A due
 * time in the past fires in the next turn. Cheap enough for every request. */
void timer_set(struct loop *loop, struct timer *timer, int64_t due_ms);
void timer_cancel(struct loop *loop, struct timer *timer); /* also when it is not set */
static inline bool timer_is_set(const struct timer *timer) { return timer->due_ms != 0; }

/* ---- streams: connected sockets ---------------------------------------------------------------- */

struct stream;

/* The owner's callbacks. Inside any of them the owner may call any stream function on this stream. */
struct stream_callbacks {
    /* Bytes have arrived; readable only during the call. */
    void (*received)(struct stream *stream, struct bytes bytes);
    /* The peer will send no more (it may still read). After it, `received` is not called again. */
    void (*ended)(struct stream *stream);
    /* Output that was waiting has all been handed to the kernel. Called only after stream_want_drained. */
    void (*drained)(struct stream *stream);
    /* The stream is closed and no longer the loop's; called exactly once, last, never from inside another
     * stream function. `why` is OK after stream_close, ERR_CANCELLED after stream_abort, or what broke it.
     * The owner may free its struct. */
    void (*closed)(struct stream *stream, enum err why);
};

struct stream {
    const struct stream_callbacks *callbacks;
    struct loop *loop;
    int64_t progress_ms;    /* when output last moved or began to wait, or the stream was opened: the owner
                             * may read it */
    int64_t waits_since_ms; /* of `sending`: when it began to wait */
    int64_t waited_ms;      /* how long output has waited before that */
    uint64_t sent_bytes;    /* in all; the owner may read it */
    struct buffer *output;  /* filled by the owner this turn; null when there is none */
    struct buffer *sending; /* being handed to the kernel */
    struct buffer *stash;   /* received while paused */
    struct lent *output_lent, *sending_lent; /* what lies between their bytes; null if nothing does */
    struct list in_lenders;                  /* the loop's list of streams with something lent */
    int64_t lent_since_ms;
    struct tls *tls;        /* null: what the owner says goes out as it is (see tls.h) */
    size_t sending_offset;  /* of `sending`: how much the kernel has taken */
    size_t send_now_bytes;  /* a back end's own: what its latest request to send holds */
    struct list in_touched; /* the loop's list of streams to look at when the turn ends, or to close */
    struct list in_ready;   /* the loop's list of streams with input that no event will announce */
    struct timer linger_timer;
    int fd;
    enum err why;
    uint32_t lingered_bytes;
    uint16_t paused : 1, ended : 1, end_held : 1, wants_drained : 1, closing : 1, lingering : 1, dead : 1,
        recalled : 1;
    /* the back ends' own */
    uint16_t armed : 1, cancelling : 1, send_in_flight : 1, send_now : 1, readable : 1, hung_up : 1,
        waits_writable : 1;
};

/* Takes over `fd`, a connected non-blocking socket, and begins to read. `callbacks` is static. */
void stream_open(struct loop *loop, struct stream *stream, int fd,
                 const struct stream_callbacks *callbacks);

/* Where to append output. Good until the loop's turn ends; never null: without memory it is a buffer
 * that has `failed` set, and the stream is cut. What is appended after stream_close or stream_abort is
 * dropped. */
struct buffer *stream_output(struct stream *stream);

/* Whether a loan would be sent from where it lies: with TLS, or after stream_close, it would not. */
bool stream_may_lend(const struct stream *stream);

/* Has `loan` follow what was appended to stream_output so far, without a copy, and takes it over: it is
 * released on the loop's thread, once its bytes have left or the stream is closed. It also is if its bytes
 * have not left within LOAN_MS, or if there is no memory to note it down: then they are copied. */
enum { LOAN_MS = 1000 };
void stream_lend(struct stream *stream, struct loan *loan);

/* Bytes of output not yet taken by the kernel, lent ones included. */
size_t stream_queued_bytes(const struct stream *stream);

/* True if output of an earlier turn still waits for the kernel to take it. */
static inline bool stream_is_blocked(const struct stream *stream) { return stream->sending != NULL; }

/* How long in all output has waited for the kernel to take it. */
int64_t stream_waited_ms(const struct stream *stream);

/* Of what was sent, how much the peer has taken as far as the kernel knows: it may hold megabytes for one
 * that reads slowly, and ask for more only once much of that has gone. Costs a system call. */
uint64_t stream_taken_bytes(const struct stream *stream);

/* Asks for one call of `drained` when stream_queued_bytes has come down to 0. */
void stream_want_drained(struct stream *stream);

/* After pause, `received` and `ended` are not called until resume, whatever arrives meanwhile; the
 * socket's own flow control holds the peer. Both may be repeated. resume never calls `received` from
 * inside itself: what was held back comes in the next turn. */
void stream_pause(struct stream *stream);
void stream_resume(struct stream *stream);

/* Closes once the queued output has left: then the sending side is shut down and for at most 2 seconds
 * or 256 KiB what the peer still sends is read and dropped, so that it can read our last words (RFC 9112
 * §9.6). No callback but `closed` follows. */
void stream_close(struct stream *stream);

/* Closes at once; queued output is dropped. No callback but `closed` follows (in a later turn). */
void stream_abort(struct stream *stream);

/* ---- listeners --------------------------------------------------------------------------------- */

struct listener {
    /* The owner's. A connection was accepted: `fd` is non-blocking, close-on-exec, TCP_NODELAY, and the
     * callee's to close. */
    void (*accepted)(struct listener *listener, int fd);
    struct loop *loop;
    struct list in_numbered;
    uint64_t number; /* tells a late completion from the present use */
    int fd;
    uint8_t started : 1, armed : 1;
    struct timer retry; /* set while there are no descriptors left: accepting goes on after 100 ms */
};

/* Begins to accept on `fd`, a listening non-blocking socket (see listen_open in net/listen.h), which the
 * caller keeps. When descriptors run out it logs (LOG_KIND_DESCRIPTORS) and goes on by itself. */
void listener_start(struct loop *loop, struct listener *listener, int fd,
                    void (*accepted)(struct listener *listener, int fd));

/* Stops accepting. `accepted` is not called again; the struct may be freed once loop_run has returned or
 * the next turn has passed. Does not close the socket. */
void listener_stop(struct listener *listener);

/* ---- watches: readiness of somebody else's descriptor (libcurl) -------------------------------- */

enum { WATCH_READABLE = 1, WATCH_WRITABLE = 2, WATCH_ERROR = 4 };

struct watch {
    void (*ready)(struct watch *watch, int events); /* the owner's; level-triggered in effect */
    struct loop *loop;
    struct list in_numbered;
    uint64_t number; /* tells a late completion of an earlier use from the present one */
    int fd;
    int events;
    uint8_t armed : 1;
};

/* Watches `fd` for `events`, or changes them; 0 stops. After watch_set(…, 0) `ready` is not called and
 * the struct may be freed. The descriptor stays the caller's. */
void watch_init(struct loop *loop, struct watch *watch, int fd,
                void (*ready)(struct watch *watch, int events));
void watch_set(struct watch *watch, int events);
