#include "store/curve.h"
#include <assert.h>
#include <string.h>

enum {
    BYTES_UNKNOWN = 128, /* of a key, until some size is known */
    FEW_KEYS = 2,        /* sampled ones; measured: more than these blur the curve of a steep workload */
    OCTAVE_BINS = 1 << CURVE_OCTAVE_BINS_SHIFT,
    SLOT_SHIFT = 64 - CURVE_TIME_BITS, /* a key's slot is the top of its hash, or one soon after */
};
#define TIME_MASK ((uint64_t)CURVE_TIMES - 1)
#define SLOT_MASK ((uint32_t)CURVE_SLOTS - 1)
#define PLACES    4294967296.0 /* 2^32 */

static_assert(CURVE_KEYS_MAX <= CURVE_TIMES / 2, "turning back the clock gains as many times again");
static_assert(CURVE_TIMES <= UINT16_MAX + 1 && CURVE_SLOTS <= UINT16_MAX + 1, "a slot fits in slots[]");

/* ---- bins ----------------------------------------------------------------------------------------- */

static size_t bin_of(uint64_t distance_bytes)
{
    uint64_t last = distance_bytes - 1; /* a bin ends with, not before, a round number */
    if (distance_bytes <= (uint64_t)1 << CURVE_BIN_SHIFT)
        return 0;
    unsigned octave = 63 - (unsigned)__builtin_clzll(last);
    if (octave >= CURVE_BIN_SHIFT + CURVE_OCTAVES)
        return CURVE_BINS - 1;
    size_t part = (last >> (octave - CURVE_OCTAVE_BINS_SHIFT)) & (OCTAVE_BINS - 1);
    return 1 + (octave - CURVE_BIN_SHIFT) * OCTAVE_BINS + part;
}

/* The largest distance in the bin. */
static uint64_t bin_bytes(size_t bin)
{
    if (bin == 0)
        return (uint64_t)1 << CURVE_BIN_SHIFT;
    unsigned octave = CURVE_BIN_SHIFT + (unsigned)(bin - 1) / OCTAVE_BINS;
    return (uint64_t)(OCTAVE_BINS + (bin - 1) % OCTAVE_BINS + 1) << (octave - CURVE_OCTAVE_BINS_SHIFT);
}

/* ---- the order of reads: bytes by time -------------------------------------------------------------- */

static void time_set(struct curve *curve, uint32_t time, uint32_t bytes)
{
    uint64_t change = (uint64_t)bytes - curve->times[time]; /* mod 2^64, as the sums are */
    uint32_t block = time / CURVE_BLOCK_TIMES;

    curve->times[time] = bytes;
    curve->block_bytes[block] += change;
    curve->group_bytes[block / CURVE_GROUP_BLOCKS] += change;
    curve->all_bytes += change;
}

/* Of the keys that were read after `time`. */
static uint64_t bytes_after_time(const struct curve *curve, uint32_t time)
{
    uint32_t block = time / CURVE_BLOCK_TIMES;
    uint32_t group = block / CURVE_GROUP_BLOCKS;
    uint64_t bytes = 0;

    for (uint32_t i = time + 1; i < (block + 1) * CURVE_BLOCK_TIMES; i++)
        bytes += curve->times[i];
    for (uint32_t i = block + 1; i < (group + 1) * CURVE_GROUP_BLOCKS; i++)
        bytes += curve->block_bytes[i];
    for (uint32_t i = group + 1; i < CURVE_GROUPS; i++)
        bytes += curve->group_bytes[i];
    return bytes;
}

static uint32_t key_time(uint64_t key) { return (uint32_t)(key & TIME_MASK); }

static uint64_t key_of(uint64_t hash, uint32_t time) { return (hash & ~TIME_MASK) | time; }

