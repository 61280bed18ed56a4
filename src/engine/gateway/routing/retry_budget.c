#include "retry_budget.h"
#include <string.h>

/* Empties the slots of the seconds that have passed since the last call. */
static unsigned slot_of_now(struct retry_budget *budget, int64_t now_mono_ms)
{
    int64_t second = now_mono_ms / 1000;

    if (second - budget->second >= RETRY_WINDOW_SECONDS) {
        memset(budget, 0, sizeof *budget);
        budget->second = second;
    }
    while (budget->second < second) {
        unsigned slot = (unsigned)(++budget->second % RETRY_WINDOW_SECONDS);
        budget->requests[slot] = budget->retries[slot] = 0;
    }
    return (unsigned)(budget->second % RETRY_WINDOW_SECONDS);
}

void retry_budget_note(struct retry_budget *budget, int64_t now_mono_ms)
{
    budget->requests[slot_of_now(budget, now_mono_ms)]++;
}

bool retry_budget_take(struct retry_budget *budget, int64_t now_mono_ms)
{
    unsigned now = slot_of_now(budget, now_mono_ms);
    uint64_t requests = 0, retries = 0;

    for (unsigned i = 0; i < RETRY_WINDOW_SECONDS; i++) {
        requests += budget->requests[i];
        retries += budget->retries[i];
    }
    if (budget->retries[now] >= RETRIES_PER_SECOND_LEAST && (retries + 1) * 100 > requests * RETRY_PERCENT)
        return false;
    budget->retries[now]++;
    return true;
}
