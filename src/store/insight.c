#include "store/store.h"

static size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

size_t insight_bytes(uint32_t spaces)
{
    return spaces == 0 ? 0 : aligned(sizeof(struct hot_keys)) + spaces * sizeof(struct curve);
}

void insight_init(struct insight *insight, void *memory, uint32_t spaces, uint64_t memory_bytes_max)
{
    if (spaces == 0)
        return;
    insight->hot_keys = memory;
    hot_keys_init(insight->hot_keys);
    insight->curves = (struct curve *)(void *)((char *)memory + aligned(sizeof(struct hot_keys)));
    insight->curve_count = spaces;
    for (uint32_t i = 0; i < spaces; i++)
        curve_init(&insight->curves[i], memory_bytes_max);
}

/* Gives a space that is noted for the first time a curve, if there is one left. */
static void claim(struct insight *insight, uint32_t space)
{
    uint8_t number = 0;
    uint32_t claimed = atomic_load_explicit(&insight->claimed_count, memory_order_relaxed);

    if (claimed >= insight->curve_count) {
        atomic_compare_exchange_strong_explicit(&insight->curve_of[space], &number, CURVE_NONE,
                                                memory_order_release, memory_order_relaxed);
        return;
    }
    /* Another thread may be first with this space, or with this curve: the next read tries again. */
    if (!atomic_compare_exchange_strong_explicit(&insight->claimed_count, &claimed, claimed + 1,
                                                 memory_order_relaxed, memory_order_relaxed))
        return;
    if (!atomic_compare_exchange_strong_explicit(&insight->curve_of[space], &number, (uint8_t)(claimed + 1),
                                                 memory_order_release, memory_order_relaxed))
        atomic_compare_exchange_strong_explicit(&insight->claimed_count, &(uint32_t){claimed + 1}, claimed,
                                                memory_order_relaxed, memory_order_relaxed);
}

void insight_note(struct insight *insight, bool is_sampled, uint64_t hash, nh_key key, uint64_t bytes)
{
    struct curve *curve;

    if (UNLIKELY(atomic_load_explicit(&insight->curve_of[key.space], memory_order_relaxed) == 0))
        claim(insight, key.space);
    curve = insight_curve(insight, key.space);
    if (is_sampled)
        hot_keys_note(insight->hot_keys, hash, key);
    if (curve == NULL)
        return;
    if (is_sampled)
        curve_count(curve, HOT_KEYS_ONE_OF);
    curve_reference(curve, hash, bytes);
}

nh_result nh_curve_read(nh_store *store, uint32_t space, nh_curve_point *points, size_t *count)
{
    struct curve *curve;

    if (store == NULL || count == NULL || space >= NH_SPACES || (points == NULL && *count > 0))
        return NH_INVALID;
    curve = insight_curve(&store->insight, space);
    if (curve == NULL) {
        *count = 0;
        return NH_MISSING;
    }
    curve_read(curve, points, count);
    return NH_OK;
}

nh_result nh_hot_keys_read(nh_store *store, nh_hot_key *keys, size_t *count)
{
    if (store == NULL || count == NULL || (keys == NULL && *count > 0))
        return NH_INVALID;
    if (store->insight.hot_keys == NULL) {
        *count = 0;
        return NH_MISSING;
    }
    hot_keys_read(store->insight.hot_keys, keys, count);
    return NH_OK;
}
