/* access_log.h — which exchanges have a line in the access log. */
#pragma once
#include "gateway_state.h"

/* Has `x` write its line when it is over, if there is a log and the route's sample takes it. */
void access_log_begin(struct gateway_worker *worker, const struct route *route, struct exchange *x);
