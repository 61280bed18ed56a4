/* write_scope.h — what a write has changed besides its target, as the answer tells (RFC 9111 §4.4). Any
 * worker's thread. */
#pragma once
#include "engine/gateway/policy/cache_key.h"
#include "gateway_state.h"

struct write_scope {
    struct gateway *gateway;
    const struct route *route;
    int64_t now_mono_ms;
    struct bytes authority; /* by which the client knows us; may be empty */
    struct bytes path;      /* of the target, as the origin was asked for it */
    struct bytes target;    /* the target's primary key */
};

/* Invalidates what Location and Content-Location name, by the URL that the origin has or by the one that
 * the client knows, but the target itself. True if Content-Location names the target: the answer is then
 * its new state (RFC 9110 §8.7). */
bool invalidate_named(const struct write_scope *scope, const struct http_fields *fields);

/* Invalidates what other routes keep of the resource that `route` keeps under `key`, the answer to
 * `request` as the upstream sees it: they add something else to their requests, or have other keys. */
void invalidate_siblings(struct gateway *gateway, const struct route *route, int64_t now_mono_ms,
                         const struct http_request *request, const struct cache_key *key);
