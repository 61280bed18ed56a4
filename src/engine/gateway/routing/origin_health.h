/* origin_health.h — whether one of several origins is to be asked, from what came of asking it. Pure: no
 * clock, no I/O, no lock.
 *
 *            some failures in a row, or a failed check         An origin that is out comes back by itself
 * once its in ─────────────────────────────────────────► out       time is over, or earlier when checks
 * succeed. It comes ▲      time is over, or checks succeed        │        back on trial: one failure more,
 * and it is out for └─────────────── on trial ◄───────────────────┘        twice as long. Back for good, it
 * is asked more and more often while it warms up (slow start). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct health_policy {
    int64_t failures_max;   /* so many in a row take an origin out; 0: none do */
    int64_t out_ms;         /* for how long at first; doubled each time */
    int64_t out_ms_max;     /* and at most */
    int64_t slow_start_ms;  /* from its coming back to its full share; 0: at once */
    int64_t checks_to_fail; /* so many failed checks in a row take it out, */
    int64_t checks_to_pass; /* so many good ones bring it back */
};

struct origin_health {
    uint32_t failures_in_a_row;
    uint32_t times_out;        /* in a row: how often its time is doubled */
    int64_t out_until_mono_ms; /* while is_out by what came of requests */
    int64_t back_mono_ms;      /* since when it is in, after having been out; 0: it always was */
    uint32_t checks_failed, checks_passed; /* in a row */
    bool is_out;
    bool fails_checks; /* is_out until checks succeed, however long that takes */
};

/* What a call changed, so that it can be logged once. */
enum health_change { HEALTH_SAME, HEALTH_WENT_OUT, HEALTH_CAME_BACK };

/* A request was answered, or came to nothing. */
enum health_change health_note(struct origin_health *health, const struct health_policy *policy,
                               int64_t now_mono_ms, bool is_good);

/* The same of a check. */
enum health_change health_note_check(struct origin_health *health, const struct health_policy *policy,
                                     int64_t now_mono_ms, bool is_good);

/* Lets time do its part. To be asked before each use. */
enum health_change health_tick(struct origin_health *health, int64_t now_mono_ms);

/* The share that an origin of this weight is due, in hundredths of a weight of 1; at least 1. */
uint32_t health_share(const struct origin_health *health, const struct health_policy *policy,
                      int64_t now_mono_ms, uint32_t weight);
