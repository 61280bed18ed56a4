/* walk.c — over all keys, chain by chain of the index, by rising number: rule (2) of index.h. */
#include "base/buffer.h"
#include "store/store.h"
#include <stdlib.h>

/* The keys of one chain are copied, and each is looked up again when its turn comes: a cursor holds on to
 * nothing but the value it shows. */
struct nh_cursor {
    nh_store *store;
    uint64_t number;    /* of the chain after the one that `keys` are of */
    uint64_t end;       /* where to stop */
    uint32_t space;     /* NH_SPACE_ALL: of all */
    struct buffer keys; /* each: a u32 of key_and_space, and the key */
    size_t next;        /* in `keys` */
    nh_value lent;
};

nh_result nh_cursor_create(nh_store *store, uint64_t position, nh_cursor **cursor)
{
    nh_cursor *fresh;

    if (store == NULL || cursor == NULL)
        return NH_INVALID;
    fresh = malloc(sizeof *fresh);
    if (fresh == NULL)
        return NH_NO_MEMORY;
    *fresh = (nh_cursor){.store = store, .number = position, .end = UINT64_MAX, .space = NH_SPACE_ALL};
    *cursor = fresh;
    return NH_OK;
}

static void collect(nh_cursor *cursor, const struct bucket *bucket)
{
    for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
        uint64_t slot = slot_read(bucket, i);
        const struct record *record = record_at(&cursor->store->arena, slot_location(slot));
        if (slot == 0 || slot_is_link(slot) ||
            (cursor->space != NH_SPACE_ALL && record_space(record) != cursor->space))
            continue;
        buffer_append(&cursor->keys, bytes_of(&record->key_and_space, sizeof record->key_and_space));
        buffer_append(&cursor->keys,
                      bytes_of(record_key(record, record_traits(record)), record_key_bytes(record)));
    }
}

/* Copies the keys of the next chain. False at the end, or where to stop. */
static bool next_chain(nh_cursor *cursor)
{
    struct index *index = &cursor->store->index;
    struct bucket *head;

    buffer_clear(&cursor->keys);
    cursor->next = 0;
    if (cursor->number >= cursor->end ||
        cursor->number >= atomic_load_explicit(&index->bucket_count, memory_order_acquire))
        return false;
    head = bucket_at(index, cursor->number++);
    index_lock_chain(head);
    for (const struct bucket *bucket = head; bucket != NULL; bucket = bucket_next(index, bucket))
        collect(cursor, bucket);
    index_unlock(head);
    return true;
}

static nh_key next_key(nh_cursor *cursor)
{
    const char *at = cursor->keys.data + cursor->next;
    uint32_t key_and_space;
    nh_key key;

    memcpy(&key_and_space, at, sizeof key_and_space);
    key = (nh_key){at + sizeof key_and_space, key_and_space & 0xffff, key_and_space >> RECORD_SPACE_SHIFT};
    cursor->next += sizeof key_and_space + key.size;
    return key;
}

static nh_result show(nh_cursor *cursor, int64_t now_ms, nh_key key)
{
    nh_store *store = cursor->store;
    uint64_t hash = key_hash(store->hash_seed, key);
    _Atomic uint32_t *inside = epoch_enter(&store->epoch);
    nh_result result = NH_CHANGED;

    while (result == NH_CHANGED) {
        struct found found = index_find(&store->index, hash, key);
        result = NH_MISSING;
        if (found.record == NULL ||
            record_fate(store, found.record, found.traits,
                        arena_segment(&store->arena, slot_location(found.slot)), now_ms) != FATE_ALIVE)
            break;
        result = lend(store, now_ms, &found, &cursor->lent);
        if (result == NH_FULL) { /* no pin to be had: nothing is reused until the walk goes on */
            lend_inside(store, now_ms, found.record, inside, &cursor->lent);
            return NH_OK;
        }
    }
    epoch_leave(inside);
    return result;
}

nh_result nh_cursor_next(nh_cursor *cursor, int64_t now_ms, nh_key *key, nh_value *value)
{
    if (cursor == NULL || key == NULL || value == NULL)
        return NH_INVALID;
    nh_release(cursor->store, &cursor->lent);
    for (;;) {
        nh_result result;
        while (cursor->next >= cursor->keys.size)
            if (!next_chain(cursor))
                return NH_MISSING;
            else if (cursor->keys.failed)
                return NH_NO_MEMORY;
        *key = next_key(cursor);
        result = show(cursor, now_ms, *key);
        if (result == NH_MISSING)
            continue;
        if (result == NH_OK)
            *value = cursor->lent;
        return result;
    }
}

uint64_t nh_cursor_position(const nh_cursor *cursor)
{
    if (cursor == NULL)
        return 0;
    if (cursor->next < cursor->keys.size)
        return cursor->number - 1;
    return cursor->number < atomic_load_explicit(&cursor->store->index.bucket_count, memory_order_acquire)
               ? cursor->number
               : 0;
}

void nh_cursor_narrow(nh_cursor *cursor, uint32_t space, uint64_t end)
{
    if (cursor == NULL)
        return;
    cursor->space = space;
    cursor->end = end;
}

void nh_cursor_destroy(nh_cursor *cursor)
{
    if (cursor == NULL)
        return;
    nh_release(cursor->store, &cursor->lent);
    buffer_fini(&cursor->keys);
    free(cursor);
}
