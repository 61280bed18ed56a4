/* asker.h — who a request is from, as far as its upstream tells those who ask apart. Pure. */
#pragma once
#include "engine/gateway/quota/quota.h"
#include "route.h"

/* Fills in whose `ticket` is, for a request to `path` by `route` with these fields: the credential that the
 * route shows, else the client's Authorization or X-API-Key; hashed, so that it is kept nowhere else. */
void asker_of(const struct route *route, struct bytes path, const struct http_fields *fields, uint64_t seed,
              struct quota_ticket *ticket);
