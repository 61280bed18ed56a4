/* saved.h — the file that nh_save leaves, as it lies on disk. Numbers are of this machine's byte order,
 * which the head tells.
 *
 *     head │ block, block, … each: its head │ records: head, tag hashes, key, value │ …
 *
 * A value that is larger than a block is in a block of its own. Every block has a checksum, and the head
 * has one, written last. */
#pragma once
#include <stdint.h>

enum {
    SAVED_FORMAT = 1,
    SAVED_BLOCK_BYTES = 1 << 20, /* about */
    SAVED_BYTE_ORDER = 0x01020304,
};
#define SAVED_MAGIC "nuthatch store\n"

struct saved_head {
    char magic[16];
    uint32_t format, byte_order;
    int64_t now_ms, wall_ms; /* when it was saved, by both clocks */
    uint64_t tags_seed;
    uint64_t sequence; /* of the last segment: versions go on from there */
    uint64_t block_count, record_count, file_bytes;
    uint64_t checksum; /* of what stands before it */
};

struct saved_block {
    uint64_t bytes; /* that follow */
    uint64_t record_count;
    uint64_t checksum; /* of them, keyed with the block's number */
};

enum saved_trait { SAVED_EXPIRES = 1, SAVED_STALE = 2, SAVED_NEGATIVE = 4, SAVED_TRAITS = 7 };

struct saved_record {
    uint64_t value_bytes;
    int64_t expires_at_ms, stale_at_ms; /* on the clock of the head's now_ms */
    uint32_t flags, cost_ms;
    uint32_t space, key_bytes;
    uint8_t traits, tag_count, queue, uses;
    uint32_t note; /* 0: none */
};
