/* rules_state.h — what changes while rules are at work, shared by the workers: how often each was asked,
 * where its answers stand, counters, scenarios, rate limits. Any thread may call any function. */
#pragma once
#include "base/now.h"
#include "rules.h"

struct rules_state; /* opaque: rules_state.c */

/* `rules` is kept by reference. Null without memory. */
struct rules_state *rules_state_create(const struct rules *rules, uint64_t seed);
void rules_state_destroy(struct rules_state *state);

/* The first rule that the request matches and whose scenario allows it, which moves on; -1: none.
 * `values` gets what stands in the path for its names. */
int rules_state_decide(struct rules_state *state, struct request_view *view, struct path_values *values);

/* The random numbers of the next request to the rule at `place`, or of no rule (-1): they depend on the
 * seed and on how many came before alone. */
struct random_source rules_state_random(struct rules_state *state, int place);

/* The rule's answer whose turn it is. */
const struct rule_answer *rules_state_answer(struct rules_state *state, int place);

/* Moves a counter on: of the rule at `place` if `counter` is 0, else a named one. Returns 1 at first. */
uint64_t rules_state_count(struct rules_state *state, int place, size_t counter);

/* How a request stands with a rate limit. */
struct limit_standing {
    bool is_over;
    int64_t left;    /* requests in this window */
    int64_t reset_s; /* until the window ends; at least 1 */
};
struct limit_standing rules_state_take(struct rules_state *state, const struct rate_limit *limit,
                                       const struct http_request *request, int64_t now_ms);

/* All begins anew, random numbers included: as right after the start. */
void rules_state_reset(struct rules_state *state);

/* The scenario's state, by place in its names. Set gives false for a scenario or state that is not there.
 */
size_t rules_state_scenario(struct rules_state *state, size_t scenario);
bool rules_state_set_scenario(struct rules_state *state, struct bytes scenario, struct bytes name);
