/* store.c — a store from nh_create to nh_destroy, what concerns many keys, and what is counted. */
#include "store/store.h"
#include "base/hash.h"
#include "store/large.h"
#include "store/stripe.h"
#include <sys/mman.h>
#include <unistd.h>

enum {
    BYTES_PER_TAG_SLOT = 4096,
    TAG_SLOTS_MIN = 1024,
    TAG_SLOTS_MAX = 1 << 18,
    /* One byte of ghosts for so many of memory: they remember about as long as the main queue. */
    GHOST_SHARE = 180,
    BYTES_PER_LEASE_SET = 1 << 16,
    LEASE_SETS_MIN = 64,
    LEASE_SETS_MAX = 1 << 16,
    PINNED_SHARE = 8, /* one segment in so many */
    SEGMENTS_MIN = 32,
};
static const uint64_t MEMORY_DEFAULT = 64 << 20, MEMORY_MIN = 1 << 20, MEMORY_MAX = (uint64_t)1 << 44;
static const uint64_t VALUE_DEFAULT = 64 << 20, VALUE_MAX = (uint64_t)4095 << 20;

const char *nh_result_text(nh_result result)
{
    switch (result) {
    case NH_OK: return "done";
    case NH_MISSING: return "no such key";
    case NH_EXISTS: return "the key exists already";
    case NH_CHANGED: return "the key has changed meanwhile";
    case NH_TYPE: return "the value is not a number";
    case NH_RANGE: return "a number is out of range";
    case NH_TOO_LARGE: return "the key or the value is too large";
    case NH_FULL: return "no room could be made";
    case NH_NO_MEMORY: return "the system gave no memory";
    case NH_INVALID: return "an argument is invalid";
    case NH_GROWING: return "there is no more of the value yet";
    case NH_ABORTED: return "the value's writer gave up";
    case NH_IO: return "the file could not be read or written";
    case NH_CORRUPT: return "the file is not a store's, or is damaged";
    default: return "an unknown result";
    }
}

const char *nh_version(void) { return NUTHATCH_VERSION; }

uint32_t nh_abi_version(void) { return NH_ABI_VERSION; }

nh_result options_copy(void *to, size_t to_size, const void *from)
{
    enum { SIZE_MAX_CREDIBLE = 4096 };
    size_t size;

    memset(to, 0, to_size);
    if (from == NULL)
        return NH_OK;
    memcpy(&size, from, sizeof size);
    if (size < sizeof size || size > SIZE_MAX_CREDIBLE)
        return NH_INVALID;
    for (size_t i = to_size; i < size; i++)
        if (((const char *)from)[i] != 0)
            return NH_INVALID;
    memcpy(to, from, size < to_size ? size : to_size);
    return NH_OK;
}

nh_result key_check(const nh_store *store, nh_key key)
{
    if (UNLIKELY(store == NULL || key.data == NULL || key.space >= NH_SPACES))
        return NH_INVALID;
    return LIKELY(key.size <= store->key_bytes_max) ? NH_OK : NH_TOO_LARGE;
}

int64_t moment_after(int64_t now_ms, int64_t ttl_ms)
{
    int64_t at_ms;
    if (__builtin_add_overflow(now_ms, ttl_ms, &at_ms))
        at_ms = ttl_ms > 0 ? INT64_MAX : INT64_MIN;
    return at_ms != 0 ? at_ms : -1; /* a moment early rather than never */
}

/* ---- life ---- */

/* What lies at the beginning of the mapping, and where. */
struct layout {
    uint32_t segment_count;
    unsigned segment_shift, stripes_shift;
    uint32_t tag_slots, ghost_rows, lease_sets;
    size_t segments_at, stripes_at, evictor_tally_at, directory_at, tags_at, ghost_at, leases_at,
        insight_at;
    size_t bookkeeping_bytes; /* where segment 0 begins */
};

static uint32_t clamp_power(uint64_t wanted, uint32_t low, uint32_t high)
{
    uint32_t power = low;
    while (power < high && (uint64_t)power * 2 <= wanted)
        power *= 2;
    return power;
}

