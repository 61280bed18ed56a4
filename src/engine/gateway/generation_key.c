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
                            uint64_t *generation, bool *is_on_trial)
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
    *is_on_trial = value.expires_at_ms != 0;
    nh_release(gateway->store, &value);
    return is_there;
}

/* What another has added meanwhile counts. If nothing can be kept each has a generation of his own. */
static uint64_t add_generation(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *place,
                               int64_t trial_ms)
{
    const nh_put_options options = {.size = sizeof options, .ttl_ms = trial_ms};
    bool is_on_trial;
    struct stored_variants variants = {.generation = atomic_fetch_add(&gateway->generation, 1) + 1};
    uint64_t generation = variants.generation;
    struct buffer value = {0};

    stored_variants_encode(&value, gateway->seed, &variants);
    if (!value.failed && nh_add(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(place)),
                                (nh_bytes){value.data, value.size}, &options, NULL) == NH_EXISTS)
        read_generation(gateway, now_mono_ms, place, &generation, &is_on_trial);
    buffer_fini(&value);
    return generation;
}

void generation_key(struct gateway *gateway, int64_t now_mono_ms, enum key_use use, int64_t trial_ms,
                    struct cache_key *key, char sign, const unsigned char digest[KEY_DIGEST_BYTES])
{
    struct cache_key place;
    uint64_t generation = NO_GENERATION;
    bool is_on_trial = false;

    place_of(&place, key, sign);
    if (!read_generation(gateway, now_mono_ms, &place, &generation, &is_on_trial)) {
        if (use == KEY_TO_STORE)
            generation = add_generation(gateway, now_mono_ms, &place, trial_ms);
    } else if (use == KEY_TO_STORE && is_on_trial) {
        nh_touch(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(&place)), trial_ms);
    }
    memcpy(key->text, place.text, place.size);
    memcpy(key->text + place.size, &generation, sizeof generation);
    memcpy(key->text + place.size + sizeof generation, digest, KEY_DIGEST_BYTES);
    key->primary_size = key->size = place.size + sizeof generation + KEY_DIGEST_BYTES;
}

/* Whether a primary key ends in a generation and a digest; `*place` is then where that generation is kept.
 */
static bool ends_in_generation(struct bytes key, struct bytes *place)
{
    const size_t behind = sizeof(uint64_t) + KEY_DIGEST_BYTES;
    const char *end;

    if (key.size < behind + 2)
        return false;
    *place = bytes_first(key, key.size - behind);
    end = place->data + place->size;
    return end[-2] == '\n' && (end[-1] == KEY_SIGN_BODY || end[-1] == KEY_SIGN_SELECTION);
}

/* One that was forgotten meanwhile stays so. */
void generations_keep(struct gateway *gateway, int64_t now_mono_ms, struct bytes key)
{
    struct bytes place;

    while (ends_in_generation(key, &place)) {
        nh_value value;
        bool is_on_trial = false;
        if (nh_borrow(gateway->store, now_mono_ms, gateway_key(gateway, place), &value) == NH_OK) {
            is_on_trial = value.expires_at_ms != 0;
            nh_release(gateway->store, &value);
        }
        if (is_on_trial)
            nh_touch(gateway->store, now_mono_ms, gateway_key(gateway, place), 0);
        key = bytes_first(place, place.size - 2);
    }
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
