/* http_rules.h — what nuthatch_http.h's callers say, as the gateway's policy has it. Pure. */
#pragma once
#include "engine/gateway/policy/request_facts.h"
#include "engine/gateway/policy/route_policy.h"
#include "engine/gateway/policy/stored_response.h"
#include "nuthatch_http.h"

/* A time as a caller says it, which may be anything; within bounds that no sum of several leaves, 2^56 ms,
 * which are two million years. Seconds are a thousandth of that. */
int64_t credible_ms(int64_t said_ms);
int64_t credible_seconds(int64_t said_seconds);

/* What a route of the gateway would be told. `rules` may be null: all is strict. It has no lists: nothing
 * is to be freed. */
struct route_policy policy_of_rules(const nh_http_rules *rules);
bool rules_are_private(const nh_http_rules *rules);
bool rules_forward_all(const nh_http_rules *rules);

/* What was read of a request, and back. */
void ask_of_facts(const struct request_facts *facts, nh_http_ask *ask);
struct request_facts facts_of_ask(const nh_http_rules *rules, const nh_http_ask *ask);

/* What is kept, without any fields. */
struct stored_response stored_of_kept(const nh_http_kept *kept);