static size_t place_after(size_t *end, size_t bytes)
{
    size_t at = (*end + 127) / 128 * 128;
    *end = at + bytes;
    return at;
}

static struct layout layout_of(uint64_t memory_bytes, uint32_t insight_spaces)
{
    struct layout layout = {.segment_shift = segment_shift_for(memory_bytes)};
    uint64_t segment = (uint64_t)1 << layout.segment_shift;
    uint32_t segments_about = (uint32_t)(memory_bytes / segment);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t end = sizeof(struct nh_store);

    while ((1u << layout.stripes_shift) < STRIPES_MAX && (1 << layout.stripes_shift) < cores &&
           segments_about >> (layout.stripes_shift + 1) >= SEGMENTS_PER_STRIPE)
        layout.stripes_shift++;
    layout.tag_slots = clamp_power(memory_bytes / BYTES_PER_TAG_SLOT, TAG_SLOTS_MIN, TAG_SLOTS_MAX);
    layout.ghost_rows = (uint32_t)(memory_bytes / GHOST_SHARE / (GHOST_ROW * sizeof(uint16_t)));
    layout.lease_sets = clamp_power(memory_bytes / BYTES_PER_LEASE_SET, LEASE_SETS_MIN, LEASE_SETS_MAX);
    layout.segments_at = place_after(&end, segments_about * sizeof(struct segment));
    layout.stripes_at = place_after(&end, sizeof(struct stripe) << layout.stripes_shift);
    layout.evictor_tally_at = place_after(&end, sizeof(struct tally));
    layout.directory_at = place_after(&end, segments_about * sizeof(struct bucket *));
    layout.tags_at = place_after(&end, layout.tag_slots * 2 * sizeof(uint64_t));
    layout.ghost_at = place_after(&end, layout.ghost_rows * GHOST_ROW * sizeof(uint16_t));
    layout.leases_at = place_after(&end, layout.lease_sets * LEASE_SET * sizeof(struct lease));
    layout.insight_at = place_after(&end, insight_bytes(insight_spaces));
    layout.bookkeeping_bytes = (end + segment - 1) / segment * segment;
    if (layout.bookkeeping_bytes < memory_bytes)
        layout.segment_count = (uint32_t)((memory_bytes - layout.bookkeeping_bytes) / segment);
    return layout;
}

static void *map(size_t bytes)
{
    void *mapping =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return mapping != MAP_FAILED ? mapping : NULL;
}

/* For the segments, which fill one after another, not for the bookkeeping, of which a little is used here
 * and there. A hint: without it all is as before. */
static void want_huge_pages(const struct arena *arena)
{
    const uintptr_t huge = 2 << 20;
    uintptr_t start = ((uintptr_t)arena->base + huge - 1) / huge * huge;
    uintptr_t end = (uintptr_t)segment_start(arena, arena->segment_count) / huge * huge;

    if (start < end)
        madvise((void *)start, end - start, MADV_HUGEPAGE);
}

