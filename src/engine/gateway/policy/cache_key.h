/* cache_key.h — under which key a response is stored (RFC 9111 §2): the origin's URL with the path and
 * query exactly as they are sent to it, not a byte changed; then, for a variant, the values of the fields
 * that Vary names. Pure.
 *
 *   primary    "http://host:port/path?query"     a response, or the marker of variants
 *   variant    primary "\n" generation values    one variant; see stored_response.h
 *   marker     primary "\n!"                     what is known of fetches of it, for some seconds
 *   parts      primary "\n%"                     what is kept of it where only parts were asked for
 *   place      primary "\n#" number              which variant has it; see variants.h
 *   validators "\n&" body asker                  validators of another credential; see validators.h
 *
 * A '\n' cannot come from a client: target_is_plain is asked first. */
#pragma once
#include "base/bytes.h"
#include "message/http.h"
#include "nuthatch.h"

enum { CACHE_KEY_PRIMARY_MAX = 4096, CACHE_KEY_BYTES_MAX = 8192 };

struct cache_key {
    size_t primary_size;
    size_t size; /* of the whole key; primary_size if it is no variant's */
    char text[CACHE_KEY_BYTES_MAX];
};

/* Fills in the primary key. False if it would be too long: such requests are not cached. */
bool cache_key_init(struct cache_key *key, struct bytes base_url, const struct http_request *request);

/* Makes it the key of the variant that `fields` ask for; `names` are a struct vary's. False if too long:
 * the key is then the primary one. */
bool cache_key_vary(struct cache_key *key, uint64_t generation, struct bytes names,
                    const struct http_fields *fields);

/* Makes it the primary key's marker, or that of its parts, or the primary key again. */
void cache_key_mark(struct cache_key *key);
void cache_key_part(struct cache_key *key);
static inline void cache_key_unmark(struct cache_key *key) { key->size = key->primary_size; }

/* Makes it the key of one of the places that the variants of `primary` take turns in: variants.h. */
void cache_key_place(struct cache_key *key, struct bytes primary, uint64_t number);

static inline struct bytes cache_key_bytes(const struct cache_key *key)
{
    return bytes_of(key->text, key->size);
}
static inline struct bytes cache_key_primary(const struct cache_key *key)
{
    return bytes_of(key->text, key->primary_size);
}
