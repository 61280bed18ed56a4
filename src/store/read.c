/* read.c — looking up and lending; and leases, which a look-up gives. */
#include "store/large.h"
#include "store/store.h"
#include <math.h>
#include <stdlib.h>

/* What holds a lent value in place: the low bits of nh_value.pin_place. Above them is the number of a large
 * value's first segment, which is never 0: that is the index's. */
enum pin_kind {
    PIN_EPOCH = 1, /* pin: what epoch_leave wants */
    PIN_SEGMENT,   /* pin: the segment */
    PIN_LARGE,     /* the same, of a large value */
    PIN_COPY,      /* pin: a struct copy */
};
enum { PIN_KIND_BITS = 8 };

static enum pin_kind pin_kind_of(const nh_value *value)
{
    return (enum pin_kind)(value->pin_place & ((1 << PIN_KIND_BITS) - 1));
}

struct copy {
    size_t bytes;
    unsigned char data[];
};

/* ---- lending ---- */

void value_describe(nh_store *store, int64_t now_ms, const struct record *record, nh_value *value)
{
    const struct segment *segment = record_segment(&store->arena, record);
    uint32_t traits = record_traits(record);

    *value = (nh_value){
        .bytes = {record_value(record, traits), record_value_bytes(record)},
        .size = record_value_bytes(record),
        .version = record_version(&store->arena, record),
        .expires_at_ms = record_expires_at_ms(record, traits, segment),
        .stale_at_ms = record_stale_at_ms(record, traits),
        .flags = record_flags(record, traits),
        .note = record_note(record, traits),
        .traits = (record_is_stale(store, record, traits, now_ms) ? NH_VALUE_STALE : 0) |
                  (traits & RECORD_NEGATIVE ? NH_VALUE_NEGATIVE : 0),
    };
    if (traits & RECORD_LARGE) {
        uint32_t first = large_first(&store->arena, record);
        struct large *large = large_at(&store->arena, first);
        struct bytes piece = large_piece(store, first, 0);
        /* The state first: a value that is complete has all of its size. One that was aborted since it was
         * found was growing then. */
        if (atomic_load_explicit(&large->state, memory_order_acquire) != LARGE_COMPLETE)
            value->traits |= NH_VALUE_GROWING;
        value->bytes = (nh_bytes){piece.data, piece.size};
        value->size = large_bytes(&store->arena, first);
        value->pin_place = (uint64_t)first << PIN_KIND_BITS;
    }
}

/* Pins the segments of a large value, if not too many are already. */
static bool pin_large(nh_store *store, struct segment *segment, uint32_t extent)
{
    bool is_pinned = true;

    lock_acquire(&store->large_pins_lock);
    if (atomic_load_explicit(&segment->pins, memory_order_relaxed) == 0) {
        is_pinned = atomic_load_explicit(&store->pinned_segments, memory_order_relaxed) <
                    store->pinned_segments_max;
        if (is_pinned) {
            segment->charged_extent = extent;
            atomic_fetch_add_explicit(&store->pinned_segments, extent, memory_order_relaxed);
        }
    }
    if (is_pinned)
        atomic_fetch_add_explicit(&segment->pins, 1, memory_order_relaxed);
    lock_release(&store->large_pins_lock);
    return is_pinned;
}

static void unpin_large(nh_store *store, struct segment *segment)
{
    lock_acquire(&store->large_pins_lock);
    if (atomic_load_explicit(&segment->pins, memory_order_relaxed) == 1)
        atomic_fetch_sub_explicit(&store->pinned_segments, segment->charged_extent, memory_order_relaxed);
    atomic_fetch_sub_explicit(&segment->pins, 1, memory_order_release);
    lock_release(&store->large_pins_lock);
}

/* Pins a segment that values share, if not too many are. */
static bool pin_segment(nh_store *store, struct segment *segment)
{
    if (atomic_fetch_add_explicit(&segment->pins, 1, memory_order_relaxed) > 0)
        return true;
    if (atomic_fetch_add_explicit(&store->pinned_segments, 1, memory_order_relaxed) <
        store->pinned_segments_max)
        return true;
    if (atomic_fetch_sub_explicit(&segment->pins, 1, memory_order_release) == 1)
        atomic_fetch_sub_explicit(&store->pinned_segments, 1, memory_order_relaxed);
    return false;
}

