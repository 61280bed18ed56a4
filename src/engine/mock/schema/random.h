/* random.h — numbers that look random and are the same each time for one seed (splitmix64). Not for
 * secrets. */
#pragma once
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t state;
};

static inline uint64_t random_next(struct random *random)
{
    uint64_t mixed = random->state += 0x9e3779b97f4a7c15;

    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    return mixed ^ mixed >> 31;
}

/* 0 to `count` - 1; `count` is above 0. */
static inline size_t random_below(struct random *random, size_t count)
{
    assert(count > 0);
    return (size_t)(random_next(random) % count);
}

/* True once in `count` times. */
static inline bool random_once_in(struct random *random, size_t count)
{
    return random_below(random, count) == 0;
}

/* From 0 to below 1. */
static inline double random_fraction(struct random *random)
{
    return (double)(random_next(random) >> 11) * 0x1p-53;
}
