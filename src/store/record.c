#include "store/record.h"
#include "base/hash.h"
#include <assert.h>

/* A version that follows from a place: no two records are ever at the same offset of the same opening of a
 * segment. 20 bits hold the offset in any segment. */
enum { VERSION_OFFSET_BITS = 20 };

/* Of each trait; DEAD has no field. */
#define BYTES_OF(traits)                                                                                   \
    (((traits)&RECORD_EXPIRES ? 4 : 0) + ((traits)&RECORD_FLAGS ? 4 : 0) +                                 \
     ((traits)&RECORD_COST ? 4 : 0) + ((traits)&RECORD_EXPIRES_WIDE ? 8 : 0) +                             \
     ((traits)&RECORD_STALE ? 8 : 0) + ((traits)&RECORD_VERSION ? 8 : 0) + ((traits)&RECORD_NOTE ? 4 : 0))
#define BYTES_OF_4(traits)                                                                                 \
    BYTES_OF(traits), BYTES_OF((traits) + 1), BYTES_OF((traits) + 2), BYTES_OF((traits) + 3)
#define BYTES_OF_16(traits)                                                                                \
    BYTES_OF_4(traits), BYTES_OF_4((traits) + 4), BYTES_OF_4((traits) + 8), BYTES_OF_4((traits) + 12)
const uint8_t record_field_bytes[1 << 8] = {
    BYTES_OF_16(0),   BYTES_OF_16(16),  BYTES_OF_16(32),  BYTES_OF_16(48),
    BYTES_OF_16(64),  BYTES_OF_16(80),  BYTES_OF_16(96),  BYTES_OF_16(112),
    BYTES_OF_16(128), BYTES_OF_16(144), BYTES_OF_16(160), BYTES_OF_16(176),
    BYTES_OF_16(192), BYTES_OF_16(208), BYTES_OF_16(224), BYTES_OF_16(240)};

uint64_t key_hash(uint64_t seed, nh_key key)
{
    return hash_bytes(bytes_of(key.data, key.size), seed ^ (uint64_t)key.space * 0x9e3779b97f4a7c15u);
}

uint64_t record_version_first(uint64_t sequence) { return sequence << VERSION_OFFSET_BITS; }

uint64_t record_version(const struct arena *arena, const struct record *record)
{
    uint32_t traits = record_traits(record);
    uint64_t location = location_of(arena, record);
    uint64_t sequence =
        atomic_load_explicit(&arena_segment(arena, location)->sequence, memory_order_relaxed);
    uint64_t offset = location & ((segment_bytes(arena) / LOCATION_UNIT) - 1);

    if (traits & RECORD_VERSION)
        return record_u64(record, record_offset(traits, RECORD_VERSION));
    return record_version_first(sequence) | offset;
}

void record_plan_traits(struct record_plan *plan, int64_t now_ms)
{
    uint32_t traits = plan->traits & (RECORD_NEGATIVE | RECORD_LARGE | RECORD_VERSION);

    if (plan->flags != 0 || traits & RECORD_LARGE)
        traits |= RECORD_FLAGS;
    if (plan->cost_ms != 0 || traits & RECORD_LARGE)
        traits |= RECORD_COST;
    if (traits & RECORD_LARGE)
        traits |= RECORD_EXPIRES_WIDE;
    else if (plan->expires_at_ms != 0)
        traits |= (uint64_t)plan->expires_at_ms - (uint64_t)now_ms <= (uint64_t)EXPIRES_SHORT_MS_MAX
                      ? RECORD_EXPIRES
                      : RECORD_EXPIRES_WIDE;
    if (plan->stale_at_ms != 0 || plan->has_stale_field || traits & RECORD_LARGE)
        traits |= RECORD_STALE;
    if (plan->note != 0 || traits & RECORD_LARGE)
        traits |= RECORD_NOTE;
    if (plan->tag_count > 0)
        traits |= RECORD_TAGS;
    plan->traits = traits;
}

struct record_plan record_plan_of(const struct arena *arena, const struct record *record, uint32_t *hashes)
{
    uint32_t traits = record_traits(record) & ~(uint32_t)RECORD_DEAD;
    const struct segment *segment = record_segment(arena, record);
    struct record_plan plan = {
        .key = record_nh_key(record),
        .value_bytes = record_value_bytes(record),
        .traits = traits,
        .flags = record_flags(record, traits),
        .cost_ms = record_cost_ms(record, traits),
        .expires_at_ms = record_expires_at_ms(record, traits, segment),
        .stale_at_ms = record_stale_at_ms(record, traits),
        .version = record_version(arena, record),
    };

    if (traits & RECORD_NOTE)
        plan.note = __atomic_load_n(record_note(record, traits), __ATOMIC_RELAXED);
    if (traits & RECORD_TAGS) {
        uint32_t offset = record_offset(traits, RECORD_TAGS);
        plan.tag_count = record_u32(record, offset);
        plan.birth = record_u64(record, offset + 4);
        memcpy(hashes, record->data + offset + RECORD_TAGS_HEAD_BYTES, plan.tag_count * sizeof *hashes);
        plan.tag_hashes = hashes;
    }
    return plan;
}

