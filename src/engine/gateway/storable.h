/* storable.h — may a response be stored, and may clients that waited share it (RFC 9111 §3)? Pure. */
#pragma once
#include "freshness.h"

/* What of a request decides whether its response may be anybody else's. */
struct request_traits {
    bool has_authorization;
    bool has_cookie;
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
                                        struct now received);

/* RFC 9111 §3. Stricter than it has to be in three ways, for the sake of origins that forget to say
 * "private": a response that sets a cookie, and one to a request with a cookie, must be marked public or
 * s-maxage; and without explicit freshness a response is stored only to be revalidated. */
bool may_store(const struct response_facts *response, const struct request_traits *request);

/* May be reused now for others than the one who asked: stored and fresh. */
bool may_share(const struct response_facts *response, const struct request_traits *request);

/* An origin's 5xx: not stored, but given to those who wait already, so that a failing origin is not asked
 * once for each of them. Not if it is marked as somebody's. */
bool may_share_failure(const struct response_facts *response, const struct request_traits *request);

/* A request with credentials may be answered from it (RFC 9111 §3.5). */
bool permits_authorized(const struct cache_directives *directives);

/* How long it may be served after its freshness ended: RFC 9111 §4.2.4 and RFC 5861. -1: it does not say;
 * 0: never. s-maxage forbids what the response does not itself allow, as proxy-revalidate would. */
int64_t stale_if_error_ms_of(const struct cache_directives *directives);
int64_t stale_while_revalidate_ms_of(const struct cache_directives *directives);
