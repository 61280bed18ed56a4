#include "store/index.h"
#include "base/compiler.h"
#include <sched.h>

enum { LOCK_SPINS = 64, SPLIT_KEYS_MAX = 64 };

bool index_guess(const struct index *index, uint64_t hash, uint64_t *location)
{
    uint64_t tag = index_tag(hash);

    for (struct bucket *bucket = index_head(index, hash); bucket != NULL;
         bucket = bucket_next(index, bucket)) {
        UNROLL for (unsigned i = 0; i < BUCKET_SLOTS; i++)
        {
            uint64_t slot = slot_read(bucket, i);
            if (slot >> SLOT_TAG_SHIFT == tag) {
                *location = slot_location(slot);
                return true;
            }
        }
    }
    return false;
}

/* ---- locking ---- */

void index_lock_chain(struct bucket *head)
{
    for (unsigned spins = 0;; spins++) {
        uint64_t control = atomic_load_explicit(&head->control, memory_order_relaxed);
        if (!(control & BUCKET_LOCKED) &&
            atomic_compare_exchange_weak_explicit(&head->control, &control, control | BUCKET_LOCKED,
                                                  memory_order_acquire, memory_order_relaxed))
            return;
        if (spins >= LOCK_SPINS)
            sched_yield();
    }
}

struct bucket *index_lock(struct index *index, uint64_t hash)
{
    for (;;) {
        struct bucket *head = index_head(index, hash);
        index_lock_chain(head);
        if (LIKELY(index_head(index, hash) == head))
            return head;
        index_unlock(head);
    }
}

/* Tells readers to look again, by (3). */
static void bucket_count_move(struct bucket *head)
{
    atomic_fetch_add_explicit(&head->control, BUCKET_COUNT_ONE, memory_order_release);
}

/* ---- one chain ---- */

struct place index_place(const struct index *index, struct bucket *head, uint64_t hash, nh_key key)
{
    uint64_t tag = index_tag(hash);

    for (struct bucket *bucket = head; bucket != NULL; bucket = bucket_next(index, bucket))
        for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
            uint64_t slot = slot_read(bucket, i);
            if (slot >> SLOT_TAG_SHIFT == tag) {
                struct record *record = record_at(index->arena, slot_location(slot));
                if (record_is_of(record, record_key(record, record_traits(record)), key))
                    return (struct place){bucket, i};
            }
        }
    return (struct place){NULL, 0};
}

struct place index_place_of(const struct index *index, struct bucket *head, uint64_t location)
{
    for (struct bucket *bucket = head; bucket != NULL; bucket = bucket_next(index, bucket))
        for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
            uint64_t slot = slot_read(bucket, i);
            if (slot_location(slot) == location && !slot_is_link(slot))
                return (struct place){bucket, i};
        }
    return (struct place){NULL, 0};
}

static void spare_give(struct index *index, struct bucket *bucket)
{
    lock_acquire(&index->spares_lock);
    atomic_store_explicit(&bucket->slots[0], (uintptr_t)index->spares, memory_order_relaxed);
    index->spares = bucket;
    atomic_fetch_add_explicit(&index->spare_count, 1, memory_order_relaxed);
    lock_release(&index->spares_lock);
}

static struct bucket *spare_take(struct index *index)
{
    struct bucket *bucket;

    lock_acquire(&index->spares_lock);
    bucket = index->spares;
    if (bucket != NULL) {
        index->spares =
            (struct bucket *)(uintptr_t)atomic_load_explicit(&bucket->slots[0], memory_order_relaxed);
        atomic_fetch_sub_explicit(&index->spare_count, 1, memory_order_relaxed);
        atomic_store_explicit(&bucket->slots[0], 0, memory_order_relaxed);
    }
    lock_release(&index->spares_lock);
    return bucket;
}

