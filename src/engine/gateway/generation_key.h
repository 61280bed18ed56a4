/* generation_key.h — keys below that of a URL, for what the URL alone does not say: the request's body, or
 * header fields and cookies.
 *
 *   URL "\n" sign generation digest
 *
 * The generation is kept beside the URL, under "\n" sign alone: with it all that was stored below is
 * forgotten, whatever it is. The digest is SHA-256. */
#pragma once
#include "engine/gateway/policy/cache_key.h"
#include "gateway_state.h"

enum { KEY_DIGEST_BYTES = 32 };

#define KEY_SIGN_BODY      '?'
#define KEY_SIGN_SELECTION '$'

enum key_use {
    KEY_TO_LOOK,  /* writes nothing: where there is no generation yet, nothing is under the key */
    KEY_TO_STORE, /* sees that there is one, so that what is stored is found */
};

/* Makes `key` the primary key of what has `digest` below it. */
void generation_key(struct gateway *gateway, int64_t now_mono_ms, enum key_use use, struct cache_key *key,
                    char sign, const unsigned char digest[KEY_DIGEST_BYTES]);

/* Forgets all that is stored below `key`. */
void generation_keys_forget(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key);
