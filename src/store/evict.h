/* evict.h — who leaves when memory is full: S3-FIFO (Yang et al., SOSP'23) over segments of the log.
 *
 *                     unused, to the ghosts                 unused
 *                          ▲                                  ▲
 *   new ──► small, a part ─┴─ used ──► main, the rest ────────┤
 *   dropped lately ────────────────►       ▲                  │
 *                                          └── used, one less ┘
 *
 * Segments leave a queue at its old end. Of the records in it that are alive, those that were used are
 * copied to a segment at the young end and the others are dropped; then the segment drains until no reader
 * can be in it, and is free. Segments that are mostly dead are packed first, whatever their place, and
 * before memory is touched that never was: a store that is written over and over stays as small as what it
 * holds.
 *
 * A large value is its own segments, in a queue of its own. When the oldest is older than the segment that
 * would be next, or all of the log seems to be in use, the least used of the oldest few leaves instead.
 *
 * Groups are spaces with bounds of their own; all others are group 0. */
#pragma once
#include "nuthatch.h"
#include "store/lock.h"
#include "store/record.h"

enum {
    GROUPS = NH_SPACES_LIMITED_MAX + 1,
    TTL_CLASSES = 8,
};

struct stripe;
struct tally;

/* A segment that is being filled. */
struct tail {
    uint32_t segment; /* SEGMENT_NONE: none yet */
    uint32_t used_bytes;
};

struct segment_list {
    uint32_t first, last; /* SEGMENT_NONE if empty */
    uint32_t count;
};

struct group {
    struct segment_list queues[QUEUES];
    uint32_t segments;                   /* of all queues, large values whole, and of tails and writers */
    uint32_t segments_min, segments_max; /* 0: no bound */
    bool is_bound;                       /* it is a space's own */
};

/*   (1) Every segment is the index's, free, draining, in a queue, a tail's, or a large value's. */
struct evictor {
    struct lock lock; /* guards all that is here */
    struct group groups[GROUPS];
    struct tail survivors[GROUPS][2][TTL_CLASSES]; /* where what is copied goes, by queue */
    struct segment_list free, draining; /* free: the last one freed is the first one used again */
    uint32_t fresh; /* this segment and all after it are free too, and never were used */
    uint32_t index_segments;
    uint32_t pack_hand, sweep_hand;
    /* Set by any thread: not 0 if segments may be wholly dead that pack_hand has not come to. */
    _Atomic uint32_t died;
    uint64_t sequence; /* of the last segment that was opened */
    struct tally *tally;
};

/* How many segments are free; with the lock held. */
static inline uint32_t evictor_free_count(const struct evictor *evictor, const struct arena *arena)
{
    return evictor->free.count + arena->segment_count - evictor->fresh;
}

/* A segment for a writer's tail, or of a large value; makes room if need be. SEGMENT_NONE if there
 * is none to be had. The caller holds no chain and is not in the epoch. */
uint32_t evictor_take(nh_store *store, int64_t now_ms, unsigned group, enum segment_kind kind);

/* The same for the index. */
uint32_t evictor_take_for_index(nh_store *store, int64_t now_ms);

/* Lets something go, so that the index has fewer keys. False if there is nothing. */
bool evictor_shed(nh_store *store, int64_t now_ms);

/* Gives a full tail to its queue. */
void evictor_seal(nh_store *store, uint32_t segment, uint32_t used_bytes);

/* By its writer, once: puts a large value that is complete in its queue, or frees it if nothing points at
 * it. */
void evictor_queue_large(nh_store *store, uint32_t first);

/* By whoever took it from the index: frees a large value, if it is still the one that was opened with
 * `sequence`, and in its queue. Else its writer or the evictor sees to it. */
void evictor_retire_large(nh_store *store, uint32_t first, uint64_t sequence);

/* See nh_sweep. */
size_t evictor_sweep(nh_store *store, int64_t now_ms, size_t budget_count);

/* Frees what is not alive among the first `used_bytes` of a segment's records, if there may be any. `tally`
 * says whose lock the caller holds: the evictor's, or of the stripe whose tail the segment is. Returns how
 * many; `*looked_count` rises by how many it looked at. */
size_t evictor_sweep_records(nh_store *store, int64_t now_ms, struct tally *tally, uint32_t segment,
                             uint32_t used_bytes, size_t *looked_count);

/* Gives all survivors' tails to their queues, with the lock held. */
void evictor_seal_survivors(nh_store *store);

/* Numbers the segments to come after those of an earlier life, so that no version comes back. */
void evictor_go_on_from(nh_store *store, uint64_t sequence);

/* Readies a store's evictor: all segments from `first` on are free. */
void evictor_init(nh_store *store, uint32_t first);

/* True if `segment` can take short expiries as of `now_ms`: its base is neither to come nor long ago. */
static inline bool segment_suits(const struct segment *segment, int64_t now_ms)
{
    int64_t base_ms = atomic_load_explicit(&segment->base_ms, memory_order_relaxed);
    return now_ms > base_ms && (uint64_t)now_ms - (uint64_t)base_ms < (uint64_t)1 << 30;
}
