/* marks.h — whether what was read may still be given: the states of the connections it came through, the
 * epochs of slots, and how often a key of a slot was told to have changed. Any thread may look.
 *
 *   (1) A mark holds only while the generation and the epoch in it are the present ones: a lost connection
 *       and a slot that moves take all that was read with them, in one step.
 *   (2) Of a generation a mark has GENERATION_BITS. Before a source has had so many generations that these
 *       come again, all epochs have moved on at least once, so that no older mark holds.
 *   (3) An epoch that has come to its end stays there, and no mark is made of it.
 *   (4) Who is told of a change drops what is near, then counts it (told), then may find the connection
 *       coherent up to a later moment. Who looks goes the other way: told, what is near, the moment, told
 *       again. So nobody who was held up between gives what is gone because of news that came after it. */
#pragma once
#include "client/tier/tier.h"

enum { GENERATION_BITS = 19, GENERATION_MASK = (1 << GENERATION_BITS) - 1 };

struct slot_state {
    _Atomic uint32_t epoch; /* never 0 */
    _Atomic uint32_t told;
};

struct marks {
    struct source_state sources[VALKEY_SOURCES_MAX];
    struct slot_state slots[VALKEY_SLOT_COUNT];
    uint32_t epoch_generations[VALKEY_SOURCES_MAX]; /* (2): when all epochs moved on; each its worker's */
    int64_t max_staleness_ms;
};

/* `first_epoch` is that of every slot; random, so that nothing that an earlier process marked holds. */
struct marks *marks_create(int64_t max_staleness_ms, uint32_t first_epoch);
void marks_destroy(struct marks *marks);

static inline uint32_t marks_epoch(const struct marks *marks, uint16_t slot)
{
    return atomic_load_explicit(&marks->slots[slot].epoch, memory_order_acquire);
}

static inline uint32_t marks_told(const struct marks *marks, uint16_t slot)
{
    return atomic_load_explicit(&marks->slots[slot].told, memory_order_acquire);
}

/* By who has dropped what is near of a key in `slot`; see (4). */
static inline void marks_tell(struct marks *marks, uint16_t slot)
{
    atomic_fetch_add_explicit(&marks->slots[slot].told, 1, memory_order_release);
}

/* The mark of what came through source `index` in `generation`, in a slot whose epoch is `slot_epoch`;
 * zeroed by (3). */
struct tier_mark mark_make(uint32_t index, uint32_t generation, uint32_t slot_epoch);

/* Nothing of the slot, of all slots, holds any more. */
void marks_move_slot(struct marks *marks, uint16_t slot);
void marks_move_all(struct marks *marks);
/* The source may have begun another generation; see (2). On its worker's thread, now and then, and whenever
 * it is told of one. */
void marks_note_generation(struct marks *marks, uint32_t index);

/* How old the newest write is that a source may not have told of; INT64_MAX if it is in another generation
 * or nothing is known. The moment is read before the generation, which a new connection sets before. */
static inline int64_t marks_source_age_ms(const struct marks *marks, uint32_t source, int64_t now_ms)
{
    const struct source_state *state =
        &marks->sources[source >> GENERATION_BITS & (VALKEY_SOURCES_MAX - 1)];
    int64_t coherent_ms = atomic_load_explicit(&state->coherent_ms, memory_order_acquire);
    uint32_t generation = atomic_load_explicit(&state->generation, memory_order_acquire);

    if (coherent_ms == 0 || generation == 0 || ((generation ^ source) & GENERATION_MASK) != 0)
        return INT64_MAX;
    return now_ms > coherent_ms ? now_ms - coherent_ms : 0;
}

static inline bool marks_hold(const struct marks *marks, struct tier_mark mark, uint16_t slot,
                              int64_t now_ms)
{
    return marks_source_age_ms(marks, mark.source, now_ms) <= marks->max_staleness_ms &&
           mark.slot_epoch != 0 && mark.slot_epoch == marks_epoch(marks, slot);
}
