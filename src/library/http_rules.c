#include "http_rules.h"

static const int64_t CREDIBLE_MS_MAX = (int64_t)1 << 56;

static int64_t within(int64_t number, int64_t most)
{
    return number > most ? most : number < -most ? -most : number;
}

int64_t credible_ms(int64_t said_ms) { return within(said_ms, CREDIBLE_MS_MAX); }
int64_t credible_seconds(int64_t said_seconds) { return within(said_seconds, CREDIBLE_MS_MAX / 1000); }

/* The caller's struct may be shorter than ours. */
static nh_http_rules rules_copy(const nh_http_rules *rules)
{
    nh_http_rules copy = {.size = sizeof copy};

    if (rules != NULL)
        memcpy(&copy, rules, rules->size < sizeof copy ? rules->size : sizeof copy);
    return copy;
}

struct route_policy policy_of_rules(const nh_http_rules *rules)
{
    nh_http_rules said = rules_copy(rules);

    return (struct route_policy){
        .heuristic_ms_max = credible_ms(said.heuristic_ms_max),
        .default_ttl_ms = credible_ms(said.default_ttl_ms),
        .negative_ttl_ms = credible_ms(said.negative_ttl_ms),
        .stale_if_error_ms = credible_ms(said.stale_if_error_ms),
        .stale_if_unreachable_ms = credible_ms(said.stale_if_unreachable_ms),
        .stale_while_revalidate_ms = credible_ms(said.stale_while_revalidate_ms),
        .stores_set_cookie = said.stores_set_cookie != 0 || said.is_private != 0,
        .ignores_cookies = said.ignores_cookies != 0 || said.is_private != 0,
        .honours_immutable = said.honours_immutable != 0,
    };
}

bool rules_are_private(const nh_http_rules *rules) { return rules_copy(rules).is_private != 0; }
bool rules_forward_all(const nh_http_rules *rules) { return rules_copy(rules).forwards_all != 0; }

void ask_of_facts(const struct request_facts *facts, nh_http_ask *ask)
{
    ask->is_cacheable = facts->plan == PLAN_CACHE && facts->is_method_cached;
    ask->flags = (facts->traits.has_authorization ? NH_HTTP_ASK_AUTHORIZATION : 0u) |
                 (facts->traits.has_cookie ? NH_HTTP_ASK_COOKIE : 0u) |
                 (facts->has_condition ? NH_HTTP_ASK_CONDITION : 0u) |
                 (facts->has_range ? NH_HTTP_ASK_RANGE : 0u) |
                 (facts->wants_validation ? NH_HTTP_ASK_VALIDATION : 0u) |
                 (facts->is_only_if_cached ? NH_HTTP_ASK_ONLY_IF_CACHED : 0u);
    ask->max_age_seconds = facts->max_age_seconds;
    ask->min_fresh_seconds = facts->min_fresh_seconds;
    ask->max_stale_seconds = facts->max_stale_seconds;
    ask->stale_if_error_seconds = facts->stale_if_error_seconds;
}

struct request_facts facts_of_ask(const nh_http_rules *rules, const nh_http_ask *ask)
{
    bool is_private = rules_are_private(rules); /* then credentials are those of the one user */

    return (struct request_facts){
        .plan = ask->is_cacheable ? PLAN_CACHE : PLAN_PASS,
        .traits = {.has_authorization = (ask->flags & NH_HTTP_ASK_AUTHORIZATION) != 0 && !is_private,
                   .has_cookie = (ask->flags & NH_HTTP_ASK_COOKIE) != 0 && !is_private},
        .has_condition = (ask->flags & NH_HTTP_ASK_CONDITION) != 0,
        .has_range = (ask->flags & NH_HTTP_ASK_RANGE) != 0,
        .wants_validation = (ask->flags & NH_HTTP_ASK_VALIDATION) != 0,
        .is_only_if_cached = (ask->flags & NH_HTTP_ASK_ONLY_IF_CACHED) != 0,
        .max_age_seconds = credible_seconds(ask->max_age_seconds),
        .min_fresh_seconds = credible_seconds(ask->min_fresh_seconds),
        .max_stale_seconds = credible_seconds(ask->max_stale_seconds),
        .stale_if_error_seconds = credible_seconds(ask->stale_if_error_seconds),
    };
}

struct stored_response stored_of_kept(const nh_http_kept *kept)
{
    return (struct stored_response){
        .status = kept->status,
        .flags = ((kept->flags & NH_HTTP_KEPT_NO_CACHE) ? STORED_NO_CACHE : 0u) |
                 ((kept->flags & NH_HTTP_KEPT_FOR_AUTHORIZED) ? STORED_PERMITS_AUTHORIZED : 0u) |
                 ((kept->flags & NH_HTTP_KEPT_FORBIDS_STALE) ? STORED_FORBIDS_STALE : 0u) |
                 ((kept->flags & NH_HTTP_KEPT_IMMUTABLE) ? STORED_IMMUTABLE : 0u),
        .received_mono_ms = credible_ms(kept->received_mono_ms),
        .initial_age_ms = credible_ms(kept->initial_age_ms),
        .lifetime_ms = credible_ms(kept->lifetime_ms),
        .stale_if_error_ms = credible_ms(kept->stale_if_error_ms),
        .stale_while_revalidate_ms = credible_ms(kept->stale_while_revalidate_ms),
    };
}
