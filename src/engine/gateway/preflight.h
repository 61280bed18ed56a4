/* preflight.h — a browser's question whether a page of another origin may ask (CORS), answered without the
 * origin. */
#pragma once
#include "gateway_state.h"
#include "message/exchange.h"

/* Answers if it is such a question, and about a request whose route says what pages may. */
bool preflight_takes(struct gateway_worker *worker, struct exchange *x);

/* The same where it is known already which route the request would take: one that pages are told of. */
bool preflight_takes_for(struct gateway_worker *worker, const struct route *route, struct exchange *x);
