/* now.h — one moment, read once per loop turn and passed down, so that policy never reads a clock. */
#pragma once
#include <stdint.h>

struct now {
    int64_t mono_ms; /* monotonic: lifetimes, deadlines, residence; its zero means nothing */
    int64_t wall_ms; /* since 1970 UTC: only for arithmetic with dates that others wrote */
};

/* Where a moment comes from. A test hands in its own and lets an hour pass. */
struct clock {
    struct now (*read)(void *context);
    void *context;
};

/* The machine's clock. Any thread. */
extern const struct clock clock_system;

static inline struct now clock_read(const struct clock *clock) { return clock->read(clock->context); }
