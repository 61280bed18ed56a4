#include "early.h"
#include <math.h>

/* -ln of the least that a random number of 53 bits can be, but 0: what is farther away than so many times
 * the cost need not throw dice. */
enum { FACTOR_MAX = 37 };

bool is_early_enough(int64_t fresh_ms, int64_t lifetime_ms, int64_t cost_ms, int64_t beta_percent,
                     double random)
{
    double reach_ms;

    if (fresh_ms <= 0 || fresh_ms > lifetime_ms / 2)
        return false;
    reach_ms = (double)(cost_ms > 0 ? cost_ms : EARLY_COST_UNKNOWN_MS) * (double)beta_percent / 100;
    if ((double)fresh_ms > reach_ms * FACTOR_MAX)
        return false;
    return -log(1 - random) * reach_ms >= (double)fresh_ms; /* 1 - random: 0 has no logarithm */
}
