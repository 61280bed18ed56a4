/* http2_session.c — streams as exchanges, on libnghttp2.
 *
 *   block whole ──► begun ──► (body read) ──► answered ──► sent ──► closed
 *                     └── the client resets it, or we do: gone ─────►┘
 *
 *   (1) a stream is in session->streams from its begin until it is closed and its exchange is over,
 * whichever comes last: an answer's last bytes may leave before the engine says exchange_end. (2)
 * libnghttp2 is never entered from inside itself, and no engine from inside a call of its own: while
 *       `is_busy`, what engines say is only noted down. Else it is sent at once, which reaches no other
 *       exchange: were anything else waiting to be sent, the session would be blocked.
 *   (3) queued_bytes is the sum of the streams' answers that no DATA frame has taken.
 *   (4) What is lent to a stream goes into frames from where it lies. What finds no room is copied before
 *       the call of the owner's, or of the engine's, is over: no loan waits for a slow client. */
#include "protocol/http/http2_session.h"
#include "base/compiler.h"
#include "base/list.h"
#include "base/pace.h"
#include "protocol/http/http2_guard.h"
#include "protocol/http/http2_message.h"
#include <assert.h>
#include <stdlib.h>

/* Frames of our own making that wait for a client that does not read. */
enum { FRAMES_WAITING_MAX = 500, ACKS_WAITING_MAX = 500 };

/* A decoded header block of so many times the limit is no request any more. */
enum { BLOCK_LIMITS_MAX = 4 };

static const uint8_t drain_ping[8] = "nuthatch";

struct http2_stream {
    struct exchange exchange;
    struct http_request request;
    struct http2_session *session;
    struct list in_session, in_wanting, in_ready, in_lent;
    void *kept;           /* the request's head and fields, once it outlives the block it came in */
    struct buffer body;   /* of the request: received and not yet wanted */
    struct buffer answer; /* its body: not yet sent */
    size_t answer_offset; /* what of it was sent */
    struct loan *loan;    /* what follows it, see (4); null if nothing does */
    uint64_t loan_offset; /* what of it was sent */
    int64_t left_bytes;   /* of the answer, not yet said by the engine, or HTTP_BODY_UNKNOWN */
    int64_t body_ms;      /* when the client was last asked for its body, or sent some */
    struct pace body_pace;
    int64_t moved_ms; /* when the answer last moved, or began to wait */
    int32_t id;
    bool is_active; /* the engine has the exchange */
    bool is_closed; /* for libnghttp2 */
    bool has_all;   /* the request's end has come */
    bool body_wanted;
    bool body_ended;    /* the engine knows its end, or there is none */
    bool continue_owed; /* 100 Continue was asked for and not sent */
    bool has_responded;
    bool no_body;     /* HEAD, 204, 304 */
    bool is_whole;    /* no more will be added to the answer */
    bool end_sent;    /* END_STREAM */
    bool is_deferred; /* libnghttp2 waits for more of the answer */
};

struct http2_session {
    struct http2_options options;
    nghttp2_session *nghttp2;
    struct list streams, wanting, ready, lent; /* wanting: have been told that there is no room */
    size_t stream_count;
    size_t queued_bytes;
    struct http2_guard guard;
    struct http2_block block;
    int64_t block_began_ms; /* 0: none is arriving */
    unsigned continuations; /* of the block that is arriving */
    int64_t idle_since_ms;
    int64_t due_ms;       /* not later than what is due next */
    const char *too_much; /* why the client is told to calm down, until it is */
    bool is_busy, is_blocked, is_draining, has_said_goaway, peer_ended;
    bool has_failed; /* libnghttp2 is of no more use */
    bool is_over;
};

static struct http2_stream *stream_of(const struct exchange *x)
{
    return (struct http2_stream *)(void *)((char *)(uintptr_t)x - offsetof(struct http2_stream, exchange));
}

static struct now now_of(const struct http2_session *session)
{
    return session->options.callbacks->now(session->options.owner);
}

static void lower_due(struct http2_session *session, int64_t due_ms)
{
    if (due_ms >= session->due_ms)
        return;
    session->due_ms = due_ms;
    session->options.callbacks->due(session->options.owner);
}

static size_t unsent_bytes(const struct http2_stream *stream)
{
    return stream->answer.size - stream->answer_offset +
           (stream->loan != NULL ? stream->loan->size - stream->loan_offset : 0);
}

