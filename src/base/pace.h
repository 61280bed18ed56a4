/* pace.h — how fast somebody has to be on average, however often they pause.
 *
 * While they are waited for, time is spent; what they bring earns it back, up to a grace. So nobody holds
 * anything up for long with a byte now and then, nor by having been quick long ago. */
#pragma once
#include <stdint.h>

struct pace {
    int64_t rate;       /* bytes a second; 0: any will do */
    int64_t most, left; /* in thousandths of a byte: a millisecond spends `rate` of them */
    int64_t since_ms;   /* spent until then; negative: nobody waits */
};

/* `grace_ms` is how long nothing at all may come; `rate` at most 2^30, times in less than 2^31 ms. */
static inline void pace_begin(struct pace *pace, int64_t grace_ms, int64_t rate)
{
    *pace = (struct pace){.rate = rate, .most = grace_ms * rate, .left = grace_ms * rate, .since_ms = -1};
}

static inline void pace_spend(struct pace *pace, int64_t now_ms)
{
    if (pace->since_ms < 0)
        return;
    pace->left -= (now_ms - pace->since_ms) * pace->rate;
    pace->since_ms = now_ms;
}

/* They are waited for from now on, or (pace_rest) not any more. */
static inline void pace_wait(struct pace *pace, int64_t now_ms)
{
    if (pace->since_ms < 0)
        pace->since_ms = now_ms;
}
static inline void pace_rest(struct pace *pace, int64_t now_ms)
{
    pace_spend(pace, now_ms);
    pace->since_ms = -1;
}

/* So many bytes have come. */
static inline void pace_note(struct pace *pace, int64_t now_ms, uint64_t bytes)
{
    pace_spend(pace, now_ms);
    if (bytes >= (uint64_t)(pace->most - pace->left + 999) / 1000)
        pace->left = pace->most;
    else
        pace->left += (int64_t)bytes * 1000;
}

/* When they have been too slow unless more comes; INT64_MAX for never. */
static inline int64_t pace_due_ms(const struct pace *pace)
{
    if (pace->rate == 0 || pace->since_ms < 0)
        return INT64_MAX;
    return pace->left > 0 ? pace->since_ms + (pace->left + pace->rate - 1) / pace->rate : pace->since_ms;
}
