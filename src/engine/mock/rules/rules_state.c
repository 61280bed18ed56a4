#include "rules_state.h"
#include "base/hash.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Clients of one limit that are told apart: beyond it the one whose window ends first makes room. */
enum { LIMIT_SLOTS = 1024, LIMIT_PROBES = 16 };

struct limit_slot {
    uint64_t hash;
    int64_t ends_ms; /* of the window; 0: free */
    int64_t taken;
};

struct rule_state {
    _Atomic uint64_t asked, answered, counted;
};

struct rules_state {
    const struct rules *rules;
    uint64_t seed, hash_seed;
    struct rule_state *of_rules; /* and one more for what no rule is about */
    _Atomic uint64_t *counters;
    pthread_mutex_t lock; /* of the rest */
    size_t *scenarios;    /* states, by place */
    struct limit_slot **limits;
};

struct rules_state *rules_state_create(const struct rules *rules, uint64_t seed)
{
    struct rules_state *state = calloc(1, sizeof *state);

    if (state == NULL)
        return NULL;
    pthread_mutex_init(&state->lock, NULL);
    state->rules = rules;
    state->seed = seed;
    state->hash_seed = hash_seed_random();
    state->of_rules = calloc(rules->count + 1, sizeof *state->of_rules);
    state->counters = calloc(rules->counters.count + 1, sizeof *state->counters);
    state->scenarios = calloc(rules->scenario_count + 1, sizeof *state->scenarios);
    state->limits = calloc(rules->limit_count + 1, sizeof(struct limit_slot *));
    if (state->of_rules == NULL || state->counters == NULL || state->scenarios == NULL ||
        state->limits == NULL) {
        rules_state_destroy(state);
        return NULL;
    }
    return state;
}

void rules_state_destroy(struct rules_state *state)
{
    if (state == NULL)
        return;
    for (size_t i = 0; state->limits != NULL && i < state->rules->limit_count; i++)
        free(state->limits[i]);
    free(state->of_rules);
    free(state->counters);
    free(state->scenarios);
    free(state->limits);
    pthread_mutex_destroy(&state->lock);
    free(state);
}

static struct rule_state *of_rule(struct rules_state *state, int place)
{
    return &state->of_rules[place >= 0 ? (size_t)place : state->rules->count];
}

/* Whether the rule's scenario is in the state that it requires; moves it on if so. */
static bool scenario_allows(struct rules_state *state, const struct rule *rule)
{
    bool allows;

    if (rule->scenario < 0)
        return true;
    pthread_mutex_lock(&state->lock);
    allows = rule->state < 0 || state->scenarios[rule->scenario] == (size_t)rule->state;
    if (allows && rule->next >= 0)
        state->scenarios[rule->scenario] = (size_t)rule->next;
    pthread_mutex_unlock(&state->lock);
    return allows;
}

int rules_state_decide(struct rules_state *state, struct request_view *view, struct path_values *values)
{
    for (size_t i = 0; i < state->rules->count; i++) {
        const struct rule *rule = &state->rules->rules[i];
        if (matcher_holds(&rule->matcher, view, values) && scenario_allows(state, rule))
            return (int)i;
    }
    return -1;
}

struct random_source rules_state_random(struct rules_state *state, int place)
{
    return random_source_of(state->seed, (uint64_t)place + 1,
                            atomic_fetch_add(&of_rule(state, place)->asked, 1));
}

const struct rule_answer *rules_state_answer(struct rules_state *state, int place)
{
    const struct rule *rule = &state->rules->rules[place];
    uint64_t turn = atomic_fetch_add(&of_rule(state, place)->answered, 1);

    if (turn >= rule->answer_count)
        turn = rule->cycles ? turn % rule->answer_count : rule->answer_count - 1;
    return &rule->answers[turn];
}

uint64_t rules_state_count(struct rules_state *state, int place, size_t counter)
{
    _Atomic uint64_t *count =
        counter == 0 ? &of_rule(state, place)->counted : &state->counters[counter - 1];
    return atomic_fetch_add(count, 1) + 1;
}

/* The slot of `hash`, or the one to use for it. */
static struct limit_slot *find_slot(struct limit_slot *slots, uint64_t hash)
{
    struct limit_slot *oldest = NULL;

    for (size_t i = 0; i < LIMIT_PROBES; i++) {
        struct limit_slot *slot = &slots[(hash + i) % LIMIT_SLOTS];
        if (slot->ends_ms != 0 && slot->hash == hash)
            return slot;
        if (oldest == NULL || slot->ends_ms < oldest->ends_ms)
            oldest = slot;
    }
    *oldest = (struct limit_slot){.hash = hash};
    return oldest;
}

struct limit_standing rules_state_take(struct rules_state *state, const struct rate_limit *limit,
                                       const struct http_request *request, int64_t now_ms)
{
    struct limit_standing standing = {.left = limit->requests, .reset_s = limit->window_ms / 1000};
    const struct http_field *field =
        limit->by.size > 0 ? http_fields_find_name(&request->fields, limit->by) : NULL;
    uint64_t hash = hash_bytes(field != NULL ? field->value : (struct bytes){0}, state->hash_seed);
    struct limit_slot **slots = &state->limits[limit->place], *slot;

    pthread_mutex_lock(&state->lock);
    if (*slots == NULL)
        *slots = calloc(LIMIT_SLOTS, sizeof **slots);
    if (*slots != NULL) { /* without memory nobody is refused */
        slot = find_slot(*slots, hash);
        if (now_ms >= slot->ends_ms) {
            slot->ends_ms = now_ms + limit->window_ms;
            slot->taken = 0;
        }
        standing.is_over = slot->taken == limit->requests;
        if (!standing.is_over)
            slot->taken++;
        standing.left = limit->requests - slot->taken;
        standing.reset_s = (slot->ends_ms - now_ms + 999) / 1000;
    }
    pthread_mutex_unlock(&state->lock);
    return standing;
}

void rules_state_reset(struct rules_state *state)
{
    const struct rules *rules = state->rules;

    for (size_t i = 0; i <= rules->count; i++) {
        atomic_store(&state->of_rules[i].asked, 0);
        atomic_store(&state->of_rules[i].answered, 0);
        atomic_store(&state->of_rules[i].counted, 0);
    }
    for (size_t i = 0; i < rules->counters.count; i++)
        atomic_store(&state->counters[i], 0);
    pthread_mutex_lock(&state->lock);
    memset(state->scenarios, 0, (rules->scenario_count + 1) * sizeof *state->scenarios);
    for (size_t i = 0; i < rules->limit_count; i++)
        if (state->limits[i] != NULL)
            memset(state->limits[i], 0, LIMIT_SLOTS * sizeof **state->limits);
    pthread_mutex_unlock(&state->lock);
}

size_t rules_state_scenario(struct rules_state *state, size_t scenario)
{
    size_t current;

    pthread_mutex_lock(&state->lock);
    current = state->scenarios[scenario];
    pthread_mutex_unlock(&state->lock);
    return current;
}

bool rules_state_set_scenario(struct rules_state *state, struct bytes scenario, struct bytes name)
{
    for (size_t i = 0; i < state->rules->scenario_count; i++) {
        const struct scenario *found = &state->rules->scenarios[i];
        for (size_t j = 0; bytes_equal(found->name, scenario) && j < found->state_count; j++) {
            if (!bytes_equal(found->states[j], name))
                continue;
            pthread_mutex_lock(&state->lock);
            state->scenarios[i] = j;
            pthread_mutex_unlock(&state->lock);
            return true;
        }
    }
    return false;
}
