/* insight.h — what a store learns from its reads: a miss-ratio curve for each of the first few spaces that
 * are read, and the hot keys of all. Off, it costs one comparison a read; on, a dozen instructions, and one
 * read of about a hundred is noted. */
#pragma once
#include "store/curve.h"
#include "store/hot_keys.h"

enum { INSIGHT_ITEM_BYTES = 26 }; /* what is kept of an item beside key and value, about */

struct insight {
    struct hot_keys *hot_keys; /* null: no insight */
    struct curve *curves;
    uint32_t curve_count;
    _Atomic uint32_t claimed_count;      /* curves that have a space */
    _Atomic uint8_t curve_of[NH_SPACES]; /* 0: not read yet; CURVE_NONE; else a curve's number + 1 */
};
enum { CURVE_NONE = UINT8_MAX };

/* What insight_init wants, for so many spaces. */
size_t insight_bytes(uint32_t spaces);

/* `memory` is zeroed and aligned to 64 bytes. */
void insight_init(struct insight *insight, void *memory, uint32_t spaces, uint64_t memory_bytes_max);

/* The curve of a space, or null. */
static inline struct curve *insight_curve(struct insight *insight, uint32_t space)
{
    uint8_t number = atomic_load_explicit(&insight->curve_of[space], memory_order_acquire);
    return number == 0 || number == CURVE_NONE ? NULL : &insight->curves[number - 1];
}

/* The slow half of insight_read. */
void insight_note(struct insight *insight, bool is_sampled, uint64_t hash, nh_key key, uint64_t bytes);

/* Counts a read; `value_bytes` is of a hit, else 0. `salt` is a count that changes from read to read. */
static inline void insight_read(struct insight *insight, const _Atomic uint64_t *salt, uint64_t hash,
                                nh_key key, uint64_t value_bytes, bool is_hit)
{
    bool is_sampled;

    if (LIKELY(insight->hot_keys == NULL))
        return;
    is_sampled = hot_keys_samples(hash, atomic_load_explicit(salt, memory_order_relaxed));
    if (UNLIKELY(is_sampled || curve_may_sample(hash)))
        insight_note(insight, is_sampled, hash, key,
                     is_hit ? key.size + value_bytes + INSIGHT_ITEM_BYTES : 0);
}

/* Tells how large a key's value has become. */
static inline void insight_write(struct insight *insight, uint64_t hash, nh_key key, uint64_t value_bytes)
{
    struct curve *curve;

    if (LIKELY(insight->hot_keys == NULL || !curve_may_sample(hash)))
        return;
    curve = insight_curve(insight, key.space);
    if (curve != NULL)
        curve_resize(curve, hash, key.size + value_bytes + INSIGHT_ITEM_BYTES);
}
