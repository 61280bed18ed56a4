/* reference.h — which of an upstream's resources a Location or Content-Location means (RFC 3986 §5.2, RFC
 * 9110 §8.7 and §10.2.2). Pure. */
#pragma once
#include "base/buffer.h"

/* What a reference leads to, in memory of its own: as in struct http_request. */
struct reference {
    struct buffer text;
    struct bytes path, query; /* in `text` */
    bool has_query;
};

/* Resolves `text`, which an origin says about its resource at `path`. True if it is a resource of the same
 * origin below `base_url` ("http://host:port/base", no slash at its end), with `reference` filled in:
 * `path` there and here begin where the base ends. False if it is elsewhere, or is none that a client could
 * ask us for, or there is no memory. Fini is due in any case. */
bool reference_resolve(struct reference *reference, struct bytes base_url, struct bytes path,
                       struct bytes text);
void reference_fini(struct reference *reference);
