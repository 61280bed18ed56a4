/* conn.h — one client connection: bytes into messages, messages into bytes, in order.
 *
 * conn.c has what all have in common: the caps, the deadlines, closing, and finding out which protocol is
 * spoken. conn_cache.c, conn_http.c and conn_http2.c are the three kinds. */
#pragma once
#include "base/pace.h"
#include "message/exchange.h"
#include "message/session.h"
#include "protocol/http/http2_session.h"
#include "server/worker.h"

struct conn;

/* What a kind of connection does; `conn->kind_state` is its own. */
struct conn_kind {
    /* `input` is everything received and not yet consumed. Returns how much of it was consumed. */
    size_t (*received)(struct conn *conn, struct bytes input);
    void (*ended)(struct conn *conn);
    /* There is room for output again: called after conn_hold_input or a stream_want_drained. */
    void (*drained)(struct conn *conn);
    /* The client is gone: free what is the kind's. */
    void (*closed)(struct conn *conn);
    /* The server is stopping: close now if idle, else as soon as the work in hand is done. */
    void (*drain)(struct conn *conn);
    /* When the connection must have moved on, on the monotonic clock; INT64_MAX for never. */
    int64_t (*due_ms)(const struct conn *conn);
    /* `due_ms` has passed. Say the last words; the connection is closed behind them. */
    void (*too_slow)(struct conn *conn);
};

struct conn {
    struct stream stream;
    struct worker *worker;
    struct port *port;
    const struct conn_kind *kind; /* null until the protocol is known */
    void *kind_state;
    struct list in_worker;
    struct timer deadline;
    struct buffer input; /* received and not yet consumed; holds no memory when empty */
    struct task go_on;   /* has the input looked at again in the next turn */
    int64_t opened_ms;
    int64_t active_ms;       /* when bytes last came or an answer was finished */
    struct pace answer_pace; /* of what the client takes, on a clock that goes while output waits */
    uint64_t taken_bytes;    /* by the client, as of the last look */
    int64_t taken_ms;        /* when a look last found that it had taken some */
    bool go_on_posted;
    bool closing;     /* no more input is looked at */
    bool held;        /* input is not looked at until drained */
    bool in_received; /* conn_feed is running further up the stack */
    bool gone;        /* the stream is closed; freed once go_on has run */
    bool peer_ended;  /* the client will send no more */
};

extern const struct conn_kind conn_kind_cache, conn_kind_http, conn_kind_http2;

/* Whether `input`, the first that came on a connection to an HTTP port, is HTTP/2's. */
enum http2_preface conn_http2_look(const struct conn *conn, struct bytes input);

/* A port's `accepted`. */
void conn_accept(struct listener *listener, int fd);

/* Has the input looked at again from the loop's next turn on. */
void conn_go_on(struct conn *conn);

/* Stops looking at input and lets the client's sending come to rest, until conn_release_input. */
void conn_hold_input(struct conn *conn);
/* The same, but goes on listening for the client's end, as long as it sends little. */
void conn_hold_input_listening(struct conn *conn);
void conn_release_input(struct conn *conn);

/* Closes once what is queued has left; no more input is looked at. */
void conn_close(struct conn *conn);

/* When a cache connection that has been silent since `since_ms` is closed. */
int64_t conn_cache_idle_due_ms(const struct conn *conn, int64_t since_ms);

/* The deadline may have come nearer: has the timer set anew if so. */
void conn_update_deadline(struct conn *conn);

/* Logs that the client was too slow, and counts it. */
void conn_note_slowness(struct conn *conn, const char *why);

/* Logs that the client sent something it should not have, and counts it. */
void conn_note_refusal(struct conn *conn, struct bytes why);
