#include "store/shard.h"
#include "base/hash.h"
#include <assert.h>
#include <malloc.h>
#include <stdlib.h>

enum {
    EVICT_LOOK_BUCKETS = 32, /* after so many buckets the least used entry seen goes, used or not */
    EVICT_LOOK_ENTRIES = 32, /* so far an eviction looks for what was cleared */
    SPACES_CAPACITY_FIRST = 4,
    ROOM_SHARE_DIVISOR = 4, /* a shard gives nothing by itself below this part of its fair share */
};

/* ---- hashes and tags ---- */

uint64_t store_hash(const struct nh_store *store, nh_key key)
{
    uint64_t seed = store->hash_seed + key.space * 0x9e3779b97f4a7c15u;
    return hash_bytes(bytes_of(key.data, key.size), seed);
}

/* The index uses the low bits and the tag of a slot bits 48 to 55, so the shard is chosen by the highest.
 */
struct shard *store_shard(const struct nh_store *store, uint64_t hash)
{
    return &store->shards[(hash >> 56) & (store->shard_count - 1)];
}

uint64_t store_tag_mark(const struct nh_store *store, struct bytes tag)
{
    uint64_t slot = hash_bytes(tag, store->hash_seed) & store->tag_slot_mask;
    uint64_t generation = atomic_load_explicit(&store->tag_generations[slot], memory_order_acquire);
    return generation << TAG_SLOT_BITS | slot;
}

static bool is_purged(const struct nh_store *store, const struct entry *entry)
{
    for (unsigned i = 0; i < entry_tag_count(entry); i++) {
        uint64_t mark = entry_tag_mark(entry, i);
        uint64_t slot = mark & (((uint64_t)1 << TAG_SLOT_BITS) - 1);
        if (atomic_load_explicit(&store->tag_generations[slot], memory_order_acquire) !=
            mark >> TAG_SLOT_BITS)
            return true;
    }
    return false;
}

/* ---- memory ---- */

