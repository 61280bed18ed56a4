/* slot_map.h — which server has which slot, as far as is known, and what to believe of what is told. Pure.
 *
 * Servers are numbers here. Of several answers that with the highest config epoch is right, slot by slot,
 * as among the cluster's own nodes; and one that is behind what is known already, or contradicts what a
 * redirection has just taught, is not believed the first time: not before two say so twice, or the same
 * is told again and again. So one stale node cannot rewrite the map, and what is wrong does not stay. */
#pragma once
#include "client/valkey/map_answer.h"

struct slot_map {
    uint16_t owner[VALKEY_SLOT_COUNT]; /* MAP_NOBODY: none that is known */
    uint32_t epoch[VALKEY_SLOT_COUNT];
    uint8_t doubts[VALKEY_SLOT_COUNT]; /* answers in a row that were not believed */
    bool was_moved[VALKEY_SLOT_COUNT]; /* by a redirection, and no answer has confirmed it */
};

void slot_map_init(struct slot_map *map);

/* A redirection has said that `server` has `slot`. True if that is news. */
bool slot_map_move(struct slot_map *map, uint16_t slot, uint16_t server);

/* Takes in answers of one round (at least one), whose nodes have their server's numbers. `changed` is told
 * of each slot that has another owner than before; map->owner[slot] is the new one by then. */
void slot_map_merge(struct slot_map *map, const struct map_answer *answers, size_t answer_count,
                    void (*changed)(void *context, uint16_t slot, uint16_t owner_before), void *context);
