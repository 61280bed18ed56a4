#define XXH_INLINE_ALL
#include "base/hash.h"
#include <sys/random.h>
#include <xxhash.h>

uint64_t hash_seed_random(void)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed =
            (uintptr_t)&seed * 0x9e3779b97f4a7c15u; /* no such call: where the stack lies is random, too */
    return seed;
}

uint64_t hash_bytes(struct bytes bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes.data, bytes.size, seed);
}
