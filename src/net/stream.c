#include "net/loop_common.h"
#include "net/tls_common.h"
#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

void stream_give_buffer(struct loop *loop, struct buffer **buffer)
{
    if (*buffer == NULL)
        return;
    pool_give(&loop->pool, *buffer);
    *buffer = NULL;
    if (!timer_is_set(&loop->pool_timer))
        timer_set(loop, &loop->pool_timer, loop->now.mono_ms + POOL_TRIM_MS);
}

static void linger_timer_fired(struct timer *timer)
{
    stream_break(CONTAINER_OF(timer, struct stream, linger_timer), OK);
}

void stream_open(struct loop *loop, struct stream *stream, int fd, const struct stream_callbacks *callbacks)
{
    *stream =
        (struct stream){.callbacks = callbacks, .loop = loop, .fd = fd, .progress_ms = loop->now.mono_ms};
    list_init(&stream->in_touched);
    list_init(&stream->in_ready);
    list_init(&stream->in_lenders);
    timer_init(&stream->linger_timer, linger_timer_fired);
    stream_touch(stream);
    loop->back_end->open(stream);
}

/* ---- output ------------------------------------------------------------------------------------ */

struct buffer *stream_output(struct stream *stream)
{
    struct loop *loop = stream->loop;

    if (UNLIKELY(stream->dead || stream->closing))
        return &loop->scrap;
    if (stream->output != NULL)
        return stream->output;
    stream->output = pool_take(&loop->pool);
    if (UNLIKELY(stream->output == NULL)) {
        log_write_limited(loop->log, LOG_WARNING, LOG_KIND_MEMORY, "no memory for output: connection cut");
        stream_break(stream, ERR_NO_MEMORY);
        loop->scrap.failed = true;
        return &loop->scrap;
    }
    stream_touch(stream);
    return stream->output;
}

size_t stream_queued_bytes(const struct stream *stream)
{
    return (stream->output != NULL ? stream->output->size : 0) +
           (stream->sending != NULL ? stream_unsent_bytes(stream) : 0) +
           (UNLIKELY(stream->output_lent != NULL) ? stream->output_lent->bytes : 0) +
           (UNLIKELY(stream->tls != NULL) ? tls_queued_bytes(stream) : 0);
}

int64_t stream_waited_ms(const struct stream *stream)
{
    return stream->waited_ms +
           (stream->sending != NULL ? stream->loop->now.mono_ms - stream->waits_since_ms : 0);
}

uint64_t stream_taken_bytes(const struct stream *stream)
{
    int held_bytes;

    if (ioctl(stream->fd, SIOCOUTQ, &held_bytes) < 0 || held_bytes < 0)
        return stream->sent_bytes;
    return stream->sent_bytes > (uint64_t)held_bytes ? stream->sent_bytes - (uint64_t)held_bytes : 0;
}

void stream_want_drained(struct stream *stream)
{
    if (stream->dead || stream->closing)
        return;
    stream->wants_drained = true;
    stream_touch(stream);
}

/* ---- from output to the socket ----------------------------------------------------------------- */

/* Our last words have left. */
static void linger(struct stream *stream)
{
    struct loop *loop = stream->loop;

    if (stream->ended || shutdown(stream->fd, SHUT_WR) < 0) {
        stream_break(stream, OK);
        return;
    }
    stream->lingering = true;
    timer_set(loop, &stream->linger_timer, loop->now.mono_ms + LINGER_MS);
}

/* Nothing is queued. */
static void emptied(struct stream *stream)
{
    if (stream->wants_drained) {
        stream->wants_drained = false;
        stream->callbacks->drained(stream);
    } else if (UNLIKELY(stream->closing && !stream->lingering)) {
        linger(stream);
    }
}

void stream_sent(struct stream *stream, size_t count)
{
    if (count > 0) {
        stream->sending_offset += count;
        stream->sent_bytes += count;
        stream->progress_ms = stream->loop->now.mono_ms;
    }
    if (UNLIKELY(stream->sending_lent != NULL))
        lent_sent(stream->sending_lent, stream->sending_offset);
    if (stream_unsent_bytes(stream) > 0)
        return;
    stream->waited_ms += stream->loop->now.mono_ms - stream->waits_since_ms;
    stream_give_buffer(stream->loop, &stream->sending);
    if (UNLIKELY(stream->sending_lent != NULL))
        stream_forget_lent(stream);
    if (UNLIKELY(stream->dead))
        return;
    if (UNLIKELY(stream->output != NULL || stream->tls != NULL || stream->closing || stream->wants_drained))
        stream_touch(stream);
}

/* The turn in which the stream was touched is over. */
static void flush(struct stream *stream)
{
    struct loop *loop = stream->loop;
    struct buffer **next = UNLIKELY(stream->tls != NULL) ? tls_seal(stream) : &stream->output;

    loop->back_end->receive(stream);
    if (*next != NULL && stream->sending == NULL && !stream->dead) {
        if (UNLIKELY((*next)->failed)) {
            log_write_limited(loop->log, LOG_WARNING, LOG_KIND_MEMORY,
                              "no memory for output: connection cut");
            stream_break(stream, ERR_NO_MEMORY);
            return;
        }
        if (UNLIKELY((*next)->size == 0 && stream->output_lent == NULL)) {
            stream_give_buffer(loop, next);
        } else {
            stream->sending = *next;
            *next = NULL;
            stream->sending_offset = 0;
            stream->sending_lent = stream->output_lent; /* with TLS both are null */
            stream->output_lent = NULL;
            stream->progress_ms = stream->waits_since_ms = loop->now.mono_ms;
            loop->back_end->send(stream);
        }
    }
    if (UNLIKELY(stream->wants_drained || stream->closing) && !stream->dead &&
        stream_queued_bytes(stream) == 0) {
        list_remove(&stream->in_touched); /* what stream_sent may have asked for is done here */
        emptied(stream);
    }
}

