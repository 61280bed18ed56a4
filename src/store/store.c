/* store.c — creating and reading. write.c has what changes a key, upkeep.c what concerns many. */
#include "store/store.h"
#include "base/hash.h"
#include <malloc.h>
#include <stdlib.h>

enum {
    SHARDS_MIN = 4,
    SHARDS_MAX = 256,
    TAG_SLOTS_MIN = 1024,
    PREFETCH_BATCH = 32,
    COPY_IN_LOCK_BYTES = 512, /* copying so much is cheaper than a second turn at the lock */
};
#define MEMORY_BYTES_DEFAULT    ((uint64_t)64 << 20)
#define MEMORY_BYTES_MIN        ((uint64_t)1 << 20)
#define VALUE_BYTES_MAX_DEFAULT ((uint64_t)64 << 20)
#define VALUE_BYTES_MAX_EVER    ((uint64_t)UINT32_MAX - (1 << 20)) /* an entry counts them in 32 bits */

static uint64_t at_most(uint64_t value, uint64_t highest) { return value < highest ? value : highest; }

/* The power of two at or below `value`, within bounds that are powers of two. */
static uint64_t power_of_two(uint64_t value, uint64_t low, uint64_t high)
{
    while (low < high && low * 2 <= value)
        low *= 2;
    return low;
}

nh_result options_copy(void *to, size_t to_size, const void *from)
{
    size_t size;

    memset(to, 0, to_size);
    if (from == NULL)
        return NH_OK;
    memcpy(&size, from, sizeof size);
    if (size < sizeof size || size > 4096)
        return NH_INVALID;
    for (size_t i = to_size; i < size; i++) /* a later version's field that we do not know */
        if (((const char *)from)[i] != 0)
            return NH_INVALID;
    memcpy(to, from, size < to_size ? size : to_size);
    return NH_OK;
}

nh_result nh_create(const nh_options *given, nh_store **result)
{
    nh_options options;
    nh_store *store;
    uint64_t tag_slots, fixed_bytes;

    if (result == NULL || options_copy(&options, sizeof options, given) != NH_OK)
        return NH_INVALID;
    if (options.memory_bytes == 0)
        options.memory_bytes = MEMORY_BYTES_DEFAULT;
    if (options.value_bytes_max == 0)
        options.value_bytes_max = VALUE_BYTES_MAX_DEFAULT;
    if (options.memory_bytes < MEMORY_BYTES_MIN || options.memory_bytes > (uint64_t)1 << 48)
        return NH_RANGE;

    store = aligned_alloc(_Alignof(nh_store), sizeof *store);
    if (store == NULL)
        return NH_NO_MEMORY;
    memset(store, 0, sizeof *store);
    store->hash_seed = options.hash_seed != 0 ? options.hash_seed : hash_seed_random();
    store->memory_bytes_max = options.memory_bytes;
    store->value_bytes_max =
        at_most(at_most(options.value_bytes_max, options.memory_bytes / 2), VALUE_BYTES_MAX_EVER);
    store->shard_count = (uint32_t)power_of_two(options.memory_bytes >> 20, SHARDS_MIN, SHARDS_MAX);
    store->credit_batch_bytes = options.memory_bytes / store->shard_count / 32;
    tag_slots = power_of_two(options.memory_bytes / 4096, TAG_SLOTS_MIN, (uint64_t)1 << TAG_SLOT_BITS);
    store->tag_slot_mask = (uint32_t)(tag_slots - 1);

    store->tag_generations = calloc(tag_slots, sizeof *store->tag_generations);
    store->shards = aligned_alloc(_Alignof(struct shard), store->shard_count * sizeof *store->shards);
    if (store->tag_generations == NULL || store->shards == NULL)
        goto no_memory;
    memset(store->shards, 0, store->shard_count * sizeof *store->shards);
    fixed_bytes = malloc_usable_size(store) + malloc_usable_size(store->shards) +
                  malloc_usable_size((void *)store->tag_generations) + 3 * sizeof(size_t);
    atomic_store_explicit(&store->pool_bytes, options.memory_bytes - fixed_bytes, memory_order_relaxed);
    for (uint32_t i = 0; i < store->shard_count; i++)
        if (!shard_init(&store->shards[i], store, (uint8_t)i))
            goto no_memory;
    *result = store;
    return NH_OK;

no_memory:
    nh_destroy(store);
    return NH_NO_MEMORY;
}

void nh_destroy(nh_store *store)
{
    if (store == NULL)
        return;
    for (uint32_t i = 0; store->shards != NULL && i < store->shard_count; i++)
        shard_fini(&store->shards[i]);
    free(store->shards);
    free((void *)store->tag_generations);
    free(store);
}

nh_result key_check(const nh_store *store, nh_key key)
{
    if (UNLIKELY(store == NULL || key.data == NULL || key.size == 0 || key.space == NH_SPACE_ALL))
        return NH_INVALID;
    return UNLIKELY(key.size > NH_KEY_BYTES_MAX) ? NH_TOO_LARGE : NH_OK;
}

