/* response_fields.h — which of a response's fields go where: to the client who asked, to all others and
 * into the store, or nowhere but into the store. Pure. */
#pragma once
#include "base/buffer.h"
#include "storable.h"

/* As "Name: value CRLF" lines, in the order they came. */
struct response_fields {
    struct buffer
        kept;             /* for everybody: without Age, which is ours to say of what is kept, without
                           * Set-Cookie unless the route keeps it, without what is said of limits (rate_fields.h), and
                           * without what private or no-cache name             (RFC 9111 §5.2.2.4, §5.2.2.7) */
    struct buffer hidden; /* what is meant for us: it goes no further, but the next 304 relies on it */
    struct buffer sent;   /* for the one who asked: byte for byte what the origin sent, but for `hidden` */
};

/* Whether it is for the one who asked alone: Set-Cookie unless the route keeps it, what private or no-cache
 * name, and what is said of limits, which was true when it was said. */
bool is_one_client_s(const struct http_field *field, const struct http_fields *fields,
                     const struct cache_directives *directives, const struct route_policy *policy);

/* What is the gateway's to obey and nobody's to see. */
bool is_for_gateway(const struct http_field *field);

/* Renders `fields`. `is_forwarded`: they are the origin's answer as it came, so that its Age is `sent`; not
 * so of a stored response that a 304 freshened. A response without Date gets that of `received` (RFC 9110
 * §6.6.1). Look at the buffers' `failed`. */
void response_fields_render(struct response_fields *rendered, const struct http_fields *fields,
                            const struct cache_directives *directives, const struct route_policy *policy,
                            struct now received, bool is_forwarded);
void response_fields_clear(struct response_fields *rendered);
void response_fields_fini(struct response_fields *rendered);

static inline bool response_fields_failed(const struct response_fields *rendered)
{
    return rendered->kept.failed || rendered->hidden.failed || rendered->sent.failed;
}
