/* record.h — one key with its value, as it lies in a segment:
 *
 *     head, 8 bytes │ what its traits name, in this order │ key │ value │ to a multiple of LOCATION_UNIT
 *
 * A record stays as it was written but for a few fields, which are atomic: the dead bit of its head, set
 * when the index no longer points at it, its expiry, its note, and a large one's soft expiry. A value that
 * is alone in its segments (RECORD_LARGE) begins here and goes on in the next segment; large.h says how
 * long it is. */
#pragma once
#include "base/compiler.h"
#include "nuthatch.h"
#include "store/arena.h"
#include <string.h>

enum record_trait {
    RECORD_DEAD = 1 << 0,
    RECORD_EXPIRES = 1 << 1,      /* u32 ms after its segment's base_ms; EXPIRES_NEVER */
    RECORD_FLAGS = 1 << 2,        /* u32 */
    RECORD_COST = 1 << 3,         /* u32 ms */
    RECORD_EXPIRES_WIDE = 1 << 4, /* i64, a moment; 0: never */
    RECORD_STALE = 1 << 5,        /* i64, a moment */
    RECORD_VERSION = 1 << 6,      /* u64; else the version follows from where the record is */
    RECORD_NOTE = 1 << 7,         /* u32, its borrowers' */
    RECORD_TAGS = 1 << 8,         /* u32 count, u64 birth, u32 hashes: see tags.h */
    RECORD_NEGATIVE = 1 << 9,
    RECORD_LARGE = 1 << 10, /* has FLAGS, COST, EXPIRES_WIDE, STALE and NOTE: they can change in place */
    RECORD_TRAITS = (1 << 12) - 1,
};

enum {
    RECORD_HEAD_BYTES = 8,
    RECORD_VALUE_BYTES_SHIFT = 12, /* of `value_and_traits`: 20 bits of size above 12 of traits */
    RECORD_SPACE_SHIFT = 16,       /* of `key_and_space` */
    RECORD_TAGS_HEAD_BYTES = 12,
};
#define EXPIRES_NEVER UINT32_MAX
/* A time to live up to here fits a short expiry whatever segment it comes to: see segment_suits. */
#define EXPIRES_SHORT_MS_MAX ((int64_t)1 << 31)

struct record {
    _Atomic uint32_t value_and_traits;
    uint32_t key_and_space;
    unsigned char data[];
};
_Static_assert(offsetof(struct record, data) == RECORD_HEAD_BYTES, "a head is 8 bytes");
_Static_assert(NH_SPACES <= 1 << 16, "a space fits its bits");

/* What a record is made of; `tag_hashes` is null or has `tag_count` of them. */
struct record_plan {
    nh_key key;
    uint64_t value_bytes; /* of a large record: of the piece in its first segment */
    uint32_t traits;
    uint32_t flags, cost_ms;
    uint32_t note;         /* 0: none */
    int64_t expires_at_ms; /* 0: never */
    int64_t stale_at_ms;
    uint64_t version;
    uint64_t birth;
    uint32_t tag_count;
    const uint32_t *tag_hashes;
    bool has_stale_field; /* though stale_at_ms may be 0 */
};

static inline struct record *record_at(const struct arena *arena, uint64_t location)
{
    return (struct record *)(void *)(arena->base + location * LOCATION_UNIT);
}

/* The segment that a record is in. */
static inline struct segment *record_segment(const struct arena *arena, const struct record *record)
{
    return arena_segment(arena, location_of(arena, record));
}

static inline uint32_t record_traits(const struct record *record)
{
    return atomic_load_explicit(&record->value_and_traits, memory_order_relaxed) & RECORD_TRAITS;
}

/* Of a large record: the bytes in its first segment, as planned. */
static inline uint32_t record_value_bytes(const struct record *record)
{
    return atomic_load_explicit(&record->value_and_traits, memory_order_relaxed) >>
           RECORD_VALUE_BYTES_SHIFT;
}

static inline uint32_t record_key_bytes(const struct record *record)
{
    return record->key_and_space & 0xffff;
}

static inline uint32_t record_space(const struct record *record)
{
    return record->key_and_space >> RECORD_SPACE_SHIFT;
}

/* Bytes of the fields that the lowest eight traits name, by those traits. */
extern const uint8_t record_field_bytes[1 << 8];

/* Where a trait's field is, counted from `data`, for one that the record has. */
static inline uint32_t record_offset(uint32_t traits, uint32_t trait)
{
    return record_field_bytes[traits & (trait - 1) & ((1 << 8) - 1)];
}

static inline uint32_t record_u32(const struct record *record, uint32_t offset)
{
    uint32_t number;
    memcpy(&number, record->data + offset, sizeof number);
    return number;
}

static inline uint64_t record_u64(const struct record *record, uint32_t offset)
{
    uint64_t number;
    memcpy(&number, record->data + offset, sizeof number);
    return number;
}

