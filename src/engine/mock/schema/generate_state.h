/* generate_state.h — what the files of generate share: one value under way. */
#pragma once
#include "generate.h"

enum {
    WANTED_MAX = 64,
    GENERATE_SOFT_DEPTH = 5,    /* from here on only what must be there is made */
    GENERATE_DEPTH_MAX = 40,    /* and here it is given up */
    GENERATE_SOFT_NODES = 2000, /* the same, for how many values have been made */
    GENERATE_NODES_MAX = 20000,
};

struct generator {
    struct random_source random;
    enum schema_direction direction;
    bool uses_examples;
    enum { TAKES_ALL, TAKES_REQUIRED, TAKES_SOME } takes; /* which of the members that may be there */
    int depth;
    size_t attempt; /* how often it has been tried before */
    size_t node_count;
};

/* All the schemas that one value has to fit, with those that they refer to and the branches that were
 * chosen. */
struct wanted {
    const struct schema *list[WANTED_MAX];
    size_t count;
    const char *forced_name, *forced_value; /* a member that a discriminator settles; or null */
    const char *pointer;                    /* of the first */
};

/* Adds `schema` and what follows from it. False if there are too many. */
bool wanted_add(struct generator *generator, struct wanted *wanted, const struct schema *schema);

/* A value that fits all of `wanted`, as far as this can see; null if there is none. */
json_t *make_value(struct generator *generator, struct wanted *wanted);

json_t *make_object(struct generator *generator, struct wanted *wanted);
json_t *make_array(struct generator *generator, const struct wanted *wanted);
json_t *make_string(struct generator *generator, const struct wanted *wanted);
json_t *make_number(struct generator *generator, const struct wanted *wanted, unsigned kinds);

/* Whether there should be no more than must be. */
static inline bool is_late(const struct generator *generator)
{
    return generator->depth >= GENERATE_SOFT_DEPTH || generator->node_count >= GENERATE_SOFT_NODES;
}
