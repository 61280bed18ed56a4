/* random_source.h — random numbers that come again with the same seed (SplitMix64). Not for secrets. */
#pragma once
#include <stdint.h>

struct random_source {
    uint64_t state;
};

/* The source of one thing of many: the `number`th of those called `stream`, whatever the others do. */
struct random_source random_source_of(uint64_t seed, uint64_t stream, uint64_t number);

uint64_t random_next(struct random_source *source);
uint64_t random_below(struct random_source *source, uint64_t bound); /* 0 … bound - 1; bound > 0 */
int64_t random_between(struct random_source *source, int64_t low, int64_t high); /* both included */
double random_unit(struct random_source *source);                                /* 0 … 1, without 1 */
