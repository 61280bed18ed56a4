/* map_index.h — the nodes of an answer, found by what names them: so that one who sends a long answer costs
 * no more than reading it. Pure. */
#pragma once
#include "client/valkey/map_answer.h"

/* Room for twice as many nodes as an answer may have. A power of two. */
enum { MAP_INDEX_PLACES = 2 * MAP_NODES_MAX };

struct map_index {
    uint16_t *places; /* numbers of nodes, or MAP_NOBODY */
    uint64_t seed;    /* of its own, so that nobody can choose names that meet */
    uint64_t look_count;
};

/* Whether the node that a search has come to is the one that is meant. */
typedef bool map_index_test(const struct map_node *node, const struct map_node *wanted);

/* False: there is no memory. */
bool map_index_init(struct map_index *index);
void map_index_fini(struct map_index *index);

/* The number of the first of `nodes` that is named `name` and `is_it`; MAP_NOBODY: there is none, and
 * `*place` is where map_index_add puts it. */
uint16_t map_index_find(struct map_index *index, struct bytes name, const struct map_node *nodes,
                        const struct map_node *wanted, map_index_test *is_it, uint32_t *place);
void map_index_add(struct map_index *index, uint32_t place, uint16_t number);
