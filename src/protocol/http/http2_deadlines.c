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

/* Whether a window lets nothing more through; `sent_bytes` have left that libnghttp2 has not counted yet.
 */
static bool is_stream_shut(const struct http2_stream *stream, size_t sent_bytes)
{
    return nghttp2_session_get_stream_remote_window_size(stream->session->nghttp2, stream->id) <=
           (int64_t)sent_bytes;
}

static bool is_session_shut(const struct http2_session *session, size_t sent_bytes)
{
    return nghttp2_session_get_remote_window_size(session->nghttp2) <= (int64_t)sent_bytes;
}

static void mind_windows(struct http2_stream *stream, size_t sent_bytes)
{
    struct http2_session *session = stream->session;
    int64_t now_ms = http2_now(session).mono_ms;

    if (session->options.answer_rate == 0)
        return;
    if (http2_stream_unsent(stream) > 0 && is_stream_shut(stream, sent_bytes)) {
        pace_wait(&stream->answer_pace, now_ms);
        http2_lower_due(session, pace_due_ms(&stream->answer_pace));
    }
    if (session->queued_bytes > 0 && is_session_shut(session, sent_bytes)) {
        pace_wait(&session->answer_pace, now_ms);
        http2_lower_due(session, pace_due_ms(&session->answer_pace));
    }
}

void http2_stream_mind_windows(struct http2_stream *stream) { mind_windows(stream, 0); }

void http2_stream_note_moved(struct http2_stream *stream, size_t size)
{
    struct http2_session *session = stream->session;
    int64_t now_ms = http2_now(session).mono_ms;

    stream->moved_ms = now_ms;
    if (session->options.answer_rate == 0)
        return;
    pace_rest(&stream->answer_pace, now_ms);
    pace_rest(&session->answer_pace, now_ms);
    pace_note(&stream->answer_pace, now_ms, size);
    pace_note(&session->answer_pace, now_ms, size);
    mind_windows(stream, size);
}

/* The client has let no byte of an answer through for too long, or too few. */
static void give_up_answer(struct http2_stream *stream, const char *why)
{
    stream->session->options.callbacks->too_slow(stream->session->options.owner, why);
    if (stream->is_active)
        http2_stream_leave(stream);
    http2_stream_reset(stream, NGHTTP2_CANCEL);
}

/* What is kept back by us, or waits for its turn, is not the client's fault; but nor does it earn time. */
static bool is_too_slow(struct pace *pace, bool is_shut, int64_t now_ms)
{
    if (pace_due_ms(pace) > now_ms)
        return false;
    if (!is_shut)
        pace_rest(pace, now_ms);
    return is_shut;
}

static const char slow_windows[] = "it opens its windows for its answers too slowly";

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
            if (is_session_shut(session, 0) || is_stream_shut(stream, 0)) {
                give_up_answer(stream, "it opens no window for its answers");
                return;
            }
            stream->moved_ms = now_ms; /* it waits for us, or for its turn */
        }
        http2_lower_due(session, stream->moved_ms + options->write_ms);
        if (is_too_slow(&stream->answer_pace, is_stream_shut(stream, 0), now_ms)) {
            give_up_answer(stream, slow_windows);
            return;
        }
        http2_lower_due(session, pace_due_ms(&stream->answer_pace));
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
    if (session->queued_bytes > 0 &&
        is_too_slow(&session->answer_pace, is_session_shut(session, 0), now_ms)) {
        options->callbacks->too_slow(options->owner, slow_windows);
        nghttp2_session_terminate_session(session->nghttp2, NGHTTP2_ENHANCE_YOUR_CALM);
    } else {
        http2_lower_due(session, pace_due_ms(&session->answer_pace));
    }
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
