/* coded_exchange.h — stands between an exchange and its connection, and codes the answer on its way out.
 *
 *   engine ──respond, send, end──► coded exchange ──► connection
 *
 * What is made of a stored body is put into the store, once: one exchange has the lease for it, and others
 * send the body as it is until it is there. Bodies are coded a piece per turn of the loop, so that a large
 * one holds up nobody, and no more than a bounded number at once on a worker. */
#pragma once
#include "gateway_state.h"

/* Steps between, before the exchange's engine answers; it goes away with the exchange. Without memory the
 * answer is sent as it is. */
void coded_exchange_begin(struct gateway_worker *worker, const struct route *route, struct exchange *x);

/* After the loop has ended: frees those whose tasks will not run any more. */
void coded_exchanges_destroy(struct gateway_worker *worker);
