#include "store/large.h"
#include "store/store.h"

static uint32_t first_piece_at(const struct arena *arena, uint32_t first)
{
    const struct record *record = large_record(arena, first);
    return (uint32_t)((const char *)record_value(record, record_traits(record)) -
                      segment_start(arena, first));
}

/* What is already in the chain's last segment, and which that is. */
static uint32_t last_part(const struct arena *arena, uint32_t first, uint64_t written_bytes,
                          uint32_t *used_bytes)
{
    uint32_t number = first, start = first_piece_at(arena, first);
    uint64_t room = segment_bytes(arena) - start;

    while (written_bytes > room) {
        written_bytes -= room;
        start = 0;
        room = segment_bytes(arena);
        number = atomic_load_explicit(&arena->segments[number].part, memory_order_acquire);
    }
    *used_bytes = start + (uint32_t)written_bytes;
    return number;
}

uint32_t large_create(nh_store *store, int64_t now_ms, struct record_plan *plan)
{
    struct arena *arena = &store->arena;
    uint32_t first = evictor_take(store, now_ms, store->groups[plan->key.space], SEGMENT_LARGE);
    struct segment *segment;
    struct large *large;

    if (first == SEGMENT_NONE)
        return SEGMENT_NONE;
    segment = &arena->segments[first];
    atomic_store_explicit(&segment->queue, QUEUE_LARGE, memory_order_relaxed);
    large = large_at(arena, first);
    atomic_store_explicit(&large->written_bytes, 0, memory_order_relaxed);
    atomic_store_explicit(&large->state, LARGE_GROWING, memory_order_relaxed);
    atomic_store_explicit(&large->segment_count, 1, memory_order_relaxed);
    plan->traits |= RECORD_LARGE;
    plan->value_bytes = 0;
    record_plan_traits(plan, now_ms);
    record_write(plan, large_record(arena, first), segment);
    segment_note_expiry(segment, plan->expires_at_ms);
    if (plan->tag_count > 0)
        atomic_store_explicit(&segment->has_tags, true, memory_order_relaxed);
    return first;
}

bool large_append(nh_store *store, int64_t now_ms, uint32_t first, nh_bytes bytes)
{
    struct arena *arena = &store->arena;
    struct large *large = large_at(arena, first);
    uint64_t written_bytes = atomic_load_explicit(&large->written_bytes, memory_order_relaxed);
    uint64_t more = bytes.size;
    const char *from = bytes.data;
    uint32_t used_bytes, number = last_part(arena, first, written_bytes, &used_bytes);

    while (more > 0) {
        uint32_t room = segment_bytes(arena) - used_bytes;
        uint32_t piece = more < room ? (uint32_t)more : room;
        if (piece == 0) {
            uint32_t part = evictor_take(store, now_ms, arena->segments[first].group, SEGMENT_PART);
            if (part == SEGMENT_NONE)
                return false;
            atomic_store_explicit(&arena->segments[number].part, part, memory_order_release);
            atomic_fetch_add_explicit(&large->segment_count, 1, memory_order_relaxed);
            number = part;
            used_bytes = 0;
            continue;
        }
        memcpy(segment_start(arena, number) + used_bytes, from, piece);
        from += piece;
        used_bytes += piece;
        more -= piece;
    }
    atomic_store_explicit(&large->written_bytes, written_bytes + bytes.size, memory_order_release);
    return true;
}

struct bytes large_piece(const nh_store *store, uint32_t first, uint64_t offset)
{
    const struct arena *arena = &store->arena;
    uint64_t written_bytes = large_bytes(arena, first);
    uint32_t number = first, start = first_piece_at(arena, first);
    uint64_t left = written_bytes > offset ? written_bytes - offset : 0;

    if (left == 0)
        return (struct bytes){NULL, 0};
    while (offset >= segment_bytes(arena) - start) {
        offset -= segment_bytes(arena) - start;
        start = 0;
        number = atomic_load_explicit(&arena->segments[number].part, memory_order_acquire);
    }
    start += (uint32_t)offset;
    if (left > segment_bytes(arena) - start)
        left = segment_bytes(arena) - start;
    return bytes_of(segment_start(arena, number) + start, left);
}
