/* flight_parts.h — what the files behind flight.h share: a read under way. */
#pragma once
#include "client/tier/tier_inner.h"

enum { TTL_MISSING = -2 }; /* as PTTL says */

struct tier_flight {
    struct hash_node in_table;
    struct tier_worker *worker;
    struct list readers; /* of tier_read.in_flight */
    struct valkey_call ttl_call, value_call;
    struct timer early_timer; /* for readers whose deadline comes before the calls' */
    uint64_t hash;
    uint32_t head_bytes; /* 0: the whole value */
    uint16_t slot;
    bool is_tracked; /* else nothing of it may be kept, and PTTL is not asked */
    bool is_kept;    /* into the store */
    bool asks_whole; /* of a head: the whole value, to tell an empty one from none */
    bool in_the_air, ttl_is_out, ttl_has_come, ttl_is_known;
    bool is_poisoned;
    int64_t deadline_ms;
    uint64_t asked_us; /* round_trips_clock_us */
    /* As they were when it was asked. */
    uint32_t slot_epoch, own_writes;
    /* What PTTL has told, and who. */
    int64_t ttl_ms, ttl_sent_ms;
    const struct source *ttl_source;
    uint32_t ttl_generation;
    nh_key key; /* its bytes are below */
    char key_bytes[];
};

static inline struct bytes flight_key(const struct tier_flight *flight)
{
    return bytes_of(flight->key.data, flight->key.size);
}

static inline void flight_count(struct tier_worker *worker, enum metric metric)
{
    counters_add(worker->counters, metric, 1);
}

/* ---- flight_found.c ---------------------------------------------------------------------------------- */

/* What the reply to GET or GETRANGE says. ERR_SYNTAX with an answer that is OK: no server says that. */
struct tier_found flight_found(const struct tier_flight *flight, const struct valkey_answer *answer);
/* GETRANGE says of a missing key what it says of an empty value. */
bool flight_is_ambiguous(const struct tier_flight *flight, const struct tier_found *found);
/* Fills in until when it holds and its mark, and puts it near, if it may be kept. In the order of the wire:
 * nothing that came behind the reply has been looked at. */
void flight_keep(struct tier_flight *flight, const struct valkey_answer *answer, struct tier_found *found);
/* Through what a watch of this answer is told; zeroed if nothing would tell it. */
struct tier_mark flight_watch_mark(const struct tier_flight *flight, const struct valkey_answer *answer);
