/* origin_call.h — what origin.c and origin_call.c share: the parts behind origin.h.
 *
 *               origin_start          a place is free              settled
 *                   ────► waiting ───────────────► running ───► ended ────► done(), freed
 *                            └──────── timed out, cancelled ──────▲
 *
 * libcurl refuses most calls from inside its callbacks, and would call us back from inside others. So the
 * functions of origin.h only note what is wanted; settle() in origin.c, which no libcurl function is ever
 * around, acts on it, in this turn or at the start of the next. */
#pragma once
#include "base/buffer.h"
#include "base/list.h"
#include "client/origin.h"
#include <curl/curl.h>

struct origin {
    struct origin_options options;
    CURLM *multi;
    struct timer curl_timer;             /* when libcurl wants to be called */
    struct timer settle_timer;           /* set while something waits to be settled */
    struct list waiting, running, ended; /* every call is in one of them */
    struct list touched;                 /* calls whose flow may go on */
    size_t running_count;                /* calls that libcurl has; at most connections_max */
    size_t call_count;                   /* calls that have not ended */
    size_t http2_held_count;             /* those whose response libcurl keeps back, in HTTP/2 */
};

struct origin_call {
    struct origin *origin;
    struct origin_callbacks callbacks;
    void *owner;
    struct list in_origin, in_touched;
    CURL *easy;
    struct curl_slist *field_lines;
    struct timer deadline;
    struct origin_timeouts timeouts;
    int64_t total_due_ms;           /* 0: none */
    int64_t silence_ms;             /* between two pieces of the response's body; 0: any */
    enum err verdict;               /* once ended */
    struct buffer body;             /* the request's: handed to us and not yet taken by libcurl */
    int64_t body_left_bytes;        /* that the owner has still to hand over, or HTTP_BODY_UNKNOWN */
    struct buffer head;             /* the response's, until it is whole */
    struct origin_upgrade *upgrade; /* of a request for another protocol; else null */
    int socket_errno;               /* why there is no socket, or 0 */
    size_t head_bytes;              /* of all heads and trailers so far */
    bool is_running, has_ended, is_cancelled;
    bool may_be_http2;      /* it is offered */
    bool is_http2;          /* as the head showed */
    bool may_be_sent_twice; /* RFC 9110 §9.2.2: idempotent */
    bool was_sent;
    bool has_head;        /* the final one, and the owner knows */
    bool has_whole_body;  /* the owner has handed over the request's last byte */
    bool body_asked;      /* want_body was called and not yet answered */
    bool body_paused;     /* libcurl waits for more of the request's body */
    bool held;            /* the owner wants no more of the response for now */
    bool response_paused; /* libcurl keeps a piece of the response back */
};

/* Makes a call with all that libcurl must know, not yet begun. ERR_NO_MEMORY, ERR_SYNTAX. */
enum err origin_call_create(struct origin *origin, const struct origin_request *request,
                            struct origin_call **call);
void origin_call_destroy(struct origin_call *call);

/* Ends a call, once: the owner is told when it is settled. */
void origin_call_end(struct origin_call *call, enum err verdict);

/* Takes one line of a response's head, line end and all; false if the call has ended over it. Once the
 * final head is whole, what remains are trailers, which are dropped. */
bool origin_call_take_line(struct origin_call *call, struct bytes line);

/* A piece of the response's body has come, or the owner's wish has changed: begins to wait for the next. */
void origin_call_await_body(struct origin_call *call);

/* Has origin_call_attend called in the next turn. */
void origin_call_touch(struct origin_call *call);

/* Asks the owner for more of the request's body, if that is due. */
void origin_call_want_body(struct origin_call *call);

/* Lets libcurl go on with a call that was touched. May call the owner. */
void origin_call_attend(struct origin_call *call);

/* What libcurl's `code` for this call means to its owner. */
enum err origin_call_error(const struct origin_call *call, CURLcode code);

/* Has all that ended, waits or was touched settled in the next turn. */
void origin_want_settle(struct origin *origin);
