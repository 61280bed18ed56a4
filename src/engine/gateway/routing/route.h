/* route.h — which requests a route takes, how they are dealt with, and where they go. Part of a plan, and
 * as immutable. */
#pragma once
#include "engine/gateway/policy/cache_key.h"
#include "engine/gateway/policy/route_policy.h"
#include "field_edit.h"
#include "path_rewrite.h"
#include "route_match.h"
#include "upstream.h"
#include <stdatomic.h>

/* What a route shows its upstream, and no client. */
struct credential_spec {
    char *header; /* the field it is sent in; null: there is none */
    char *source; /* where the value comes from, such as "env TOKEN": keeps answers apart without being the
                     secret */
    char *value;
};

/* A route as it is asked for; the texts are the asker's. */
struct route_spec {
    struct match_spec match;
    char *upstream; /* its name; null: the one without a name */
    struct rewrite_spec rewrite;
    struct field_edit_spec request_fields, response_fields;
    struct credential_spec credential;
    struct route_policy policy;
};

/* What has come of a route's conditional requests: any thread. */
struct route_counts {
    _Atomic uint64_t revalidations, not_modified;
};

struct route {
    struct route_plan *plan; /* it is part of: see plan.h */
    struct route_policy policy;
    struct route_match match;
    struct rewrite_spec rewrite_texts;
    struct path_rewrite rewrite;
    bool rewrites_path;
    struct field_edit request_fields, response_fields;
    struct http_field credential; /* a value of size 0: none; never said to anybody but the upstream */
    struct buffer key_prefix;     /* of all of its keys: see route_key */
    struct route_counts *counts;  /* its own */
    struct upstream *upstream;    /* the plan's; null: no route at all took the request */
};

/* Makes the route that `spec` asks for, to `upstream`. ERR_SYNTAX: a pattern or a rewriting that is none;
 * ERR_NO_MEMORY. After an error, too, fini is due. */
enum err route_init(struct route *route, const struct route_spec *spec, struct upstream *upstream);
void route_fini(struct route *route);

/* The key of what `request`, edited if the route does that, is answered with: of the upstream's URL, and of
 * what this route adds to requests, which origins rarely say in Vary; of the client's Host, where that is
 * passed on. False if it would be too long: such requests are not cached. */
bool route_key(const struct route *route, const struct http_request *request, struct cache_key *key);

/* The Host to send; empty: that of whichever origin is asked. */
struct bytes route_host(const struct route *route, const struct http_request *request);
