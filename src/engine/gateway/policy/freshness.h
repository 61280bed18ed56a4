/* freshness.h — how long a response is fresh and how old it is (RFC 9111 §4.2). Pure.
 *
 * Wall time is only ever subtracted from dates that others wrote; residence is measured on the
 * monotonic clock, so a jump of the wall clock changes nothing about what is stored already. */
#pragma once
#include "base/now.h"
#include "directives.h"

struct freshness {
    int64_t lifetime_ms;    /* 0: stale from the start */
    bool is_explicit;       /* the response says how long; false: it says nothing, or we guessed */
    int64_t initial_age_ms; /* RFC 9111 §4.2.3, corrected_initial_age, at the moment of receipt */
    int64_t age_seconds;    /* the response's valid Age, or -1 */
};

/* Of a response whose request left at `requested` and whose head came at `received`. */
struct freshness freshness_of(const struct http_fields *fields, const struct cache_directives *directives,
                              struct now requested, struct now received);

/* RFC 9111 §4.2.2: what to think of a response that does not say how long it is fresh: a tenth of the time
 * since its Last-Modified, at most `ms_max`; 0 without one. Whether it may be guessed is storable.c's to
 * say. */
int64_t heuristic_lifetime_ms(const struct http_fields *fields, struct now received, int64_t ms_max);

/* The age at `now_mono_ms` of what was `initial_age_ms` old at `received_mono_ms`; never negative. */
static inline int64_t current_age_ms(int64_t initial_age_ms, int64_t received_mono_ms, int64_t now_mono_ms)
{
    return now_mono_ms > received_mono_ms ? initial_age_ms + (now_mono_ms - received_mono_ms)
                                          : initial_age_ms;
}