/* When more of the request's body must have come, while it is wanted. */
static int64_t body_due_ms(const struct http2_stream *stream)
{
    int64_t silent_ms = stream->body_ms + stream->session->options.body_ms;
    int64_t slow_ms = pace_due_ms(&stream->body_pace);

    return silent_ms < slow_ms ? silent_ms : slow_ms;
}

/* ---- the life of a stream ---------------------------------------------------------------------- */

static void give_loan_back(struct http2_stream *stream)
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
    stream->session->queued_bytes -= unsent_bytes(stream);
    give_loan_back(stream);
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

static void destroy(struct http2_stream *stream)
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
    session->idle_since_ms = now_of(session).mono_ms;
    lower_due(session, session->idle_since_ms + session->options.idle_ms);
}

/* The exchange is over; the stream may go on for what is left to send. */
static void let_go(struct http2_stream *stream)
{
    stream->is_active = false;
    drop_body(stream);
    list_remove(&stream->in_wanting);
    list_remove(&stream->in_ready);
    free(stream->kept);
    stream->kept = NULL;
}

/* The client has left this exchange. */
static void leave(struct http2_stream *stream)
{
    exchange_note_over(&stream->exchange, false);
    let_go(stream);
    stream->exchange.engine->gone(&stream->exchange);
}

/* The stream may be gone afterwards. */
static void reset(struct http2_stream *stream, uint32_t code)
{
    if (stream->is_closed) { /* libnghttp2 has forgotten it, and will not tell us again */
        destroy(stream);
        return;
    }
    drop_answer(stream);
    stream->is_whole = true;
    nghttp2_submit_rst_stream(stream->session->nghttp2, NGHTTP2_FLAG_NONE, stream->id, code);
}

static void leave_all(struct http2_session *session)
{
    for (struct list *node = session->streams.next; node != &session->streams;) {
        struct http2_stream *stream = CONTAINER_OF(node, struct http2_stream, in_session);
        node = node->next;
        if (stream->is_active)
            leave(stream);
    }
}

/* ---- output ------------------------------------------------------------------------------------ */

/* Tells a client that is too much to bear so, and listens to it no longer. */
static void calm(struct http2_session *session)
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
        give_loan_back(stream);
}

/* See (4). */
static void copy_lent(struct http2_stream *stream)
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
        copy_lent(CONTAINER_OF(session->lent.next, struct http2_stream, in_lent));
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
        calm(session);
        if (nghttp2_session_send(session->nghttp2) != 0)
            session->has_failed = true;
    }
}

static size_t room_of(const struct http2_stream *stream)
{
    size_t unsent = unsent_bytes(stream);
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
        if (room_of(stream) >= HTTP2_STREAM_QUEUE_BYTES_LEAST) {
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
    leave_all(session);
    session->options.callbacks->over(session->options.owner);
}

/* What every call of the owner's ends with. */
static void finish(struct http2_session *session)
{
    do
        say(session);
    while (!session->is_blocked && wake_those_with_room(session));
    copy_all_lent(session);
    session->is_busy = false;
    settle(session);
}

/* What every call of an engine's ends with, see (2). */
static void say_for_engine(struct http2_session *session)
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

/* ---- what engines say -------------------------------------------------------------------------- */

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
    say_for_engine(session);
}

static void client_read(struct exchange *x, bool wanted)
{
    struct http2_stream *stream = stream_of(x);
    struct http2_session *session = stream->session;

    int64_t now_ms = now_of(session).mono_ms;

    stream->body_wanted = wanted && !stream->body_ended;
    if (!stream->body_wanted) {
        pace_rest(&stream->body_pace, now_ms);
        list_remove(&stream->in_ready);
        return;
    }
    stream->body_ms = now_ms;
    pace_wait(&stream->body_pace, now_ms);
    lower_due(session, body_due_ms(stream));
    if (stream->continue_owed && !stream->has_responded && !stream->has_all) {
        stream->continue_owed = false;
        client_inform(x, 100, &(struct http_fields){NULL, 0});
    }
    if ((stream->body.size > 0 || stream->has_all) && list_is_empty(&stream->in_ready)) {
        list_append(&session->ready, &stream->in_ready);
        if (!session->is_busy)
            session->options.callbacks->go_on(session->options.owner);
    }
    say_for_engine(session);
}

