#include "poll_pace.h"
#include "engine/gateway/policy/stored_response.h"
#include "engine/gateway/quota/rate_time.h"

enum { FAILURES_COUNTED_MAX = 20 /* a million times as long: the bound comes before */ };

static int64_t smaller(int64_t one, int64_t other) { return one < other ? one : other; }
static int64_t larger(int64_t one, int64_t other) { return one > other ? one : other; }

static int64_t between(int64_t low, int64_t value, int64_t high)
{
    return larger(low, smaller(value, high));
}

void poll_pace_bound(struct poll_pace *pace, int64_t interval_ms_min, int64_t interval_ms_max)
{
    pace->interval_ms_min = interval_ms_min;
    pace->interval_ms_max = larger(interval_ms_min, interval_ms_max);
    pace->interval_ms = pace->interval_ms == 0
                            ? interval_ms_min
                            : between(interval_ms_min, pace->interval_ms, pace->interval_ms_max);
}

void poll_pace_learn(struct poll_pace *pace, enum poll_outcome outcome)
{
    pace->failure_count = outcome != POLL_FAILED                       ? 0
                          : pace->failure_count < FAILURES_COUNTED_MAX ? pace->failure_count + 1
                                                                       : pace->failure_count;
    if (outcome == POLL_CHANGED)
        pace->interval_ms /= 2;
    else if (outcome == POLL_UNCHANGED)
        pace->interval_ms += pace->interval_ms / 2;
    pace->interval_ms = between(pace->interval_ms_min, pace->interval_ms, pace->interval_ms_max);
}

static int64_t spread(int64_t wait_ms, double random)
{
    return wait_ms + (int64_t)((double)wait_ms * (random - 0.5) / 5);
}

int64_t poll_pace_next(struct poll_pace *pace, enum poll_outcome outcome, const struct poll_said *said,
                       double random)
{
    int64_t wait_ms;

    poll_pace_learn(pace, outcome);
    wait_ms = pace->interval_ms;
    if (pace->failure_count > 0)
        wait_ms =
            smaller(wait_ms << pace->failure_count, larger(pace->interval_ms_max, POLL_FAILED_MS_MAX));
    wait_ms = spread(wait_ms, random);
    /* The operator may want to be no later than that, be it fresh until then or not. */
    wait_ms = larger(wait_ms, smaller(said->fresh_ms, pace->interval_ms_max));
    wait_ms = larger(wait_ms, larger(said->poll_interval_ms, said->retry_after_ms));
    return larger(wait_ms, 1);
}

void poll_said_read(struct poll_said *said, struct bytes fields, int64_t now_wall_ms)
{
    struct http_field field;

    said->poll_interval_ms = said->retry_after_ms = -1;
    while (rendered_next(&fields, &field)) {
        int64_t *told = bytes_equal_nocase(field.name, BYTES("X-Poll-Interval")) ? &said->poll_interval_ms
                        : bytes_equal_nocase(field.name, BYTES("Retry-After"))   ? &said->retry_after_ms
                                                                                 : NULL;
        int64_t wait_ms;
        if (told != NULL && rate_time_read(field.value, now_wall_ms, &wait_ms))
            *told = wait_ms;
    }
}
