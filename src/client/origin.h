/* origin.h — HTTP requests to the servers we stand in front of: libcurl's multi interface on our loop.
 *
 * One struct origin per worker and loop: it keeps connections for reuse and bounds how many are open. Calls
 * beyond the bound wait in order. HTTP/1.1, one call a connection at a time; or HTTP/2 where that is asked
 * for and the server has it, up to a hundred calls a connection. TLS certificates are verified with the
 * system's roots, or those that are named. Nothing is decompressed, no redirect is followed, no cookie
 * kept, no environment proxy used, no header added but Host and the framing. A request is sent a second
 * time only if a kept connection turned out to be dead, or the server refused the stream, its method is
 * idempotent and none of its body was sent. Everything happens on the loop's thread.
 *
 * In HTTP/1.1 a call that is held back holds back nothing else, and the socket holds the server. In HTTP/2
 * libcurl opens a window of up to 32 MiB for each response (10 MiB from 8.10 on) before the first byte has
 * come: what the server sends in that window after the call was held stays in memory. Hence http2_held_max.
 *
 * A request may ask for another protocol (RFC 9110 §7.8): if the server agrees, the head says 101 and from
 * then on the bodies both ways are that protocol's bytes, as they come; see origin_upgrade.c. */
#pragma once
#include "base/err.h"
#include "message/http.h"
#include "net/loop.h"

struct origin;      /* opaque */
struct origin_call; /* one request and its answer; the origin's until `done` */

struct origin_options {
    struct loop *loop;
    uint32_t connections_max; /* at least 1; as many calls are under way at most */
    bool offers_http2;       /* to https servers by ALPN; an http server must have it ("prior knowledge") */
    uint32_t http2_held_max; /* responses in HTTP/2 that may be held at once: the next is given up */
    const char *authorities_path; /* PEM, for TLS; null: the system's. Kept by reference, and read now and
                                   * then */
};

struct origin_timeouts {
    int64_t connect_ms;    /* name, connection and TLS together */
    int64_t first_byte_ms; /* from the request's last piece sent to the response's head; it does not run
                            * while the owner is being waited for */
    /* Waiting for a place and connecting may take the sum of those two. */
    int64_t total_ms; /* from origin_start to the end, waiting for a place included; 0: none */
};

/* How far a call has come. */
enum origin_reach {
    ORIGIN_WAITING,    /* for a place: the server knows nothing of it */
    ORIGIN_CONNECTING, /* a connection is being made, or could not be: no byte of the request was sent */
    ORIGIN_SENT,       /* some of the request was: it may be carried out */
    ORIGIN_HEARD,      /* some of an answer has come */
};

enum err origin_create(const struct origin_options *options, struct origin **origin);
/* Every call must have ended or been cancelled. Not from inside a callback. */
void origin_destroy(struct origin *origin);

/* What a call tells its owner. Never called from inside an origin_ function. */
struct origin_callbacks {
    /* An interim response came (RFC 9110 §15.2), other than 100, which is between the origin and us. The
     * fields are as of head. */
    void (*interim)(void *owner, int status, const struct http_fields *fields);
    /* The head of the final response is there. Its status is 200 to 999. The reason and the fields,
     * hop-by-hop ones and Content-Length taken out, are readable only during the call; each is a valid name
     * and value.
     * `body_bytes` is the Content-Length, HTTP_BODY_UNKNOWN, or HTTP_BODY_NONE (also for 204 and 304); to a
     * HEAD it is what a GET would have had, and no body follows. A status of 101 comes only to a request
     * that asked for it: then Upgrade is among the fields, and neither body has an end that is known. */
    void (*head)(void *owner, int status, struct bytes reason, const struct http_fields *fields,
                 int64_t body_bytes);
    /* A piece of the body, readable during the call. To hold the flow call origin_pause: this piece still
     * counts as taken. */
    void (*body)(void *owner, struct bytes bytes);
    /* The request's body is wanted: append up to `room` bytes to what origin_send_body takes. Called again
     * after each origin_send_body that had something. Only if request.body_bytes is not NONE, or after a
     * head of 101. */
    void (*want_body)(void *owner, size_t room);
    /* The call has ended and is gone: OK if the response was complete; ERR_TIMEOUT, ERR_REFUSED,
     * ERR_UNREACHABLE, ERR_TLS, ERR_TRUNCATED (closed without an answer, cut off, or the request's body was
     * not as long as declared), ERR_SYNTAX (not HTTP, or framing in doubt), ERR_TOO_LARGE (head over 64 KiB
     * or 200 fields), ERR_NO_DESCRIPTOR, ERR_ADDRESS_IN_USE (no local port
     * is left), ERR_FULL (there are http2_held_max held), ERR_NO_MEMORY, ERR_SYSTEM. `reach`: how far it
     * had come. May come while the response is held. Called once, last; not after origin_cancel. */
    void (*done)(void *owner, enum err err, enum origin_reach reach);
};

struct origin_request {
    struct bytes method;       /* a token */
    struct bytes url;          /* absolute, http or https */
    struct http_fields fields; /* sent in this order after Host; without hop-by-hop fields and without
                                * Host and Content-Length, which follow from the rest */
    struct bytes host;         /* the Host field's value; empty: the URL's authority */
    int64_t body_bytes;        /* HTTP_BODY_NONE, a number, or HTTP_BODY_UNKNOWN for chunked */
    struct origin_timeouts timeouts;
    struct bytes upgrade; /* the protocols to ask for, as in Upgrade; empty: none. Only without a body */
};

/* Starts a call; the request and the callbacks are copied. ERR_NO_MEMORY; ERR_SYNTAX: a URL that libcurl
 * will not take or that has user information, a method or a field that cannot be sent. */
enum err origin_start(struct origin *origin, const struct origin_request *request,
                      const struct origin_callbacks *callbacks, void *owner, struct origin_call **call);

/* Hands over a piece of the request's body, copied; `last` (also with an empty piece) ends it, as does the
 * declared number of bytes. After a 101, `last` means that no more will come that way: a server without TLS
 * hears of it and may go on sending, one with TLS is left. */
void origin_send_body(struct origin_call *call, struct bytes bytes, bool last);

/* Holds the response's body back (the connection's flow control holds the origin), and lets it go on. */
void origin_pause(struct origin_call *call);
void origin_resume(struct origin_call *call);

/* From now on, once the head is there, each piece of the body must come within `silence_ms` of the one
 * before, unless the body is held back; else the call ends with ERR_TIMEOUT. 0: any silence will do. */
void origin_limit_silence(struct origin_call *call, int64_t silence_ms);

/* Gives the call up, at any time before `done`, inside any callback: no further callback; the connection is
 * closed, or in HTTP/2 the stream reset. */
void origin_cancel(struct origin_call *call);

enum origin_reach origin_reach(const struct origin_call *call);

/* How many calls have not ended. */
size_t origin_call_count(const struct origin *origin);