/* The first empty slot of a chain's last bucket, by (4); null if that is full, then `*last` is it. */
static _Atomic uint64_t *vacancy(const struct index *index, struct bucket *head, struct bucket **last)
{
    struct bucket *bucket = head;

    for (struct bucket *next; (next = bucket_next(index, bucket)) != NULL;)
        bucket = next;
    *last = bucket;
    for (unsigned i = 0; i < BUCKET_SLOTS; i++)
        if (slot_read(bucket, i) == 0)
            return &bucket->slots[i];
    return NULL;
}

/* Moves a key's slot within its chain, by (3), and leaves `instead` behind. What readers note of it in its
 * old place meanwhile goes with it. A null `head`: no reader can pass both places by. */
static void slot_move(_Atomic uint64_t *from, _Atomic uint64_t *to, uint64_t instead, struct bucket *head)
{
    uint64_t slot = atomic_load_explicit(from, memory_order_relaxed), last;

    atomic_store_explicit(to, slot, memory_order_release);
    if (head != NULL)
        bucket_count_move(head);
    last = atomic_exchange_explicit(from, instead, memory_order_acq_rel);
    if ((last & ~slot) & SLOT_OBSERVED)
        atomic_fetch_or_explicit(to, SLOT_OBSERVED, memory_order_relaxed);
}

/* Puts `slot` into the chain; `spare` is used if that is full. True if it was. */
static bool chain_append(const struct index *index, struct bucket *head, uint64_t slot,
                         struct bucket *spare)
{
    struct bucket *last;
    _Atomic uint64_t *vacant = vacancy(index, head, &last);

    if (LIKELY(vacant != NULL)) {
        atomic_store_explicit(vacant, slot, memory_order_release);
        return false;
    }
    atomic_store_explicit(&spare->slots[1], slot, memory_order_relaxed);
    slot_move(&last->slots[BUCKET_LINK_SLOT], &spare->slots[0],
              (uint64_t)((char *)spare - index->arena->base) / sizeof *spare, NULL);
    return true;
}

bool index_insert(struct index *index, struct bucket *head, uint64_t slot)
{
    struct bucket *last, *spare = NULL;

    if (vacancy(index, head, &last) == NULL && (spare = spare_take(index)) == NULL)
        return false;
    chain_append(index, head, slot, spare);
    return true;
}

uint64_t index_remove(struct index *index, struct bucket *head, struct place place)
{
    struct bucket *last = head, *before = NULL;
    unsigned last_slot = 0, count = 0;
    uint64_t removed;

    for (struct bucket *next; (next = bucket_next(index, last)) != NULL; last = next)
        before = last;
    for (unsigned i = 0; i < BUCKET_SLOTS; i++)
        if (slot_read(last, i) != 0) {
            last_slot = i;
            count++;
        }
    removed = atomic_exchange_explicit(&place.bucket->slots[place.slot], 0, memory_order_acq_rel);
    if (before == NULL)
        return removed; /* in a chain of one bucket, holes do no harm */
    /* The last key fills the hole: (4). */
    if (place.bucket != last || place.slot != last_slot)
        slot_move(&last->slots[last_slot], &place.bucket->slots[place.slot], 0, head);
    if (count > 2)
        return removed;
    /* One key left, or none: it goes where the link is, and the bucket leaves the chain. */
    for (last_slot = 0; last_slot < BUCKET_SLOTS - 1 && slot_read(last, last_slot) == 0;)
        last_slot++;
    slot_move(&last->slots[last_slot], &before->slots[BUCKET_LINK_SLOT], 0, head);
    spare_give(index, last);
    return removed;
}

/* ---- growing ---- */

void index_add_spares(struct index *index, uint32_t segment_number)
{
    struct bucket *buckets = (struct bucket *)(void *)segment_start(index->arena, segment_number);
    uint32_t count = segment_bytes(index->arena) / (uint32_t)sizeof *buckets;

    memset(buckets, 0, count * sizeof *buckets);
    for (uint32_t i = count; i-- > 0;)
        spare_give(index, &buckets[i]);
}

bool index_needs_segment(const struct index *index)
{
    uint64_t count = atomic_load_explicit(&index->bucket_count, memory_order_relaxed);
    return atomic_load_explicit(&index->directory[count >> index->directory_shift], memory_order_relaxed) ==
           NULL;
}

