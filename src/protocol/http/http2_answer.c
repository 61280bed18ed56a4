#include "base/compiler.h"
#include "protocol/http/http2_state.h"
#include <assert.h>

static struct http2_stream *stream_of(const struct exchange *x)
{
    return (struct http2_stream *)(void *)((char *)(uintptr_t)x - offsetof(struct http2_stream, exchange));
}

static void client_inform(struct exchange *x, int status, const struct http_fields *list)
{
    struct http2_stream *stream = stream_of(x);
    struct http2_session *session = stream->session;
    struct http_response response = {.status = status, .body_bytes = HTTP_BODY_NONE, .fields = *list};
    struct http2_fields fields;

    if (stream->has_responded || session->is_over)
        return;
    if (!http2_fields_init(&fields, &response, NULL) ||
        nghttp2_submit_headers(session->nghttp2, NGHTTP2_FLAG_NONE, stream->id, NULL, fields.list,
                               fields.count, NULL) != 0)
        session->has_failed = true;
    http2_fields_fini(&fields);
    http2_say_for_engine(session);
}

static void client_read(struct exchange *x, bool wanted)
{
    struct http2_stream *stream = stream_of(x);
    struct http2_session *session = stream->session;

    int64_t now_ms = http2_now(session).mono_ms;

    stream->body_wanted = wanted && !stream->body_ended;
    if (!stream->body_wanted) {
        pace_rest(&stream->body_pace, now_ms);
        list_remove(&stream->in_ready);
        return;
    }
    stream->body_ms = now_ms;
    pace_wait(&stream->body_pace, now_ms);
    http2_lower_due(session, http2_stream_body_due_ms(stream));
    if (stream->continue_owed && !stream->has_responded && !stream->has_all) {
        stream->continue_owed = false;
        client_inform(x, 100, &(struct http_fields){NULL, 0});
    }
    if ((stream->body.size > 0 || stream->has_all) && list_is_empty(&stream->in_ready)) {
        list_append(&session->ready, &stream->in_ready);
        if (!session->is_busy)
            session->options.callbacks->go_on(session->options.owner);
    }
    http2_say_for_engine(session);
}

static void client_respond(struct exchange *x, const struct http_response *response)
{
    struct http2_stream *stream = stream_of(x);
    struct http2_session *session = stream->session;
    nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = http2_read_answer};
    struct http2_fields fields;
    const char *date = NULL;

    assert(!stream->has_responded);
    stream->has_responded = true;
    x->status = response->status;
    stream->no_body =
        response->status == 204 || response->status == 304 || stream->request.method == HTTP_METHOD_HEAD;
    stream->left_bytes = stream->no_body ? 0 : response->body_bytes;
    stream->is_whole = stream->left_bytes == 0;
    if (session->is_over)
        return;
    if (!response->rendered_has_date && http_fields_find(&response->fields, HTTP_HEADER_DATE) == NULL)
        date = session->options.callbacks->date(session->options.owner);
    if (!http2_fields_init(&fields, response, date) ||
        nghttp2_submit_response(session->nghttp2, stream->id, fields.list, fields.count,
                                stream->is_whole ? NULL : &provider) != 0)
        session->has_failed = true;
    http2_fields_fini(&fields);
    http2_say_for_engine(session);
}

/* Counts `size` more bytes of the answer. False if nobody will get them. */
static bool note_said(struct http2_stream *stream, size_t size)
{
    struct http2_session *session = stream->session;

    stream->exchange.sent_bytes += size;
    if (stream->left_bytes != HTTP_BODY_UNKNOWN) {
        assert((int64_t)size <= stream->left_bytes);
        stream->left_bytes -= (int64_t)size;
        stream->is_whole = stream->left_bytes == 0;
    }
    if (session->is_over)
        return false;
    if (http2_stream_unsent(stream) == 0) {
        stream->moved_ms = http2_now(session).mono_ms;
        http2_lower_due(session, stream->moved_ms + session->options.write_ms);
    }
    return true;
}