static ssize_t read_answer(nghttp2_session *nghttp2, int32_t id, uint8_t *data, size_t length,
                           uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct http2_stream *stream = source->ptr;
    size_t unsent = unsent_bytes(stream);

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

static void client_respond(struct exchange *x, const struct http_response *response)
{
    struct http2_stream *stream = stream_of(x);
    struct http2_session *session = stream->session;
    nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = read_answer};
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
    say_for_engine(session);
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
    if (unsent_bytes(stream) == 0) {
        stream->moved_ms = now_of(session).mono_ms;
        lower_due(session, stream->moved_ms + session->options.write_ms);
    }
    return true;
}

/* `size` more bytes of the answer are there. */
static void go_on_saying(struct http2_stream *stream, size_t size)
{
    struct http2_session *session = stream->session;

    session->queued_bytes += size;
    if (stream->is_deferred) {
        stream->is_deferred = false;
        nghttp2_session_resume_data(session->nghttp2, stream->id);
    }
    say_for_engine(session);
}

static void client_send(struct exchange *x, struct bytes bytes)
{
    struct http2_stream *stream = stream_of(x);

    if (stream->no_body || bytes.size == 0 || !note_said(stream, bytes.size))
        return;
    copy_lent(stream); /* it comes before */
    if (stream->answer_offset > 0 && stream->answer_offset >= stream->answer.size / 2) {
        buffer_consume(&stream->answer, stream->answer_offset);
        stream->answer_offset = 0;
    }
    buffer_append(&stream->answer, bytes);
    if (stream->answer.failed) {
        stream->session->has_failed = true;
        say_for_engine(stream->session);
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
    size_t room = room_of(stream);

    if (room == 0 && list_is_empty(&stream->in_wanting))
        list_append(&stream->session->wanting, &stream->in_wanting);
    return room;
}

/* The exchange is over, on the engine's side. */
static void over(struct http2_stream *stream)
{
    struct http2_session *session = stream->session;

    let_go(stream);
    if (stream->is_closed)
        destroy(stream);
    say_for_engine(session);
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
        reset(stream, code);
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

static const struct exchange_client client = {.read = client_read,
                                              .inform = client_inform,
                                              .respond = client_respond,
                                              .send = client_send,
                                              .room = client_room,
                                              .end = client_end,
                                              .abort = client_abort,
                                              .lend = client_lend,
                                              .break_off = client_break_off};

/* ---- asking ------------------------------------------------------------------------------------ */

/* The exchange goes on after the block it came in is gone: copies its head and fields. */
static bool keep_request(struct http2_stream *stream)
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

static struct http2_stream *add_stream(struct http2_session *session, int32_t id)
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

/* Our own refusal of what is not a request, or came too slowly: a head that says why, and no more. */
static void refuse(struct http2_stream *stream, int status)
{
    struct http_response response = {.status = status};

    stream->exchange.client = &client;
    client_respond(&stream->exchange, &response);
    stream->session->options.callbacks->refused(stream->session->options.owner, http_status_reason(status));
}

/* A header block is whole. */
static bool begin(struct http2_session *session, int32_t id, bool is_all)
{
    struct http2_stream *stream = add_stream(session, id);
    int status;

    if (stream == NULL)
        return false;
    stream->has_all = is_all;
    status = http2_block_request(&session->block, session->options.limits, is_all, session->options.fields,
                                 &stream->request);
    if (status != 0) {
        refuse(stream, status);
        return true;
    }
    stream->exchange = (struct exchange){.engine = session->options.engine,
                                         .client = &client,
                                         .request = &stream->request,
                                         .client_fd = session->options.client_fd,
                                         .now = now_of(session)};
    stream->continue_owed = stream->request.expects_continue;
    stream->body_ended = stream->request.body_bytes == HTTP_BODY_NONE;
    pace_begin(&stream->body_pace, session->options.body_ms, session->options.body_rate);
    stream->is_active = true;
    session->options.engine->begin(session->options.engine_worker, &stream->exchange);
    if (stream->is_active && !keep_request(stream)) {
        leave(stream);
        reset(stream, NGHTTP2_INTERNAL_ERROR);
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
static void deliver(struct http2_session *session)
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

/* ---- what libnghttp2 tells --------------------------------------------------------------------- */

static struct http2_stream *find(struct http2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session->nghttp2, id);
}

/* Counts what a client does beyond asking. False if that is enough. */
static bool may_go_on(struct http2_session *session, const nghttp2_frame_hd *frame)
{
    int64_t now_ms = now_of(session).mono_ms;

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
    session->block_began_ms = now_of(session).mono_ms;
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
    pace_note(&stream->body_pace, now_of(session).mono_ms, size);
    if (!stream->body_wanted || stream->body.size > 0) {
        buffer_append(&stream->body, bytes_of(data, size));
        return stream->body.failed ? NGHTTP2_ERR_NOMEM : 0;
    }
    stream->body_ms = now_of(session).mono_ms;
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
            memcmp(frame->ping.opaque_data, drain_ping, sizeof drain_ping) == 0) {
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
            http2_guard_take(&session->guard, HTTP2_DEED_RESET, now_of(session).mono_ms))
            return 0;
        session->too_much = "HTTP/2: too many streams had to be reset"; /* see say */
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
        leave(stream);
    if (!stream->is_active)
        destroy(stream);
    return 0;
}

static ssize_t on_send(nghttp2_session *nghttp2, const uint8_t *data, size_t size, int flags, void *user)
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

static int on_send_data(nghttp2_session *nghttp2, nghttp2_frame *frame, const uint8_t *head, size_t size,
                        nghttp2_data_source *source, void *user)
{
    enum { FRAME_HEAD_BYTES = 9 };
    struct http2_session *session = user;
    struct http2_stream *stream = source->ptr;
    size_t kept = stream->answer.size - stream->answer_offset;
    struct buffer *output;

    (void)nghttp2;
    (void)frame;                     /* nothing is padded */
    if (size > unsent_bytes(stream)) /* it was reset while libnghttp2 waited for room for this frame */
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
    stream->moved_ms = now_of(session).mono_ms;
    http2_guard_note_sent(&session->guard, size);
    if (stream->answer_offset == stream->answer.size) {
        stream->answer_offset = 0;
        buffer_clear(&stream->answer);
    }
    return 0;
}

/* ---- what the owner says ----------------------------------------------------------------------- */

static bool make_callbacks(nghttp2_session_callbacks **made)
{
    nghttp2_session_callbacks *callbacks;

    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        return false;
    nghttp2_session_callbacks_set_send_callback(callbacks, on_send);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
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

static bool make_session(struct http2_session *session)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    bool is_made = false;

    if (make_callbacks(&callbacks) && nghttp2_option_new(&option) == 0) {
        nghttp2_option_set_no_auto_window_update(option, 1);
        nghttp2_option_set_no_closed_streams(option, 1);
        nghttp2_option_set_max_outbound_ack(option, ACKS_WAITING_MAX);
        is_made = nghttp2_session_server_new2(&session->nghttp2, callbacks, session, option) == 0;
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return is_made;
}

static bool say_preface(struct http2_session *session)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, HTTP2_STREAMS_MAX},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, session->options.limits->head_bytes_max},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };

    return nghttp2_submit_settings(session->nghttp2, NGHTTP2_FLAG_NONE, settings,
                                   sizeof settings / sizeof settings[0]) == 0 &&
           nghttp2_session_set_local_window_size(session->nghttp2, NGHTTP2_FLAG_NONE, 0,
                                                 HTTP2_SESSION_WINDOW_BYTES) == 0;
}