static void unpin_segment(nh_store *store, struct segment *segment)
{
    if (atomic_fetch_sub_explicit(&segment->pins, 1, memory_order_release) == 1)
        atomic_fetch_sub_explicit(&store->pinned_segments, 1, memory_order_relaxed);
}

static bool copy_out(nh_store *store, nh_value *value)
{
    struct copy *copy = malloc(sizeof *copy + value->bytes.size);

    if (copy == NULL)
        return false;
    copy->bytes = value->bytes.size;
    if (copy->bytes > 0)
        memcpy(copy->data, value->bytes.data, copy->bytes);
    value->bytes.data = copy->data;
    value->note = NULL; /* the segment may be reused */
    value->pin = copy;
    value->pin_place = PIN_COPY;
    count_up(&store->copied_bytes, copy->bytes);
    return true;
}

nh_result lend(nh_store *store, int64_t now_ms, const struct found *found, nh_value *value)
{
    struct segment *segment = record_segment(&store->arena, found->record);

    if (!found_observe(found))
        return NH_CHANGED;
    value_describe(store, now_ms, found->record, value);
    if (record_traits(found->record) & RECORD_LARGE) {
        uint32_t first = segment_number(&store->arena, segment);
        uint32_t extent =
            atomic_load_explicit(&large_at(&store->arena, first)->segment_count, memory_order_relaxed);
        if (!pin_large(store, segment, extent)) {
            if (value->bytes.size < value->size || value->traits & NH_VALUE_GROWING)
                return NH_FULL;
            return copy_out(store, value) ? NH_OK : NH_NO_MEMORY;
        }
        value->pin = segment;
        value->pin_place |= PIN_LARGE;
        return NH_OK;
    }
    if (!pin_segment(store, segment))
        return copy_out(store, value) ? NH_OK : NH_NO_MEMORY;
    value->pin = segment;
    value->pin_place = PIN_SEGMENT;
    return NH_OK;
}

void lend_inside(nh_store *store, int64_t now_ms, const struct record *record, _Atomic uint32_t *inside,
                 nh_value *value)
{
    value_describe(store, now_ms, record, value);
    value->version = 0; /* it would have to be kept */
    value->pin = inside;
    value->pin_place |= PIN_EPOCH;
}

void nh_release(nh_store *store, nh_value *value)
{
    void *pin = value != NULL ? value->pin : NULL;

    if (store == NULL || pin == NULL)
        return;
    value->pin = NULL;
    switch (pin_kind_of(value)) {
    case PIN_EPOCH: epoch_leave(pin); return;
    case PIN_SEGMENT: unpin_segment(store, pin); return;
    case PIN_LARGE: unpin_large(store, pin); return;
    case PIN_COPY:
        atomic_fetch_sub_explicit(&store->copied_bytes, ((struct copy *)pin)->bytes, memory_order_relaxed);
        free(pin);
        return;
    }
}

nh_result nh_value_piece(nh_store *store, const nh_value *value, uint64_t offset, nh_bytes *piece)
{
    uint32_t first, state;
    struct bytes bytes;

    if (store == NULL || value == NULL || piece == NULL || value->pin == NULL)
        return NH_INVALID;
    first = (uint32_t)(value->pin_place >> PIN_KIND_BITS);
    if (first == 0) {
        if (offset >= value->bytes.size)
            return NH_MISSING;
        *piece = (nh_bytes){(const char *)value->bytes.data + offset, value->bytes.size - offset};
        return NH_OK;
    }
    state = atomic_load_explicit(&large_at(&store->arena, first)->state, memory_order_acquire);
    bytes = large_piece(store, first, offset);
    if (bytes.size > 0) {
        *piece = (nh_bytes){bytes.data, bytes.size};
        return NH_OK;
    }
    if (state == LARGE_GROWING)
        return NH_GROWING;
    return state == LARGE_ABORTED ? NH_ABORTED : NH_MISSING;
}

