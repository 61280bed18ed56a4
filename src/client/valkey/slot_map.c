/* slot_map.c — believing. */
#include "client/valkey/slot_map.h"

enum {
    DOUBTS_IF_ALL_AGREE = 1, /* after which two servers or more that say the same are believed */
    DOUBTS_MAX = 3,          /* after which anybody is */
};

struct claim {
    uint16_t owner;
    uint32_t epoch;
    size_t count; /* of those that make it */
};

void slot_map_init(struct slot_map *map)
{
    *map = (struct slot_map){0};
    for (size_t slot = 0; slot < VALKEY_SLOT_COUNT; slot++)
        map->owner[slot] = MAP_NOBODY;
}

bool slot_map_move(struct slot_map *map, uint16_t slot, uint16_t server)
{
    if (map->owner[slot] == server)
        return false;
    map->owner[slot] = server;
    map->was_moved[slot] = true;
    map->doubts[slot] = 0;
    return true;
}

static struct claim claim_of(const struct map_answer *answer, size_t slot)
{
    uint16_t number = answer->node_of_slot[slot];

    if (number == MAP_NOBODY)
        return (struct claim){.owner = MAP_NOBODY};
    return (struct claim){.owner = answer->nodes[number].server, .epoch = answer->nodes[number].epoch};
}

/* The claim with the highest epoch; of those with the same what most say, then what is thought already. */
static struct claim best_claim(const struct slot_map *map, size_t slot, const struct map_answer *answers,
                               size_t answer_count)
{
    struct claim best = {.owner = MAP_NOBODY};

    for (size_t i = 0; i < answer_count; i++) {
        struct claim claim = claim_of(&answers[i], slot);
        bool is_better;
        for (size_t k = 0; k < answer_count; k++)
            claim.count += claim_of(&answers[k], slot).owner == claim.owner;
        if (claim.epoch != best.epoch)
            is_better = claim.epoch > best.epoch;
        else if (claim.count != best.count)
            is_better = claim.count > best.count;
        else
            is_better = claim.owner == map->owner[slot];
        if (best.count == 0 || is_better)
            best = claim;
    }
    return best;
}

static bool is_believed(const struct slot_map *map, size_t slot, struct claim claim, size_t answer_count)
{
    if (map->owner[slot] == MAP_NOBODY || claim.epoch > map->epoch[slot])
        return true;
    if (claim.epoch == map->epoch[slot] && !map->was_moved[slot])
        return true;
    if (answer_count >= 2 && claim.count == answer_count && map->doubts[slot] >= DOUBTS_IF_ALL_AGREE)
        return true;
    return map->doubts[slot] >= DOUBTS_MAX;
}

void slot_map_merge(struct slot_map *map, const struct map_answer *answers, size_t answer_count,
                    void (*changed)(void *context, uint16_t slot, uint16_t owner_before), void *context)
{
    for (size_t slot = 0; slot < VALKEY_SLOT_COUNT; slot++) {
        struct claim claim = best_claim(map, slot, answers, answer_count);
        uint16_t before = map->owner[slot];

        if (claim.owner != before && !is_believed(map, slot, claim, answer_count)) {
            map->doubts[slot]++;
            continue;
        }
        /* Who is behind and says the same takes nothing back. */
        if (claim.owner != before || claim.epoch > map->epoch[slot])
            map->epoch[slot] = claim.epoch;
        map->owner[slot] = claim.owner;
        map->doubts[slot] = 0;
        map->was_moved[slot] = false;
        if (claim.owner != before)
            changed(context, (uint16_t)slot, before);
    }
}
