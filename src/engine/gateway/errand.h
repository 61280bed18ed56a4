/* errand.h — what the gateway asks itself for so that it will be there when a client asks: in turns to
 * come, in the background, and the answer stays in the cache. On one worker's thread. */
#pragma once
#include "gateway_state.h"
#include "inquiry.h"

enum { ERRANDS_MAX = 64, ERRAND_MS = 120000 };

struct errand_order {
    const struct http_request *request; /* a GET as a client asks it; copied */
    uint64_t hash;                      /* of what it is for: there is one errand at a time for it */
    enum urgency urgency;
    int64_t confirmed_within_ms; /* as of struct inquiry_terms, and so are these */
    unsigned page_number;
    uint32_t page_set;
    enum metric metric; /* that counts it, once it has asked the origin */
};

/* False if it is under way already, or there are ERRANDS_MAX, or there is no memory. */
bool errand_begin(struct gateway_worker *worker, const struct errand_order *order);

/* The worker is stopping: those under way are given up. */
void gateway_errands_cancel(struct gateway_worker *worker);
/* Its loop has ended. */
void gateway_errands_destroy(struct gateway_worker *worker);
