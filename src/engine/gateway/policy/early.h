/* early.h — when to fetch anew what is still fresh (Vattani, Chierichetti, Lowenstein: Optimal
 * Probabilistic Cache Stampede Prevention, 2015). Pure.
 *
 * Each request for it throws dice, the more in favour the nearer its end is and the longer a fetch takes:
 *
 *     now + cost · beta · -ln(random) ≥ the end of its freshness
 *
 * so that of many requests about one is early enough for the new answer to be there in time, and of few
 * mostly none: what is hardly asked for is not kept fresh for nobody. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { EARLY_COST_UNKNOWN_MS = 100 /* of what another node fetched */ };

/* Whether a request for what is fresh for another `fresh_ms`, of `lifetime_ms` in all, is the one to have
 * it fetched, which took `cost_ms` the last time; 0: not known. `random` is 0 … 1, without 1. Never in the
 * first half of its lifetime: a fetch that takes as long as the answer is fresh would be followed by the
 * next at once. */
bool is_early_enough(int64_t fresh_ms, int64_t lifetime_ms, int64_t cost_ms, int64_t beta_percent,
                     double random);
