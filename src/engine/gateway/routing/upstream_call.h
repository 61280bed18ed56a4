/* upstream_call.h — one request to an upstream and its answer: sent to one of its origins, and if that does
 * not answer at all, perhaps to another.
 *
 * Sent again, at most retries_max times and within the budget of origin_set.h, is only what cannot be
 * carried out twice, or does no harm if it is (RFC 9110 §9.2.2): any request of which no byte was sent and
 * of whose body none was asked for, if there is another origin; an idempotent one without a body whose
 * connection was closed before a byte of the answer came.
 *
 * Where the upstream says `hedge`, a GET or HEAD without a body that has no answer for so long is sent a
 * second time beside the first, within the budget of hedge.h and as quota_may_hedge permits: the first head
 * that comes counts, and the other attempt is given up.
 *
 * Embedded in its owner; on one loop's thread. */
#pragma once
#include "base/counters.h"
#include "upstream.h"

struct upstream_request {
    struct bytes method; /* copied, as are target, host and upgrade */
    struct bytes target; /* path and query, behind the origin's base URL */
    struct bytes host;   /* the Host field's value; empty: the authority of whichever origin is asked */
    struct http_fields fields; /* the list is copied, the texts must stay until the call has ended */
    int64_t body_bytes;        /* as in struct origin_request, as is upgrade */
    struct bytes upgrade;      /* not empty: a tunnel, for which upstream_worker_make_tunnels said OK */
    struct origin_timeouts timeouts;
    struct quota_ticket *ticket; /* that has gone: the call tells what comes of it, asks again for another
                                  * attempt, and leaves at its end. Stays until then */
};

struct upstream_attempt {
    struct upstream_call *call;
    struct origin_call *origin; /* null: none is under way */
    size_t place;               /* the origin that is asked */
    bool is_at_place;
};

struct upstream_call {
    const struct origin_callbacks *callbacks;
    void *owner;
    struct upstream_worker *by;
    struct loop *loop;
    struct counters *counters;
    struct origin_call **current; /* the owner's: the call of now, null once it has ended */
    struct buffer text;           /* of what was copied, which moves no more */
    struct upstream_request request;
    int64_t total_due_ms; /* 0: none */
    uint64_t tried;       /* a bit for each origin */
    int64_t retries_left;
    struct upstream_attempt first, second; /* the latter is the hedge */
    struct timer hedge;                    /* set while there may be one */
    int64_t begun_ms;                      /* the first attempt */
    bool may_hedge, has_head;
    bool is_noted;       /* what came of it, as its status said */
    bool is_limited;     /* the answer says to come later */
    bool body_was_asked; /* it can be had only once */
};

/* Begins a call; errors as of origin_start, and after one nothing is due. `callbacks`, which stays, is told
 * as by origin_start, of the last attempt only. `*current` is for the functions of origin.h, but for
 * origin_cancel. */
enum err upstream_call_start(struct upstream_call *call, struct upstream_worker *by, struct loop *loop,
                             struct counters *counters, const struct upstream_request *request,
                             const struct origin_callbacks *callbacks, void *owner,
                             struct origin_call **current);

/* Gives it up, at any time before `done`: as origin_cancel. Fine if it has ended, or is zeroed. */
void upstream_call_cancel(struct upstream_call *call);
