/* breaker.h — an upstream that keeps failing is left alone for a while, and then tried with one request.
 * Pure: no clock, no lock.
 *
 *              failures in a row, or too large a share of them
 *     closed ───────────────────────────────────────────────────► open ◄──┐
 *        ▲                                                          │      │ it fails: twice as long
 *        │                it succeeds                 its time over │      │
 *        └────────────────────────────────────── half open ◄────────┘ ─────┘
 *                                       (one request at a time: the probe) */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { BREAKER_SLOTS = 10, BREAKER_REQUESTS_LEAST = 20, BREAKER_OPEN_MS_MAX = 60000 };

struct breaker_policy {
    int64_t failures_max; /* so many in a row open it; 0: it never opens */
    int64_t percent_max;  /* and so does a larger share of the requests of ten seconds, if there were
                           * BREAKER_REQUESTS_LEAST; 100: no share does */
    int64_t open_ms;      /* for how long at first; doubled each time, up to a minute */
};

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };

struct breaker {
    enum breaker_state state;
    int64_t failures_in_a_row;
    int64_t times_open;         /* in a row */
    int64_t open_until_mono_ms; /* while it is open */
    bool is_probing;            /* while it is half open: the probe is under way */
    int64_t second;             /* of the present slot */
    uint32_t requests[BREAKER_SLOTS], failures[BREAKER_SLOTS];
};

/* Whether a request may go; time does its part. `*is_probe` says that all depends on it: then either
 * breaker_note or breaker_drop_probe is due. */
bool breaker_ask(struct breaker *breaker, int64_t now_mono_ms, bool *is_probe);

/* What came of a request that was permitted. True if the state has changed. */
bool breaker_note(struct breaker *breaker, const struct breaker_policy *policy, int64_t now_mono_ms,
                  bool is_probe, bool is_good);

/* The probe was given up, and nothing is known: the next request may be one. */
void breaker_drop_probe(struct breaker *breaker);

/* When it is worth asking again, if breaker_ask said no. */
int64_t breaker_due_ms(const struct breaker *breaker, int64_t now_mono_ms);