size_t record_plan_bytes(const struct record_plan *plan)
{
    size_t bytes =
        RECORD_HEAD_BYTES + record_offset(plan->traits, RECORD_TAGS) + plan->key.size + plan->value_bytes;
    if (plan->traits & RECORD_TAGS)
        bytes += RECORD_TAGS_HEAD_BYTES + plan->tag_count * sizeof(uint32_t);
    return (bytes + LOCATION_UNIT - 1) / LOCATION_UNIT * LOCATION_UNIT;
}

static unsigned char *write_bytes(unsigned char *at, const void *bytes, size_t size)
{
    memcpy(at, bytes, size);
    return at + size;
}

unsigned char *record_write(const struct record_plan *plan, void *at, const struct segment *segment)
{
    struct record *record = at;
    unsigned char *field = record->data;

    atomic_store_explicit(&record->value_and_traits,
                          (uint32_t)plan->value_bytes << RECORD_VALUE_BYTES_SHIFT | plan->traits,
                          memory_order_relaxed);
    record->key_and_space = (uint32_t)(plan->key.size | plan->key.space << RECORD_SPACE_SHIFT);
    if (plan->traits & RECORD_EXPIRES) {
        uint64_t after_ms = (uint64_t)plan->expires_at_ms -
                            (uint64_t)atomic_load_explicit(&segment->base_ms, memory_order_relaxed);
        uint32_t short_ms = plan->expires_at_ms == 0 ? EXPIRES_NEVER : (uint32_t)after_ms;
        field = write_bytes(field, &short_ms, sizeof short_ms);
    }
    if (plan->traits & RECORD_FLAGS)
        field = write_bytes(field, &plan->flags, sizeof plan->flags);
    if (plan->traits & RECORD_COST)
        field = write_bytes(field, &plan->cost_ms, sizeof plan->cost_ms);
    if (plan->traits & RECORD_EXPIRES_WIDE)
        field = write_bytes(field, &plan->expires_at_ms, sizeof plan->expires_at_ms);
    if (plan->traits & RECORD_STALE)
        field = write_bytes(field, &plan->stale_at_ms, sizeof plan->stale_at_ms);
    if (plan->traits & RECORD_VERSION)
        field = write_bytes(field, &plan->version, sizeof plan->version);
    if (plan->traits & RECORD_NOTE)
        field = write_bytes(field, &plan->note, sizeof plan->note);
    if (plan->traits & RECORD_TAGS) {
        field = write_bytes(field, &plan->tag_count, sizeof plan->tag_count);
        field = write_bytes(field, &plan->birth, sizeof plan->birth);
        field = write_bytes(field, plan->tag_hashes, plan->tag_count * sizeof *plan->tag_hashes);
    }
    return write_bytes(field, plan->key.data, plan->key.size);
}

bool record_touch(struct record *record, struct segment *segment, int64_t now_ms, int64_t expires_at_ms)
{
    uint32_t traits = record_traits(record);

    if (traits & RECORD_EXPIRES) {
        int64_t base_ms = atomic_load_explicit(&segment->base_ms, memory_order_relaxed);
        uint32_t after_ms = EXPIRES_NEVER;
        if (expires_at_ms != 0) {
            if (expires_at_ms <= base_ms ||
                (uint64_t)expires_at_ms - (uint64_t)now_ms > (uint64_t)EXPIRES_SHORT_MS_MAX ||
                (uint64_t)expires_at_ms - (uint64_t)base_ms >= EXPIRES_NEVER)
                return false;
            after_ms = (uint32_t)((uint64_t)expires_at_ms - (uint64_t)base_ms);
        }
        atomic_store_explicit((_Atomic uint32_t *)(void *)record->data, after_ms, memory_order_relaxed);
    } else if (traits & RECORD_LARGE) {
        atomic_store_explicit(
            (_Atomic int64_t *)(void *)(record->data + record_offset(traits, RECORD_EXPIRES_WIDE)),
            expires_at_ms, memory_order_relaxed);
    } else {
        return !(traits & RECORD_EXPIRES_WIDE) && expires_at_ms == 0;
    }
    segment_note_expiry(segment, expires_at_ms);
    return true;
}

/* In one order with the leases that are given: see nh_fetch. */
void record_set_stale(struct record *record, int64_t stale_at_ms)
{
    uint32_t traits = record_traits(record);

    assert(traits & RECORD_LARGE);
    atomic_store_explicit((_Atomic int64_t *)(void *)(record->data + record_offset(traits, RECORD_STALE)),
                          stale_at_ms, memory_order_seq_cst);
}

void record_kill(struct record *record)
{
    atomic_fetch_or_explicit(&record->value_and_traits, RECORD_DEAD, memory_order_release);
}