/* Turns the clock back: keys get the times 1, 2, 3 … in the order that they have. */
static void times_renumber(struct curve *curve)
{
    uint32_t to = 1, end = curve->now + 1, halved_at[2] = {1, 1};

    memset(curve->group_bytes, 0, sizeof curve->group_bytes);
    memset(curve->block_bytes, 0, sizeof curve->block_bytes);
    curve->all_bytes = 0;
    for (uint32_t from = curve->oldest; from < end; from++) {
        for (int i = 0; i < 2; i++)
            if (from == curve->halved_at[i])
                halved_at[i] = to;
        uint32_t bytes = curve->times[from];
        if (bytes == 0)
            continue;
        uint16_t slot = curve->slots[from];
        curve->times[from] = 0; /* its sums are gone already */
        time_set(curve, to, bytes);
        curve->slots[to] = slot;
        curve->keys[slot] = key_of(curve->keys[slot], to);
        to++;
    }
    for (int i = 0; i < 2; i++)
        if (curve->halved_at[i] == end)
            halved_at[i] = to;
    curve->oldest = 1;
    curve->now = to - 1;
    memcpy(curve->halved_at, halved_at, sizeof halved_at);
}

/* ---- the sample ------------------------------------------------------------------------------------- */

/* Where the key is, or the empty slot where it would be. */
static uint32_t slot_of(const struct curve *curve, uint64_t hash)
{
    uint32_t slot = (uint32_t)(hash >> SLOT_SHIFT);
    while (curve->keys[slot] != 0 && ((curve->keys[slot] ^ hash) & ~TIME_MASK) != 0)
        slot = (slot + 1) & SLOT_MASK;
    return slot;
}

static void slot_empty(struct curve *curve, uint32_t hole)
{
    for (uint32_t slot = (hole + 1) & SLOT_MASK; curve->keys[slot] != 0; slot = (slot + 1) & SLOT_MASK) {
        uint32_t wanted = (uint32_t)(curve->keys[slot] >> SLOT_SHIFT);
        if (((slot - wanted) & SLOT_MASK) < ((slot - hole) & SLOT_MASK))
            continue; /* the hole is before the first slot it may have */
        curve->keys[hole] = curve->keys[slot];
        curve->slots[key_time(curve->keys[hole])] = (uint16_t)hole;
        hole = slot;
    }
    curve->keys[hole] = 0;
}

/* Forgets the key that has this time. */
static void forget(struct curve *curve, uint32_t time)
{
    time_set(curve, time, 0);
    slot_empty(curve, curve->slots[time]);
    curve->key_count--;
}

static void forget_before(struct curve *curve, uint32_t time)
{
    for (; curve->oldest < time; curve->oldest++)
        if (curve->times[curve->oldest] != 0)
            forget(curve, curve->oldest);
}

/* Keeps (3). The newest key has no distance, so that it stays. */
static void forget_beyond_horizon(struct curve *curve)
{
    for (;; curve->oldest++) {
        uint32_t bytes = curve->times[curve->oldest];
        if (bytes == 0)
            continue;
        if ((double)(curve->all_bytes - bytes) * curve->weight <= curve->horizon_bytes)
            return;
        forget(curve, curve->oldest);
    }
}

static void threshold_set(struct curve *curve, uint32_t threshold)
{
    curve->weight = PLACES / threshold;
    atomic_store_explicit(&curve->threshold, threshold, memory_order_relaxed);
}

static uint32_t threshold_now(const struct curve *curve)
{
    return atomic_load_explicit(&curve->threshold, memory_order_relaxed);
}

/* Makes room by an eighth of the places rather than by the highest one, as the paper does: that needs no
 * heap, and the rate changes seldom. */
static void threshold_lower(struct curve *curve)
{
    while (curve->key_count == CURVE_KEYS_MAX && threshold_now(curve) > 1) {
        threshold_set(curve, threshold_now(curve) - threshold_now(curve) / 8 - 1);
        for (uint32_t time = curve->oldest; time <= curve->now; time++)
            if (curve->times[time] != 0 &&
                curve_place(curve->keys[curve->slots[time]]) >= threshold_now(curve))
                forget(curve, time);
    }
}

/* Begins anew with a higher rate. Keys that come into the sample only by that would look new, hence the
 * warming; the curve stays meanwhile as it was. */
