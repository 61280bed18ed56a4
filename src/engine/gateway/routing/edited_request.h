/* edited_request.h — a client's request as the upstream of its route is to see it: its path rewritten, its
 * fields set and removed. All that a cache does, from the key on, it does with this one. Pure. */
#pragma once
#include "route.h"

/* Room for one at a time; zeroed to begin with. */
struct edited_request {
    struct http_request request;
    struct bytes request_id; /* the maker's: replaces the client's; empty: none does */
    struct buffer path;
    struct http_field *fields;
    size_t capacity;
};

/* Whether the route changes requests at all. */
bool route_edits_requests(const struct route *route);

/* Fills in `edited->request`, which is good as long as `request`, the route and `edited` stay as they are.
 * False if there is no memory. */
bool edited_request_make(struct edited_request *edited, const struct route *route,
                         const struct http_request *request);
void edited_request_fini(struct edited_request *edited);

/* A copy of a request in one piece of memory, to be freed; null if there is none. */
struct http_request *http_request_copy(const struct http_request *request);
