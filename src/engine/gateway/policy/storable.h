/* storable.h — may a response be stored, and may clients that waited share it (RFC 9111 §3)? Pure. */
#pragma once
#include "freshness.h"

struct route_policy; /* route.h */

/* What of a request decides whether its response may be anybody else's. */
struct request_traits {
    bool has_authorization;
    bool has_cookie; /* and the route does not say that cookies make no difference */
};

struct response_facts {
    int status;
    struct cache_directives directives;
    struct freshness freshness;
    bool sets_cookie;
    bool varies_on_all; /* Vary: *, or a Vary that is no list of names, or one of too many */
    bool has_validator; /* an ETag or a Last-Modified that can be read */
};

struct response_facts response_facts_of(int status, const struct http_fields *fields, struct now requested,
                                        struct now received, const struct route_policy *policy);
/* The same where the caller knows which directives count. */
struct response_facts response_facts_with(int status, const struct http_fields *fields,
                                          const struct cache_directives *directives, struct now requested,
                                          struct now received, const struct route_policy *policy);

/* RFC 9111 §3. Any final status will do whose freshness is explicit, but 206, 304, 407 and 416, which speak
 * of something else than the resource. Stricter than it has to be for the sake of origins that forget to
 * say "private": a response that sets a cookie, and one to a request with a cookie, must be marked public
 * or s-maxage, unless the route says otherwise. */
bool may_store(const struct response_facts *response, const struct request_traits *request,
               const struct route_policy *policy);

/* The answer to a POST may serve later GETs, being about the POST's own URL (RFC 9110 §9.3.3): which is the
 * caller's to find out. */
bool may_store_post(const struct response_facts *response, const struct request_traits *request,
                    const struct route_policy *policy);

/* Whoever it is given to, the resource is another one by now than an older response says, which must stand
 * in for nothing any more: even if this one may not be stored. Not so of a failure, or of what is about the
 * request alone. */
bool outdates_others(int status);

/* May be reused now for others than the one who asked: stored and fresh. */
bool may_share(const struct response_facts *response, const struct request_traits *request,
               const struct route_policy *policy);

/* May be told to others than the one who asked, whether or not it can be stored. */
bool may_tell_all(const struct response_facts *response, const struct request_traits *request,
                  const struct route_policy *policy);

/* An origin's 5xx: not stored, but given to those who wait already, so that a failing origin is not asked
 * once for each of them. Not if it is marked as somebody's. */
bool may_share_failure(const struct response_facts *response, const struct request_traits *request);

/* A request with credentials may be answered from it (RFC 9111 §3.5). */
bool permits_authorized(const struct cache_directives *directives);

/* Nobody may have it stale without a validation, not even who asks for it (RFC 9111 §4.2.4). */
bool forbids_stale(const struct cache_directives *directives);

/* How long it may be served after its freshness ended: RFC 9111 §4.2.4 and RFC 5861. -1: it does not say;
 * 0: never. s-maxage forbids what the response does not itself allow, as proxy-revalidate would. */
int64_t stale_if_error_ms_of(const struct cache_directives *directives);
int64_t stale_while_revalidate_ms_of(const struct cache_directives *directives);
