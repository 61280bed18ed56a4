/* arena.h — the one mapping that a store lives in, given out in segments of one size.
 *
 * A segment holds buckets of the index, or records one after another (the log), or a piece of one large
 * value. Where a record is (its location) is counted from segment 0 in units of LOCATION_UNIT bytes, so
 * that it fits a slot of the index. What is told of a segment stands apart from it, in struct segment. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LOCATION_UNIT = 4, /* records begin at multiples of it */
    SEGMENT_NONE = UINT32_MAX,
};

enum segment_kind {
    SEGMENT_FREE,
    SEGMENT_INDEX,
    SEGMENT_LOG,
    SEGMENT_LARGE,    /* the first of a large value */
    SEGMENT_PART,     /* one of the others */
    SEGMENT_DRAINING, /* nothing points at it any more, but somebody may be reading */
};

/* Which of the queues of its group (evict.h) a segment is in, or will be when it is full. */
enum queue { QUEUE_SMALL, QUEUE_MAIN, QUEUE_LARGE, QUEUES, QUEUE_NONE = QUEUES };

/*   (1) `sequence` and `base_ms` change only while the segment is no record's.
 *   (2) What is not atomic is its writer's while it is being filled, and the evictor's lock guards it
 *       after; but `charged_extent` is large_pins_lock's. */
struct segment {
    _Atomic uint64_t sequence; /* rises with each segment that is opened, and never comes back */
    _Atomic int64_t base_ms;   /* short expiries of its records are counted from here */
    _Atomic int64_t expires_first_ms, expires_last_ms; /* of its records; INT64_MAX: never */
    _Atomic uint32_t live_bytes; /* of records that the index points at; of a large value: 1 if it does */
    _Atomic uint32_t pins;       /* borrowers */
    _Atomic uint32_t part;       /* of a large value: the segment after this; SEGMENT_NONE at its end */
    uint32_t used_bytes;         /* where its last record ends */
    uint32_t next, previous;     /* in a list */
    _Atomic uint8_t kind, queue;
    _Atomic bool has_tags; /* some of its records */
    bool is_queued;
    uint8_t group, ttl_class;
    uint32_t drained_epoch;   /* low bits; when it became SEGMENT_DRAINING */
    uint32_t purge_seen;      /* low bits; the number of the last purge of tags that it was swept for */
    uint32_t charged_extent;  /* of a large value: the segments that count as pinned */
    uint64_t queued_sequence; /* how old it is in its queue */
};
_Static_assert(sizeof(struct segment) <= 128, "what is told of a segment is a cache line or two");

struct arena {
    char *base; /* of segment 0 */
    struct segment *segments;
    uint32_t segment_count;
    unsigned segment_shift; /* a segment has 1 << segment_shift bytes */
};

static inline uint32_t segment_bytes(const struct arena *arena)
{
    return (uint32_t)1 << arena->segment_shift;
}

static inline char *segment_start(const struct arena *arena, uint32_t number)
{
    return arena->base + ((size_t)number << arena->segment_shift);
}

static inline struct segment *arena_segment(const struct arena *arena, uint64_t location)
{
    return &arena->segments[location * LOCATION_UNIT >> arena->segment_shift];
}

static inline uint32_t segment_number(const struct arena *arena, const struct segment *segment)
{
    return (uint32_t)(segment - arena->segments);
}

static inline uint64_t location_of(const struct arena *arena, const void *record)
{
    return (uint64_t)((const char *)record - arena->base) / LOCATION_UNIT;
}

/* Makes the span between the first and the last expiry of a segment wide enough for `expires_at_ms`, which
 * is 0 for a record that never expires. */
static inline void segment_note_expiry(struct segment *segment, int64_t expires_at_ms)
{
    int64_t first = atomic_load_explicit(&segment->expires_first_ms, memory_order_relaxed);
    int64_t last = atomic_load_explicit(&segment->expires_last_ms, memory_order_relaxed);

    if (expires_at_ms == 0)
        expires_at_ms = INT64_MAX;
    while (expires_at_ms < first &&
           !atomic_compare_exchange_weak_explicit(&segment->expires_first_ms, &first, expires_at_ms,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
    while (expires_at_ms > last &&
           !atomic_compare_exchange_weak_explicit(&segment->expires_last_ms, &last, expires_at_ms,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

/* The size of segment that suits so much memory. */
unsigned segment_shift_for(uint64_t memory_bytes);
