#include "generation_key.h"

enum { NO_GENERATION = 0 }; /* nothing is stored under it */

static void place_of(struct cache_key *made, const struct cache_key *key, char sign)
{
    memcpy(made->text, key->text, key->primary_size);
    made->primary_size = key->primary_size;
    made->text[key->primary_size] = '\n';
    made->text[key->primary_size + 1] = sign;
    made->size = key->primary_size + 2;
}

static bool read_generation(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *place,
                            uint64_t *generation)
{
    struct stored_variants variants;
    nh_value value;
    bool is_there;

    if (nh_borrow(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(place)), &value) !=
        NH_OK)
        return false;
    is_there = stored_variants_decode(bytes_of_value(&value), gateway->seed, &variants);
    if (is_there)
        *generation = variants.generation;
    nh_release(gateway->store, &value);
    return is_there;
}

/* What another has added meanwhile counts. If nothing can be kept each has a generation of his own. */
static uint64_t add_generation(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *place)
{
    struct stored_variants variants = {.generation = atomic_fetch_add(&gateway->generation, 1) + 1};
    uint64_t generation = variants.generation;
    struct buffer value = {0};

    stored_variants_encode(&value, gateway->seed, &variants);
    if (!value.failed && nh_add(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(place)),
                                (nh_bytes){value.data, value.size}, NULL, NULL) == NH_EXISTS)
        read_generation(gateway, now_mono_ms, place, &generation);
    buffer_fini(&value);
    return generation;
}

void generation_key(struct gateway *gateway, int64_t now_mono_ms, enum key_use use, struct cache_key *key,
                    char sign, const unsigned char digest[KEY_DIGEST_BYTES])
{
    struct cache_key place;
    uint64_t generation;

    place_of(&place, key, sign);
    if (!read_generation(gateway, now_mono_ms, &place, &generation))
        generation = use == KEY_TO_STORE ? add_generation(gateway, now_mono_ms, &place) : NO_GENERATION;
    memcpy(key->text, place.text, place.size);
    memcpy(key->text + place.size, &generation, sizeof generation);
    memcpy(key->text + place.size + sizeof generation, digest, KEY_DIGEST_BYTES);
    key->primary_size = key->size = place.size + sizeof generation + KEY_DIGEST_BYTES;
}

void generation_keys_forget(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key)
{
    static const char signs[] = {KEY_SIGN_BODY, KEY_SIGN_SELECTION};

    for (size_t i = 0; i < sizeof signs; i++) {
        struct cache_key place;
        place_of(&place, key, signs[i]);
        nh_delete(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(&place)));
    }
}
