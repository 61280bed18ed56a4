/* round_trips.h — how long servers take to answer: counted in buckets whose bounds grow by a quarter or
 * less. One worker's. */
#pragma once
#include <stdint.h>

enum { ROUND_TRIP_BUCKETS = 124 };

/* Zeroed is the beginning. */
struct round_trips {
    uint64_t count;
    uint32_t max_us;
    uint32_t recent_count; /* in the buckets: what is older counts half, and half again */
    uint32_t buckets[ROUND_TRIP_BUCKETS];
};

/* For measuring alone: nothing is decided by this clock. */
uint64_t round_trips_clock_us(void);

void round_trips_note(struct round_trips *trips, uint64_t us);
/* What `percent` of the recent ones took at most, as the upper bound of a bucket; 0 if there were none. */
uint32_t round_trips_percentile_us(const struct round_trips *trips, unsigned percent);
