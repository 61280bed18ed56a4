#include "lookup_key.h"
#include "engine/gateway/policy/key_rule.h"
#include "search_alias.h"
#include <openssl/evp.h>

int64_t route_trial_ms(const struct route_policy *policy)
{
    enum { OVERHEAD_MS = 30000 }; /* to be sent on, and to be asked for again */
    return policy->first_byte_timeout_ms + OVERHEAD_MS;
}

/* By a digest, so that a saved store has no cookie in its keys. */
static bool select_below(struct gateway *gateway, const struct route *route, int64_t now_mono_ms,
                         enum key_use use, const struct http_request *request, struct cache_key *key)
{
    unsigned char digest[KEY_DIGEST_BYTES];
    char text[CACHE_KEY_BYTES_MAX];
    size_t size;

    if (!key_selection(&route->policy, &request->fields, text, sizeof text, &size) ||
        EVP_Digest(text, size, digest, NULL, EVP_sha256(), NULL) != 1)
        return false;
    generation_key(gateway, now_mono_ms, use, route_trial_ms(&route->policy), key, KEY_SIGN_SELECTION,
                   digest);
    return true;
}

static bool select_if_asked(struct gateway *gateway, const struct route *route, int64_t now_mono_ms,
                            enum key_use use, const struct http_request *request, struct cache_key *key)
{
    return !key_selects(&route->policy) || select_below(gateway, route, now_mono_ms, use, request, key);
}

bool lookup_key(struct gateway *gateway, const struct route *route, int64_t now_mono_ms, enum key_use use,
                const struct http_request *request, struct cache_key *key)
{
    return route_key(route, request, key) &&
           select_if_asked(gateway, route, now_mono_ms, use, request, key);
}

static void copy_url(struct cache_key *to, const struct cache_key *from)
{
    memcpy(to->text, from->text, from->primary_size);
    to->primary_size = to->size = from->primary_size;
}

bool lookup_key_elsewhere(struct gateway *gateway, const struct route *route, int64_t now_mono_ms,
                          const struct http_request *request, struct cache_key *key,
                          struct cache_key *wanted, struct cache_key *stored)
{
    if (!route_key(route, request, wanted))
        return false;
    copy_url(stored, wanted);
    if (!search_alias_follow(gateway, now_mono_ms, stored))
        return false;
    copy_url(key, stored);
    return select_if_asked(gateway, route, now_mono_ms, KEY_TO_LOOK, request, key);
}