/* ---- looking up ---- */

/* The living record of a key, or null; a negative one only if `with_negative`. Inside the epoch. */
ALWAYS_INLINE struct found look_up(nh_store *store, int64_t now_ms, uint64_t hash, nh_key key,
                                   bool with_negative)
{
    struct found found = index_find(&store->index, hash, key);

    if (LIKELY(found.record != NULL)) {
        const struct segment *segment = arena_segment(&store->arena, slot_location(found.slot));
        if (UNLIKELY(record_fate(store, found.record, found.traits, segment, now_ms) != FATE_ALIVE ||
                     (found.traits & RECORD_NEGATIVE && !with_negative)))
            found.record = NULL;
    }
    return found;
}

/* `inside` is what the reader came into the epoch with, even if it has left. */
ALWAYS_INLINE void count_read(nh_store *store, _Atomic uint32_t *inside, uint64_t hash, nh_key key,
                              uint64_t bytes, bool is_hit, bool is_stale)
{
    struct epoch_stripe *stripe = epoch_stripe_of(inside);
    _Atomic uint64_t *counter = is_hit ? &stripe->hits : &stripe->misses;

    count_up(counter, 1);
    if (UNLIKELY(is_stale))
        count_up(&stripe->stale_served, 1);
    insight_read(&store->insight, counter, hash, key, bytes, is_hit);
}

/* Counts a use of what was found, and lends it. As `lend`. */
static nh_result use_and_lend(nh_store *store, int64_t now_ms, struct found *found, nh_value *value)
{
    uint64_t location = slot_location(found->slot);

    found_use(found);
    found->slot = atomic_load_explicit(found->at, memory_order_acquire);
    return slot_location(found->slot) == location ? lend(store, now_ms, found, value) : NH_CHANGED;
}

/* Finds a key and lends its value; if `is_use`, that is one of the key. Inside the epoch. */
static nh_result find_and_lend(nh_store *store, int64_t now_ms, uint64_t hash, nh_key key, bool is_use,
                               nh_value *value)
{
    nh_result result = NH_CHANGED;

    while (result == NH_CHANGED) {
        struct found found = look_up(store, now_ms, hash, key, false);
        if (found.record == NULL)
            return NH_MISSING;
        result = is_use ? use_and_lend(store, now_ms, &found, value) : lend(store, now_ms, &found, value);
    }
    return result;
}

void read_counts(nh_store *store, nh_key key, uint64_t value_bytes, bool is_hit, bool is_stale)
{
    count_read(store, &epoch_stripe(&store->epoch)->inside[0], key_hash(store->hash_seed, key), key,
               value_bytes, is_hit, is_stale);
}

static nh_result borrow(nh_store *store, int64_t now_ms, nh_key key, bool is_use, nh_value *value)
{
    nh_result result = key_check(store, key);
    _Atomic uint32_t *inside;
    uint64_t hash;

    if (value == NULL)
        return NH_INVALID;
    if (result != NH_OK)
        return result;
    hash = key_hash(store->hash_seed, key);
    inside = epoch_enter(&store->epoch);
    result = find_and_lend(store, now_ms, hash, key, is_use, value);
    epoch_leave(inside);
    count_read(store, inside, hash, key, result == NH_OK ? value->size : 0, result != NH_MISSING,
               result == NH_OK && (value->traits & NH_VALUE_STALE));
    return result;
}

nh_result borrow_with_plan(nh_store *store, int64_t now_ms, nh_key key, nh_value *value,
                           struct record_plan *plan, uint32_t *hashes)
{
    uint64_t hash = key_hash(store->hash_seed, key);
    _Atomic uint32_t *inside = epoch_enter(&store->epoch);
    nh_result result = NH_CHANGED;

    while (result == NH_CHANGED) {
        struct found found = look_up(store, now_ms, hash, key, false);
        result = NH_MISSING;
        if (found.record != NULL) {
            *plan = record_plan_of(&store->arena, found.record, hashes);
            result = lend(store, now_ms, &found, value);
        }
    }
    epoch_leave(inside);
    return result;
}

