#include "random_source.h"

static uint64_t mix(uint64_t value)
{
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

struct random_source random_source_of(uint64_t seed, uint64_t stream, uint64_t number)
{
    return (struct random_source){mix(mix(mix(seed) + stream) + number)};
}

uint64_t random_next(struct random_source *source)
{
    source->state += UINT64_C(0x9e3779b97f4a7c15);
    return mix(source->state);
}

uint64_t random_below(struct random_source *source, uint64_t bound)
{
    return (uint64_t)((unsigned __int128)random_next(source) * bound >> 64);
}

int64_t random_between(struct random_source *source, int64_t low, int64_t high)
{
    uint64_t span = (uint64_t)high - (uint64_t)low + 1;
    uint64_t offset = span == 0 ? random_next(source) : random_below(source, span);

    return (int64_t)((uint64_t)low + offset);
}

double random_unit(struct random_source *source) { return (double)(random_next(source) >> 11) * 0x1p-53; }
