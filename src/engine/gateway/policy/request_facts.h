/* request_facts.h — what a client's request means to a cache, found out once. Pure. */
#pragma once
#include "storable.h"

enum plan {
    PLAN_CACHE,  /* may be answered from the store, and its answer may be stored */
    PLAN_PASS,   /* goes to the origin, and its answer is for this client alone */
    PLAN_ANSWER, /* is answered here: with `status` */
};

struct request_facts {
    enum plan plan;
    int status;         /* of ANSWER */
    const char *detail; /* why, in a token; null if there is nothing to say */
    struct request_traits traits;
    bool is_method_cached; /* GET or HEAD */
    bool
        is_body_keyed; /* the answer may be kept for the same body: it is to be read before anything else */
    bool has_condition;    /* If-None-Match or If-Modified-Since */
    bool has_range;        /* a GET with Range */
    bool has_upgrade;      /* Upgrade: see tunnel.h */
    bool wants_validation; /* no-cache, max-age=0, Pragma */
    bool is_only_if_cached;
    bool wants_confirmation; /* an inquiry: see inquiry_terms.h */
    int64_t confirmed_within_ms;
    bool fresh_will_do;
    int64_t max_age_seconds; /* -1: any */
    int64_t min_fresh_seconds;
    int64_t max_stale_seconds;      /* 0: what is stale will not do */
    int64_t stale_if_error_seconds; /* RFC 5861 §4: what is stale by less will do if the origin fails */
};

struct request_facts request_facts_of(const struct http_request *request,
                                      const struct route_policy *policy);
