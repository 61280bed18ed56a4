/* store_words.h — what the tests of the store share: a small store, keys, values, and what is expected. */
#pragma once
#include "base/compiler.h"
#include "nuthatch.h"
#include "test.h"
#include <stdio.h>
#include <stdlib.h>

#define NOW ((int64_t)1000000)
#define MIB ((uint64_t)1 << 20)
#define KIB ((uint64_t)1 << 10)

static inline nh_store *make_store(uint64_t memory_bytes)
{
    nh_options options = {.size = sizeof options, .memory_bytes = memory_bytes, .hash_seed = 7};
    nh_store *store = NULL;
    EXPECT_EQ(nh_create(&options, &store), NH_OK);
    return store;
}

static inline nh_store *make_store_of_values(uint64_t memory_bytes, uint64_t value_bytes_max)
{
    nh_options options = {.size = sizeof options,
                          .memory_bytes = memory_bytes,
                          .value_bytes_max = value_bytes_max,
                          .hash_seed = 7};
    nh_store *store = NULL;
    EXPECT_EQ(nh_create(&options, &store), NH_OK);
    return store;
}

static inline nh_key key_of(const char *text) { return (nh_key){text, strlen(text), 0}; }

static inline nh_key key_in(uint32_t space, const char *text)
{
    return (nh_key){text, strlen(text), space};
}

/* A numbered key; the text stays in `text`. */
static inline nh_key key_number(char text[32], unsigned number)
{
    return (nh_key){text, (size_t)snprintf(text, 32, "key-%08u", number), 0};
}

static inline nh_key key_number_in(uint32_t space, char text[32], unsigned number)
{
    nh_key key = key_number(text, number);
    key.space = space;
    return key;
}

static inline nh_bytes value_of(const char *text) { return (nh_bytes){text, strlen(text)}; }

static inline nh_result put_text(nh_store *store, const char *key, const char *value)
{
    return nh_put(store, NOW, key_of(key), value_of(value), NULL, NULL);
}

static inline struct bytes lent(const nh_value *value)
{
    return bytes_of(value->bytes.data, value->bytes.size);
}

static inline void expect_text(nh_store *store, int64_t now_ms, nh_key key, const char *wanted)
{
    nh_value value;
    EXPECT_EQ(nh_borrow(store, now_ms, key, &value), NH_OK);
    EXPECT_TEXT(lent(&value), bytes_of_text(wanted));
    EXPECT_EQ(value.size, value.bytes.size);
    nh_release(store, &value);
}

static inline void expect_missing(nh_store *store, int64_t now_ms, nh_key key)
{
    nh_value value;
    EXPECT_EQ(nh_borrow(store, now_ms, key, &value), NH_MISSING);
}

static inline bool is_there(nh_store *store, int64_t now_ms, nh_key key)
{
    nh_result result = nh_get(store, now_ms, key, NULL, 0, NULL);
    EXPECT(result == NH_OK || result == NH_MISSING);
    return result == NH_OK;
}

static inline nh_stats stats_of(nh_store *store)
{
    nh_stats stats = {.size = sizeof stats};
    EXPECT_EQ(nh_stats_read(store, &stats), NH_OK);
    return stats;
}

/* Nothing is lent, and the limit holds. */
static inline void expect_nothing_lent(nh_store *store)
{
    nh_stats stats = stats_of(store);
    EXPECT_EQ(stats.pinned_bytes, 0);
    EXPECT_EQ(stats.borrowed_copied_bytes, 0);
    EXPECT(stats.memory_bytes <= stats.memory_bytes_max);
}

/* Sweeps the whole store, again until nothing more is freed; returns how many were. */
static inline size_t sweep_all(nh_store *store, int64_t now_ms)
{
    size_t freed = 0, now_freed;
    unsigned idle = 0;
    for (unsigned round = 0; round < 64 && idle < 2; round++) {
        now_freed = nh_sweep(store, now_ms, SIZE_MAX);
        idle = now_freed == 0 ? idle + 1 : 0;
        freed += now_freed;
    }
    return freed;
}

/* Byte number `offset` of the value called `seed`: no two places and no two seeds look alike. */
static inline char pattern_byte(uint64_t offset, uint64_t seed)
{
    uint64_t mixed = (offset + seed * 0x9e3779b9u + 1) * 0x9e3779b97f4a7c15u;
    return (char)(mixed >> 56);
}

static inline void pattern_fill(char *bytes, size_t size, uint64_t offset, uint64_t seed)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = pattern_byte(offset + i, seed);
}

static inline bool is_pattern(const char *bytes, size_t size, uint64_t offset, uint64_t seed)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != pattern_byte(offset + i, seed))
            return false;
    return true;
}

/* The lent value is `size` bytes of the pattern, by its pieces, from whatever offset one asks. */
static inline void expect_pattern(nh_store *store, const nh_value *value, uint64_t size, uint64_t seed)
{
    uint64_t offset = 0;
    nh_bytes piece;

    EXPECT_EQ(value->size, size);
    EXPECT(value->bytes.size <= size);
    EXPECT(size == 0 || value->bytes.size > 0);
    EXPECT(is_pattern(value->bytes.data, value->bytes.size, 0, seed));
    while (offset < size) {
        EXPECT_EQ(nh_value_piece(store, value, offset, &piece), NH_OK);
        EXPECT(piece.size > 0);
        EXPECT(piece.size <= size - offset);
        EXPECT(is_pattern(piece.data, piece.size, offset, seed));
        if (piece.size > 2) { /* and from within the piece */
            nh_bytes rest;
            uint64_t middle = piece.size / 2;
            EXPECT_EQ(nh_value_piece(store, value, offset + middle, &rest), NH_OK);
            EXPECT_EQ(rest.size, piece.size - middle);
            EXPECT(rest.data == (const char *)piece.data + middle);
        }
        offset += piece.size;
    }
    EXPECT_EQ(nh_value_piece(store, value, size, &piece), NH_MISSING);
}
