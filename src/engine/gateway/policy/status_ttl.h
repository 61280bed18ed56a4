/* status_ttl.h — how long answers are fresh by their status, whatever they say: the option status-ttl. An
 * item of the list is `404=30000` or `5xx=0`, in milliseconds. Pure. */
#pragma once
#include "route_policy.h"

/* What is wrong with the status or the class of an item, null if nothing is. */
const char *status_ttl_is_wrong(struct bytes item);

/* For an answer of `status`; the status itself comes before its class. -1: it is not said. */
int64_t status_ttl_ms(const struct route_policy *policy, int status);
