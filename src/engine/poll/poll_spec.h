/* poll_spec.h — what the operator wants to be kept warm: a URL, or one with a place in it and what goes
 * there, and how often. Pure. */
#pragma once
#include "base/buffer.h"
#include "engine/gateway/routing/route_match.h"

/* Texts are their owner's. */
struct poll_spec {
    char *url;   /* "/path?query" as a client asks for it, or "http://host/path" where routes go by host */
    char **over; /* what takes the place of "{…}" in it, one resource each; none: it is one */
    size_t over_count;
    int64_t interval_ms_min, interval_ms_max; /* the same: always that */
    struct field_spec *fields;                /* that go with each request, such as Accept */
    size_t field_count;
};

enum { POLL_RESOURCES_MAX = 10000 }; /* of a gateway; of one spec, too */

/* Says what is wrong, such as "has no place …", or null. `*item` is then the one of `over` that it is
 * about, or over_count for none of them. Of the intervals it says nothing. */
const char *poll_spec_is_wrong(const struct poll_spec *spec, size_t *item);

/* How many resources it is of. */
size_t poll_spec_count(const struct poll_spec *spec);

/* A GET's target. */
struct poll_target {
    struct buffer
        text; /* authority, path and query, one behind the other: no two resources have the same */
    struct bytes authority, path, query;
    bool has_query;
};

/* Of the resource at `index`; fini is due in any case. False if there is no memory, or, of a spec that is
 * wrong, it is none. */
bool poll_target_init(struct poll_target *target, const struct poll_spec *spec, size_t index);
void poll_target_fini(struct poll_target *target);
