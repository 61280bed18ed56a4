/* random.h — choices by a source of random numbers. */
#pragma once
#include "base/random_source.h"
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>

/* 0 to `count` - 1; `count` is above 0. The remainder, not random_below: what a seed makes must not change.
 */
static inline size_t random_index(struct random_source *random, size_t count)
{
    assert(count > 0);
    return (size_t)(random_next(random) % count);
}

/* True once in `count` times. */
static inline bool random_once_in(struct random_source *random, size_t count)
{
    return random_index(random, count) == 0;
}
