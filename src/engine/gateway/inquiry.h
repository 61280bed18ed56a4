/* inquiry.h — a request that we ask the gateway ourselves. It goes through the cache as a client's does: a
 * fresh entry, one fetch for all who wait, a validation, what stands in for a failure, the fleet; and its
 * answer ends up in memory.
 *
 * On one worker's thread. */
#pragma once
#include "base/buffer.h"
#include "base/err.h"
#include "gateway.h"
#include "inquiry_terms.h"

struct inquiry; /* opaque: inquiry.c */

struct inquiry_answer {
    /* OK: an answer of whatever status, the gateway's own (502, 504, …) included. ERR_TIMEOUT;
     * ERR_TOO_LARGE: of a body of more than body_bytes_max; ERR_TRUNCATED: it broke off. Of an error
     * nothing else is said. */
    enum err err;
    int status;
    struct bytes fields; /* as lines "Name: value CRLF" */
    struct buffer *body; /* who wants to keep it takes it, and leaves a zeroed one */
    uint64_t body_hash;  /* where that is wanted; of OK alone, and of what is kept. Of one gateway's life */
    const struct inquiry_terms *terms;
};

struct inquiry_order {
    const struct http_request *request; /* a GET or HEAD without a body; copied */
    /* Whom it asks, and what its `begin` takes: one that stands in front of the gateway's; null: that. */
    const struct exchange_engine *engine;
    void *engine_worker;
    enum urgency urgency;
    int64_t confirmed_within_ms; /* this and the next as of struct inquiry_terms */
    bool fresh_will_do;
    bool asks_nobody;     /* as there, */
    unsigned page_number; /* and this, */
    uint32_t page_set;    /* and this */
    bool wants_no_body;   /* it is to be in the cache: the answer's `body` stays empty, however long it is,
                           * and   one that will not be kept is over as soon as that is known */
    bool wants_hash;      /* of the body; only with wants_no_body */
    size_t body_bytes_max;
    int64_t timeout_ms; /* from now to the end of the answer; at least 1 */
    /* Called once, later, unless the inquiry is cancelled; the inquiry and all of the answer are gone when
     * it returns. */
    void (*done)(void *owner, const struct inquiry_answer *answer);
    void *owner;
};

/* Asks. Null if there is no memory, and then `done` is not called. */
struct inquiry *inquiry_begin(struct gateway_worker *worker, const struct inquiry_order *order);

/* `done` will not be called any more. Not from inside `done`. */
void inquiry_cancel(struct inquiry *inquiry);