nh_result nh_borrow(nh_store *store, int64_t now_ms, nh_key key, nh_value *value)
{
    return borrow(store, now_ms, key, true, value);
}

nh_result nh_borrow_unnoticed(nh_store *store, int64_t now_ms, nh_key key, nh_value *value)
{
    return borrow(store, now_ms, key, false, value);
}

ALWAYS_INLINE nh_result peek(nh_store *store, int64_t now_ms, nh_key key, bool is_use, nh_value *value)
{
    nh_result result = key_check(store, key);
    _Atomic uint32_t *inside;
    struct found found;
    uint64_t hash;

    if (value == NULL)
        return NH_INVALID;
    if (result != NH_OK)
        return result;
    hash = key_hash(store->hash_seed, key);
    inside = epoch_enter(&store->epoch);
    found = look_up(store, now_ms, hash, key, false);
    if (found.record != NULL) {
        if (is_use)
            found_use(&found);
        lend_inside(store, now_ms, found.record, inside, value);
    } else {
        result = NH_MISSING;
        epoch_leave(inside);
    }
    count_read(store, inside, hash, key, result == NH_OK ? value->size : 0, result == NH_OK,
               result == NH_OK && (value->traits & NH_VALUE_STALE));
    return result;
}

nh_result nh_peek(nh_store *store, int64_t now_ms, nh_key key, nh_value *value)
{
    return peek(store, now_ms, key, true, value);
}

nh_result nh_peek_unnoticed(nh_store *store, int64_t now_ms, nh_key key, nh_value *value)
{
    return peek(store, now_ms, key, false, value);
}

/* Copies a value that lies in pieces; `*size` becomes how large it is. Inside the epoch. */
static void copy_pieces(const nh_store *store, uint32_t first, void *buffer, size_t capacity, size_t *size)
{
    struct bytes piece;

    *size = large_bytes(&store->arena, first);
    if (capacity > *size)
        capacity = *size;
    for (size_t at = 0; at < capacity; at += piece.size) {
        piece = large_piece(store, first, at);
        memcpy((char *)buffer + at, piece.data, piece.size < capacity - at ? piece.size : capacity - at);
    }
}

/* nh_get inside the epoch. */
ALWAYS_INLINE nh_result get(nh_store *store, _Atomic uint32_t *inside, int64_t now_ms, uint64_t hash,
                            nh_key key, void *buffer, size_t capacity, size_t *size)
{
    struct found found = look_up(store, now_ms, hash, key, false);
    nh_result result = NH_MISSING;
    bool is_stale = false;

    if (LIKELY(found.record != NULL)) {
        found_use(&found);
        is_stale = UNLIKELY(found.traits & (RECORD_STALE | RECORD_TAGS)) &&
                   record_is_stale(store, found.record, found.traits, now_ms);
        *size = record_value_bytes(found.record);
        if (UNLIKELY(found.traits & RECORD_LARGE))
            copy_pieces(store, large_first(&store->arena, found.record), buffer, capacity, size);
        else if (capacity > 0 && *size > 0)
            memcpy(buffer, found.value, *size < capacity ? *size : capacity);
        result = NH_OK;
    }
    count_read(store, inside, hash, key, result == NH_OK ? *size : 0, result != NH_MISSING, is_stale);
    return result;
}

nh_result nh_get(nh_store *store, int64_t now_ms, nh_key key, void *buffer, size_t capacity, size_t *size)
{
    nh_result result = key_check(store, key);
    _Atomic uint32_t *inside;
    size_t value_bytes = 0;

    if (UNLIKELY(buffer == NULL && capacity > 0))
        return NH_INVALID;
    if (result != NH_OK)
        return result;
    inside = epoch_enter(&store->epoch);
    result =
        get(store, inside, now_ms, key_hash(store->hash_seed, key), key, buffer, capacity, &value_bytes);
    epoch_leave(inside);
    if (size != NULL && result == NH_OK)
        *size = value_bytes;
    return result;
}

