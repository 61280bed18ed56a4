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

static XXH3_state_t *state_of(const struct hash_stream *stream)
{
    return (XXH3_state_t *)(uintptr_t)stream;
}

struct hash_stream *hash_stream_create(uint64_t seed)
{
    XXH3_state_t *state = XXH3_createState();

    if (state != NULL)
        XXH3_64bits_reset_withSeed(state, seed);
    return (struct hash_stream *)state;
}

void hash_stream_add(struct hash_stream *stream, struct bytes piece)
{
    if (piece.size > 0)
        XXH3_64bits_update(state_of(stream), piece.data, piece.size);
}

uint64_t hash_stream_value(const struct hash_stream *stream)
{
    return XXH3_64bits_digest(state_of(stream));
}

void hash_stream_destroy(struct hash_stream *stream)
{
    if (stream != NULL)
        XXH3_freeState(state_of(stream));
}