void index_extend(struct index *index, uint32_t segment_number)
{
    uint64_t count = atomic_load_explicit(&index->bucket_count, memory_order_relaxed);
    char *start = segment_start(index->arena, segment_number);

    memset(start, 0, segment_bytes(index->arena));
    atomic_store_explicit(&index->directory[count >> index->directory_shift],
                          (struct bucket *)(void *)start, memory_order_release);
}

/* Whether a key goes to the new bucket, whose bit of the hash is `bit`. */
static bool goes_up(const struct index *index, uint64_t slot, uint64_t bit)
{
    const struct record *record = record_at(index->arena, slot_location(slot));
    return (key_hash(index->hash_seed, record_nh_key(record)) & bit) != 0;
}

bool index_split(struct index *index)
{
    uint64_t count = atomic_load_explicit(&index->bucket_count, memory_order_relaxed);
    uint64_t half = (uint64_t)1 << (63 - __builtin_clzll(count));
    struct bucket *low = bucket_at(index, count - half), *high = bucket_at(index, count);
    uint64_t moving[SPLIT_KEYS_MAX];
    unsigned moving_count = 0, key_count = 0;
    struct bucket *spares[SPLIT_KEYS_MAX / (BUCKET_SLOTS - 1)];
    unsigned spare_count = 0, wanted, used = 0;
    bool is_done = false;

    index_lock_chain(low);
    for (struct bucket *bucket = low; bucket != NULL; bucket = bucket_next(index, bucket))
        for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
            const char *record = (const char *)record_at(index->arena, slot_location(slot_read(bucket, i)));
            if (slot_is_link(slot_read(bucket, i)))
                continue;
            __builtin_prefetch(record);
            __builtin_prefetch(record + RECORD_HEAD_BYTES + 40);
        }
    for (struct bucket *bucket = low; bucket != NULL; bucket = bucket_next(index, bucket))
        for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
            uint64_t slot = slot_read(bucket, i);
            if (slot == 0 || slot_is_link(slot))
                continue;
            if (++key_count > SPLIT_KEYS_MAX)
                goto unlock; /* no chain of a keyed hash is so long */
            if (goes_up(index, slot, half))
                moving[moving_count++] = slot;
        }
    wanted = moving_count > BUCKET_SLOTS ? (moving_count - 2) / (BUCKET_SLOTS - 1) : 0;
    while (spare_count < wanted && (spares[spare_count] = spare_take(index)) != NULL)
        spare_count++;
    if (spare_count < wanted)
        goto unlock;
    /* Until `low` has let go of them nobody may change them in `high`: locked before anybody can come
     * there. */
    index_lock_chain(high);
    for (unsigned i = 0; i < moving_count; i++)
        used += chain_append(index, high, moving[i], used < spare_count ? spares[used] : NULL);
    /* By (3): there first, then known to be there, then counted, then gone from here. */
    atomic_store_explicit(&index->bucket_count, count + 1, memory_order_release);
    bucket_count_move(low);
    for (unsigned i = 0; i < moving_count; i++) {
        uint64_t location = slot_location(moving[i]);
        uint64_t last = index_remove(index, low, index_place_of(index, low, location));
        struct place place = index_place_of(index, high, location);
        atomic_fetch_or_explicit(&place.bucket->slots[place.slot], last & SLOT_OBSERVED,
                                 memory_order_relaxed);
    }
    index_unlock(high);
    is_done = true;
unlock:
    index_unlock(low);
    while (spare_count > used)
        spare_give(index, spares[--spare_count]);
    return is_done;
}

void index_init(struct index *index, struct arena *arena, uint64_t hash_seed,
                _Atomic(struct bucket *) *directory, uint32_t first_segment)
{
    *index = (struct index){
        .arena = arena,
        .directory = directory,
        .hash_seed = hash_seed,
        .directory_shift = arena->segment_shift - 6,
    };
    index_extend(index, first_segment);
    atomic_store_explicit(&index->bucket_count, (uint64_t)1 << index->directory_shift,
                          memory_order_release);
}
