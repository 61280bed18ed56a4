/* fleet_key.h — under which keys of the shared tier the fleet keeps the answers to a URL. Pure.
 *
 *   nh:{U}:w      what is there of the URL: see witness.h
 *   nh:{U}:a      the answer: see fleet_value.h
 *   nh:{U}:l      the lease of who fetches it
 *   nh:{U}:s      the names of all keys of the URL, so that one script takes them out
 *   nh:{U}:w:V    and so on: of one variant
 *   nh:{U}:c:N:i  piece i of the body number N
 *   nh:{T}:t      whose turn it is to ask for something, T being a digest of that
 *
 * U is 64 bits of a digest of the URL's primary key, in hexadecimal, and the hash tag: all keys of a URL
 * lie in one slot. V is 128 bits of a digest of the whole key of the variant. Digests may meet: an answer
 * names its whole key, and who reads it compares. */
#pragma once
#include "base/bytes.h"
#include <stdint.h>

struct fleet_id {
    uint64_t url;
    uint64_t variant[2]; /* both 0: not of a variant */
};

enum { FLEET_KEY_BYTES_MAX = 96 };

struct fleet_key {
    size_t size;
    char text[FLEET_KEY_BYTES_MAX];
};

#define FLEET_WITNESS 'w'
#define FLEET_ANSWER  'a'
#define FLEET_LEASE   'l'
#define FLEET_NAMES   's'
#define FLEET_TURN    't'

/* What `key` is known by, whose first `primary_size` bytes are the URL's. False if it stays at its node:
 * what it says is below a URL (a digest of fields or of a body). */
bool fleet_id_of(struct fleet_id *id, struct bytes key, size_t primary_size);

/* Of something that nodes take turns in. False if there is no memory. */
bool fleet_id_of_turn(struct fleet_id *id, struct bytes name);

static inline bool fleet_id_is_of_variant(const struct fleet_id *id)
{
    return (id->variant[0] | id->variant[1]) != 0;
}
static inline bool fleet_id_equal(const struct fleet_id *a, const struct fleet_id *b)
{
    return a->url == b->url && a->variant[0] == b->variant[0] && a->variant[1] == b->variant[1];
}
/* That of the URL whose variant `id` is of. */
static inline struct fleet_id fleet_id_of_url(const struct fleet_id *id)
{
    return (struct fleet_id){.url = id->url};
}

/* The generation that a variant's key has behind its URL: see cache_key.h. 0: it has none. */
uint64_t fleet_generation_of(struct bytes key, size_t primary_size);

/* `kind` is one of the letters above; of NAMES there is one a URL. */
void fleet_key_write(struct fleet_key *key, const struct fleet_id *id, char kind);
void fleet_key_write_chunk(struct fleet_key *key, const struct fleet_id *id, uint64_t number,
                           uint32_t index);

static inline struct bytes fleet_key_bytes(const struct fleet_key *key)
{
    return bytes_of(key->text, key->size);
}