nh_result nh_create(const nh_options *options, nh_store **created)
{
    nh_options wanted;
    struct layout layout;
    nh_store *store;
    char *mapping;

    if (created == NULL || options_copy(&wanted, sizeof wanted, options) != NH_OK)
        return NH_INVALID;
    if (wanted.memory_bytes == 0)
        wanted.memory_bytes = MEMORY_DEFAULT;
    if (wanted.memory_bytes < MEMORY_MIN || wanted.memory_bytes > MEMORY_MAX)
        return NH_RANGE;
    layout = layout_of(wanted.memory_bytes, wanted.insight_spaces);
    if (layout.segment_count < SEGMENTS_MIN || wanted.insight_spaces > NH_INSIGHT_SPACES_MAX)
        return NH_RANGE;
    mapping = map(wanted.memory_bytes);
    if (mapping == NULL)
        return NH_NO_MEMORY;
    store = (nh_store *)(void *)mapping;
    store->mapping = mapping;
    store->mapping_bytes = wanted.memory_bytes;
    store->hash_seed = wanted.hash_seed != 0 ? wanted.hash_seed : hash_seed_random();
    store->value_bytes_max = wanted.value_bytes_max != 0 ? wanted.value_bytes_max : VALUE_DEFAULT;
    if (store->value_bytes_max > VALUE_MAX)
        store->value_bytes_max = VALUE_MAX;
    if (store->value_bytes_max > wanted.memory_bytes / 2)
        store->value_bytes_max = wanted.memory_bytes / 2;
    store->arena = (struct arena){mapping + layout.bookkeeping_bytes,
                                  (struct segment *)(void *)(mapping + layout.segments_at),
                                  layout.segment_count, layout.segment_shift};
    store->dropped = wanted.dropped;
    store->dropped_context = wanted.dropped_context;
    if (wanted.huge_pages != 0)
        want_huge_pages(&store->arena);
    store->inline_bytes_max = segment_bytes(&store->arena) / 2;
    store->key_bytes_max = segment_bytes(&store->arena) / 2;
    if (store->key_bytes_max > NH_KEY_BYTES_MAX)
        store->key_bytes_max = NH_KEY_BYTES_MAX;
    store->pinned_segments_max = layout.segment_count / PINNED_SHARE;
    store->stripes = (struct stripe *)(void *)(mapping + layout.stripes_at);
    store->stripes_shift = layout.stripes_shift;
    store->ttl_classes = layout.segment_count >= SEGMENTS_FOR_CLASSES ? TTL_CLASSES : 1;
    for (unsigned i = 0; i < 1u << layout.stripes_shift; i++) {
        struct tail *tail = &store->stripes[i].tails[0][0][0];
        for (unsigned k = 0; k < GROUPS * 2 * TTL_CLASSES; k++)
            tail[k].segment = SEGMENT_NONE;
    }
    store->tags.dropped = (_Atomic uint64_t *)(void *)(mapping + layout.tags_at);
    store->tags.staled = store->tags.dropped + layout.tag_slots;
    store->tags.seed = ~store->hash_seed;
    store->tags.slot_mask = layout.tag_slots - 1;
    store->ghost.rows = (_Atomic uint16_t(*)[GHOST_ROW])(void *)(mapping + layout.ghost_at);
    store->ghost.row_count = layout.ghost_rows;
    store->leases.rows = (struct lease *)(void *)(mapping + layout.leases_at);
    store->leases.set_count = layout.lease_sets;
    store->evictor.tally = (struct tally *)(void *)(mapping + layout.evictor_tally_at);
    insight_init(&store->insight, mapping + layout.insight_at, wanted.insight_spaces,
                 wanted.memory_bytes * 4);
    index_init(&store->index, &store->arena, store->hash_seed,
               (_Atomic(struct bucket *) *)(void *)(mapping + layout.directory_at), 0);
    atomic_store_explicit(&store->arena.segments[0].kind, SEGMENT_INDEX, memory_order_relaxed);
    store->evictor.index_segments = 1;
    evictor_init(store, 1);
    *created = store;
    return NH_OK;
}

void nh_destroy(nh_store *store)
{
    if (store != NULL)
        munmap(store->mapping, store->mapping_bytes);
}

/* ---- counts ---- */

/* A large value's bytes beside its record that are counted. */
static uint64_t *counted_bytes(nh_store *store, const struct record *record)
{
    return &large_at(&store->arena, large_first(&store->arena, record))->counted_bytes;
}

void record_count(nh_store *store, struct tally *tally, const struct record *record)
{
    struct segment *segment = record_segment(&store->arena, record);
    uint64_t bytes = record_bytes(record);

    if (record_traits(record) & RECORD_LARGE) {
        atomic_store_explicit(&segment->live_bytes, 1, memory_order_release);
        *counted_bytes(store, record) = 0;
        record_recount(store, tally, record);
    } else {
        atomic_fetch_add_explicit(&segment->live_bytes, (uint32_t)bytes, memory_order_relaxed);
    }
    /* A large value may have been begun before its space was cleared, and is as dead as the others. */
    if (!is_cleared(store, record, segment))
        tally_add(&tally->space_items[record_space(record)], 1);
    tally_add(&tally->item_bytes, (int64_t)bytes);
    tally->keys_added++;
}

