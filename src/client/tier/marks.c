#include "client/tier/marks.h"
#include <stdlib.h>

_Static_assert((VALKEY_SOURCES_MAX & (VALKEY_SOURCES_MAX - 1)) == 0, "an index is masked");
_Static_assert((uint64_t)VALKEY_SOURCES_MAX << GENERATION_BITS <= (uint64_t)1 << 31,
               "a mark's source leaves a bit to what is near");

/* (2): eight times more often than it must be, as a generation is not heard of at once. */
enum { GENERATIONS_OF_AN_EPOCH = 1 << (GENERATION_BITS - 3) };

struct marks *marks_create(int64_t max_staleness_ms, uint32_t first_epoch)
{
    struct marks *marks = aligned_alloc(_Alignof(struct marks), sizeof *marks);

    if (marks == NULL)
        return NULL;
    memset(marks, 0, sizeof *marks);
    marks->max_staleness_ms = max_staleness_ms;
    for (size_t i = 0; i < VALKEY_SLOT_COUNT; i++)
        atomic_init(&marks->slots[i].epoch, first_epoch);
    return marks;
}

void marks_destroy(struct marks *marks) { free(marks); }

struct tier_mark mark_make(uint32_t index, uint32_t generation, uint32_t slot_epoch)
{
    if (slot_epoch == UINT32_MAX || index >= VALKEY_SOURCES_MAX)
        return (struct tier_mark){0};
    return (struct tier_mark){
        .source = index << GENERATION_BITS | (generation & GENERATION_MASK),
        .slot_epoch = slot_epoch,
    };
}

void marks_move_slot(struct marks *marks, uint16_t slot)
{
    _Atomic uint32_t *epoch = &marks->slots[slot].epoch;
    uint32_t before = atomic_load_explicit(epoch, memory_order_relaxed);

    while (before != UINT32_MAX && !atomic_compare_exchange_weak(epoch, &before, before + 1))
        ;
}

void marks_move_all(struct marks *marks)
{
    for (uint32_t slot = 0; slot < VALKEY_SLOT_COUNT; slot++)
        marks_move_slot(marks, (uint16_t)slot);
}

void marks_note_generation(struct marks *marks, uint32_t index)
{
    uint32_t generation = marks->sources[index].last_generation;

    if (generation - marks->epoch_generations[index] < GENERATIONS_OF_AN_EPOCH)
        return;
    marks->epoch_generations[index] = generation;
    marks_move_all(marks);
}
