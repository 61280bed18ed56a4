/* origin.h — HTTP requests to the servers we stand in front of: libcurl's multi interface on our loop.
 *
 * One struct origin per worker and loop: it keeps connections for reuse and bounds how many are open. Calls
 * beyond the bound wait in order. TLS certificates are verified with the system's roots. Nothing is
 * decompressed, no redirect is followed, no cookie kept, no environment proxy used, no header added but
 * Host and the framing. Everything happens on the loop's thread. */
#pragma once
#include "base/err.h"
#include "message/http.h"
#include "net/loop.h"

struct origin;      /* opaque */
struct origin_call; /* one request and its answer; the origin's until `done` */

struct origin_options {
    struct loop *loop;
    int64_t connect_timeout_ms, first_byte_timeout_ms, total_timeout_ms; /* total 0: none */
    uint32_t connections_max;
};

enum err origin_create(const struct origin_options *options, struct origin **origin);
/* Every call must have ended. */
void origin_destroy(struct origin *origin);

/* What a call tells its owner. Never called from inside an origin_ function. */
struct origin_callbacks {
    /* The head of the final response is there (1xx are passed over). The fields, hop-by-hop ones and
     * Content-Length taken out, are readable only during the call; each is a valid name and value.
     * `body_bytes` is the Content-Length, HTTP_BODY_UNKNOWN, or HTTP_BODY_NONE. */
    void (*head)(void *owner, int status, const struct http_fields *fields, int64_t body_bytes);
    /* A piece of the body, readable during the call. To hold the flow call origin_pause: this piece still
     * counts as taken. */
    void (*body)(void *owner, struct bytes bytes);
    /* The request's body is wanted: append up to `room` bytes to what origin_send_body takes. Called again
     * after each origin_send_body that had something. Only if request.body_bytes is not NONE. */
    void (*want_body)(void *owner, size_t room);
    /* The call has ended and is gone: OK if the response was complete; ERR_TIMEOUT, ERR_REFUSED,
     * ERR_UNREACHABLE, ERR_TLS, ERR_TRUNCATED (cut off, or more or less than Content-Length), ERR_SYNTAX (not
     * HTTP), ERR_TOO_LARGE (head over 64 KiB), ERR_SYSTEM. Called once, last; not after origin_cancel. */
    void (*done)(void *owner, enum err err);
};

struct origin_request {
    struct bytes method;      /* a token */
    struct bytes url;         /* absolute, http or https */
    struct http_fields fields; /* sent in this order after Host; without hop-by-hop fields and without
                                * Host and Content-Length, which follow from the rest */
    struct bytes host;        /* the Host field's value; empty: the URL's authority */
    int64_t body_bytes;       /* HTTP_BODY_NONE, a number, or HTTP_BODY_UNKNOWN for chunked */
};

/* Starts a call; the request's bytes are copied. ERR_NO_MEMORY, ERR_SYNTAX (a URL libcurl will not take). */
enum err origin_start(struct origin *origin, const struct origin_request *request,
                      const struct origin_callbacks *callbacks, void *owner, struct origin_call **call);

/* Hands over a piece of the request's body, copied; an empty piece with `last` ends it. */
void origin_send_body(struct origin_call *call, struct bytes bytes, bool last);

/* Holds the response's body back (the connection's flow control holds the origin), and lets it go on. */
void origin_pause(struct origin_call *call);
void origin_resume(struct origin_call *call);

/* Gives the call up: no further callback; the connection is closed. */
void origin_cancel(struct origin_call *call);

/* How many calls have not ended. */
size_t origin_call_count(const struct origin *origin);
