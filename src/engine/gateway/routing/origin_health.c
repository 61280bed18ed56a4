#include "origin_health.h"

enum { TIMES_OUT_MAX = 16, SHARE_OF_ONE = 100, SLOW_START_LEAST = 10 };

static int64_t out_ms(const struct origin_health *health, const struct health_policy *policy)
{
    int64_t ms = policy->out_ms;

    for (uint32_t i = 1; i < health->times_out && ms < policy->out_ms_max; i++)
        ms *= 2;
    return ms < policy->out_ms_max ? ms : policy->out_ms_max;
}

static enum health_change go_out(struct origin_health *health)
{
    bool was_out = health->is_out;

    health->is_out = true;
    health->failures_in_a_row = 0;
    return was_out ? HEALTH_SAME : HEALTH_WENT_OUT;
}

static enum health_change come_back(struct origin_health *health, int64_t now_mono_ms)
{
    health->is_out = health->fails_checks = false;
    health->failures_in_a_row = 0;
    health->back_mono_ms = now_mono_ms;
    return HEALTH_CAME_BACK;
}

/* It has been in for as long as it was out the last time: what was is forgotten. */
static void forget_if_sound(struct origin_health *health, const struct health_policy *policy,
                            int64_t now_mono_ms)
{
    if (health->times_out > 0 && now_mono_ms - health->back_mono_ms >= out_ms(health, policy))
        health->times_out = 0;
}

enum health_change health_note(struct origin_health *health, const struct health_policy *policy,
                               int64_t now_mono_ms, bool is_good)
{
    bool is_on_trial = health->times_out > 0;

    if (is_good) {
        health->failures_in_a_row = 0;
        if (!health->is_out)
            forget_if_sound(health, policy, now_mono_ms);
        return HEALTH_SAME; /* one that is out and asked all the same, for want of others, stays out for its
                               time */
    }
    if (policy->failures_max == 0 || health->is_out)
        return HEALTH_SAME;
    health->failures_in_a_row++;
    if (health->failures_in_a_row < policy->failures_max && !is_on_trial)
        return HEALTH_SAME;
    if (health->times_out < TIMES_OUT_MAX)
        health->times_out++;
    health->out_until_mono_ms = now_mono_ms + out_ms(health, policy);
    return go_out(health);
}

enum health_change health_note_check(struct origin_health *health, const struct health_policy *policy,
                                     int64_t now_mono_ms, bool is_good)
{
    if (is_good) {
        health->checks_failed = 0;
        if (!health->is_out)
            return HEALTH_SAME;
        if (++health->checks_passed < policy->checks_to_pass)
            return HEALTH_SAME;
        health->checks_passed = 0;
        return come_back(health, now_mono_ms);
    }
    health->checks_passed = 0;
    if (++health->checks_failed < policy->checks_to_fail)
        return HEALTH_SAME;
    health->checks_failed = 0;
    health->fails_checks = true;
    return go_out(health);
}

enum health_change health_tick(struct origin_health *health, int64_t now_mono_ms)
{
    if (!health->is_out || health->fails_checks || now_mono_ms < health->out_until_mono_ms)
        return HEALTH_SAME;
    return come_back(health, now_mono_ms);
}

uint32_t health_share(const struct origin_health *health, const struct health_policy *policy,
                      int64_t now_mono_ms, uint32_t weight)
{
    int64_t full = (int64_t)weight * SHARE_OF_ONE, since_ms = now_mono_ms - health->back_mono_ms, share;

    if (health->back_mono_ms == 0 || policy->slow_start_ms == 0 || since_ms >= policy->slow_start_ms)
        return (uint32_t)full;
    share = full * (since_ms > 0 ? since_ms : 0) / policy->slow_start_ms;
    if (share < full / SLOW_START_LEAST)
        share = full / SLOW_START_LEAST;
    return share > 0 ? (uint32_t)share : 1;
}
