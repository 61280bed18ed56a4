/* found.h — what the store has for a request: an entry, parts of one, notes of earlier requests. Any
 * thread.
 */
#pragma once
#include "engine/gateway/policy/cache_key.h"
#include "engine/gateway/policy/request_facts.h"
#include "engine/gateway/policy/reuse.h"
#include "gateway_state.h"
#include "lend.h"

struct found {
    bool is_there;
    bool varies; /* the URL is known to have variants, whether this one is there or not */
    nh_value value;
    struct lender *lender; /* has the value, once a part of it was lent; else null */
    bool is_part;          /* the value is struct parts, and holds `part` of `whole_bytes` */
    struct http_range part;
    uint64_t whole_bytes;
    uint64_t part_offset; /* in the body */
    struct stored_response response;
};

void found_release(struct gateway *gateway, struct found *found);

/* Looks for the entry that answers the request; `key` becomes the key of it, there or not. */
void found_find(struct gateway *gateway, int64_t now_mono_ms, const struct http_request *request,
                struct cache_key *key, struct found *found);

/* Looks for parts of which one holds all that the request asks for. */
void found_find_part(struct gateway *gateway, struct now now, const struct http_request *request,
                     const struct cache_key *key, struct found *found);

/* What may be made of it, there or not. */
enum use found_use(const struct route *route, const struct request_facts *facts, const struct found *found,
                   int64_t now_mono_ms);

/* Whether it may be served, stale, after a failure of the origin. */
bool found_may_stand_in(enum failure failure, const struct route *route, const struct request_facts *facts,
                        const struct found *found, int64_t now_mono_ms);

/* What earlier requests for the URL of `key` have come to. False if there is no note. */
bool note_find(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key,
               struct stored_note *note);
