/* http2_session.h — one client's HTTP/2 connection (RFC 9113) without its socket: bytes in, exchanges with
 * an engine, bytes out.
 *
 * A request is a stream and an exchange (message/exchange.h); up to HTTP2_STREAMS_MAX are in hand at once.
 * Both ways flow is controlled by stream and by connection: an answer that the client opens no window for
 * is held up to HTTP2_STREAM_QUEUE_BYTES, a request's body that the engine does not read up to its window,
 * all of them up to the connection's. Priorities are ignored, trailers dropped, nothing is pushed. Whoever
 * floods, or lets its windows stay shut, is told ENHANCE_YOUR_CALM, or loses the stream. libnghttp2 does
 * frames and HPACK.
 *
 * One thread. No clock, no I/O: the owner is asked for the moment and for room. A session is destroyed only
 * outside its own callbacks. */
#pragma once
#include "message/exchange.h"
#include "protocol/http/http1.h"

struct http2_session; /* opaque: http2_session.c */

enum {
    HTTP2_STREAMS_MAX = 100,
    HTTP2_STREAM_WINDOW_BYTES = 64 * 1024 - 1,  /* of a request's body, unread; HTTP/2's default */
    HTTP2_SESSION_WINDOW_BYTES = 1024 * 1024,   /* of all of them together */
    HTTP2_STREAM_QUEUE_BYTES = 256 * 1024,      /* of an answer that waits for a window */
    HTTP2_SESSION_QUEUE_BYTES = 1024 * 1024,    /* of all of them; beyond it each has … */
    HTTP2_STREAM_QUEUE_BYTES_LEAST = 16 * 1024, /* … no more than this */
    HTTP2_CONTINUATIONS_MAX = 6,                /* CONTINUATION frames of one header block */
};

/* What the session asks of its owner, the connection. */
struct http2_callbacks {
    struct now (*now)(void *owner);
    /* The date of this moment, as HTTP writes it: 29 bytes. */
    const char *(*date)(void *owner);
    /* Where output is appended. */
    struct buffer *(*output)(void *owner);
    /* How many more bytes of output it would like to hold; once it has said 0, http2_session_drained is
     * called when there is room. */
    size_t (*room)(void *owner);
    /* Has http2_session_receive called in a later turn, with nothing. */
    void (*go_on)(void *owner);
    /* http2_session_due_ms has come nearer. */
    void (*due)(void *owner);
    /* An exchange was answered in full. */
    void (*answered)(void *owner);
    /* The client broke a rule or a limit; it is told. */
    void (*refused)(void *owner, struct bytes why);
    /* The client was too slow and lost a stream, or the connection. */
    void (*too_slow)(void *owner, const char *why);
    /* Nothing more will be said: close once what was said has left. Called once. */
    void (*over)(void *owner);
};

struct http2_options {
    const struct http2_callbacks *callbacks; /* static */
    void *owner;
    const struct exchange_engine *engine;
    void *engine_worker;
    int client_fd;                     /* as in struct exchange */
    const struct http1_limits *limits; /* of heads; kept by reference */
    struct http_field *fields;         /* scratch for the length of one call: limits->fields_max */
    int64_t idle_ms, head_ms, body_ms, write_ms;
    int64_t body_rate; /* bytes a second that a request's body must bring (base/pace.h), with body_ms of
                        * grace; 0: any */
    int64_t
        answer_rate; /* the same that its windows must let through of an answer, with write_ms of grace */
};

/* Says the server's preface. Null without memory. */
struct http2_session *http2_session_create(const struct http2_options *options);

/* Exchanges in hand are told that their client is gone. */
void http2_session_destroy(struct http2_session *session);

/* Whether `input`, all that has come so far, begins an HTTP/2 connection (RFC 9113 §3.4); PART: more is
 * needed to tell. */
enum http2_preface { HTTP2_PREFACE_NONE, HTTP2_PREFACE_PART, HTTP2_PREFACE_WHOLE };
enum http2_preface http2_preface_look(struct bytes input);

/* Takes all of `input`. */
void http2_session_receive(struct http2_session *session, struct bytes input);

/* False while so much is waiting to be said that the client should be left waiting too. */
bool http2_session_wants_input(const struct http2_session *session);

/* There is room for output again. */
void http2_session_drained(struct http2_session *session);

/* The client will send no more; what was asked for in full is still answered. */
void http2_session_ended(struct http2_session *session);

/* Takes no new requests and ends once those in hand are answered (§6.8). */
void http2_session_drain(struct http2_session *session);

/* When something must have moved, on the monotonic clock, or INT64_MAX; it may be early. Then look:
 * whatever is really due is dealt with. */
int64_t http2_session_due_ms(const struct http2_session *session);
void http2_session_look_at_time(struct http2_session *session);