bool pool_draw(struct nh_store *store, uint64_t bytes)
{
    uint64_t pool = atomic_load_explicit(&store->pool_bytes, memory_order_relaxed);
    do {
        if (pool < bytes)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&store->pool_bytes, &pool, pool - bytes,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

uint64_t pool_draw_up_to(struct nh_store *store, uint64_t bytes)
{
    uint64_t pool = atomic_load_explicit(&store->pool_bytes, memory_order_relaxed);
    uint64_t drawn;
    do
        drawn = pool < bytes ? pool : bytes;
    while (!atomic_compare_exchange_weak_explicit(&store->pool_bytes, &pool, pool - drawn,
                                                  memory_order_relaxed, memory_order_relaxed));
    return drawn;
}

void pool_return(struct nh_store *store, uint64_t bytes)
{
    atomic_fetch_add_explicit(&store->pool_bytes, bytes, memory_order_relaxed);
}

bool shard_charge(struct shard *shard, uint64_t bytes)
{
    if (UNLIKELY(shard->credit_bytes < bytes)) {
        uint64_t lacking = bytes - shard->credit_bytes;
        uint64_t batch = shard->store->credit_batch_bytes;
        if (pool_draw(shard->store, lacking + batch))
            shard->credit_bytes += lacking + batch;
        else if (pool_draw(shard->store, lacking))
            shard->credit_bytes += lacking;
        else
            return false;
    }
    shard->credit_bytes -= bytes;
    shard->used_bytes += bytes;
    return true;
}

void shard_refund(struct shard *shard, uint64_t bytes)
{
    uint64_t batch = shard->store->credit_batch_bytes;

    assert(shard->used_bytes >= bytes);
    shard->used_bytes -= bytes;
    shard->credit_bytes += bytes;
    if (shard->credit_bytes > 2 * batch) {
        pool_return(shard->store, shard->credit_bytes - batch);
        shard->credit_bytes = batch;
    }
}

/* The index's memory, charged like entries. Null also if the charge does not fit: shard_insert evicts then.
 */
static void *index_allocate(void *context, size_t size)
{
    struct shard *shard = context;
    size_t whole_lines = (size + 63) / 64 * 64;
    void *memory = aligned_alloc(64, whole_lines);

    if (memory == NULL)
        return NULL;
    if (!shard_charge(shard, malloc_usable_size(memory) + sizeof(size_t))) {
        free(memory);
        return NULL;
    }
    return memset(memory, 0, whole_lines);
}

static void index_release(void *context, void *memory)
{
    if (memory != NULL)
        shard_refund(context, malloc_usable_size(memory) + sizeof(size_t));
    free(memory);
}

static uint64_t index_hash(void *context, const struct entry *entry)
{
    const struct shard *shard = context;
    return store_hash(shard->store, (nh_key){entry_key(entry), entry->key_bytes, entry->space});
}

static struct table_memory index_memory(struct shard *shard)
{
    return (struct table_memory){index_allocate, index_release, index_hash, shard};
}

/* ---- spaces ---- */

static struct space *spaces_slot(const struct spaces *spaces, uint32_t number)
{
    uint32_t i = (uint32_t)((number * 0x9e3779b97f4a7c15u) >> 32);
    for (;; i++) {
        struct space *row = &spaces->rows[i & (spaces->capacity - 1)];
        if (!row->in_use || row->number == number)
            return row;
    }
}

struct space *shard_space(const struct shard *shard, uint32_t number)
{
    struct space *row = shard->spaces.capacity == 0 ? NULL : spaces_slot(&shard->spaces, number);
    return row != NULL && row->in_use ? row : NULL;
}

static bool is_empty_space(const struct space *row) { return row->live_count == 0 && row->dead_count == 0; }

/* Rebuilds the table without the spaces that hold nothing, half full at most. */
static bool spaces_rebuild(struct shard *shard)
{
    struct spaces fresh = {.capacity = SPACES_CAPACITY_FIRST};
    struct spaces *spaces = &shard->spaces;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < spaces->capacity; i++)
        kept += spaces->rows[i].in_use && !is_empty_space(&spaces->rows[i]);
    while (fresh.capacity < 2 * (kept + 1))
        fresh.capacity *= 2;
    fresh.rows = index_allocate(shard, fresh.capacity * sizeof *fresh.rows);
    if (fresh.rows == NULL)
        return false;
    for (uint32_t i = 0; i < spaces->capacity; i++)
        if (spaces->rows[i].in_use && !is_empty_space(&spaces->rows[i]))
            *spaces_slot(&fresh, spaces->rows[i].number) = spaces->rows[i];
    fresh.used = kept;
    index_release(shard, spaces->rows);
    *spaces = fresh;
    return true;
}

/* The row of a space, made if need be; null if there is no memory. */
static struct space *spaces_row(struct shard *shard, uint32_t number)
{
    struct space *row = shard_space(shard, number);

    if (LIKELY(row != NULL))
        return row;
    if (4 * (shard->spaces.used + 1) > 3 * shard->spaces.capacity && !spaces_rebuild(shard))
        return NULL;
    row = spaces_slot(&shard->spaces, number);
    *row = (struct space){.number = number, .in_use = true};
    shard->spaces.used++;
    return row;
}

static bool is_cleared(const struct shard *shard, const struct entry *entry)
{
    if (LIKELY(entry->version > shard->cleared_version))
        return false;
    return entry->version <= shard_space(shard, entry->space)->cleared_version;
}

void shard_clear(struct shard *shard, uint32_t space)
{
    for (uint32_t i = 0; i < shard->spaces.capacity; i++) {
        struct space *row = &shard->spaces.rows[i];
        if (!row->in_use || (space != NH_SPACE_ALL && row->number != space))
            continue;
        shard->live_count -= row->live_count;
        row->dead_count += row->live_count;
        shard->dead_count += row->live_count;
        row->live_count = 0;
        row->cleared_version = shard->version;
    }
    shard->cleared_version = shard->version;
}

/* ---- entries ---- */

void grave_empty(struct grave *grave)
{
    for (struct entry *entry = grave->first, *next; entry != NULL; entry = next) {
        memcpy(&next, &entry->version, sizeof next);
        free(entry);
    }
    grave->first = NULL;
}

/* Gives back one reference; the charge of the last one is left to the caller. */
static bool drop_reference(struct entry *entry, struct grave *grave)
{
    assert(entry->references > 0);
    if (--entry->references > 0)
        return false;
    memcpy(&entry->version, &grave->first, sizeof grave->first); /* nobody reads a dead entry's version */
    grave->first = entry;
    return true;
}

static bool is_borrowed(const struct entry *entry)
{
    return entry->references > (entry->extras & ENTRY_UNLINKED ? 0 : 1);
}

void shard_pin(struct shard *shard, struct entry *entry)
{
    if (!is_borrowed(entry))
        shard->borrowed_bytes += entry_bytes(entry);
    entry->references++;
}

void shard_unpin(struct shard *shard, struct entry *entry, struct grave *grave)
{
    size_t bytes = entry_bytes(entry);

    if (entry->extras & ENTRY_UNLINKED) {
        if (drop_reference(entry, grave)) {
            shard_refund(shard, entry_charge(entry));
            shard->borrowed_bytes -= bytes;
        }
        return;
    }
    entry->references--;
    if (!is_borrowed(entry))
        shard->borrowed_bytes -= bytes;
}

static bool is_expired(const struct entry *entry, int64_t now_ms)
{
    return entry->expires_at_ms != 0 && entry->expires_at_ms <= now_ms;
}

/* True if the entry may not be lent any more, and why. */
static bool is_dead(const struct shard *shard, const struct entry *entry, int64_t now_ms, enum leaving *why)
{
    if (UNLIKELY(is_expired(entry, now_ms)))
        *why = LEAVING_EXPIRED;
    else if (UNLIKELY(is_cleared(shard, entry)))
        *why = LEAVING_CLEARED;
    else if (UNLIKELY(is_purged(shard->store, entry)))
        *why = LEAVING_PURGED;
    else
        return false;
    return true;
}

static void leave_space(struct shard *shard, const struct entry *entry)
{
    struct space *row = shard_space(shard, entry->space);
    if (entry->version <= row->cleared_version) {
        row->dead_count--;
        shard->dead_count--;
    } else {
        row->live_count--;
        shard->live_count--;
    }
}

void shard_unlink(struct shard *shard, struct place place, enum leaving why, struct grave *grave)
{
    struct entry *entry = place_entry(place);

    switch (why) {
    case LEAVING_DELETED: shard->counts.deletes++; break;
    case LEAVING_EXPIRED: shard->counts.expired++; break;
    case LEAVING_EVICTED: shard->counts.evicted++; break;
    case LEAVING_PURGED: shard->counts.purged++; break;
    case LEAVING_CLEARED: break; /* counted as gone when the space was cleared */
    }
    leave_space(shard, entry);
    table_remove(&shard->table, place);
    entry->extras |= ENTRY_UNLINKED;
    if (drop_reference(entry, grave))
        shard_refund(shard, entry_charge(entry));
}

struct place shard_find(struct shard *shard, int64_t now_ms, uint64_t hash, nh_key key, struct grave *grave)
{
    struct place place = table_find(&shard->table, hash, key);
    enum leaving why;

    if (place.bucket != NULL && is_dead(shard, place_entry(place), now_ms, &why)) {
        shard_unlink(shard, place, why, grave);
        place.bucket = NULL;
    }
    return place;
}

/* ---- eviction: a clock over the buckets, with use counts in the slots ----
 *
 * The hand takes one use from each entry that it passes and stops at one that has none, or is dead; the
 * next search begins at the next bucket. When all are in use, the least used of the last
 * EVICT_LOOK_BUCKETS goes, so that no call looks for long. A hit only writes to a slot that it has read
 * anyway. */

/* Frees one of the entries that were cleared, if the sweep hand meets one soon. */
static bool evict_cleared(struct shard *shard, int64_t now_ms, struct grave *grave)
{
    size_t budget_count = EVICT_LOOK_ENTRIES, freed_count = 0;

    if (LIKELY(shard->dead_count == 0))
        return false;
    shard_sweep(shard, now_ms, &budget_count, &freed_count, grave);
    return freed_count > 0;
}

static bool evict_one(struct shard *shard, int64_t now_ms, struct grave *grave)
{
    uint64_t count = atomic_load_explicit(&shard->table.bucket_count, memory_order_relaxed);
    enum leaving why;
    struct place least = {NULL, 0};
    unsigned least_uses = SLOT_USES_MAX + 1;

    if (evict_cleared(shard, now_ms, grave))
        return true;
    for (uint64_t looked = 0; looked < count && least_uses > 0; looked++) {
        struct bucket *head = table_bucket(&shard->table, shard->evict_hand);
        if (looked >= EVICT_LOOK_BUCKETS && least.bucket != NULL)
            break;
        shard->evict_hand = (shard->evict_hand + 1) % count;
        for (struct bucket *bucket = head; bucket != NULL; bucket = bucket_next(bucket))
            for (uint64_t mask = bucket_occupied(bucket_tags(bucket)); mask != 0; mask &= mask - 1) {
                struct place place = {bucket, slot_of_mask(mask)};
                struct entry *entry = place_entry(place);
                uintptr_t slot = bucket_slot(bucket, place.index);
                if (is_borrowed(entry))
                    continue;
                if (is_dead(shard, entry, now_ms, &why)) {
                    shard_unlink(shard, place, why, grave);
                    return true;
                }
                if (slot_uses(slot) < least_uses) {
                    least_uses = slot_uses(slot);
                    least = place;
                }
                if (slot_uses(slot) > 0)
                    atomic_store_explicit(&bucket->slots[place.index], slot - 1, memory_order_relaxed);
            }
    }
    if (least.bucket == NULL)
        return false;
    shard_unlink(shard, least, LEAVING_EVICTED, grave);
    return true;
}

bool shard_reserve(struct shard *shard, int64_t now_ms, uint64_t bytes, struct grave *grave)
{
    uint64_t fair_bytes = shard->store->memory_bytes_max / shard->store->shard_count;

    while (!shard_charge(shard, bytes))
        if (bytes > fair_bytes / ROOM_SHARE_DIVISOR ||
            shard->used_bytes < fair_bytes / ROOM_SHARE_DIVISOR || !evict_one(shard, now_ms, grave))
            return false;
    return true;
}

uint64_t shard_yield(struct shard *shard, int64_t now_ms, uint64_t bytes, struct grave *grave)
{
    uint64_t gained = 0;

    for (;;) {
        uint64_t taken = shard->credit_bytes < bytes - gained ? shard->credit_bytes : bytes - gained;
        shard->credit_bytes -= taken;
        gained += taken;
        if (gained == bytes || !evict_one(shard, now_ms, grave))
            return gained;
    }
}

/* ---- linking ---- */

static bool index_insert(struct shard *shard, uint64_t hash, struct entry *entry)
{
    struct table_memory memory = index_memory(shard);
    return spaces_row(shard, entry->space) != NULL && table_insert(&shard->table, &memory, hash, entry);
}

static void enter_space(struct shard *shard, struct entry *entry)
{
    entry->version = ++shard->version;
    shard_space(shard, entry->space)->live_count++;
    shard->live_count++;
}

bool shard_insert(struct shard *shard, int64_t now_ms, uint64_t hash, struct entry *entry,
                  struct grave *grave)
{
    struct table_memory memory = index_memory(shard);

    /* A second try after eviction: the index needs a line or a page now and then. */
    while (!index_insert(shard, hash, entry))
        if (!evict_one(shard, now_ms, grave))
            return false;
    enter_space(shard, entry);
    entry->references++; /* not to be evicted by what follows */
    /* Room for another few entries. If there is none, chains get longer and the next insert tries again. */
    if (shard->table.entry_count >
        BUCKET_ENTRIES_GOAL * atomic_load_explicit(&shard->table.bucket_count, memory_order_relaxed))
        while (!table_grow(&shard->table, &memory))
            if (!evict_one(shard, now_ms, grave))
                break;
    entry->references--;
    return true;
}

void shard_replace(struct shard *shard, struct place place, struct entry *entry, struct grave *grave)
{
    struct entry *old = place_entry(place);

    leave_space(shard, old);
    place_replace(place, entry);
    place_use(place);
    old->extras |= ENTRY_UNLINKED;
    drop_reference(old, grave); /* the writer has settled the charge */
    enter_space(shard, entry);
}

/* ---- sweep ---- */

bool shard_sweep(struct shard *shard, int64_t now_ms, size_t *budget_count, size_t *freed_count,
                 struct grave *grave)
{
    uint64_t count = atomic_load_explicit(&shard->table.bucket_count, memory_order_relaxed);
    enum leaving why;

    while (*budget_count > 0) {
        struct bucket *head = table_bucket(&shard->table, shard->sweep_hand);
        for (struct bucket *bucket = head; bucket != NULL; bucket = bucket_next(bucket)) {
            *budget_count -= *budget_count > 0; /* a bucket is a look even if it is empty */
            for (uint64_t mask = bucket_occupied(bucket_tags(bucket)); mask != 0; mask &= mask - 1) {
                struct place place = {bucket, slot_of_mask(mask)};
                *budget_count -= *budget_count > 0;
                if (is_dead(shard, place_entry(place), now_ms, &why)) {
                    shard_unlink(shard, place, why, grave);
                    ++*freed_count;
                }
            }
        }
        shard->sweep_hand = (shard->sweep_hand + 1) % count;
        if (shard->sweep_hand == 0)
            return true;
    }
    return false;
}

/* ---- life ---- */

bool shard_init(struct shard *shard, struct nh_store *store, uint8_t number)
{
    struct table_memory memory = index_memory(shard);

    *shard = (struct shard){.store = store, .number = number};
    return table_init(&shard->table, &memory);
}

void shard_fini(struct shard *shard)
{
    if (atomic_load_explicit(&shard->table.directory, memory_order_relaxed) == NULL)
        return;
    for (uint64_t i = 0; i < atomic_load_explicit(&shard->table.bucket_count, memory_order_relaxed); i++)
        for (struct bucket *bucket = table_bucket(&shard->table, i); bucket != NULL;
             bucket = bucket_next(bucket))
            for (uint64_t mask = bucket_occupied(bucket_tags(bucket)); mask != 0; mask &= mask - 1)
                free(slot_entry(bucket_slot(bucket, slot_of_mask(mask))));
    table_fini(&shard->table);
    free(shard->spaces.rows);
}
