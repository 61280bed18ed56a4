/* respond_stored.h — an entry of the store is sent to a client. */
#pragma once
#include "found.h"
#include "respond.h"

/* Answers from an entry. True if the body, or what `outgoing` says of it, is to follow. `outgoing` may be
 * null for a request without a range. */
bool respond_stored(struct gateway *gateway, const struct route *route, struct exchange *x, struct now now,
                    const struct request_facts *facts, const struct found *found,
                    struct cache_status *status, struct outgoing *outgoing);

/* Sends `size` bytes of an entry's body from `offset` on. */
void send_stored(struct gateway *gateway, struct exchange *x, struct found *found, uint64_t offset,
                 uint64_t size);
