/* retry_budget.h — how many requests may be sent again, so that retries never turn a slow origin into a
 * dead one: over a sliding window at most a tenth of the requests, and a few in any case. Pure.
 *
 * The window is of whole seconds: the present one and those before it. Without a lock. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { RETRY_WINDOW_SECONDS = 10, RETRY_PERCENT = 10, RETRIES_PER_SECOND_LEAST = 3 };

struct retry_budget {
    int64_t second; /* of the present slot */
    uint32_t requests[RETRY_WINDOW_SECONDS], retries[RETRY_WINDOW_SECONDS];
};

/* Counts a request that is sent for the first time. */
void retry_budget_note(struct retry_budget *budget, int64_t now_mono_ms);

/* True if one may be sent again, which then is counted. */
bool retry_budget_take(struct retry_budget *budget, int64_t now_mono_ms);
