/* random.h — the numbers that make a trace. The mixer, the Zipf ranks and the renaming of ranks are those
 * that everybody who replays the same trace against a server uses, so that a miss ratio here can be
 * compared with one from there. */
#pragma once
#include <stdint.h>

/* A bijection of 64 bits that leaves no pattern (splitmix64's). */
static inline uint64_t mix64(uint64_t number)
{
    number += 0x9e3779b97f4a7c15u;
    number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9u;
    number = (number ^ (number >> 27)) * 0x94d049bb133111ebu;
    return number ^ (number >> 31);
}

struct random {
    uint64_t state;
};
static inline struct random random_seeded(uint64_t seed) { return (struct random){mix64(seed)}; }

static inline uint64_t random_next(struct random *random)
{
    uint64_t number = mix64(random->state);
    random->state += 0x9e3779b97f4a7c15u;
    return number;
}

/* In 0 … 1, without 1. */
static inline double random_unit(struct random *random)
{
    return (double)(random_next(random) >> 11) * 0x1.0p-53;
}

/* Ranks from 0 on, of which rank r has a share of about (r + 1)^-exponent: rejection-inversion, Hörmann and
 * Derflinger 1996. */
struct zipf {
    double exponent, first, last, accept;
    uint64_t count;
    struct random random;
};
void zipf_init(struct zipf *zipf, double exponent, uint64_t count, uint64_t seed);
uint64_t zipf_rank(struct zipf *zipf);

/* Scatters ranks, so that neighbours in popularity are no neighbours in the order of filling. One to one as
 * long as `count` is not a multiple of the prime. */
static inline uint32_t rank_to_id(uint64_t rank, uint64_t count)
{
    return (uint32_t)((rank * 2654435761u + 12345) % count);
}

/* `length` ids below `count`, drawn by a Zipf distribution. Allocated; the caller frees. */
uint32_t *zipf_ids(double exponent, uint64_t count, uint64_t seed, uint64_t length);
