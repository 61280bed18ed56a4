/* pitfalls.h — what a log of segments may do badly, one small measurement each. A case prints rows: what
 * was timed, the median, the 99.9th percentile and the worst of one call, and what came of it. */
#pragma once
#include "load.h"
#include "store/item.h"
#include "store/measure.h"

/* Calls that are timed one by one. */
struct timing {
    struct latencies latencies;
    uint64_t clock_ns, begun_ns;
};
void timing_init(struct timing *timing);
static inline void timing_begin(struct timing *timing) { timing->begun_ns = now_ns(); }
static inline void timing_end(struct timing *timing)
{
    uint64_t ns = now_ns() - timing->begun_ns;
    latencies_add(&timing->latencies, ns > timing->clock_ns ? ns - timing->clock_ns : 0, 1);
}

/* Prints a row; `format` says what came of it. */
void row(const char *what, const struct timing *timing, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What share `part` is of `whole`; 0 of nothing. */
double percent(uint64_t part, uint64_t whole);

/* A case, which does `share_percent` of its full work. */
typedef void pitfall_function(uint64_t share_percent);

pitfall_function pitfall_classes;     /* many lifetimes in a small store */
pitfall_function pitfall_lifetimes;   /* lifetimes of all lengths among values of one size */
pitfall_function pitfall_overwriting; /* a few keys are written again and again */
pitfall_function pitfall_all_hot;     /* everything has been read before it could be evicted */
pitfall_function pitfall_sizes;       /* huge values among tiny ones */
pitfall_function pitfall_borrowers;   /* many values are borrowed and not given back */
pitfall_function pitfall_growth;      /* from nothing to millions */
pitfall_function pitfall_clear;       /* all of millions go */
pitfall_function pitfall_sweep;       /* a tick of upkeep, with nothing to do and with much */
