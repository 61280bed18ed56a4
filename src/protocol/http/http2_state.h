/* http2_state.h — what the files of a session share: http2_*.c's business alone. Streams as exchanges, on
 * libnghttp2.
 *
 *   block whole ──► begun ──► (body read) ──► answered ──► sent ──► closed
 *                     └── the client resets it, or we do: gone ─────►┘
 *
 *   (1) a stream is in session->streams from its begin until it is closed and its exchange is over,
 *       whichever comes last: an answer's last bytes may leave before the engine says exchange_end.
 *   (2) libnghttp2 is never entered from inside itself, and no engine from inside a call of its own: while
 *       `is_busy`, what engines say is only noted down. Else it is sent at once, which reaches no other
 *       exchange: were anything else waiting to be sent, the session would be blocked.
 *   (3) queued_bytes is the sum of the streams' answers that no DATA frame has taken.
 *   (4) What is lent to a stream goes into frames from where it lies. What finds no room is copied before
 *       the call of the owner's, or of the engine's, is over: no loan waits for a slow client. */
#pragma once
#include "base/list.h"
#include "base/pace.h"
#include "protocol/http/http2_guard.h"
#include "protocol/http/http2_message.h"
#include "protocol/http/http2_session.h"
#include <nghttp2/nghttp2.h>

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
    int64_t moved_ms;        /* when the answer last moved, or began to wait */
    struct pace answer_pace; /* of it, while the stream's window keeps it back */
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
    struct pace answer_pace; /* of all answers, while the connection's window keeps them back */
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

static inline struct now http2_now(const struct http2_session *session)
{
    return session->options.callbacks->now(session->options.owner);
}

static inline size_t http2_stream_unsent(const struct http2_stream *stream)
{
    return stream->answer.size - stream->answer_offset +
           (stream->loan != NULL ? stream->loan->size - stream->loan_offset : 0);
}

/* ---- http2_stream.c: the life of a stream ------------------------------------------------------ */

/* Null without memory. */
struct http2_stream *http2_stream_add(struct http2_session *session, int32_t id);
void http2_stream_destroy(struct http2_stream *stream);

/* The exchange goes on after the block it came in is gone: copies its head and fields. False without
 * memory. */
bool http2_stream_keep_request(struct http2_stream *stream);

/* The exchange is over; the stream may go on for what is left to send. */
void http2_stream_let_go(struct http2_stream *stream);

/* The client has left this exchange; all of them. */
void http2_stream_leave(struct http2_stream *stream);
void http2_leave_all(struct http2_session *session);

/* The stream may be gone afterwards. */
void http2_stream_reset(struct http2_stream *stream, uint32_t code);

void http2_stream_give_loan_back(struct http2_stream *stream);

/* ---- http2_send.c: output ---------------------------------------------------------------------- */

/* Tells a client that is too much to bear so, and listens to it no longer. */
void http2_calm(struct http2_session *session);

/* What every call of the owner's ends with; of an engine's, see (2). */
void http2_finish(struct http2_session *session);
void http2_say_for_engine(struct http2_session *session);

/* See (4). */
void http2_stream_copy_lent(struct http2_stream *stream);

/* How many bytes of its answer an engine may say now. */
size_t http2_stream_room(const struct http2_stream *stream);

/* What libnghttp2 asks for: how much of an answer there is for a frame, and to send what it made. */
ssize_t http2_read_answer(nghttp2_session *nghttp2, int32_t id, uint8_t *data, size_t length,
                          uint32_t *flags, nghttp2_data_source *source, void *user);
ssize_t http2_on_send(nghttp2_session *nghttp2, const uint8_t *data, size_t size, int flags, void *user);
int http2_on_send_data(nghttp2_session *nghttp2, nghttp2_frame *frame, const uint8_t *head, size_t size,
                       nghttp2_data_source *source, void *user);

/* ---- http2_answer.c: what engines say ---------------------------------------------------------- */

extern const struct exchange_client http2_client;

/* Our own refusal of what is not a request, or came too slowly: a head that says why, and no more. */
void http2_stream_refuse(struct http2_stream *stream, int status);

/* ---- http2_receive.c: what libnghttp2 tells ---------------------------------------------------- */

/* The PING that tells when all has arrived that the client sent before it knew of the end. */
extern const uint8_t http2_drain_ping[8];

/* Those of a session. False without memory. */
bool http2_make_callbacks(nghttp2_session_callbacks **made);

/* Hands engines what came while they did not want it. */
void http2_deliver(struct http2_session *session);

/* ---- http2_deadlines.c: time ------------------------------------------------------------------- */

void http2_lower_due(struct http2_session *session, int64_t due_ms);

/* There is more of an answer, which may have to wait for the client: it is to open its windows fast enough.
 */
void http2_stream_mind_windows(struct http2_stream *stream);

/* `size` bytes of an answer go into a frame that libnghttp2 has not counted yet. */
void http2_stream_note_moved(struct http2_stream *stream, size_t size);

/* When more of the request's body must have come, while it is wanted. */
int64_t http2_stream_body_due_ms(const struct http2_stream *stream);