/* `size` more bytes of the answer are there. */
static void go_on_saying(struct http2_stream *stream, size_t size)
{
    struct http2_session *session = stream->session;

    session->queued_bytes += size;
    http2_stream_mind_windows(stream);
    if (stream->is_deferred) {
        stream->is_deferred = false;
        nghttp2_session_resume_data(session->nghttp2, stream->id);
    }
    http2_say_for_engine(session);
}

static void client_send(struct exchange *x, struct bytes bytes)
{
    struct http2_stream *stream = stream_of(x);

    if (stream->no_body || bytes.size == 0 || !note_said(stream, bytes.size))
        return;
    http2_stream_copy_lent(stream); /* it comes before */
    if (stream->answer_offset > 0 && stream->answer_offset >= stream->answer.size / 2) {
        buffer_consume(&stream->answer, stream->answer_offset);
        stream->answer_offset = 0;
    }
    buffer_append(&stream->answer, bytes);
    if (stream->answer.failed) {
        stream->session->has_failed = true;
        http2_say_for_engine(stream->session);
    } else {
        go_on_saying(stream, bytes.size);
    }
}

static bool client_lend(struct exchange *x, struct loan *loan)
{
    struct http2_stream *stream = stream_of(x);

    if (stream->no_body || stream->loan != NULL || stream->session->is_over)
        return false;
    note_said(stream, loan->size);
    stream->loan = loan;
    stream->loan_offset = 0;
    list_append(&stream->session->lent, &stream->in_lent);
    go_on_saying(stream, loan->size);
    return true;
}

static size_t client_room(const struct exchange *x)
{
    struct http2_stream *stream = stream_of(x);
    size_t room = http2_stream_room(stream);

    if (room == 0 && list_is_empty(&stream->in_wanting))
        list_append(&stream->session->wanting, &stream->in_wanting);
    return room;
}

/* The exchange is over, on the engine's side. */
static void over(struct http2_stream *stream)
{
    struct http2_session *session = stream->session;

    http2_stream_let_go(stream);
    if (stream->is_closed)
        http2_stream_destroy(stream);
    http2_say_for_engine(session);
}

static void client_end(struct exchange *x)
{
    struct http2_stream *stream = stream_of(x);
    struct http2_session *session = stream->session;

    assert(stream->has_responded);
    assert(stream->left_bytes == HTTP_BODY_UNKNOWN || stream->left_bytes == 0);
    stream->is_whole = true;
    if (stream->is_deferred && !session->is_over) {
        stream->is_deferred = false;
        nghttp2_session_resume_data(session->nghttp2, stream->id);
    }
    session->options.callbacks->answered(session->options.owner);
    exchange_note_over(x, true);
    over(stream);
}

static void break_off(struct exchange *x, uint32_t code)
{
    struct http2_stream *stream = stream_of(x);

    if (!stream->is_closed && !stream->session->is_over)
        http2_stream_reset(stream, code);
    exchange_note_over(x, false);
    over(stream);
}

static void client_abort(struct exchange *x) { break_off(x, NGHTTP2_INTERNAL_ERROR); }

static void client_break_off(struct exchange *x, enum exchange_breakage how)
{
    switch (how) {
    case EXCHANGE_RESET: break_off(x, NGHTTP2_INTERNAL_ERROR); return;
    case EXCHANGE_CLOSE: break_off(x, NGHTTP2_CANCEL); return;
    case EXCHANGE_GARBAGE: break_off(x, NGHTTP2_PROTOCOL_ERROR); return;
    }
    UNREACHABLE();
}

const struct exchange_client http2_client = {.read = client_read,
                                             .inform = client_inform,
                                             .respond = client_respond,
                                             .send = client_send,
                                             .room = client_room,
                                             .end = client_end,
                                             .abort = client_abort,
                                             .lend = client_lend,
                                             .break_off = client_break_off};

/* Our own refusal of what is not a request, or came too slowly: a head that says why, and no more. */
void http2_stream_refuse(struct http2_stream *stream, int status)
{
    struct http_response response = {.status = status};

    stream->exchange.client = &http2_client;
    client_respond(&stream->exchange, &response);
    stream->session->options.callbacks->refused(stream->session->options.owner, http_status_reason(status));
}
