#include "protocol/http/http2_state.h"

void http2_lower_due(struct http2_session *session, int64_t due_ms)
{
    if (due_ms >= session->due_ms)
        return;
    session->due_ms = due_ms;
    session->options.callbacks->due(session->options.owner);
}

/* When more of the request's body must have come, while it is wanted. */
int64_t http2_stream_body_due_ms(const struct http2_stream *stream)
{
    int64_t silent_ms = stream->body_ms + stream->session->options.body_ms;
    int64_t slow_ms = pace_due_ms(&stream->body_pace);

    return silent_ms < slow_ms ? silent_ms : slow_ms;
}

/* The client is late with its request's body. */
static void give_up_body(struct http2_stream *stream)
{
    stream->session->options.callbacks->too_slow(stream->session->options.owner,
                                                 "its request's body does not end, or comes too slowly");
    http2_stream_leave(stream);
    if (stream->has_responded)
        http2_stream_reset(stream, NGHTTP2_CANCEL);
    else
        http2_stream_refuse(stream, 408);
}

/* The client has let no byte of an answer through for too long. */
static void give_up_answer(struct http2_stream *stream)
{
    stream->session->options.callbacks->too_slow(stream->session->options.owner,
                                                 "it opens no window for its answers");
    if (stream->is_active)
        http2_stream_leave(stream);
    http2_stream_reset(stream, NGHTTP2_CANCEL);
}

static bool is_shut_out(const struct http2_stream *stream)
{
    nghttp2_session *nghttp2 = stream->session->nghttp2;
    return nghttp2_session_get_remote_window_size(nghttp2) <= 0 ||
           nghttp2_session_get_stream_remote_window_size(nghttp2, stream->id) <= 0;
}

static void look_at_stream(struct http2_stream *stream, int64_t now_ms)
{
    struct http2_session *session = stream->session;
    const struct http2_options *options = &session->options;

    if (stream->is_active && stream->body_wanted && !stream->has_all) {
        if (http2_stream_body_due_ms(stream) <= now_ms) {
            give_up_body(stream);
            return;
        }
        http2_lower_due(session, http2_stream_body_due_ms(stream));
    }
    if (http2_stream_unsent(stream) > 0) {
        if (stream->moved_ms + options->write_ms <= now_ms) {
            if (is_shut_out(stream)) {
                give_up_answer(stream);
                return;
            }
            stream->moved_ms = now_ms; /* it waits for us, or for its turn */
        }
        http2_lower_due(session, stream->moved_ms + options->write_ms);
    }
}

void http2_session_look_at_time(struct http2_session *session)
{
    const struct http2_options *options = &session->options;
    int64_t now_ms = http2_now(session).mono_ms;

    if (session->is_over)
        return;
    session->is_busy = true;
    session->due_ms = INT64_MAX;
    for (struct list *node = session->streams.next; node != &session->streams;) {
        struct http2_stream *stream = CONTAINER_OF(node, struct http2_stream, in_session);
        node = node->next;
        look_at_stream(stream, now_ms);
    }
    if (session->block_began_ms != 0) {
        if (session->block_began_ms + options->head_ms <= now_ms) {
            options->callbacks->too_slow(options->owner, "its request's head does not end");
            nghttp2_session_terminate_session(session->nghttp2, NGHTTP2_ENHANCE_YOUR_CALM);
        } else {
            http2_lower_due(session, session->block_began_ms + options->head_ms);
        }
    } else if (session->stream_count == 0) {
        if (session->idle_since_ms + options->idle_ms <= now_ms)
            nghttp2_session_terminate_session(session->nghttp2, NGHTTP2_NO_ERROR);
        else
            http2_lower_due(session, session->idle_since_ms + options->idle_ms);
    }
    http2_finish(session);
}

int64_t http2_session_due_ms(const struct http2_session *session) { return session->due_ms; }
