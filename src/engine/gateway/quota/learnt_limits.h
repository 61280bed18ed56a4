/* learnt_limits.h — what an upstream has said of its limits to one who asks, and what is left of them
 * since. Pure: no clock, no lock.
 *
 * What an answer says was true when it was written, and other requests may have been under way. So what is
 * left is reckoned as the least that can be:
 *   (1) a request that is sent takes one of each limit that it comes under;
 *   (2) an answer to a request that was sent after the last news is news: what it says, less what is under
 *       way, is what is left, even if that is more (an API may not count a 304); but not more than answers
 *       have said that came since, of requests that were sent before: they may have overtaken it;
 *   (3) any other answer can only make it less. */
#pragma once
#include "quota_class.h"
#include "rate_fields.h"
#include <stdbool.h>

enum { LEARNT_WINDOWS_MAX = 12, LEARNT_PATHS = 32, LEARNT_WAIT_HOURS_MAX = 24 };

struct learnt_window {
    uint64_t name, pool; /* as in struct rate_window and struct rate_said; name 0: not in use */
    int64_t limit;       /* 0: not known */
    int64_t left;
    int64_t reset_mono_ms;
    int64_t lowest, lowest_reset_mono_ms; /* said since by answers that were no news, of that time */
    uint64_t news;                        /* how many requests had been sent when it was told last */
    bool is_new;                          /* its time was over, and nothing was told since */
};

/* To be zeroed. */
struct learnt_limits {
    struct learnt_window windows[LEARNT_WINDOWS_MAX];
    int64_t told_until_mono_ms; /* nobody may ask before: Retry-After */
    int64_t refusals_in_a_row;  /* without a word of how long */
    uint64_t sent_count;        /* (2) */
    int64_t under_way;          /* sent, and not answered */
    /* Which pool requests of a path came out of, by a hash of its first part. */
    struct {
        uint64_t path, pool;
    } paths[LEARNT_PATHS];
};

/* When a request of `path`, a hash, may go that has `ahead` others before it: `now_mono_ms` if at once. */
int64_t learnt_limits_due_ms(struct learnt_limits *limits, int64_t now_mono_ms, uint64_t path,
                             enum quota_class class, int64_t ahead);

/* One is sent. Returns its number, for learnt_limits_note. */
uint64_t learnt_limits_send(struct learnt_limits *limits, uint64_t path);

/* One that was sent will not be answered. */
void learnt_limits_leave(struct learnt_limits *limits);

/* What one was answered. True if that says to come later. */
bool learnt_limits_note(struct learnt_limits *limits, int64_t now_mono_ms, uint64_t path, uint64_t number,
                        int status, const struct rate_said *said);

/* Whether the upstream has said of any limit, or that there are too many. */
bool learnt_limits_are_known(const struct learnt_limits *limits, int64_t now_mono_ms);

/* Whether forgetting all this would change nothing. */
bool learnt_limits_are_idle(const struct learnt_limits *limits, int64_t now_mono_ms);
