/* cors.h — what is said to browsers whose page is of another origin (CORS, the Fetch standard §3.2), where
 * a route's options say so: cors-origins, cors-methods, cors-headers, cors-expose, cors-credentials,
 * cors-max-age. Pure. */
#pragma once
#include "base/buffer.h"
#include "route_policy.h"

/* What is wrong with an item of cors-origins, null if nothing is: an origin as browsers write it, one with
 * `*.` for all names below, or `*` for all. */
const char *cors_origin_is_wrong(struct bytes item);

static inline bool cors_is_on(const struct route_policy *policy) { return policy->cors_origins != NULL; }

/* What is wrong with a route's options as a whole, null if nothing is. */
const char *cors_is_wrong(const struct route_policy *policy);

/* Whether `*` is among the items of a list. */
bool cors_has_all(const char *list);

/* Whether a page of this origin is among those that the route lets read its answers. */
bool cors_allows(const struct route_policy *policy, struct bytes origin);

/* Whether what the route answers may be told to who asks with `request` by a WebSocket, to which browsers
 * let any page connect, cookies and all (RFC 6455 §10.2): no browser, a page of the request's own host, or
 * one that cors-origins has; where cookies are a part of the key, that only with cors-credentials. */
bool cors_allows_socket(const struct route_policy *policy, const struct http_request *request);

/* Whether a browser asks if a page may ask. `*method` is then what the page would like to use. */
bool cors_is_preflight(const struct http_request *request, struct bytes *method);

/* Whether a field of an answer is left out, because the route says what is said of that: Access-Control-….
 */
bool cors_drops(struct bytes name);

/* Appends the field lines for the answer to `request`; `is_preflight`: to that question. */
void cors_append(const struct route_policy *policy, const struct http_request *request, bool is_preflight,
                 struct buffer *lines);
