/* body_key.h — answers that depend on the request's body: QUERY, and POST where a route says that it only
 * asks (GraphQL). Such a request's key is that of its URL and a digest of what it says:
 *
 *   URL "\n?" generation digest
 *
 * The generation is kept beside the URL, under "\n?" alone: with it all that was stored for the URL by body
 * is forgotten. The digest (SHA-256) is of the method, the fields that say what the body is, and the body.
 */
#pragma once
#include "engine/gateway/policy/cache_key.h"
#include "gateway_state.h"

enum { BODY_DIGEST_BYTES = 32 };

/* Fills in the digest. False if there is no memory. */
bool body_digest(const struct http_request *request, struct bytes body,
                 unsigned char digest[BODY_DIGEST_BYTES]);

/* Whether a body that came by POST may be a GraphQL mutation, which is no question: the word is in it, or
 * could be, behind a content coding or an escape of JSON. */
bool may_be_mutation(const struct http_request *request, struct bytes body);

/* Makes `key`, that of the URL, the primary key of the request whose digest it is. */
void body_key(struct gateway *gateway, int64_t now_mono_ms, struct cache_key *key,
              const unsigned char digest[BODY_DIGEST_BYTES]);

/* Forgets what is stored for the URL of `key` by body. */
void body_keys_forget(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key);
