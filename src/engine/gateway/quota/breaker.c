#include "breaker.h"
#include <string.h>

enum { PROBE_WAIT_MS = 1000, DOUBLED_MAX = 20 };

bool breaker_ask(struct breaker *breaker, int64_t now_mono_ms, bool *is_probe)
{
    *is_probe = false;
    if (breaker->state == BREAKER_OPEN && now_mono_ms >= breaker->open_until_mono_ms) {
        breaker->state = BREAKER_HALF_OPEN;
        breaker->is_probing = false;
    }
    if (breaker->state == BREAKER_HALF_OPEN && !breaker->is_probing)
        *is_probe = breaker->is_probing = true;
    return breaker->state == BREAKER_CLOSED || *is_probe;
}

static void turn_slots(struct breaker *breaker, int64_t second)
{
    int64_t passed = second - breaker->second;

    if (passed < 0 || passed > BREAKER_SLOTS)
        passed = BREAKER_SLOTS;
    for (int64_t i = 0; i < passed; i++) {
        breaker->requests[(second - i) % BREAKER_SLOTS] = 0;
        breaker->failures[(second - i) % BREAKER_SLOTS] = 0;
    }
    breaker->second = second;
}

static void forget(struct breaker *breaker)
{
    breaker->failures_in_a_row = 0;
    memset(breaker->requests, 0, sizeof breaker->requests);
    memset(breaker->failures, 0, sizeof breaker->failures);
}

/* Whether what is counted is too much. */
static bool is_too_much(const struct breaker *breaker, const struct breaker_policy *policy)
{
    uint64_t requests = 0, failures = 0;

    if (breaker->failures_in_a_row >= policy->failures_max)
        return true;
    for (int i = 0; i < BREAKER_SLOTS; i++) {
        requests += breaker->requests[i];
        failures += breaker->failures[i];
    }
    return requests >= BREAKER_REQUESTS_LEAST && failures * 100 > requests * (uint64_t)policy->percent_max;
}

static void open(struct breaker *breaker, const struct breaker_policy *policy, int64_t now_mono_ms)
{
    int64_t open_ms = policy->open_ms;

    for (int64_t i = 0; i < breaker->times_open && i < DOUBLED_MAX && open_ms < BREAKER_OPEN_MS_MAX; i++)
        open_ms *= 2;
    if (open_ms > BREAKER_OPEN_MS_MAX)
        open_ms = policy->open_ms > BREAKER_OPEN_MS_MAX ? policy->open_ms : BREAKER_OPEN_MS_MAX;
    breaker->state = BREAKER_OPEN;
    breaker->open_until_mono_ms = now_mono_ms + open_ms;
    breaker->times_open++;
    breaker->is_probing = false;
    forget(breaker);
}

bool breaker_note(struct breaker *breaker, const struct breaker_policy *policy, int64_t now_mono_ms,
                  bool is_probe, bool is_good)
{
    int64_t second = now_mono_ms / 1000;

    if (policy->failures_max == 0)
        return false;
    if (is_probe && breaker->state == BREAKER_HALF_OPEN) {
        if (!is_good) {
            open(breaker, policy, now_mono_ms);
            return true;
        }
        breaker->state = BREAKER_CLOSED;
        breaker->times_open = 0;
        breaker->is_probing = false;
        forget(breaker);
        return true;
    }
    if (breaker->state != BREAKER_CLOSED) /* it went out earlier: the probe decides */
        return false;
    turn_slots(breaker, second);
    breaker->requests[second % BREAKER_SLOTS]++;
    breaker->failures[second % BREAKER_SLOTS] += !is_good;
    breaker->failures_in_a_row = is_good ? 0 : breaker->failures_in_a_row + 1;
    if (is_good || !is_too_much(breaker, policy))
        return false;
    open(breaker, policy, now_mono_ms);
    return true;
}

void breaker_drop_probe(struct breaker *breaker)
{
    if (breaker->state == BREAKER_HALF_OPEN)
        breaker->is_probing = false;
}

int64_t breaker_due_ms(const struct breaker *breaker, int64_t now_mono_ms)
{
    return breaker->state == BREAKER_OPEN ? breaker->open_until_mono_ms : now_mono_ms + PROBE_WAIT_MS;
}
