/* hedge.h — when a request that is not answered is sent a second time beside the first, and how often that
 * may be: never more than a share of all requests. Pure, and without a lock: each worker has its own. */
#pragma once
#include "base/bytes.h"
#include <stdbool.h>
#include <stdint.h>

enum {
    HEDGE_NEVER = 0,
    HEDGE_P95 = -1, /* after the time within which 95 of 100 answers have come */
    HEDGE_MS_MAX = 60000,
    HEDGE_BUCKETS = 80,
    HEDGE_TIMES_LEAST = 50, /* answers to know that from */
};

/* Reads "no", "p95", or a time such as 250ms or 1s into HEDGE_NEVER, HEDGE_P95 or milliseconds from 1 to
 * HEDGE_MS_MAX. */
bool hedge_read(struct bytes text, int64_t *after_ms);

/* Zeroed to begin with. */
struct hedge {
    uint32_t times[HEDGE_BUCKETS]; /* of late: how long answers took, the bounds growing by a fifth */
    uint32_t time_count;
    uint32_t request_count, hedge_count; /* of late */
};

/* A request is sent that might be hedged. */
void hedge_note_request(struct hedge *hedge);
/* The head of its answer came after `took_ms`. */
void hedge_note_time(struct hedge *hedge, int64_t took_ms);

/* After how long without a head it is time for a second one; -1: that is not known yet. `after_ms` is as of
 * hedge_read, and not HEDGE_NEVER. */
int64_t hedge_wait_ms(const struct hedge *hedge, int64_t after_ms);

/* Whether a second one may be sent, of which there are at most `percent` in a hundred. */
bool hedge_may(const struct hedge *hedge, int64_t percent);
/* It is sent. */
void hedge_note_sent(struct hedge *hedge);