/* Asks for the first two or three cache lines of the record that a key of this hash may have. */
ALWAYS_INLINE void prefetch_record(const nh_store *store, uint64_t hash, unsigned lines)
{
    uint64_t location;

    if (index_guess(&store->index, hash, &location)) {
        const char *record = (const char *)record_at(&store->arena, location);
        __builtin_prefetch(record);
        __builtin_prefetch(record + 64);
        if (lines > 2)
            __builtin_prefetch(record + 128);
    }
}

nh_result nh_get_many(nh_store *store, int64_t now_ms, nh_get_request *requests, size_t count)
{
    enum { BATCH = 32 }; /* more at a time than a core can keep in flight, less than its cache forgets */
    uint64_t hashes[BATCH];

    if (store == NULL || (requests == NULL && count > 0))
        return NH_INVALID;
    for (size_t done = 0; done < count; done += BATCH) {
        size_t batch = count - done < BATCH ? count - done : BATCH;
        _Atomic uint32_t *inside = epoch_enter(&store->epoch);
        for (size_t i = 0; i < batch; i++) {
            nh_get_request *request = &requests[done + i];
            request->result = key_check(store, request->key);
            if (request->buffer == NULL && request->capacity > 0)
                request->result = NH_INVALID;
            hashes[i] = request->result == NH_OK ? key_hash(store->hash_seed, request->key) : 0;
            __builtin_prefetch(index_head(&store->index, hashes[i]));
        }
        for (size_t i = 0; i < batch; i++)
            prefetch_record(store, hashes[i], 3);
        for (size_t i = 0; i < batch; i++) {
            nh_get_request *request = &requests[done + i];
            request->value_bytes = 0;
            if (request->result == NH_OK)
                request->result = get(store, inside, now_ms, hashes[i], request->key, request->buffer,
                                      request->capacity, &request->value_bytes);
        }
        epoch_leave(inside);
    }
    return NH_OK;
}

void nh_prefetch(nh_store *store, const nh_key *keys, size_t count)
{
    enum { BATCH = 64 };
    uint64_t hashes[BATCH];

    if (store == NULL || keys == NULL)
        return;
    if (count > BATCH)
        count = BATCH;
    for (size_t i = 0; i < count; i++) {
        hashes[i] = key_check(store, keys[i]) == NH_OK ? key_hash(store->hash_seed, keys[i]) : 0;
        __builtin_prefetch(index_head(&store->index, hashes[i]));
    }
    for (size_t i = 0; i < count; i++)
        prefetch_record(store, hashes[i], 2);
}

/* ---- leases ---- */

static uint64_t mixed(uint64_t number)
{
    number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9u;
    number = (number ^ number >> 27) * 0x94d049bb133111ebu;
    return number ^ number >> 31;
}

/* XFetch (Vattani et al., VLDB'15): a caller refreshes early with a chance that grows as the end comes
 * nearer, in proportion to what the value costs. */
static bool is_early(nh_store *store, int64_t now_ms, uint64_t hash, const struct record *record,
                     int64_t ends_at_ms, uint32_t early_percent)
{
    double cost_ms = record_cost_ms(record, record_traits(record));
    uint64_t salt = atomic_load_explicit(&epoch_stripe(&store->epoch)->hits, memory_order_relaxed);
    double chance;

    if (early_percent == 0 || ends_at_ms == 0 || cost_ms <= 0)
        return false;
    chance = ((double)(mixed(hash ^ mixed((uint64_t)now_ms ^ salt << 20)) >> 11) + 1) * 0x1p-53;
    return cost_ms * early_percent / 100 * -log(chance) >= (double)ends_at_ms - (double)now_ms;
}

/* Ends the key's lease if what the key has, dead or alive, carries a tag that was purged since. Inside the
 * epoch. */
static void end_purged_lease(nh_store *store, uint64_t hash, nh_key key)
{
    struct found found = index_find(&store->index, hash, key);

    if (found.record != NULL && UNLIKELY(record_traits(found.record) & RECORD_TAGS))
        lease_end_if_purged(store, hash, found.record, false);
}

