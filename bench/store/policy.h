/* policy.h — caches that are only simulated: what they would hold is known, but no byte of it is kept. One
 * object each, exact, and every object charged its bytes: what a textbook's policy misses at equal memory.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum policy_kind {
    POLICY_LRU,
    POLICY_S3_FIFO, /* SOSP'23: a small queue of a tenth, a main one, a ghost as long as the main one */
    POLICY_S3_FIFO_TWICE, /* the same, but it takes two hits in the small queue to get into the main one */
    POLICY_SIEVE,         /* NSDI'24 */
};

struct policy;

/* Of ids below `id_count`. */
struct policy *policy_create(enum policy_kind kind, uint64_t limit_bytes, uint32_t id_count);
void policy_destroy(struct policy *policy);

/* Get, or else set: true if `id`, of `bytes`, always the same for an id, was there. */
bool policy_access(struct policy *policy, uint32_t id, uint32_t bytes);

/* How many it holds. */
uint64_t policy_count(const struct policy *policy);
