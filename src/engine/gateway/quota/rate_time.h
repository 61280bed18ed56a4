/* rate_time.h — when an upstream says that one may ask again, in each of the ways in which upstreams say
 * it. Pure. */
#pragma once
#include "base/bytes.h"
#include <stdbool.h>
#include <stdint.h>

/* No wait that is said may be longer: what says so is in error, and is ignored. */
enum { RATE_TIME_DAYS_MAX = 31 };

/* Reads how long it is until then, at least 0, from `there_wall_ms`, the time of day of who says it:
 *
 *     30  1.5               seconds from now, as anything below the year 2000 is
 *     1700000000  …000.25   seconds since 1970
 *     1700000000000         milliseconds since 1970
 *     1s  6m0s  120ms       a time with its units, as Go writes it
 *     2026-11-30T08:00:00Z  RFC 3339, with or without seconds
 *     Mon, 30 Nov 2026 …    HTTP's dates
 *
 * A moment that is past is 0. False if it is none of them, or too far away. */
bool rate_time_read(struct bytes text, int64_t there_wall_ms, int64_t *wait_ms);

/* Reads "12", or "12.5" rounded down to thousandths. False if it is anything else or has more than 15
 * digits before the point. */
bool rate_number_read(struct bytes text, int64_t *thousandths);
