/* purge_watch.h — what a fetch remembers from before its request left, to know whether a purge has come
 * between: by then what the origin answers may be as old as what was purged. */
#pragma once
#include "engine/gateway/policy/cache_tags.h"
#include "gateway_state.h"

struct purge_watch {
    uint64_t birth;        /* among purges by prefix: purge_rules_birth */
    uint64_t purge_number; /* among purges by tag: nh_purge_number */
    struct cache_tags tags;
};

void purge_watch_begin(struct purge_watch *watch, struct gateway *gateway);
void purge_watch_fini(struct purge_watch *watch);

/* The response's head has come, from the origin "http://host:port". */
void purge_watch_read(struct purge_watch *watch, const struct http_fields *fields, struct bytes origin);

/* It is a page of that set (page_set.h); 0: of none. After purge_watch_read. */
void purge_watch_add_page_set(struct purge_watch *watch, uint32_t page_set);

/* False if the response has more tags than can be kept of one: it is not to be stored. */
bool purge_watch_has_tags(const struct purge_watch *watch);

/* True if what answers `key` (which begins with its URL) must be neither stored nor shared: a purge has
 * touched it since the watch began, as far as is known yet; or its tags could not all be kept. */
bool purge_watch_forbids(const struct purge_watch *watch, struct gateway *gateway, struct bytes key);

/* Puts what answers `key` with its tags, unless a purge forbids it. While other puts are kept out: see
 * struct fetch_shard, (2). False if nothing was put. */
bool purge_watch_put(const struct purge_watch *watch, struct gateway *gateway, int64_t now_mono_ms,
                     struct bytes key, struct bytes value, int64_t ttl_ms);