static void threshold_raise(struct curve *curve)
{
    uint64_t threshold = (uint64_t)threshold_now(curve) * 2;
    uint64_t highest = (uint64_t)1 << (32 - CURVE_RATE_SHIFT);

    for (uint32_t keys = curve->key_count * 2; keys < CURVE_KEYS_MAX / 4 && threshold < highest; keys *= 2)
        threshold *= 2;
    threshold_set(curve, (uint32_t)(threshold < highest ? threshold : highest));
    memset(curve->group_bytes, 0, sizeof curve->group_bytes);
    memset(curve->block_bytes, 0, sizeof curve->block_bytes);
    memset(curve->times, 0, sizeof curve->times);
    memset(curve->keys, 0, sizeof curve->keys);
    curve->all_bytes = 0;
    curve->key_count = 0;
    curve->now = 0;
    curve->oldest = curve->halved_at[0] = curve->halved_at[1] = 1;
    curve->is_warming = true;
    curve->reads_before_warming = curve->reads;
}

/* ---- noting ----------------------------------------------------------------------------------------- */

/* A sampled read that was dropped is no read at all: its distance is not known, and (4) must not take it to
 * be near. */
static void dropped_collect(struct curve *curve)
{
    if (atomic_load_explicit(&curve->dropped_count, memory_order_relaxed) != 0)
        curve->reads -=
            atomic_exchange_explicit(&curve->dropped_count, 0, memory_order_relaxed) * curve->weight;
}

/* Takes over what was counted without the lock. */
static void reads_collect(struct curve *curve)
{
    curve->reads += (double)atomic_exchange_explicit(&curve->counted, 0, memory_order_relaxed);
    dropped_collect(curve);
}

static void halve(struct curve *curve)
{
    curve->sample_count = 0;
    reads_collect(curve);
    if (curve->is_warming) {
        curve->is_warming = false;
        curve->reads = curve->reads_before_warming;
        return;
    }
    curve->reads /= 2;
    curve->new_reads /= 2;
    for (size_t bin = 0; bin < CURVE_BINS; bin++)
        curve->bins[bin] /= 2;
    curve->known_bytes /= 2;
    curve->known_count /= 2;

    /* Who has not been read for two halvings makes room. */
    forget_before(curve, curve->halved_at[0]);
    curve->halved_at[0] = curve->halved_at[1];
    curve->halved_at[1] = curve->now + 1;
    if (curve->key_count < CURVE_KEYS_MAX / 4 && threshold_now(curve) < 1u << (32 - CURVE_RATE_SHIFT))
        threshold_raise(curve);
}

/* From 1 to UINT32_MAX, as all sizes are. */
static uint32_t key_bytes_average(const struct curve *curve)
{
    return curve->known_count == 0 ? BYTES_UNKNOWN : (uint32_t)(curve->known_bytes / curve->known_count);
}

/* How large to take the key to be. */
static uint32_t bytes_settle(struct curve *curve, uint64_t bytes, uint32_t bytes_before)
{
    if (bytes != 0) {
        bytes = bytes < UINT32_MAX ? bytes : UINT32_MAX;
        curve->known_bytes += (double)bytes;
        curve->known_count++;
        return (uint32_t)bytes;
    }
    return bytes_before != 0 ? bytes_before : key_bytes_average(curve);
}

static void note(struct curve *curve, uint64_t hash, uint64_t known_bytes)
{
    uint32_t slot = slot_of(curve, hash), bytes;

    if (curve->keys[slot] != 0) {
        uint32_t time = key_time(curve->keys[slot]);
        bytes = bytes_settle(curve, known_bytes, curve->times[time]);
        if (!curve->is_warming) {
            double others_bytes = (double)bytes_after_time(curve, time) * curve->weight;
            curve->bins[bin_of((uint64_t)others_bytes + bytes)] += curve->weight;
        }
        time_set(curve, time, 0);
    } else {
        bytes = bytes_settle(curve, known_bytes, 0);
        if (!curve->is_warming)
            curve->new_reads += curve->weight;
        threshold_lower(curve);
        if (curve_place(hash) >= threshold_now(curve))
            return;
        slot = slot_of(curve, hash); /* making room may have moved it */
        curve->key_count++;
    }

    if (curve->now + 1 == CURVE_TIMES)
        times_renumber(curve);
    curve->now++;
    time_set(curve, curve->now, bytes);
    curve->slots[curve->now] = (uint16_t)slot;
    curve->keys[slot] = key_of(hash, curve->now);
    atomic_store_explicit(&curve->newest_hash, hash, memory_order_relaxed);
    forget_beyond_horizon(curve);
    if (++curve->sample_count == CURVE_HALVE_SAMPLES)
        halve(curve);
}