/* ---- input ------------------------------------------------------------------------------------- */

static void hold_back(struct stream *stream, struct bytes bytes)
{
    if (stream->stash == NULL)
        stream->stash = pool_take(&stream->loop->pool);
    if (stream->stash != NULL)
        buffer_append(stream->stash, bytes);
    if (stream->stash == NULL || stream->stash->failed)
        stream_break(stream, ERR_NO_MEMORY);
}

void stream_deliver(struct stream *stream, struct bytes bytes)
{
    if (LIKELY(!stream->dead && !stream->closing && !stream->paused && stream->stash == NULL)) {
        stream->callbacks->received(stream, bytes);
    } else if (stream->lingering && !stream->dead) {
        stream->lingered_bytes += (uint32_t)bytes.size;
        if (stream->lingered_bytes > LINGER_BYTES_MAX)
            stream_break(stream, OK);
    } else if (!stream->dead && !stream->closing) {
        hold_back(stream, bytes);
    }
}

void stream_deliver_end(struct stream *stream)
{
    if (stream->dead || stream->ended)
        return;
    stream->ended = true;
    if (stream->lingering)
        stream_break(stream, OK);
    else if (stream->paused || stream->stash != NULL)
        stream->end_held = true;
    else if (!stream->closing)
        stream->callbacks->ended(stream);
}

void stream_input(struct stream *stream, struct bytes bytes)
{
    if (UNLIKELY(stream->tls != NULL))
        tls_input(stream, bytes);
    else
        stream_deliver(stream, bytes);
}

void stream_input_end(struct stream *stream)
{
    if (UNLIKELY(stream->tls != NULL))
        tls_input_end(stream);
    else
        stream_deliver_end(stream);
}

static void deliver_held(struct stream *stream)
{
    struct buffer *stash = stream->stash;

    if (stream->paused || stream->closing)
        return;
    if (stash != NULL) {
        stream->stash = NULL;
        stream->callbacks->received(stream, buffer_bytes(stash));
        stream_give_buffer(stream->loop, &stash);
    }
    if (stream->end_held && !stream->paused && !stream->closing && !stream->dead) {
        stream->end_held = false;
        stream->callbacks->ended(stream);
    }
}

void stream_continue_ready(struct loop *loop)
{
    struct list ready;

    if (LIKELY(list_is_empty(&loop->ready)))
        return;
    list_init(&ready);
    list_move(&ready, &loop->ready);
    while (!list_is_empty(&ready)) {
        struct stream *stream = CONTAINER_OF(ready.next, struct stream, in_ready);
        list_remove(&stream->in_ready);
        deliver_held(stream);
        if (stream_wants_input(stream))
            loop->back_end->ready(stream);
    }
}

void stream_pause(struct stream *stream)
{
    if (stream->paused || stream->dead)
        return;
    stream->paused = true;
    stream_touch(stream);
}

void stream_resume(struct stream *stream)
{
    if (!stream->paused || stream->dead)
        return;
    stream->paused = false;
    if (stream->stash != NULL || stream->end_held)
        stream_make_ready(stream);
    stream_touch(stream);
}

/* ---- closing ----------------------------------------------------------------------------------- */

void stream_close(struct stream *stream)
{
    if (stream->dead || stream->closing)
        return;
    stream->closing = true;
    stream->wants_drained = false;
    stream_touch(stream);
}

void stream_abort(struct stream *stream) { stream_break(stream, ERR_CANCELLED); }

void stream_break(struct stream *stream, enum err why)
{
    struct loop *loop = stream->loop;

    if (stream->dead)
        return;
    stream->dead = true;
    stream->why = why;
    stream->wants_drained = false;
    timer_cancel(loop, &stream->linger_timer);
    list_remove(&stream->in_touched);
    list_remove(&stream->in_ready);
    loop->back_end->cut(stream);
    stream_settle(stream);
}

void stream_settle(struct stream *stream)
{
    if (stream->dead && !stream->armed && !stream->send_in_flight && list_is_empty(&stream->in_touched))
        list_append(&stream->loop->closing, &stream->in_touched);
}

void stream_flush_all(struct loop *loop)
{
    struct list touched;

    if (!list_is_empty(&loop->touched)) {
        list_init(&touched);
        list_move(&touched, &loop->touched);
        while (!list_is_empty(&touched)) {
            struct stream *stream = CONTAINER_OF(touched.next, struct stream, in_touched);
            list_remove(&stream->in_touched);
            flush(stream);
        }
    }
    while (UNLIKELY(!list_is_empty(&loop->closing))) {
        struct stream *stream = CONTAINER_OF(loop->closing.next, struct stream, in_touched);
        int fd = stream->fd;
        list_remove(&stream->in_touched);
        if (UNLIKELY(stream->tls != NULL))
            tls_close(stream);
        lent_destroy(stream->output_lent);
        lent_destroy(stream->sending_lent);
        list_remove(&stream->in_lenders);
        stream_give_buffer(loop, &stream->output);
        stream_give_buffer(loop, &stream->sending);
        stream_give_buffer(loop, &stream->stash);
        stream->callbacks->closed(stream, stream->why); /* which may ask who it was, and frees it */
        close(fd);
    }
    if (UNLIKELY(loop->scrap.size > 0 || loop->scrap.failed))
        buffer_fini(&loop->scrap);
}