void record_recount(nh_store *store, struct tally *tally, const struct record *record)
{
    uint64_t *counted = counted_bytes(store, record);
    uint64_t bytes = large_bytes(&store->arena, large_first(&store->arena, record));

    tally_add(&tally->item_bytes, (int64_t)(bytes - *counted));
    *counted = bytes;
}

void record_forget(nh_store *store, struct tally *tally, struct record *record)
{
    struct segment *segment = record_segment(&store->arena, record);
    uint64_t bytes = record_bytes(record);

    tally_add(&tally->item_bytes, -(int64_t)bytes);
    if (record_traits(record) & RECORD_LARGE) {
        tally_add(&tally->item_bytes, -(int64_t)*counted_bytes(store, record));
        atomic_store_explicit(&segment->live_bytes, 0, memory_order_release);
    } else {
        if (atomic_fetch_sub_explicit(&segment->live_bytes, (uint32_t)bytes, memory_order_release) == bytes)
            atomic_store_explicit(&store->evictor.died, 1, memory_order_relaxed);
    }
    if (!is_cleared(store, record, segment))
        tally_add(&tally->space_items[record_space(record)], -1);
    tally->keys_added--;
    record_kill(record);
}

static struct tally *tally_of(const nh_store *store, unsigned i)
{
    return i == 0 ? store->evictor.tally : &store->stripes[i - 1].tally;
}

static unsigned tally_count_of(const nh_store *store) { return 1 + (1u << store->stripes_shift); }

static int64_t space_items(const nh_store *store, uint32_t space)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < tally_count_of(store); i++)
        sum += atomic_load_explicit(&tally_of(store, i)->space_items[space], memory_order_relaxed);
    return sum;
}

uint64_t nh_count(nh_store *store, uint32_t space)
{
    int64_t sum = 0;

    if (store == NULL || (space >= NH_SPACES && space != NH_SPACE_ALL))
        return 0;
    if (space != NH_SPACE_ALL)
        sum = space_items(store, space);
    else
        for (uint32_t i = 0; i < NH_SPACES; i++)
            sum += space_items(store, i);
    return sum > 0 ? (uint64_t)sum : 0; /* a sum that was read while it changed */
}

static uint64_t pinned_bytes(const nh_store *store)
{
    return (uint64_t)atomic_load_explicit(&store->pinned_segments, memory_order_relaxed)
           << store->arena.segment_shift;
}

