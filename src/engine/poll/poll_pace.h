/* poll_pace.h — how long to wait until a resource is asked for again. Pure.
 *
 * Halved by a change, half as long again without one, doubled by each failure; between what the operator
 * says. What the origin says makes it longer, never shorter. */
#pragma once
#include "base/bytes.h"
#include <stdint.h>

enum poll_outcome { POLL_CHANGED, POLL_UNCHANGED, POLL_FAILED };

struct poll_pace {
    int64_t interval_ms, interval_ms_min, interval_ms_max;
    unsigned failure_count; /* one after the other */
};

/* What came with the answer; -1: it does not say. */
struct poll_said {
    int64_t fresh_ms;         /* it stays fresh for so long: asking earlier would bring the same */
    int64_t poll_interval_ms; /* X-Poll-Interval */
    int64_t retry_after_ms;
};

/* No failure makes it wait longer, unless the operator or the origin does. */
enum { POLL_FAILED_MS_MAX = 10 * 60 * 1000 };

/* New bounds, of one that goes on, too, whose interval is kept as far as it lies between them. */
void poll_pace_bound(struct poll_pace *pace, int64_t interval_ms_min, int64_t interval_ms_max);

/* Takes an outcome into account. */
void poll_pace_learn(struct poll_pace *pace, enum poll_outcome outcome);

/* Does that, and returns how long after the answer was given the next poll is, at least 1. `random`, 0 … 1,
 * spreads it by a tenth to both sides. */
int64_t poll_pace_next(struct poll_pace *pace, enum poll_outcome outcome, const struct poll_said *said,
                       double random);

/* Reads X-Poll-Interval and Retry-After from `fields`, lines as of struct inquiry_answer. */
void poll_said_read(struct poll_said *said, struct bytes fields, int64_t now_wall_ms);
