#include "base/compiler.h"
#include "protocol/http/http2_state.h"

/* A decoded header block of so many times the limit is no request any more. */
enum { BLOCK_LIMITS_MAX = 4 };

const uint8_t http2_drain_ping[8] = "nuthatch";

/* ---- requests ---------------------------------------------------------------------------------- */

/* A header block is whole. */
static bool begin(struct http2_session *session, int32_t id, bool is_all)
{
    struct http2_stream *stream = http2_stream_add(session, id);
    int status;

    if (stream == NULL)
        return false;
    stream->has_all = is_all;
    status = http2_block_request(&session->block, session->options.limits, is_all, session->options.fields,
                                 &stream->request);
    if (status != 0) {
        http2_stream_refuse(stream, status);
        return true;
    }
    stream->exchange = (struct exchange){.engine = session->options.engine,
                                         .client = &http2_client,
                                         .request = &stream->request,
                                         .client_fd = session->options.client_fd,
                                         .now = http2_now(session)};
    stream->continue_owed = stream->request.expects_continue;
    stream->body_ended = stream->request.body_bytes == HTTP_BODY_NONE;
    pace_begin(&stream->body_pace, session->options.body_ms, session->options.body_rate);
    pace_begin(&stream->answer_pace, session->options.write_ms, session->options.answer_rate);
    stream->is_active = true;
    session->options.engine->begin(session->options.engine_worker, &stream->exchange);
    if (stream->is_active && !http2_stream_keep_request(stream)) {
        http2_stream_leave(stream);
        http2_stream_reset(stream, NGHTTP2_INTERNAL_ERROR);
    }
    return true;
}

/* The engine is told of the end of a body that it has read. */
static void end_body(struct http2_stream *stream)
{
    stream->body_wanted = false;
    stream->body_ended = true;
    stream->exchange.engine->body_end(&stream->exchange);
}

/* Hands engines what came while they did not want it. */
void http2_deliver(struct http2_session *session)
{
    while (!list_is_empty(&session->ready)) {
        struct http2_stream *stream = CONTAINER_OF(session->ready.next, struct http2_stream, in_ready);

        list_remove(&stream->in_ready);
        if (stream->body.size > 0) {
            struct buffer body = stream->body;
            stream->body = (struct buffer){0};
            nghttp2_session_consume(session->nghttp2, stream->id, body.size);
            stream->exchange.engine->body(&stream->exchange, buffer_bytes(&body));
            buffer_fini(&body);
        }
        /* By (1) and (2) it is still there, even if that has ended the exchange. */
        if (stream->is_active && stream->body_wanted && stream->has_all && stream->body.size == 0)
            end_body(stream);
    }
}

/* ---- frames ------------------------------------------------------------------------------------ */

static struct http2_stream *find(struct http2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session->nghttp2, id);
}

/* Counts what a client does beyond asking. False if that is enough. */
static bool may_go_on(struct http2_session *session, const nghttp2_frame_hd *frame)
{
    int64_t now_ms = http2_now(session).mono_ms;

    switch (frame->type) {
    case NGHTTP2_HEADERS:
        session->continuations = 0;
        http2_guard_note_sent(&session->guard, 1024); /* its windows are the client's to open */
        return true;
    case NGHTTP2_CONTINUATION:
        if (++session->continuations <= HTTP2_CONTINUATIONS_MAX)
            return true;
        session->too_much = "HTTP/2: a header block without end";
        return false;
    case NGHTTP2_DATA:
        if (frame->length > 0 || (frame->flags & NGHTTP2_FLAG_END_STREAM))
            return true;
        break;
    case NGHTTP2_WINDOW_UPDATE:
        if (http2_guard_take_update(&session->guard, now_ms))
            return true;
        session->too_much = "HTTP/2: too many frames that ask for nothing";
        return false;
    case NGHTTP2_RST_STREAM:
        if (find(session, frame->stream_id) == NULL)
            break;
        if (http2_guard_take(&session->guard, HTTP2_DEED_RESET, now_ms))
            return true;
        session->too_much = "HTTP/2: too many streams were reset";
        return false;
    default: break;
    }
    if (http2_guard_take(&session->guard, HTTP2_DEED_CHATTER, now_ms))
        return true;
    session->too_much = "HTTP/2: too many frames that ask for nothing";
    return false;
}

