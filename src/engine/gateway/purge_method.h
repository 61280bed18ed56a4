/* purge_method.h — PURGE on the clients' own listener, where a route takes it: its URL is taken out of the
 * cache, with all its variants. Who asks must bear the administrator's token. */
#pragma once
#include "gateway_state.h"
#include "message/exchange.h"

/* True if it was a PURGE that the route takes: then it is answered, or will be once a shared tier has it.
 */
bool purge_method_takes(struct gateway_worker *worker, struct exchange *x);
