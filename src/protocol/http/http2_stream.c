#include "protocol/http/http2_state.h"
#include <stdlib.h>

void http2_stream_give_loan_back(struct http2_stream *stream)
{
    struct loan *loan = stream->loan;

    if (loan == NULL)
        return;
    stream->loan = NULL;
    list_remove(&stream->in_lent);
    loan->release(loan);
}

static void drop_answer(struct http2_stream *stream)
{
    stream->session->queued_bytes -= http2_stream_unsent(stream);
    if (stream->session->queued_bytes == 0)
        pace_rest(&stream->session->answer_pace, http2_now(stream->session).mono_ms);
    http2_stream_give_loan_back(stream);
    stream->answer_offset = 0;
    buffer_fini(&stream->answer);
}

/* What nobody will read any more: the other streams have need of the window. */
static void drop_body(struct http2_stream *stream)
{
    if (stream->body.size > 0 && !stream->session->has_failed)
        nghttp2_session_consume_connection(stream->session->nghttp2, stream->body.size);
    buffer_fini(&stream->body);
    stream->body_wanted = false;
}

void http2_stream_destroy(struct http2_stream *stream)
{
    struct http2_session *session = stream->session;

    drop_answer(stream);
    buffer_fini(&stream->body);
    free(stream->kept);
    list_remove(&stream->in_session);
    list_remove(&stream->in_wanting);
    list_remove(&stream->in_ready);
    free(stream);
    if (--session->stream_count > 0)
        return;
    session->idle_since_ms = http2_now(session).mono_ms;
    http2_lower_due(session, session->idle_since_ms + session->options.idle_ms);
}

/* The exchange is over; the stream may go on for what is left to send. */
void http2_stream_let_go(struct http2_stream *stream)
{
    stream->is_active = false;
    drop_body(stream);
    list_remove(&stream->in_wanting);
    list_remove(&stream->in_ready);
    free(stream->kept);
    stream->kept = NULL;
}

/* The client has left this exchange. */
void http2_stream_leave(struct http2_stream *stream)
{
    exchange_note_over(&stream->exchange, false);
    http2_stream_let_go(stream);
    stream->exchange.engine->gone(&stream->exchange);
}

/* The stream may be gone afterwards. */
void http2_stream_reset(struct http2_stream *stream, uint32_t code)
{
    if (stream->is_closed) { /* libnghttp2 has forgotten it, and will not tell us again */
        http2_stream_destroy(stream);
        return;
    }
    drop_answer(stream);
    stream->is_whole = true;
    nghttp2_submit_rst_stream(stream->session->nghttp2, NGHTTP2_FLAG_NONE, stream->id, code);
}

void http2_leave_all(struct http2_session *session)
{
    for (struct list *node = session->streams.next; node != &session->streams;) {
        struct http2_stream *stream = CONTAINER_OF(node, struct http2_stream, in_session);
        node = node->next;
        if (stream->is_active)
            http2_stream_leave(stream);
    }
}

/* The exchange goes on after the block it came in is gone: copies its head and fields. */
bool http2_stream_keep_request(struct http2_stream *stream)
{
    const struct buffer *text = &stream->session->block.text;
    size_t fields_size = stream->request.fields.count * sizeof *stream->request.fields.list;
    char *kept = malloc(fields_size + text->size);

    if (kept == NULL)
        return false;
    memcpy(kept, stream->request.fields.list, fields_size);
    memcpy(kept + fields_size, text->data, text->size);
    stream->request.fields.list = (struct http_field *)(void *)kept;
    http_request_rebase(&stream->request, text->data, text->size, kept + fields_size);
    stream->kept = kept;
    return true;
}

struct http2_stream *http2_stream_add(struct http2_session *session, int32_t id)
{
    struct http2_stream *stream = calloc(1, sizeof *stream);

    if (stream == NULL || nghttp2_session_set_stream_user_data(session->nghttp2, id, stream) != 0) {
        free(stream);
        return NULL;
    }
    stream->session = session;
    stream->id = id;
    list_append(&session->streams, &stream->in_session);
    list_init(&stream->in_wanting);
    list_init(&stream->in_ready);
    list_init(&stream->in_lent);
    session->stream_count++;
    return stream;
}
