/* exchange.h — one HTTP request on its way from a connection to an engine, and the answer back.
 *
 * The connection makes it; the engine answers it, at once inside `begin` or later. Everything happens
 * on one worker's thread. Life:
 *
 *   connection                                engine
 *   begin(x)            ───────────────────►  may answer at once, or keep x and return
 *   body(x, bytes)*, body_end(x)  ─────────►  only if the request has a body and exchange_read was called
 *                       ◄───────────────────  exchange_inform(x)*, at any time before exchange_respond
 *                       ◄───────────────────  exchange_respond(x), exchange_send(x)* or exchange_lend(x)*,
 *                                             then exchange_end(x)
 *   writable(x)         ───────────────────►  after exchange_room was 0: there is room again
 *   gone(x)             ───────────────────►  the client left: forget x
 *
 * exchange_end, exchange_abort and exchange_break_off, and the return of `gone`, end the exchange: x must
 * not be used after. The request's bytes are readable as long as the exchange lives, but they may move when
 * `begin` returns: keep no pointers of your own into them across that, read them through x->request. */
#pragma once
#include "base/loan.h"
#include "base/now.h"
#include "message/http.h"
#include "message/request_id.h"

struct exchange;
struct inquiry_terms;

/* Implemented by an engine. `begin` has the engine (of this worker) as its first argument. */
struct exchange_engine {
    void (*begin)(void *engine, struct exchange *x);
    void (*body)(struct exchange *x, struct bytes bytes);
    void (*body_end)(struct exchange *x);
    void (*writable)(struct exchange *x);
    void (*gone)(struct exchange *x);
};

/* How an answer is broken off on purpose, by a mock of servers that fail. In HTTP/2 each resets the stream
 * alone, with the error code in brackets. */
enum exchange_breakage {
    EXCHANGE_RESET,   /* the connection is reset, and what had not left yet is lost (INTERNAL_ERROR) */
    EXCHANGE_CLOSE,   /* the connection ends behind what was sent, which may be nothing (CANCEL) */
    EXCHANGE_GARBAGE, /* the same, with bytes that are no HTTP in between (PROTOCOL_ERROR) */
};

/* Implemented by the connection; call them through the functions below. */
struct exchange_client {
    void (*read)(struct exchange *x, bool wanted);
    void (*inform)(struct exchange *x, int status, const struct http_fields *fields);
    void (*respond)(struct exchange *x, const struct http_response *response);
    void (*send)(struct exchange *x, struct bytes bytes);
    size_t (*room)(const struct exchange *x);
    void (*end)(struct exchange *x);
    void (*abort)(struct exchange *x);
    bool (*lend)(struct exchange *x, struct loan *loan); /* null: it copies everything */
    /* null: it is aborted, however it was to be broken off */
    void (*break_off)(struct exchange *x, enum exchange_breakage how);
};

struct exchange {
    const struct exchange_engine *engine;
    const struct exchange_client *client;
    struct http_request *request;
    struct now now;     /* of the loop turn in which `begin` was called */
    void *engine_state; /* the engine's, null at begin */
    const void *policy; /* that completes the heads of its answers, or null; the engine's, null at begin */
    void *filter;       /* of who stands between the two, if anybody does; null at begin */
    struct inquiry_terms *inquiry; /* the engine's, of who asks it from inside; null: a client */
    bool has_waited;      /* as its Prefer asked for (RFC 7240 §4.3), and the answer is to say so */
    bool tells_id;        /* the client is to be told the id; the engine's */
    struct request_id id; /* the engine's */
    int client_fd;        /* whose peer is the client; the connection's, as are the next two */
    int status;           /* of the final head; 0: none yet */
    uint64_t sent_bytes;  /* of the body */
    const char *note;     /* how the answer came about, in a static word, or null; the engine's */
    void (*stop)(struct exchange *x); /* the engine's, null if it ends by itself: called once when the
                                       * server begins to stop; not in HTTP/2 */
    bool is_endless; /* the engine's: the answer ends when its client goes, and one that has closed its
                      * side of an HTTP/1.1 connection is taken to have gone */
    void *observer; /* the engine's, null if nobody wants to know: told by the connection, once, when the */
    void (*over)(struct exchange *x,
                 bool is_whole); /* exchange ends in whatever way, the request being there */
};

/* For the connection: the exchange ends; `is_whole`: by exchange_end. */
static inline void exchange_note_over(struct exchange *x, bool is_whole)
{
    if (x->over != NULL)
        x->over(x, is_whole);
}

/* Asks for the request's body, or (wanted = false) asks for a pause. A client that waits for 100-continue
 * is told to go on. Never asking and answering is fine: the connection then deals with the rest. */
static inline void exchange_read(struct exchange *x, bool wanted) { x->client->read(x, wanted); }

/* Sends an interim response, status 102 to 199; not to clients that do not know of such. */
static inline void exchange_inform(struct exchange *x, int status, const struct http_fields *fields)
{
    x->client->inform(x, status, fields);
}

/* Sends the head of the final response; its bytes are copied. Once. For a HEAD request, and for 204 and
 * 304, no body follows whatever body_bytes says. */
static inline void exchange_respond(struct exchange *x, const struct http_response *response)
{
    x->client->respond(x, response);
}

/* Sends a piece of the body, copied. Never refused, but a well-mannered engine stops at exchange_room. */
static inline void exchange_send(struct exchange *x, struct bytes bytes) { x->client->send(x, bytes); }

/* Sends a piece of the body as it lies in memory: takes `loan` over, releases it on this thread some time
 * after and returns true; or false, with nothing done, where bytes are not sent from where they lie. What a
 * slow client does not take for a while is copied, so a well-mannered engine lends no more than
 * exchange_room. */
static inline bool exchange_lend(struct exchange *x, struct loan *loan)
{
    return x->client->lend != NULL && x->client->lend(x, loan);
}

/* How many more bytes of body the connection would like to hold now. Once it has said 0, `writable` will
 * be called. */
static inline size_t exchange_room(const struct exchange *x) { return x->client->room(x); }

/* The body is complete: body_bytes of them, if that was a number. Ends x. */
static inline void exchange_end(struct exchange *x) { x->client->end(x); }

/* The answer cannot be completed: the client must be able to tell, so the connection is cut, or
 * the stream reset. Ends x. */
static inline void exchange_abort(struct exchange *x) { x->client->abort(x); }

/* Breaks the answer off as a faulty server would, before its head or anywhere in its body. Ends x. */
static inline void exchange_break_off(struct exchange *x, enum exchange_breakage how)
{
    if (x->client->break_off != NULL)
        x->client->break_off(x, how);
    else
        x->client->abort(x);
}