nh_result nh_stats_read(nh_store *store, nh_stats *stats)
{
    nh_stats sums = {.size = sizeof sums};
    size_t size;
    int64_t item_bytes = 0;

    if (store == NULL || stats == NULL || stats->size < sizeof stats->size || stats->size > 4096)
        return NH_INVALID;
    size = stats->size;
    sums.items = nh_count(store, NH_SPACE_ALL);
    for (unsigned i = 0; i < tally_count_of(store); i++) {
        const struct tally *tally = tally_of(store, i);
        item_bytes += atomic_load_explicit(&tally->item_bytes, memory_order_relaxed);
        sums.puts += atomic_load_explicit(&tally->puts, memory_order_relaxed);
        sums.deletes += atomic_load_explicit(&tally->deletes, memory_order_relaxed);
        sums.expired += atomic_load_explicit(&tally->expired, memory_order_relaxed);
        sums.evicted += atomic_load_explicit(&tally->evicted, memory_order_relaxed);
        sums.purged += atomic_load_explicit(&tally->purged, memory_order_relaxed);
        sums.moved += atomic_load_explicit(&tally->moved, memory_order_relaxed);
    }
    sums.item_bytes = item_bytes > 0 ? (uint64_t)item_bytes : 0;
    for (unsigned i = 0; i < EPOCH_STRIPES; i++) {
        const struct epoch_stripe *stripe = &store->epoch.stripes[i];
        sums.hits += atomic_load_explicit(&stripe->hits, memory_order_relaxed);
        sums.misses += atomic_load_explicit(&stripe->misses, memory_order_relaxed);
        sums.stale_served += atomic_load_explicit(&stripe->stale_served, memory_order_relaxed);
    }
    sums.rejected = atomic_load_explicit(&store->rejected, memory_order_relaxed);
    sums.leases = atomic_load_explicit(&store->leases_given, memory_order_relaxed);
    sums.lease_waits = atomic_load_explicit(&store->lease_waits, memory_order_relaxed);
    sums.fills_refused = atomic_load_explicit(&store->fills_refused, memory_order_relaxed);
    sums.pinned_bytes = pinned_bytes(store);
    sums.borrowed_copied_bytes = atomic_load_explicit(&store->copied_bytes, memory_order_relaxed);
    sums.memory_bytes_max = store->mapping_bytes;
    sums.segment_bytes = segment_bytes(&store->arena);
    sums.key_bytes_max = store->key_bytes_max;
    lock_acquire(&store->evictor.lock);
    sums.memory_bytes = store->mapping_bytes - ((uint64_t)evictor_free_count(&store->evictor, &store->arena)
                                                << store->arena.segment_shift);
    sums.index_bytes = (uint64_t)store->evictor.index_segments << store->arena.segment_shift;
    lock_release(&store->evictor.lock);
    if (size > sizeof sums)
        memset((char *)stats + sizeof sums, 0, size - sizeof sums);
    memcpy(stats, &sums, size < sizeof sums ? size : sizeof sums);
    stats->size = size;
    return NH_OK;
}

/* ---- what concerns many ---- */

void lease_end_if_purged(nh_store *store, uint64_t hash, const struct record *record, bool in_any_case)
{
    uint64_t number = lease_purge_number(&store->leases, hash);
    struct purged purged;

    if (number == UINT64_MAX)
        return;
    purged = record_purged(&store->tags, record, record_traits(record), number);
    if (in_any_case || purged.is_dropped || purged.is_staled)
        lease_end(&store->leases, hash);
}

nh_result nh_purge_tag(nh_store *store, nh_bytes tag, int32_t how)
{
    if (store == NULL || (tag.data == NULL && tag.size > 0) ||
        (how != NH_PURGE_DROP && how != NH_PURGE_SOFT))
        return NH_INVALID;
    tags_purge(&store->tags, tag_hash(&store->tags, bytes_of(tag.data, tag.size)), how == NH_PURGE_SOFT);
    return NH_OK;
}

uint64_t nh_purge_number(nh_store *store) { return store != NULL ? tags_now(&store->tags) + 1 : 0; }

nh_result nh_check_tags(nh_store *store, const nh_bytes *tags, size_t count, uint64_t purge_number)
{
    if (store == NULL || (tags == NULL && count > 0) || purge_number == 0)
        return NH_INVALID;
    for (size_t i = 0; i < count; i++) {
        uint32_t hash;
        if (tags[i].data == NULL && tags[i].size > 0)
            return NH_INVALID;
        hash = tag_hash(&store->tags, bytes_of(tags[i].data, tags[i].size));
        if (tag_is_dropped(&store->tags, hash, purge_number - 1) ||
            tag_is_staled(&store->tags, hash, purge_number - 1))
            return NH_CHANGED;
    }
    return NH_OK;
}

static void clear_space(nh_store *store, uint32_t space)
{
    int64_t items = space_items(store, space);

    if (items != 0)
        tally_add(&store->evictor.tally->space_items[space], -items);
    atomic_store_explicit(&store->cleared_sequences[space], store->evictor.sequence, memory_order_relaxed);
}

/* With every lock of rule (1), what is there now and what comes after are told apart by the sequences of
 * their segments: all that are being filled are sealed. */
