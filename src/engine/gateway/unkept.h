/* unkept.h — why an answer is not kept, and what can be done about it, for people. Pure. */
#pragma once
#include "engine/gateway/policy/route_policy.h"
#include "engine/gateway/policy/storable.h"

/* What of the answer itself keeps it from being stored, as the second half of "…, as it"; static. Null: it
 * would be, and if it is not, then this once. `body_bytes`: a number, or as in struct http_response. */
const char *why_unkept(const struct response_facts *response, const struct request_traits *request,
                       const struct route_policy *policy, int64_t body_bytes);

/* The same where that turns out as its body comes. */
extern const char UNKEPT_TOO_LARGE[];