static inline const unsigned char *record_key(const struct record *record, uint32_t traits)
{
    uint32_t offset = record_offset(traits, RECORD_TAGS);
    if (traits & RECORD_TAGS)
        offset += RECORD_TAGS_HEAD_BYTES + record_u32(record, offset) * (uint32_t)sizeof(uint32_t);
    return record->data + offset;
}

static inline const unsigned char *record_value(const struct record *record, uint32_t traits)
{
    return record_key(record, traits) + record_key_bytes(record);
}

/* From one record to the next in a segment. */
static inline size_t record_bytes(const struct record *record)
{
    size_t bytes = (size_t)(record_value(record, record_traits(record)) - (const unsigned char *)record) +
                   record_value_bytes(record);
    return (bytes + LOCATION_UNIT - 1) / LOCATION_UNIT * LOCATION_UNIT;
}

/* True if the record, whose key is at `key_at`, has this key. */
static inline bool record_is_of(const struct record *record, const unsigned char *key_at, nh_key key)
{
    return record->key_and_space == (uint32_t)(key.size | key.space << RECORD_SPACE_SHIFT) &&
           memcmp(key_at, key.data, key.size) == 0;
}

static inline nh_key record_nh_key(const struct record *record)
{
    return (nh_key){record_key(record, record_traits(record)), record_key_bytes(record),
                    record_space(record)};
}

/* When the record expires; 0: never. */
static inline int64_t record_expires_at_ms(const struct record *record, uint32_t traits,
                                           const struct segment *segment)
{
    if (traits & RECORD_EXPIRES) {
        uint32_t after_ms = atomic_load_explicit((const _Atomic uint32_t *)(const void *)record->data,
                                                 memory_order_relaxed);
        int64_t base_ms = atomic_load_explicit(&segment->base_ms, memory_order_relaxed);
        int64_t at_ms = (int64_t)((uint64_t)base_ms + after_ms);
        if (after_ms == EXPIRES_NEVER)
            return 0;
        return at_ms != 0 ? at_ms : -1; /* a moment early rather than never */
    }
    if (traits & RECORD_LARGE)
        return atomic_load_explicit(
            (const _Atomic int64_t *)(const void *)(record->data +
                                                    record_offset(traits, RECORD_EXPIRES_WIDE)),
            memory_order_relaxed);
    if (traits & RECORD_EXPIRES_WIDE)
        return (int64_t)record_u64(record, record_offset(traits, RECORD_EXPIRES_WIDE));
    return 0;
}

/* 0: no soft expiry. */
static inline int64_t record_stale_at_ms(const struct record *record, uint32_t traits)
{
    uint32_t offset = record_offset(traits, RECORD_STALE);

    if (LIKELY(!(traits & RECORD_STALE)))
        return 0;
    if (traits & RECORD_LARGE)
        return atomic_load_explicit((const _Atomic int64_t *)(const void *)(record->data + offset),
                                    memory_order_relaxed);
    return (int64_t)record_u64(record, offset);
}

static inline uint32_t record_flags(const struct record *record, uint32_t traits)
{
    return traits & RECORD_FLAGS ? record_u32(record, record_offset(traits, RECORD_FLAGS)) : 0;
}

static inline uint32_t record_cost_ms(const struct record *record, uint32_t traits)
{
    return traits & RECORD_COST ? record_u32(record, record_offset(traits, RECORD_COST)) : 0;
}

/* Where the note is; null if there is none. */
static inline uint32_t *record_note(const struct record *record, uint32_t traits)
{
    return traits & RECORD_NOTE ? (uint32_t *)(uintptr_t)(record->data + record_offset(traits, RECORD_NOTE))
                                : NULL;
}

/* What the record has as its version, or what follows from its place. */
uint64_t record_version(const struct arena *arena, const struct record *record);

/* The first version of a segment opened with this sequence: no record's, if no segment is. */
uint64_t record_version_first(uint64_t sequence);

/* A hash of a key as the index wants it; `seed` is the store's. */
uint64_t key_hash(uint64_t seed, nh_key key);

/* Sets the traits that the fields of `plan` ask for, beside those that are there (NEGATIVE, LARGE,
 * VERSION). */
void record_plan_traits(struct record_plan *plan, int64_t now_ms);

/* The plan that would write `record` again, with its value elsewhere; it points into the record. `hashes`
 * has room for NH_TAGS_MAX. */
struct record_plan record_plan_of(const struct arena *arena, const struct record *record, uint32_t *hashes);

/* Bytes that a record of `plan` takes, to the next one's beginning. */
size_t record_plan_bytes(const struct record_plan *plan);

/* Writes all but the value at `at`, in `segment`; returns where the value is to go. */
unsigned char *record_write(const struct record_plan *plan, void *at, const struct segment *segment);

/* True if the record could be given another expiry where it lies; it is then done. */
bool record_touch(struct record *record, struct segment *segment, int64_t now_ms, int64_t expires_at_ms);

/* Gives a large record, with its chain locked, another soft expiry; 0: none. */
void record_set_stale(struct record *record, int64_t stale_at_ms);

/* Marks a record that the index no longer points at. */
void record_kill(struct record *record);
