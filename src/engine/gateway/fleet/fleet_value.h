/* fleet_value.h — an answer as the fleet keeps it on the shared tier. Pure.
 *
 *   magic and version | checksum of what follows | numbers | key | fields | hidden fields | reason | piece
 *
 * Numbers are little-endian, so that nodes of any machine share. A body of more than FLEET_PIECE_BYTES lies
 * in pieces of that size under keys of their own, else its one piece is here. A piece is coded with zstd if
 * that makes it smaller.
 *
 * No moment is in it, as clocks of machines differ: an answer says how old it was when it was put, and for
 * how long; how much of that is left the tier knows.
 *
 * Who decodes trusts nothing: each bound is checked, each field has to be one, none that frames a message
 * is let through. */
#pragma once
#include "base/buffer.h"
#include <stdint.h>

enum {
    FLEET_PIECE_BYTES = 256 * 1024,
    FLEET_BODY_BYTES_MAX = 16 * 1024 * 1024, /* what is larger stays at its node */
    FLEET_TEXT_BYTES_MAX = 1024 * 1024,      /* of key, fields, hidden fields and reason together */
};

struct fleet_answer {
    uint64_t number;    /* random, never 0: no other answer has it */
    uint64_t birth;     /* the number of the last purge that was known when it was asked for: fleet_log.h */
    int status;         /* 200 to 599 */
    unsigned flags;     /* enum stored_flags, as far as they are kept */
    int64_t resided_ms; /* how long it had been at the node that put it */
    int64_t keep_ms;    /* for how long it was put */
    int64_t initial_age_ms, lifetime_ms;
    int64_t stale_if_error_ms, stale_while_revalidate_ms; /* -1: the response does not say */
    uint64_t asker;                                       /* as in struct stored_response */
    struct bytes key;                                     /* the whole key, a variant's with all of it */
    struct bytes fields, hidden;                          /* as in struct stored_response */
    struct bytes reason;                                  /* likewise */
    uint64_t body_bytes;
    struct bytes piece; /* coded: of a body of one piece */
};

static inline uint32_t fleet_piece_count(uint64_t body_bytes)
{
    return (uint32_t)((body_bytes + FLEET_PIECE_BYTES - 1) / FLEET_PIECE_BYTES);
}
/* Whether all of the body is with the answer. */
static inline bool fleet_is_in_one(uint64_t body_bytes) { return body_bytes <= FLEET_PIECE_BYTES; }

/* Appends it. Look at `failed`. */
void fleet_answer_encode(struct buffer *value, const struct fleet_answer *answer);

/* Changes what an encoded answer says of when it was put: what takes long has become older meanwhile. */
void fleet_answer_set_times(struct buffer *value, int64_t resided_ms, int64_t keep_ms);

/* False if it is none of this version, or broken, or holds what no answer can. Points into `value`. */
bool fleet_answer_decode(struct bytes value, struct fleet_answer *answer);

/* Appends `bytes`, of a body, as a piece. `is_worth_coding`: they are not coded already. */
void fleet_piece_encode(struct buffer *piece, struct bytes bytes, bool is_worth_coding);

/* Appends to `body` the `byte_count` bytes, at most FLEET_PIECE_BYTES, that the piece stands for. False if
 * it stands for others, is broken, or there is no memory: `body` is as before. */
bool fleet_piece_decode(struct buffer *body, struct bytes piece, uint64_t byte_count);