void lend(struct shard *shard, struct entry *entry, nh_value *value)
{
    shard_pin(shard, entry);
    *value = (nh_value){
        .bytes = {entry_value(entry), entry->value_bytes},
        .version = entry->version,
        .expires_at_ms = entry->expires_at_ms,
        .stale_at_ms = entry_stale_at_ms(entry),
        .flags = entry->flags,
        .pin = entry,
    };
}

/* The living entry of `key`, with the use counted, or a null place with the miss counted. */
static inline struct place read_place(struct shard *shard, int64_t now_ms, uint64_t hash, nh_key key,
                                      struct grave *grave)
{
    struct place place = shard_find(shard, now_ms, hash, key, grave);

    if (place.bucket != NULL) {
        shard->counts.hits++;
        place_use(place);
    } else {
        shard->counts.misses++;
    }
    return place;
}

nh_result nh_borrow(nh_store *store, int64_t now_ms, nh_key key, nh_value *value)
{
    nh_result result = value == NULL ? NH_INVALID : key_check(store, key);
    struct grave grave = {0};
    struct shard *shard;
    struct place place;
    uint64_t hash;

    if (UNLIKELY(result != NH_OK))
        return result;
    hash = store_hash(store, key);
    shard = store_shard(store, hash);
    table_prefetch(&shard->table, hash); /* on its way while the lock is taken */
    lock_acquire(&shard->lock);
    place = read_place(shard, now_ms, hash, key, &grave);
    if (place.bucket != NULL)
        lend(shard, place_entry(place), value);
    lock_release(&shard->lock);
    grave_empty(&grave);
    return place.bucket != NULL ? NH_OK : NH_MISSING;
}

void nh_release(nh_store *store, nh_value *value)
{
    struct grave grave = {0};
    struct entry *entry;
    struct shard *shard;

    if (store == NULL || value == NULL || value->pin == NULL)
        return;
    entry = value->pin;
    shard = &store->shards[entry->shard];
    lock_acquire(&shard->lock);
    shard_unpin(shard, entry, &grave);
    lock_release(&shard->lock);
    grave_empty(&grave);
    value->pin = NULL; /* a second release does nothing */
}

nh_result nh_get(nh_store *store, int64_t now_ms, nh_key key, void *buffer, size_t capacity, size_t *size)
{
    nh_result result = buffer == NULL && capacity > 0 ? NH_INVALID : key_check(store, key);
    struct grave grave = {0};
    struct shard *shard;
    struct place place;
    size_t copied_bytes = 0;
    bool is_large = false;
    nh_value value;
    uint64_t hash;

    if (UNLIKELY(result != NH_OK))
        return result;
    hash = store_hash(store, key);
    shard = store_shard(store, hash);
    table_prefetch(&shard->table, hash); /* on its way while the lock is taken */
    lock_acquire(&shard->lock);
    place = read_place(shard, now_ms, hash, key, &grave);
    if (place.bucket != NULL) {
        const struct entry *entry = place_entry(place);
        copied_bytes = entry->value_bytes < capacity ? entry->value_bytes : capacity;
        is_large = copied_bytes > COPY_IN_LOCK_BYTES;
        if (size != NULL)
            *size = entry->value_bytes;
        if (is_large)
            lend(shard, place_entry(place), &value);
        else if (copied_bytes > 0)
            memcpy(buffer, entry_value(entry), copied_bytes);
    }
    lock_release(&shard->lock);
    grave_empty(&grave);
    if (is_large) {
        memcpy(buffer, value.bytes.data, copied_bytes);
        nh_release(store, &value);
    }
    return place.bucket != NULL ? NH_OK : NH_MISSING;
}

void nh_prefetch(nh_store *store, const nh_key *keys, size_t count)
{
    uint64_t hashes[PREFETCH_BATCH];

    if (store == NULL || keys == NULL)
        return;
    for (size_t from = 0, batch; from < count; from += batch) {
        batch = count - from < PREFETCH_BATCH ? count - from : PREFETCH_BATCH;
        for (size_t i = 0; i < batch; i++) {
            nh_key key = keys[from + i];
            hashes[i] = key_check(store, key) == NH_OK ? store_hash(store, key) : 0;
            table_prefetch(&store_shard(store, hashes[i])->table, hashes[i]);
        }
        for (size_t i = 0; i < batch; i++)
            table_prefetch_entry(&store_shard(store, hashes[i])->table, hashes[i]);
    }
}

const char *nh_result_text(nh_result result)
{
    switch (result) {
    case NH_OK: return "done";
    case NH_MISSING: return "no such key";
    case NH_EXISTS: return "the key exists already";
    case NH_CHANGED: return "the key has changed meanwhile";
    case NH_TYPE: return "the value is not a decimal number";
    case NH_RANGE: return "out of range";
    case NH_TOO_LARGE: return "the key or the value is too large";
    case NH_FULL: return "the store is full of borrowed values";
    case NH_NO_MEMORY: return "the system has no memory left";
    case NH_INVALID: return "an invalid argument";
    default: return "an unknown result";
    }
}

const char *nh_version(void) { return NUTHATCH_VERSION; }

uint32_t nh_abi_version(void) { return 1; }
