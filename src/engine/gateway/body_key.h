/* body_key.h — answers that depend on the request's body: QUERY, and POST where a route says that it only
 * asks (GraphQL). The key of such a request is below that of its URL, see generation_key.h, by a digest of
 * the method, the fields that say what the body is, and the body. */
#pragma once
#include "generation_key.h"

/* Fills in the digest. False if there is no memory. */
bool body_digest(const struct http_request *request, struct bytes body,
                 unsigned char digest[KEY_DIGEST_BYTES]);

/* Whether a body that came by POST may be a GraphQL mutation, which is no question: the word is in it, or
 * could be, behind a content coding or an escape of JSON. */
bool may_be_mutation(const struct http_request *request, struct bytes body);
