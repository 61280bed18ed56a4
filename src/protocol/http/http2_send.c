#include "base/compiler.h"
#include "protocol/http/http2_state.h"

/* Tells a client that is too much to bear so, and listens to it no longer. */
void http2_calm(struct http2_session *session)
{
    const char *why = session->too_much;

    session->too_much = NULL;
    session->options.callbacks->refused(session->options.owner, bytes_of_text(why));
    if (nghttp2_session_terminate_session(session->nghttp2, NGHTTP2_ENHANCE_YOUR_CALM) != 0)
        session->has_failed = true;
}

/* Appends `size` bytes of what is lent, which are there, to `output`. */
static void take_lent(struct http2_stream *stream, size_t size, struct buffer *output)
{
    while (size > 0) {
        struct bytes piece = bytes_first(stream->loan->piece(stream->loan, stream->loan_offset), size);
        buffer_append(output, piece);
        stream->loan_offset += piece.size;
        size -= piece.size;
    }
    if (stream->loan_offset == stream->loan->size)
        http2_stream_give_loan_back(stream);
}

/* See (4). */
void http2_stream_copy_lent(struct http2_stream *stream)
{
    if (stream->loan == NULL)
        return;
    take_lent(stream, stream->loan->size - stream->loan_offset, &stream->answer);
    if (stream->answer.failed)
        stream->session->has_failed = true;
}

static void copy_all_lent(struct http2_session *session)
{
    while (UNLIKELY(!list_is_empty(&session->lent)))
        http2_stream_copy_lent(CONTAINER_OF(session->lent.next, struct http2_stream, in_lent));
}

/* Says what there is to say, as far as there is room. */
static void say(struct http2_session *session)
{
    if (session->is_over || session->has_failed)
        return;
    session->is_blocked = false;
    if (nghttp2_session_send(session->nghttp2) != 0)
        session->has_failed = true;
    if (UNLIKELY(session->too_much != NULL)) { /* for what was sent */
        http2_calm(session);
        if (nghttp2_session_send(session->nghttp2) != 0)
            session->has_failed = true;
    }
}

size_t http2_stream_room(const struct http2_stream *stream)
{
    size_t unsent = http2_stream_unsent(stream);
    size_t most = stream->session->queued_bytes < HTTP2_SESSION_QUEUE_BYTES
                      ? HTTP2_STREAM_QUEUE_BYTES
                      : HTTP2_STREAM_QUEUE_BYTES_LEAST;

    return unsent < most ? most - unsent : 0;
}

/* Tells engines that were told to wait that they need not any more. True if one was. */
static bool wake_those_with_room(struct http2_session *session)
{
    struct list waiting;
    bool has_woken = false;

    if (LIKELY(list_is_empty(&session->wanting)))
        return false;
    list_init(&waiting);
    while (!list_is_empty(&session->wanting)) {
        struct list *node = session->wanting.next;
        list_remove(node);
        list_append(&waiting, node);
    }
    while (!list_is_empty(&waiting)) {
        struct http2_stream *stream = CONTAINER_OF(waiting.next, struct http2_stream, in_wanting);
        list_remove(&stream->in_wanting);
        if (http2_stream_room(stream) >= HTTP2_STREAM_QUEUE_BYTES_LEAST) {
            has_woken = true;
            stream->exchange.engine->writable(&stream->exchange); /* which may end it */
        } else {
            list_append(&session->wanting, &stream->in_wanting);
        }
    }
    return has_woken;
}

/* Ends the session if it has come to its end. */
static void settle(struct http2_session *session)
{
    if (session->is_over)
        return;
    if (session->is_draining && session->stream_count == 0 && !session->has_failed) {
        nghttp2_session_terminate_session(session->nghttp2, NGHTTP2_NO_ERROR);
        say(session);
    }
    if (!session->has_failed && (nghttp2_session_want_read(session->nghttp2) != 0 ||
                                 nghttp2_session_want_write(session->nghttp2) != 0))
        return;
    session->is_over = true;
    http2_leave_all(session);
    session->options.callbacks->over(session->options.owner);
}

/* What every call of the owner's ends with. */
void http2_finish(struct http2_session *session)
{
    do
        say(session);
    while (!session->is_blocked && wake_those_with_room(session));
    copy_all_lent(session);
    session->is_busy = false;
    settle(session);
}

/* What every call of an engine's ends with, see (2). */
void http2_say_for_engine(struct http2_session *session)
{
    if (session->is_busy || session->is_over)
        return;
    if (!session->is_blocked) {
        session->is_busy = true;
        say(session);
        session->is_busy = false;
    }
    copy_all_lent(session);
    if (session->has_failed || session->is_draining || session->peer_ended)
        session->options.callbacks->go_on(session->options.owner); /* it may be the end */
}

/* ---- what libnghttp2 asks for ------------------------------------------------------------------ */

ssize_t http2_read_answer(nghttp2_session *nghttp2, int32_t id, uint8_t *data, size_t length,
                          uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct http2_stream *stream = source->ptr;
    size_t unsent = http2_stream_unsent(stream);

    (void)nghttp2;
    (void)id;
    (void)data;
    (void)user;
    if (unsent == 0 && !stream->is_whole) {
        stream->is_deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (unsent <= length && stream->is_whole)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)(unsent < length ? unsent : length);
}

ssize_t http2_on_send(nghttp2_session *nghttp2, const uint8_t *data, size_t size, int flags, void *user)
{
    struct http2_session *session = user;

    (void)nghttp2;
    (void)flags;
    if (session->options.callbacks->room(session->options.owner) == 0) {
        session->is_blocked = true;
        return NGHTTP2_ERR_WOULDBLOCK;
    }
    buffer_append(session->options.callbacks->output(session->options.owner), bytes_of(data, size));
    return (ssize_t)size;
}

int http2_on_send_data(nghttp2_session *nghttp2, nghttp2_frame *frame, const uint8_t *head, size_t size,
                       nghttp2_data_source *source, void *user)
{
    enum { FRAME_HEAD_BYTES = 9 };
    struct http2_session *session = user;
    struct http2_stream *stream = source->ptr;
    size_t kept = stream->answer.size - stream->answer_offset;
    struct buffer *output;

    (void)nghttp2;
    (void)frame; /* nothing is padded */
    if (size >
        http2_stream_unsent(stream)) /* it was reset while libnghttp2 waited for room for this frame */
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (session->options.callbacks->room(session->options.owner) == 0) {
        session->is_blocked = true;
        return NGHTTP2_ERR_WOULDBLOCK;
    }
    output = session->options.callbacks->output(session->options.owner);
    buffer_append(output, bytes_of(head, FRAME_HEAD_BYTES));
    if (kept > size)
        kept = size;
    if (kept > 0)
        buffer_append(output, bytes_of(stream->answer.data + stream->answer_offset, kept));
    stream->answer_offset += kept;
    if (size > kept)
        take_lent(stream, size - kept, output);
    session->queued_bytes -= size;
    http2_stream_note_moved(stream, size);
    http2_guard_note_sent(&session->guard, size);
    if (stream->answer_offset == stream->answer.size) {
        stream->answer_offset = 0;
        buffer_clear(&stream->answer);
    }
    return 0;
}