struct http2_session *http2_session_create(const struct http2_options *options)
{
    struct http2_session *session = calloc(1, sizeof *session);

    if (session == NULL)
        return NULL;
    session->options = *options;
    list_init(&session->streams);
    list_init(&session->wanting);
    list_init(&session->ready);
    list_init(&session->lent);
    session->idle_since_ms = now_of(session).mono_ms;
    session->due_ms = session->idle_since_ms + options->idle_ms;
    if (!make_session(session) || !say_preface(session)) {
        nghttp2_session_del(session->nghttp2);
        free(session);
        return NULL;
    }
    return session;
}

void http2_session_destroy(struct http2_session *session)
{
    session->is_over = session->has_failed = true;
    leave_all(session);
    for (struct list *node = session->streams.next, *next; node != &session->streams; node = next) {
        next = node->next;
        destroy(CONTAINER_OF(node, struct http2_stream, in_session));
    }
    nghttp2_session_del(session->nghttp2);
    http2_block_fini(&session->block);
    free(session);
}

enum http2_preface http2_preface_look(struct bytes input)
{
    struct bytes magic = bytes_of(NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);

    if (bytes_start_with(input, magic))
        return HTTP2_PREFACE_WHOLE;
    return input.size < magic.size && bytes_start_with(magic, input) ? HTTP2_PREFACE_PART
                                                                     : HTTP2_PREFACE_NONE;
}

