/* schema_check_state.h — what the files of schema_check share: one check under way. */
#pragma once
#include "schema_check.h"

/* A value's place in the instance, as a chain of stack frames up to the root. */
struct at {
    const struct at *parent;
    const char *name; /* null: an item */
    size_t index;
};

struct check {
    struct violations *violations; /* null: nobody wants to know */
    enum schema_direction direction;
    const char *in, *prefix;
    int depth;
    uint32_t steps; /* that have been taken */
    bool gave_up;
};

/* `seen`, if not null, is an object whose names are the members, or the decimal indexes of the items, that
 * have been evaluated (2020-12 §11); successful checks add to it. */
bool check_schema(struct check *check, const struct schema *schema, const json_t *value,
                  const struct at *at, json_t *seen);
bool check_object(struct check *check, const struct schema *schema, const json_t *object,
                  const struct at *at, json_t *seen);
bool check_array(struct check *check, const struct schema *schema, const json_t *array, const struct at *at,
                 json_t *seen);
bool check_unevaluated(struct check *check, const struct schema *schema, const json_t *value,
                       const struct at *at, json_t *seen);

/* Says what is wrong at `at`; returns false. */
bool check_violated(struct check *check, const struct at *at, const char *format, ...) PRINTF_LIKE(3, 4);

/* Whether there is work left to do: false, for good, once the bound is reached. */
bool check_may_go_on(struct check *check, const struct at *at, uint32_t steps);

/* Whether `pattern` is found; a match that is given up is a violation of its own, and reported here. */
bool check_matches(struct check *check, const struct pattern *pattern, struct bytes text,
                   const struct at *at);

void check_see(json_t *seen, const char *name);
void check_see_index(json_t *seen, size_t index);
