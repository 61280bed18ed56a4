/* compose.h — composed routes: one JSON document made of several answers of the gateway's.
 *
 * It stands in front of the gateway's engine, and passes on all requests but those whose path is that of a
 * composition of the gateway's plan. Its parts are inquiries, all at once: each goes by a route of the
 * gateway, through the cache, as a client's request does. It is asked by inquiries itself where a composed
 * answer is watched: what these say of confirmation goes for each part. */
#pragma once
#include "base/counters.h"
#include "base/err.h"
#include "engine/gateway/gateway.h"

struct compose_worker; /* opaque: compose.c */

/* The part of the worker that has `gateway`, which it is destroyed before; before the loop runs or on its
 * thread. ERR_NO_MEMORY. */
enum err compose_worker_create(struct gateway_worker *gateway, struct loop *loop, struct counters *counters,
                               struct compose_worker **worker);

/* After the loop has ended; no exchange may be alive. */
void compose_worker_destroy(struct compose_worker *worker);

/* `begin` takes a struct compose_worker. */
extern const struct exchange_engine compose_engine;