void http2_session_receive(struct http2_session *session, struct bytes input)
{
    ssize_t taken;

    if (session->is_over)
        return;
    session->is_busy = true;
    if (input.size > 0 && !session->has_failed) {
        taken = nghttp2_session_mem_recv(session->nghttp2, (const uint8_t *)input.data, input.size);
        if (taken < 0 && session->too_much == NULL && taken != NGHTTP2_ERR_NOMEM)
            session->too_much =
                nghttp2_strerror((int)taken); /* limits of libnghttp2's own, or no preface */
        if (session->too_much != NULL)
            calm(session);
        else if (taken < 0)
            session->has_failed = true;
        if (session->block_began_ms != 0)
            lower_due(session, session->block_began_ms + session->options.head_ms);
    }
    deliver(session);
    finish(session);
}

bool http2_session_wants_input(const struct http2_session *session)
{
    return !session->is_blocked ||
           nghttp2_session_get_outbound_queue_size(session->nghttp2) < FRAMES_WAITING_MAX;
}

void http2_session_drained(struct http2_session *session)
{
    if (session->is_over)
        return;
    session->is_busy = true;
    finish(session);
}

void http2_session_ended(struct http2_session *session)
{
    if (session->is_over)
        return;
    session->is_busy = true;
    session->peer_ended = session->is_draining = session->has_said_goaway = true;
    for (struct list *node = session->streams.next; node != &session->streams;) {
        struct http2_stream *stream = CONTAINER_OF(node, struct http2_stream, in_session);
        node = node->next;
        if (!stream->is_active || stream->has_all)
            continue;
        leave(stream); /* the request itself is cut short: nobody waits for its answer */
        reset(stream, NGHTTP2_CANCEL);
    }
    finish(session);
}

void http2_session_drain(struct http2_session *session)
{
    if (session->is_over || session->is_draining)
        return;
    session->is_busy = true;
    session->is_draining = true;
    if (session->stream_count > 0) {
        nghttp2_submit_shutdown_notice(session->nghttp2);
        nghttp2_submit_ping(session->nghttp2, NGHTTP2_FLAG_NONE, drain_ping);
    }
    finish(session);
}

/* ---- time -------------------------------------------------------------------------------------- */

int64_t http2_session_due_ms(const struct http2_session *session) { return session->due_ms; }

/* The client is late with its request's body. */
static void give_up_body(struct http2_stream *stream)
{
    stream->session->options.callbacks->too_slow(stream->session->options.owner,
                                                 "its request's body does not end, or comes too slowly");
    leave(stream);
    if (stream->has_responded)
        reset(stream, NGHTTP2_CANCEL);
    else
        refuse(stream, 408);
}

/* The client has let no byte of an answer through for too long. */
static void give_up_answer(struct http2_stream *stream)
{
    stream->session->options.callbacks->too_slow(stream->session->options.owner,
                                                 "it opens no window for its answers");
    if (stream->is_active)
        leave(stream);
    reset(stream, NGHTTP2_CANCEL);
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
        if (body_due_ms(stream) <= now_ms) {
            give_up_body(stream);
            return;
        }
        lower_due(session, body_due_ms(stream));
    }
    if (unsent_bytes(stream) > 0) {
        if (stream->moved_ms + options->write_ms <= now_ms) {
            if (is_shut_out(stream)) {
                give_up_answer(stream);
                return;
            }
            stream->moved_ms = now_ms; /* it waits for us, or for its turn */
        }
        lower_due(session, stream->moved_ms + options->write_ms);
    }
}

void http2_session_look_at_time(struct http2_session *session)
{
    const struct http2_options *options = &session->options;
    int64_t now_ms = now_of(session).mono_ms;

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
            lower_due(session, session->block_began_ms + options->head_ms);
        }
    } else if (session->stream_count == 0) {
        if (session->idle_since_ms + options->idle_ms <= now_ms)
            nghttp2_session_terminate_session(session->nghttp2, NGHTTP2_NO_ERROR);
        else
            lower_due(session, session->idle_since_ms + options->idle_ms);
    }
    finish(session);
}
