#include "store/subject.h"
#include "load.h"

enum { NOW_MS = 1000 }; /* no time passes */

static char value_put[VALUE_BYTES];

struct subject subject_store(uint64_t memory_bytes, bool huge_pages)
{
    return (struct subject){.name = huge_pages ? "nuthatch, huge pages" : "nuthatch",
                            .store = store_open(memory_bytes, huge_pages)};
}

struct subject subject_store_with_insight(uint64_t memory_bytes, bool huge_pages)
{
    return (struct subject){
        .name = huge_pages ? "nuthatch, insight, huge pages" : "nuthatch, insight",
        .store = store_open_with(
            &(nh_options){.memory_bytes = memory_bytes, .huge_pages = huge_pages, .insight_spaces = 1})};
}

struct subject subject_map(uint64_t memory_bytes)
{
    return (struct subject){.name = "mutex + LRU list", .map = lru_map_create(memory_bytes)};
}

void subject_close(struct subject *subject)
{
    if (subject->store != NULL)
        nh_destroy(subject->store);
    if (subject->map != NULL)
        lru_map_destroy(subject->map);
    *subject = (struct subject){0};
}

static void put(struct subject *subject, const char key[KEY_BYTES])
{
    nh_result answer;

    if (subject->store == NULL) {
        lru_map_put(subject->map, key, KEY_BYTES, value_put, sizeof value_put);
        return;
    }
    answer =
        nh_put(subject->store, NOW_MS, key_of(key), (nh_bytes){value_put, sizeof value_put}, NULL, NULL);
    if (answer != NH_OK)
        stop("put refused: %s", nh_result_text(answer));
}

static inline void get(struct subject *subject, struct chunk *chunk, const char key[KEY_BYTES])
{
    size_t value_bytes;
    bool found;

    if (subject->store != NULL)
        found = nh_get(subject->store, NOW_MS, key_of(key), chunk->buffers[0], ITEM_BYTES_MAX,
                       &value_bytes) == NH_OK;
    else
        found = lru_map_get(subject->map, key, KEY_BYTES, chunk->buffers[0], ITEM_BYTES_MAX, &value_bytes);
    chunk->missing += !found;
}

void subject_fill(struct subject *subject, uint32_t count)
{
    char key[KEY_BYTES];

    for (uint32_t id = 0; id < count; id++) {
        key_write(key, id);
        if (subject->store == NULL)
            put(subject, key);
        else if (nh_add(subject->store, NOW_MS, key_of(key), (nh_bytes){value_put, sizeof value_put}, NULL,
                        NULL) != NH_OK)
            stop("the store cannot be filled");
    }
}

void chunk_write(struct chunk *chunk, const uint32_t *ids)
{
    for (size_t i = 0; i < CHUNK_OPS; i++) {
        key_write(chunk->keys[i], ids[i]);
        chunk->requests[i] = (nh_get_request){.key = key_of(chunk->keys[i]),
                                              .buffer = chunk->buffers[i % BATCH_KEYS],
                                              .capacity = ITEM_BYTES_MAX};
    }
}

void work_get(struct subject *subject, struct chunk *chunk, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++)
        get(subject, chunk, chunk->keys[i]);
}

void work_get_many(struct subject *subject, struct chunk *chunk, size_t first, size_t count)
{
    if (subject->store == NULL) {
        work_get(subject, chunk, first, count);
        return;
    }
    for (size_t i = first; i < first + count; i += BATCH_KEYS) {
        nh_get_many(subject->store, NOW_MS, &chunk->requests[i], BATCH_KEYS);
        for (size_t j = i; j < i + BATCH_KEYS; j++)
            chunk->missing += chunk->requests[j].result != NH_OK;
    }
}

typedef nh_result lend_function(nh_store *store, int64_t now_ms, nh_key key, nh_value *value);

static inline void lend(struct subject *subject, struct chunk *chunk, const char key[KEY_BYTES],
                        lend_function *function)
{
    nh_value value;

    if (function(subject->store, NOW_MS, key_of(key), &value) == NH_OK)
        nh_release(subject->store, &value);
    else
        chunk->missing++;
}

void work_peek(struct subject *subject, struct chunk *chunk, size_t first, size_t count)
{
    if (subject->store == NULL) {
        work_get(subject, chunk, first, count);
        return;
    }
    for (size_t i = first; i < first + count; i++)
        lend(subject, chunk, chunk->keys[i], nh_peek);
}

void work_borrow(struct subject *subject, struct chunk *chunk, size_t first, size_t count)
{
    if (subject->store == NULL) {
        work_get(subject, chunk, first, count);
        return;
    }
    for (size_t i = first; i < first + count; i++)
        lend(subject, chunk, chunk->keys[i], nh_borrow);
}

void work_put(struct subject *subject, struct chunk *chunk, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++)
        put(subject, chunk->keys[i]);
}

void work_90_10(struct subject *subject, struct chunk *chunk, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++) {
        if (i % 10 == 9)
            put(subject, chunk->keys[i]);
        else
            get(subject, chunk, chunk->keys[i]);
    }
}

void work_50_50(struct subject *subject, struct chunk *chunk, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++) {
        if (i % 2 == 1)
            put(subject, chunk->keys[i]);
        else
            get(subject, chunk, chunk->keys[i]);
    }
}