void nh_clear(nh_store *store, uint32_t space)
{
    unsigned stripes = store != NULL ? 1u << store->stripes_shift : 0;

    if (store == NULL || (space >= NH_SPACES && space != NH_SPACE_ALL))
        return;
    for (unsigned i = 0; i < stripes; i++)
        lock_acquire(&store->stripes[i].lock);
    for (unsigned i = 0; i < stripes; i++)
        stripe_seal_all(store, &store->stripes[i]);
    lock_acquire(&store->evictor.lock);
    evictor_seal_survivors(store);
    for (uint32_t i = space == NH_SPACE_ALL ? 0 : space;
         i < (space == NH_SPACE_ALL ? NH_SPACES : space + 1); i++)
        clear_space(store, i);
    atomic_store_explicit(&store->cleared_sequence_last, store->evictor.sequence, memory_order_release);
    atomic_fetch_add_explicit(&store->tags.purge_number, 1, memory_order_relaxed); /* wakes the sweep */
    atomic_store_explicit(&store->evictor.died, 1, memory_order_relaxed);
    lease_end_all(&store->leases, space);
    lock_release(&store->evictor.lock);
    for (unsigned i = stripes; i-- > 0;)
        lock_release(&store->stripes[i].lock);
}

nh_result nh_space_bound(nh_store *store, uint32_t space, uint64_t bytes_min, uint64_t bytes_max)
{
    enum { SEGMENTS_BOUND_MIN = 8 };
    struct evictor *evictor;
    uint64_t segment, min_sum = 0;
    unsigned group = 0;
    nh_result result = NH_OK;

    if (store == NULL || space >= NH_SPACES)
        return NH_INVALID;
    segment = segment_bytes(&store->arena);
    if (bytes_max != 0 && (bytes_max < SEGMENTS_BOUND_MIN * segment || bytes_max < bytes_min))
        return NH_RANGE;
    evictor = &store->evictor;
    lock_acquire(&evictor->lock);
    group = store->groups[space];
    for (unsigned i = 1; i < GROUPS; i++) {
        if (group == 0 && !evictor->groups[i].is_bound)
            group = i;
        if (i != group)
            min_sum += evictor->groups[i].segments_min * segment;
    }
    if (group == 0)
        result = NH_FULL;
    else if (bytes_min > store->mapping_bytes / 2 || min_sum + bytes_min > store->mapping_bytes / 2)
        result = NH_RANGE;
    if (result == NH_OK) {
        evictor->groups[group].is_bound = true;
        evictor->groups[group].segments_min = (uint32_t)((bytes_min + segment - 1) / segment);
        evictor->groups[group].segments_max =
            bytes_max / segment < store->arena.segment_count ? (uint32_t)(bytes_max / segment) : 0;
        atomic_store_explicit(&store->groups[space], (uint8_t)group, memory_order_relaxed);
    }
    lock_release(&evictor->lock);
    return result;
}

static size_t sweep_tails(nh_store *store, struct stripe *stripe, int64_t now_ms, size_t *looked_count)
{
    struct tail *tail = &stripe->tails[0][0][0];
    size_t freed_count = 0;

    lock_acquire(&stripe->lock);
    for (unsigned i = 0; i < GROUPS * 2 * TTL_CLASSES; i++, tail++) {
        if (tail->segment == SEGMENT_NONE || tail->used_bytes == 0)
            continue;
        freed_count += evictor_sweep_records(store, now_ms, &stripe->tally, tail->segment, tail->used_bytes,
                                             looked_count);
        if (atomic_load_explicit(&store->arena.segments[tail->segment].live_bytes, memory_order_relaxed) ==
            0) {
            evictor_seal(store, tail->segment, tail->used_bytes); /* all dead: to be packed */
            tail->segment = SEGMENT_NONE;
        }
    }
    stripe_release(store, stripe, now_ms);
    return freed_count;
}

size_t nh_sweep(nh_store *store, int64_t now_ms, size_t budget_count)
{
    size_t freed_count = 0, looked_count = 0;

    if (store == NULL)
        return 0;
    for (unsigned i = 0; i < 1u << store->stripes_shift && looked_count < budget_count; i++)
        freed_count += sweep_tails(store, &store->stripes[i], now_ms, &looked_count);
    if (looked_count < budget_count)
        freed_count += evictor_sweep(store, now_ms, budget_count - looked_count);
    return freed_count;
}
