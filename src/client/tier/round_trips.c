#include "client/tier/round_trips.h"
#include <time.h>

/* Then all counts are halved. */
enum { RECENT_MAX = 1 << 16 };

uint64_t round_trips_clock_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Four buckets for each power of two from 4 on; below each number has its own. */
static uint32_t bucket_of(uint32_t us)
{
    uint32_t power;

    if (us < 4)
        return us;
    power = 31 - (uint32_t)__builtin_clz(us);
    return (power - 1) * 4 + (us >> (power - 2) & 3);
}

static uint32_t upper_bound_us(uint32_t bucket)
{
    if (bucket < 4)
        return bucket;
    return (uint32_t)(((uint64_t)(bucket % 4 + 5) << (bucket / 4 - 1)) - 1);
}

void round_trips_note(struct round_trips *trips, uint64_t us)
{
    uint32_t capped_us = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;

    if (trips->recent_count >= RECENT_MAX) {
        trips->recent_count = 0;
        for (uint32_t i = 0; i < ROUND_TRIP_BUCKETS; i++)
            trips->recent_count += trips->buckets[i] /= 2;
    }
    trips->count++;
    trips->recent_count++;
    trips->buckets[bucket_of(capped_us)]++;
    trips->max_us = capped_us > trips->max_us ? capped_us : trips->max_us;
}

uint32_t round_trips_percentile_us(const struct round_trips *trips, unsigned percent)
{
    uint64_t wanted = ((uint64_t)trips->recent_count * percent + 99) / 100, seen = 0;

    for (uint32_t i = 0; i < ROUND_TRIP_BUCKETS; i++) {
        seen += trips->buckets[i];
        if (seen >= wanted && seen > 0) {
            uint32_t bound_us = upper_bound_us(i);
            return bound_us < trips->max_us ? bound_us : trips->max_us;
        }
    }
    return 0;
}
