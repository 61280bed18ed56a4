/* write.h — one change of one key, from begin to end:
 *
 *     begin ──► room ──► lock ──► judge ──► link ──► end
 *       ▲         │no               │ more room, or a spare bucket, is wanted
 *       │         ▼                 ▼
 *       │        end             unlock ──► room …
 *
 * begin takes a stripe; room is made with no chain locked; between lock and unlock nobody else changes the
 * key, and what `old` points at stays. */
#pragma once
#include "store/large.h"
#include "store/stripe.h"

struct write {
    nh_store *store;
    int64_t now_ms;
    nh_key key;
    uint64_t hash;
    struct stripe *stripe;
    enum queue queue; /* where a new record goes */
    unsigned uses;    /* that it has from the beginning */
    bool keeps_lease; /* the value stays the same */
    struct tail *tail;
    _Atomic uint32_t *inside; /* the epoch */
    struct bucket *head;      /* the locked chain, or null */
    struct place place;       /* of the key in it; a null bucket: nowhere */
    struct record *old;       /* what is there, dead or alive; null: nothing */
    enum fate old_fate;
    bool is_there;    /* old is alive, and not negative */
    uint32_t retired; /* a large value that the index no longer points at; SEGMENT_NONE */
    uint64_t retired_sequence;
};

void write_begin(struct write *write, nh_store *store, int64_t now_ms, nh_key key);
void write_end(struct write *write);

/* Sees that a record of `bytes` will fit, and the index too. NH_OK, NH_FULL. */
nh_result write_room(struct write *write, int64_t expires_at_ms, size_t bytes);
/* Sees that the index will have room. */
nh_result write_index_room(struct write *write);

void write_lock(struct write *write);
/* write_index_room, then write_lock; again, if the index wanted more room after all. NH_OK; NH_FULL, and
 * nothing is locked. */
nh_result write_lock_with_index_room(struct write *write);
void write_unlock(struct write *write);

/* The place for the record that room was made for, and the segment it is in. */
void *write_at(const struct write *write);
struct segment *write_segment(const struct write *write);

/* Points the index at a record that is written: one at write_at, or a large one. `is_observed`: its version
 * is told. False if the index wants more room. */
bool write_link(struct write *write, struct record *record, bool is_observed);

/* Takes the old record out of the index. It counts as deleted, unless it was dead by itself. */
void write_unlink(struct write *write);

/* Writes a record by `plan` at write_at, with `first` and then `second` as its value. Nothing points at it
 * yet, and write_link is what keeps its place. */
struct record *write_inline(struct write *write, const struct record_plan *plan, struct bytes first,
                            struct bytes second);

/* Lends the old value, which is there. NH_OK, NH_FULL, NH_NO_MEMORY. */
nh_result write_lend_old(struct write *write, nh_value *value);

/* Counts the write if the store refused it; returns `result`. */
nh_result write_refused(nh_store *store, nh_result result);
