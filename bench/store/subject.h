/* subject.h — who is measured, the store or its neighbour, and what with: kinds of work over runs of keys
 * that were written beforehand, so that no generator is measured. */
#pragma once
#include "store/item.h"
#include "store/lru_map.h"

enum { VALUE_BYTES = 100, CHUNK_OPS = 160, BATCH_KEYS = 8 };

/* Of the two, the one that is not null is measured. */
struct subject {
    const char *name;
    nh_store *store;
    struct lru_map *map;
};

struct subject subject_store(uint64_t memory_bytes, bool huge_pages);
/* One that counts its reads by key and for its curve. */
struct subject subject_store_with_insight(uint64_t memory_bytes, bool huge_pages);
struct subject subject_map(uint64_t memory_bytes);
void subject_close(struct subject *subject);
/* Adds items 0 … count - 1. */
void subject_fill(struct subject *subject, uint32_t count);

/* The operands of CHUNK_OPS operations: few enough for the nearest cache. One thread's. */
struct chunk {
    char keys[CHUNK_OPS][KEY_BYTES];
    nh_get_request requests[CHUNK_OPS];
    char buffers[BATCH_KEYS][ITEM_BYTES_MAX];
    uint64_t missing; /* reads that found nothing, so far */
};
/* The chunk for `ids`, CHUNK_OPS of them. */
void chunk_write(struct chunk *chunk, const uint32_t *ids);

/* Does operations `first` … `first` + `count` - 1 of a chunk; both are multiples of BATCH_KEYS. */
typedef void work_function(struct subject *subject, struct chunk *chunk, size_t first, size_t count);

work_function work_get;      /* nh_get, one at a time */
work_function work_get_many; /* nh_get_many of BATCH_KEYS; the neighbour has only work_get */
work_function work_peek;     /* nh_peek, nh_release; as above */
work_function work_borrow;   /* nh_borrow, nh_release; as above */
work_function work_put;      /* all there already */
work_function work_90_10;    /* of ten, nine get and one puts */
work_function work_50_50;
