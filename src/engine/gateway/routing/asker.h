/* asker.h — who a request is from, as far as its upstream tells those who ask apart. Pure. */
#pragma once
#include "engine/gateway/quota/quota.h"
#include "route.h"

/* The credential that a request by `route` with these fields shows: the route's, else the client's
 * Authorization and X-API-Key. A part of its SHA-256, so that it is kept nowhere else, and all nodes of a
 * fleet mean the same. 0: none. */
uint64_t asker_identity(const struct route *route, const struct http_fields *fields);

/* Fills in whose `ticket` is, for a request to `path` by `route` with these fields. */
void asker_of(const struct route *route, struct bytes path, const struct http_fields *fields, uint64_t seed,
              struct quota_ticket *ticket);