void curve_note(struct curve *curve, uint64_t hash, uint64_t bytes)
{
    /* By (4), and so that a key read all the time costs little if it happens to be in the sample. */
    if (atomic_load_explicit(&curve->newest_hash, memory_order_relaxed) == hash)
        return;
    if (!lock_try(&curve->lock)) {
        atomic_fetch_add_explicit(&curve->dropped_count, 1, memory_order_relaxed);
        return;
    }
    dropped_collect(curve);                       /* now, since the weight may change */
    if (curve_place(hash) < threshold_now(curve)) /* it may have been lowered since */
        note(curve, hash, bytes);
    lock_release(&curve->lock);
}

void curve_note_size(struct curve *curve, uint64_t hash, uint64_t bytes)
{
    if (!lock_try(&curve->lock))
        return;
    uint64_t key = curve->keys[slot_of(curve, hash)];
    if (key != 0)
        time_set(curve, key_time(key), bytes_settle(curve, bytes, curve->times[key_time(key)]));
    lock_release(&curve->lock);
}

void curve_init(struct curve *curve, uint64_t memory_bytes_max)
{
    uint64_t bins_end = bin_bytes(CURVE_BINS - 1);
    curve->horizon_bytes = (double)(memory_bytes_max < bins_end ? memory_bytes_max : bins_end);
    curve->oldest = curve->halved_at[0] = curve->halved_at[1] = 1;
    threshold_set(curve, 1u << (32 - CURVE_RATE_SHIFT));
}

/* ---- reading ---------------------------------------------------------------------------------------- */

/* Brings the bins' sum up or down to what was told. Reads that are missing from them, or too many, are
 * those of keys that are read often, of which the sample has too few, or one too many: see (4). The paper
 * puts the difference in the first bin; we spread it over distances that few sampled keys can tell apart,
 * evenly by their logarithm, as reads of a skewed workload are. */
static void bins_adjust(double *bins, double missing, uint32_t key_bytes, double weight)
{
    double few_keys_bytes = FEW_KEYS * weight * key_bytes;
    double bins_end = (double)bin_bytes(CURVE_BINS - 1);
    size_t first = bin_of(key_bytes);
    size_t end = bin_of((uint64_t)(few_keys_bytes < bins_end ? few_keys_bytes : bins_end)) + 1;
    double near = 0;

    for (size_t bin = 0; bin < end; bin++)
        near += bins[bin];
    if (missing >= 0)
        for (size_t bin = first; bin < end; bin++)
            bins[bin] += missing / (double)(end - first);
    else if (near + missing >= 0)
        for (size_t bin = 0; bin < end; bin++)
            bins[bin] *= (near + missing) / near;
    else
        bins[0] += missing;
}

void curve_read(struct curve *curve, nh_curve_point *points, size_t *count)
{
    double bins[CURVE_BINS], reads, noted, hits = 0, lowest = 1, weight;
    size_t bin_count = CURVE_BINS, capacity = *count;
    uint32_t key_bytes;

    lock_acquire(&curve->lock);
    reads_collect(curve);
    memcpy(bins, curve->bins, sizeof bins);
    reads = curve->is_warming ? curve->reads_before_warming : curve->reads;
    noted = curve->new_reads;
    weight = curve->weight;
    key_bytes = key_bytes_average(curve);
    lock_release(&curve->lock);

    *count = 0;
    for (size_t bin = 0; bin < CURVE_BINS; bin++)
        noted += bins[bin];
    if (noted == 0 || capacity == 0)
        return;
    if (reads > 0)
        bins_adjust(bins, reads - noted, key_bytes, weight);
    else
        reads = noted; /* nobody tells */
    while (bin_count > 1 && bins[bin_count - 1] == 0)
        bin_count--;
    if (capacity > bin_count)
        capacity = bin_count;
    for (size_t bin = 0, i = 0; i < capacity; i++) {
        for (; bin < (i + 1) * bin_count / capacity; bin++)
            hits += bins[bin];
        double miss_ratio = 1 - hits / reads;
        if (miss_ratio < lowest)
            lowest = miss_ratio > 0 ? miss_ratio : 0;
        points[i] = (nh_curve_point){bin_bytes(bin - 1), lowest};
    }
    *count = capacity;
}
