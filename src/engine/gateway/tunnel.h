/* tunnel.h — clients that change to another protocol, such as WebSocket (RFC 9110 §7.8, RFC 6455).
 *
 *   client ◄── exchange ──► tunnel ◄── origin call ──► origin
 *
 * The request goes to the origin with its Upgrade; if the origin says 101, the bytes that follow go both
 * ways as they come, neither side faster than the other takes them, until one ends or nothing has passed
 * for a while. Any other answer is passed on as it is and never stored. A client that has said its last
 * word is still sent what comes, if the origin can be told so (not with TLS).
 *
 * Until its answer's head is there it is a request like others, to which the upstream's limits apply: it
 * waits for its turn as long as they do. */
#pragma once
#include "gateway_state.h"

/* Whether `request`, which has an Upgrade, is to be forwarded with it. Not for protocols that would let a
 * client speak HTTP past the routes, such as h2c, nor for TLS: then it is an ordinary request. Pure. */
bool tunnel_is_asked_for(const struct route_policy *policy, const struct http_request *request);

/* Takes the exchange over; `request` is as the upstream is to see it, and needed only during the call. */
void tunnel_begin(struct gateway_worker *worker, const struct route *route,
                  const struct http_request *request, struct exchange *x);