/* What to answer to what was found, with a lease if one is wanted and free. */
static nh_fetch_state judge(nh_store *store, int64_t now_ms, uint64_t hash, nh_key key,
                            const struct record *record, const nh_fetch_options *options, uint64_t *lease)
{
    uint32_t traits;
    int64_t ends_at_ms, lease_ms = options->lease_ms > 0 ? options->lease_ms : 10000;
    bool is_stale;

    *lease = 0;
    if (record != NULL) {
        const struct segment *segment = record_segment(&store->arena, record);
        traits = record_traits(record);
        is_stale = record_is_stale(store, record, traits, now_ms);
        ends_at_ms = record_stale_at_ms(record, traits);
        if (ends_at_ms == 0)
            ends_at_ms = record_expires_at_ms(record, traits, segment);
        if (!is_stale && !is_early(store, now_ms, hash, record, ends_at_ms, options->early_percent))
            return NH_FETCH_HIT;
    }
    end_purged_lease(store, hash, key);
    *lease = lease_give(&store->leases, hash, key.space, now_ms, moment_after(now_ms, lease_ms),
                        tags_now(&store->tags));
    if (record == NULL)
        return *lease != 0 ? NH_FETCH_MISS_LEASE : NH_FETCH_MISS_WAIT;
    if (is_stale)
        return *lease != 0 ? NH_FETCH_STALE_LEASE : NH_FETCH_STALE;
    return *lease != 0 ? NH_FETCH_HIT_LEASE : NH_FETCH_HIT;
}

nh_result nh_fetch(nh_store *store, int64_t now_ms, nh_key key, const nh_fetch_options *given,
                   nh_fetch_state *state, uint64_t *lease, nh_value *value)
{
    nh_result result = key_check(store, key);
    nh_fetch_options options;
    _Atomic uint32_t *inside;
    struct found found;
    uint64_t hash;

    if (state == NULL || lease == NULL || value == NULL ||
        options_copy(&options, sizeof options, given) != NH_OK)
        return NH_INVALID;
    if (result != NH_OK)
        return result;
    hash = key_hash(store->hash_seed, key);
    inside = epoch_enter(&store->epoch);
    do {
        found = look_up(store, now_ms, hash, key, true);
        *state = judge(store, now_ms, hash, key, found.record, &options, lease);
        result = NH_OK;
        if (*lease != 0 && look_up(store, now_ms, hash, key, true).record != found.record)
            result = NH_CHANGED; /* written between the look and the lease */
        else if (found.record != NULL)
            result = use_and_lend(store, now_ms, &found, value);
        /* Purged softly between the look and the loan. */
        if (result == NH_OK && found.record != NULL && value->traits & NH_VALUE_STALE &&
            (*state == NH_FETCH_HIT || *state == NH_FETCH_HIT_LEASE)) {
            nh_release(store, value);
            result = NH_CHANGED;
        }
        if (result != NH_OK && *lease != 0)
            lease_return(&store->leases, hash, *lease);
    } while (result == NH_CHANGED);
    epoch_leave(inside);
    count_read(store, inside, hash, key, found.record != NULL && result == NH_OK ? value->size : 0,
               found.record != NULL, *state == NH_FETCH_STALE || *state == NH_FETCH_STALE_LEASE);
    if (result != NH_OK)
        *lease = 0;
    else if (*lease != 0)
        count_up(&store->leases_given, 1);
    else if (*state == NH_FETCH_STALE || *state == NH_FETCH_MISS_WAIT)
        count_up(&store->lease_waits, 1);
    return result;
}

nh_result nh_give_up(nh_store *store, nh_key key, uint64_t lease)
{
    nh_result result = key_check(store, key);
    _Atomic uint32_t *inside;
    uint64_t hash;

    if (result != NH_OK)
        return result;
    hash = key_hash(store->hash_seed, key);
    inside = epoch_enter(&store->epoch);
    end_purged_lease(store, hash, key);
    epoch_leave(inside);
    return lease_return(&store->leases, hash, lease) ? NH_OK : NH_CHANGED;
}
void nh_end_leases(nh_store *store)
{
    if (store != NULL)
        lease_end_all(&store->leases, NH_SPACE_ALL);
}
