/* rules_set.h — the rules that are in force, with what has become of them; shared by the workers, and by
 * all that began with them: others may take their place meanwhile. Any thread. */
#pragma once
#include "rules_state.h"
#include <stdatomic.h>

/* Whoever got one holds it until rules_set_release. */
struct rules_set {
    _Atomic uint32_t holders;
    struct rules rules;
    struct rules_state *state;
};

/* A set with one holder, the caller; null without memory. `rules` is taken over in either case: the
 * caller's struct is empty afterwards. */
struct rules_set *rules_set_create(struct rules *rules, uint64_t seed);

struct rules_set *rules_set_hold(struct rules_set *set);
void rules_set_release(struct rules_set *set); /* also of null */
