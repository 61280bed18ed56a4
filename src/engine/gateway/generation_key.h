/* generation_key.h — keys below that of a URL, for what the URL alone does not say: the request's body, or
 * header fields and cookies.
 *
 *   URL "\n" sign generation digest
 *
 * The generation is kept beside the URL, under "\n" sign alone: with it all that was stored below is
 * forgotten, whatever it is. Until something is stored below it is kept on trial, for as long as an answer
 * may take, so that answers that are not stored leave nothing for long. The digest is SHA-256. */
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

/* Makes `key` the primary key of what has `digest` below it. `trial_ms`: how long until an answer must have
 * come, if the use is to store it. */
void generation_key(struct gateway *gateway, int64_t now_mono_ms, enum key_use use, int64_t trial_ms,
                    struct cache_key *key, char sign, const unsigned char digest[KEY_DIGEST_BYTES]);

/* Something is to be stored under the primary key `key`, of whatever kind: ends the trial of the
 * generations that it has in it. */
void generations_keep(struct gateway *gateway, int64_t now_mono_ms, struct bytes key);

/* Forgets all that is stored below `key`. */
void generation_keys_forget(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key);
