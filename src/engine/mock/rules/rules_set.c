#include "rules_set.h"
#include <stdlib.h>

struct rules_set *rules_set_create(struct rules *rules, uint64_t seed)
{
    struct rules_set *made = calloc(1, sizeof *made);

    if (made == NULL) {
        rules_fini(rules);
        *rules = (struct rules){0};
        return NULL;
    }
    made->holders = 1;
    made->rules = *rules;
    *rules = (struct rules){0};
    made->state = rules_state_create(&made->rules, seed);
    if (made->state != NULL)
        return made;
    rules_set_release(made);
    return NULL;
}

struct rules_set *rules_set_hold(struct rules_set *set)
{
    atomic_fetch_add_explicit(&set->holders, 1, memory_order_relaxed);
    return set;
}

void rules_set_release(struct rules_set *set)
{
    if (set == NULL || atomic_fetch_sub_explicit(&set->holders, 1, memory_order_acq_rel) > 1)
        return;
    rules_state_destroy(set->state);
    rules_fini(&set->rules);
    free(set);
}
