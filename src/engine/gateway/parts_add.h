/* parts_add.h — a part that has come is put beside those that are kept of the same representation, or in
 * their place (RFC 9111 §3.4). Any worker's thread. What is kept is copied each time: a body in many small
 * parts costs as many copies of what is there, of object_bytes_max at most. */
#pragma once
#include "engine/gateway/policy/cache_key.h"
#include "gateway_state.h"
#include "purge_watch.h"

struct arrived_part {
    const struct response_facts *facts; /* of a 206 */
    struct now received;
    struct bytes fields, hidden; /* rendered; what is sent, and what is for the gateway alone */
    struct bytes vary_names, vary_values;
    struct bytes body;
    struct bytes origin; /* "http://host:port" */
    bool is_bare; /* it answers a request with If-Range, and so may lack fields: no use but beside others */
    uint64_t asker;                    /* as of asker_identity */
    const struct route_policy *policy; /* its object_bytes_max is of the parts together */
};

enum parts_added {
    PARTS_UNUSABLE, /* not a part, not all of it, or no memory */
    PARTS_KEPT,     /* `value` is to be put under `key` for `*keep_ms` */
    PARTS_WHOLE,    /* nothing is missing any more: `value` is a stored_response of status 200 */
};

/* `key` is where the URL's parts are (cache_key_part). The caller finishes `value`, which begins empty.
 * What `watch` knows of the arrived part's tags becomes what it is to know of all of them. */
enum parts_added parts_add(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key,
                           const struct arrived_part *arrived, struct purge_watch *watch,
                           struct buffer *value, int64_t *keep_ms);
