/* large.h — a value that is too large to share a segment: a chain of whole ones.
 *
 *     first segment: struct large │ record: head, traits, key, value …│
 *     next ones (segment.part):   … value … │                        each full but for the last
 *
 * It can be read while it grows: `written_bytes` is set after the bytes are there. */
#pragma once
#include "store/record.h"

enum large_state { LARGE_GROWING, LARGE_COMPLETE, LARGE_ABORTED };

struct large {
    _Atomic uint64_t written_bytes; /* of the value */
    _Atomic uint32_t state;
    _Atomic uint32_t segment_count;
    uint64_t counted_bytes; /* in the tally; guarded by the chain of its key */
};

static inline struct large *large_at(const struct arena *arena, uint32_t first)
{
    return (struct large *)(void *)segment_start(arena, first);
}

/* How much of the value is written. */
static inline uint64_t large_bytes(const struct arena *arena, uint32_t first)
{
    return atomic_load_explicit(&large_at(arena, first)->written_bytes, memory_order_acquire);
}

static inline struct record *large_record(const struct arena *arena, uint32_t first)
{
    return (struct record *)(void *)(segment_start(arena, first) + sizeof(struct large));
}

/* Of a record that is RECORD_LARGE. */
static inline uint32_t large_first(const struct arena *arena, const struct record *record)
{
    return segment_number(arena, record_segment(arena, record));
}

/* Makes a chain of one segment with the record of `plan` and no value yet. SEGMENT_NONE: no room. */
uint32_t large_create(nh_store *store, int64_t now_ms, struct record_plan *plan);

/* Adds bytes at the end. False, with nothing added, if there is no room. The writer's thread only. */
bool large_append(nh_store *store, int64_t now_ms, uint32_t first, nh_bytes bytes);

/* The bytes from `offset` on that lie together, as far as they are written. */
struct bytes large_piece(const nh_store *store, uint32_t first, uint64_t offset);
