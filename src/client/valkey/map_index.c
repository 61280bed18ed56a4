#include "client/valkey/map_index.h"
#include "base/hash.h"
#include <stdlib.h>

_Static_assert((MAP_INDEX_PLACES & (MAP_INDEX_PLACES - 1)) == 0, "a place is masked");

bool map_index_init(struct map_index *index)
{
    *index = (struct map_index){.places = malloc(MAP_INDEX_PLACES * sizeof *index->places),
                                .seed = hash_seed_random()};
    if (index->places == NULL)
        return false;
    for (size_t i = 0; i < MAP_INDEX_PLACES; i++)
        index->places[i] = MAP_NOBODY;
    return true;
}

void map_index_fini(struct map_index *index)
{
    free(index->places);
    index->places = NULL;
}

uint16_t map_index_find(struct map_index *index, struct bytes name, const struct map_node *nodes,
                        const struct map_node *wanted, map_index_test *is_it, uint32_t *place)
{
    *place = (uint32_t)hash_bytes(name, index->seed) & (MAP_INDEX_PLACES - 1);
    for (;; *place = (*place + 1) & (MAP_INDEX_PLACES - 1)) { /* some are free: half of them at least */
        uint16_t number = index->places[*place];
        if (number == MAP_NOBODY)
            return MAP_NOBODY;
        index->look_count++;
        if (is_it(&nodes[number], wanted))
            return number;
    }
}

void map_index_add(struct map_index *index, uint32_t place, uint16_t number)
{
    index->places[place] = number;
}
