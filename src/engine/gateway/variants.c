#include "variants.h"

static bool put_marker(struct gateway *gateway, int64_t now_mono_ms, struct bytes primary,
                       const struct stored_variants *variants)
{
    struct buffer marker = {0};
    bool is_put;

    stored_variants_encode(&marker, gateway->seed, variants);
    is_put = !marker.failed && nh_put(gateway->store, now_mono_ms, gateway_key(gateway, primary),
                                      (nh_bytes){marker.data, marker.size}, NULL, NULL) == NH_OK;
    buffer_fini(&marker);
    return is_put;
}

/* What is known of variants by these names; those of an earlier Vary are forgotten. */
static struct stored_variants known_by(struct gateway *gateway, int64_t now_mono_ms, struct bytes primary,
                                       struct bytes names)
{
    struct stored_variants variants = {.names = names}, known;
    nh_value value;

    if (nh_borrow(gateway->store, now_mono_ms, gateway_key(gateway, primary), &value) == NH_OK) {
        if (stored_variants_decode(bytes_of_value(&value), gateway->seed, &known) &&
            bytes_equal(known.names, names)) {
            variants = known;
            variants.names = names;
        }
        nh_release(gateway->store, &value);
    }
    if (variants.generation == 0)
        variants.generation = atomic_fetch_add(&gateway->generation, 1) + 1;
    return variants;
}

static bool is_stored(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key)
{
    nh_value value;

    if (nh_borrow(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(key)), &value) != NH_OK)
        return false;
    nh_release(gateway->store, &value);
    return true;
}

/* Gives the variant the place of the one that came VARIANTS_MAX before it, which goes. */
static void take_place(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key,
                       uint64_t number)
{
    struct bytes variant = cache_key_bytes(key);
    struct cache_key place;
    char before[CACHE_KEY_BYTES_MAX];
    size_t size;

    cache_key_place(&place, cache_key_primary(key), number % VARIANTS_MAX);
    if (nh_get(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(&place)), before,
               sizeof before, &size) == NH_OK &&
        size <= sizeof before)
        nh_delete(gateway->store, now_mono_ms, gateway_key(gateway, bytes_of(before, size)));
    nh_put(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(&place)),
           (nh_bytes){variant.data, variant.size}, NULL, NULL);
}

bool variants_enter(struct gateway *gateway, int64_t now_mono_ms, struct cache_key *key, struct bytes names,
                    const struct http_fields *fields, bool is_shared)
{
    struct stored_variants variants = known_by(gateway, now_mono_ms, cache_key_primary(key), names);

    if (!cache_key_vary(key, variants.generation, names, fields))
        return false;
    if (variants.count > 0 && variants.is_shared >= is_shared && is_stored(gateway, now_mono_ms, key))
        return true; /* it has its place */
    variants.is_shared |= is_shared;
    variants.count++;
    if (!put_marker(gateway, now_mono_ms, cache_key_primary(key), &variants))
        return false;
    take_place(gateway, now_mono_ms, key, variants.count);
    return true;
}

bool variants_adopt(struct gateway *gateway, int64_t now_mono_ms, struct bytes primary, uint64_t generation,
                    struct bytes names)
{
    struct stored_variants known = known_by(gateway, now_mono_ms, primary, names);

    if (known.generation == generation)
        return true;
    return put_marker(
        gateway, now_mono_ms, primary,
        &(struct stored_variants){.generation = generation, .names = names, .is_shared = true});
}

void variants_forsake(struct gateway *gateway, int64_t now_mono_ms, struct bytes primary)
{
    struct stored_variants variants;
    bool is_shared;
    nh_value value;

    if (nh_borrow(gateway->store, now_mono_ms, gateway_key(gateway, primary), &value) != NH_OK)
        return;
    is_shared =
        stored_variants_decode(bytes_of_value(&value), gateway->seed, &variants) && variants.is_shared;
    nh_release(gateway->store, &value);
    if (is_shared)
        nh_delete(gateway->store, now_mono_ms, gateway_key(gateway, primary));
}

bool variants_make_stale(struct gateway *gateway, int64_t now_mono_ms, struct bytes primary)
{
    struct stored_variants variants;
    bool is_put;
    nh_value value;

    if (nh_borrow(gateway->store, now_mono_ms, gateway_key(gateway, primary), &value) != NH_OK)
        return false;
    if (!stored_variants_decode(bytes_of_value(&value), gateway->seed, &variants)) {
        nh_release(gateway->store, &value);
        return false;
    }
    variants.stale_before = purge_rules_moment(&gateway->purge_rules);
    is_put = put_marker(gateway, now_mono_ms, primary, &variants); /* the names lie in what is lent */
    nh_release(gateway->store, &value);
    if (!is_put) /* rather than leave them as they are */
        nh_delete(gateway->store, now_mono_ms, gateway_key(gateway, primary));
    return true;
}