static int on_begin_frame(nghttp2_session *nghttp2, const nghttp2_frame_hd *frame, void *user)
{
    (void)nghttp2;
    return may_go_on(user, frame) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_begin_headers(nghttp2_session *nghttp2, const nghttp2_frame *frame, void *user)
{
    struct http2_session *session = user;

    (void)nghttp2;
    (void)frame;
    http2_block_begin(&session->block);
    session->block_began_ms = http2_now(session).mono_ms;
    return 0;
}

static int on_header(nghttp2_session *nghttp2, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags, void *user)
{
    struct http2_session *session = user;
    const struct http1_limits *limits = session->options.limits;

    (void)nghttp2;
    (void)flags;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        http2_block_add(&session->block, limits, bytes_of(name, name_size), bytes_of(value, value_size));
    else
        session->block.list_bytes += name_size + value_size;
    if (session->block.list_bytes <= (size_t)limits->head_bytes_max * BLOCK_LIMITS_MAX)
        return 0;
    session->too_much =
        "HTTP/2: a header block that is far too large"; /* a frame can hold millions of bytes */
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* libnghttp2 would leave the field out and go on. */
static int on_invalid_header(nghttp2_session *nghttp2, const nghttp2_frame *frame, const uint8_t *name,
                             size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags,
                             void *user)
{
    struct http2_session *session = user;

    (void)nghttp2;
    (void)name;
    (void)name_size;
    (void)value;
    (void)value_size;
    (void)flags;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST && session->block.status == 0)
        session->block.status = 400;
    return 0;
}

static int on_data(nghttp2_session *nghttp2, uint8_t flags, int32_t id, const uint8_t *data, size_t size,
                   void *user)
{
    struct http2_session *session = user;
    struct http2_stream *stream = find(session, id);

    (void)flags;
    if (stream == NULL || !stream->is_active) {
        nghttp2_session_consume_connection(nghttp2, size);
        return 0;
    }
    pace_note(&stream->body_pace, http2_now(session).mono_ms, size);
    if (!stream->body_wanted || stream->body.size > 0) {
        buffer_append(&stream->body, bytes_of(data, size));
        return stream->body.failed ? NGHTTP2_ERR_NOMEM : 0;
    }
    stream->body_ms = http2_now(session).mono_ms;
    nghttp2_session_consume(nghttp2, id, size);
    stream->exchange.engine->body(&stream->exchange, bytes_of(data, size));
    return 0;
}

static void request_ended(struct http2_session *session, int32_t id)
{
    struct http2_stream *stream = find(session, id);

    if (stream == NULL)
        return;
    stream->has_all = true;
    if (stream->is_active && stream->body_wanted && stream->body.size == 0)
        end_body(stream);
}

/* A head that is none ends its stream, not the connection (RFC 9113 §8.1.1). */
static int on_invalid_frame(nghttp2_session *nghttp2, const nghttp2_frame *frame, int error, void *user)
{
    (void)nghttp2, (void)error;
    if (frame->hd.type == NGHTTP2_HEADERS)
        ((struct http2_session *)user)->block_began_ms = 0;
    return 0;
}

static int on_frame(nghttp2_session *nghttp2, const nghttp2_frame *frame, void *user)
{
    struct http2_session *session = user;
    bool is_last = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        session->block_began_ms = 0;
        if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
            return begin(session, frame->hd.stream_id, is_last) ? 0 : NGHTTP2_ERR_NOMEM;
        if (is_last) /* trailers, which are dropped */
            request_ended(session, frame->hd.stream_id);
        return 0;
    case NGHTTP2_DATA:
        if (is_last)
            request_ended(session, frame->hd.stream_id);
        return 0;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) && session->is_draining && !session->has_said_goaway &&
            memcmp(frame->ping.opaque_data, http2_drain_ping, sizeof http2_drain_ping) == 0) {
            /* What the client sent before it knew has arrived: this is the last. */
            session->has_said_goaway = true;
            nghttp2_submit_goaway(nghttp2, NGHTTP2_FLAG_NONE,
                                  nghttp2_session_get_last_proc_stream_id(nghttp2), NGHTTP2_NO_ERROR, NULL,
                                  0);
        }
        return 0;
    default: return 0;
    }
}

/* A reset that the client has provoked counts as one of its own. */
static int on_frame_sent(nghttp2_session *nghttp2, const nghttp2_frame *frame, void *user)
{
    struct http2_session *session = user;
    struct http2_stream *stream;

    switch (frame->hd.type) {
    case NGHTTP2_RST_STREAM:
        if (frame->rst_stream.error_code == NGHTTP2_NO_ERROR ||
            frame->rst_stream.error_code == NGHTTP2_INTERNAL_ERROR ||
            frame->rst_stream.error_code == NGHTTP2_CANCEL ||
            http2_guard_take(&session->guard, HTTP2_DEED_RESET, http2_now(session).mono_ms))
            return 0;
        session->too_much = "HTTP/2: too many streams had to be reset"; /* see http2_send.c */
        return 0;
    case NGHTTP2_GOAWAY:
        if (frame->goaway.error_code != NGHTTP2_NO_ERROR &&
            frame->goaway.error_code != NGHTTP2_ENHANCE_YOUR_CALM)
            session->options.callbacks->refused(
                session->options.owner, bytes_of_text(nghttp2_http2_strerror(frame->goaway.error_code)));
        return 0;
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
            return 0;
        stream = find(session, frame->hd.stream_id);
        if (stream == NULL)
            return 0;
        stream->end_sent = true;
        if (!stream->has_all) /* RFC 9113 §8.1: the rest of the request is not needed */
            nghttp2_submit_rst_stream(nghttp2, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
        return 0;
    default: return 0;
    }
}

static int on_stream_close(nghttp2_session *nghttp2, int32_t id, uint32_t code, void *user)
{
    struct http2_stream *stream = find(user, id);

    (void)nghttp2;
    (void)code;
    if (stream == NULL)
        return 0;
    stream->is_closed = true;
    if (stream->is_active && !stream->end_sent)
        http2_stream_leave(stream);
    if (!stream->is_active)
        http2_stream_destroy(stream);
    return 0;
}

bool http2_make_callbacks(nghttp2_session_callbacks **made)
{
    nghttp2_session_callbacks *callbacks;

    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        return false;
    nghttp2_session_callbacks_set_send_callback(callbacks, http2_on_send);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, http2_on_send_data);
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    *made = callbacks;
    return true;
}
