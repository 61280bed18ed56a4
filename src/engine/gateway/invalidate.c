#include "invalidate.h"
#include "base/hash.h"
#include "entry_watch.h"
#include "fetch_table.h"
#include "fleet.h"
#include "generation_key.h"
#include "page_set.h"
#include "purge.h"
#include "search_alias.h"
#include "variants.h"

void marker_of_primary(struct bytes primary, struct cache_key *marker)
{
    memcpy(marker->text, primary.data, primary.size);
    marker->primary_size = primary.size;
    cache_key_mark(marker);
}

static uint32_t invalidate(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key)
{
    uint32_t count;
    struct cache_key marker;
    uint64_t hash = hash_bytes(cache_key_primary(key), gateway->seed);
    struct fetch_shard *shard = shard_of(gateway, hash);

    marker_of_primary(cache_key_primary(key), &marker);
    pthread_mutex_lock(&shard->store_lock);
    count = shard_poison(shard, hash);
    /* With the marker of variants their generation is forgotten, so that none is found again. */
    nh_delete(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_primary(key)));
    nh_delete(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(&marker)));
    cache_key_part(&marker);
    nh_delete(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(&marker)));
    generation_keys_forget(gateway, now_mono_ms, key);
    pthread_mutex_unlock(&shard->store_lock);
    entry_changed(gateway, hash);
    return count;
}

/* Where something is stored for another URL that would be given for this one, both go. */
static uint32_t invalidate_both(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key,
                                bool tells_fleet)
{
    struct cache_key other;

    if (search_alias_take_out(gateway, now_mono_ms, key, &other)) {
        page_set_drop(gateway, cache_key_primary(&other), false);
        invalidate(gateway, now_mono_ms, &other);
        if (tells_fleet)
            fleet_tell_url(gateway, &other, false);
    }
    if (tells_fleet)
        fleet_tell_url(gateway, key, false);
    page_set_drop(gateway, cache_key_primary(key), false);
    return invalidate(gateway, now_mono_ms, key);
}

uint32_t gateway_invalidate(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key)
{
    return invalidate_both(gateway, now_mono_ms, key, true);
}

uint32_t gateway_invalidate_here(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key)
{
    return invalidate_both(gateway, now_mono_ms, key, false);
}

static void make_stale(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key)
{
    struct cache_key parts;
    uint64_t hash = hash_bytes(cache_key_primary(key), gateway->seed);
    struct fetch_shard *shard = shard_of(gateway, hash);

    marker_of_primary(cache_key_primary(key), &parts);
    cache_key_part(&parts);
    pthread_mutex_lock(&shard->store_lock);
    shard_poison(shard, hash);
    nh_delete(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(&parts)));
    if (!variants_make_stale(gateway, now_mono_ms, cache_key_primary(key)))
        entry_make_stale(gateway, now_mono_ms, cache_key_primary(key));
    generation_keys_forget(gateway, now_mono_ms, key);
    pthread_mutex_unlock(&shard->store_lock);
    entry_changed(gateway, hash);
}

static void make_both_stale(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key,
                            bool tells_fleet)
{
    struct cache_key other;

    if (search_alias_take_out(gateway, now_mono_ms, key, &other)) {
        page_set_drop(gateway, cache_key_primary(&other), true);
        make_stale(gateway, now_mono_ms, &other);
        if (tells_fleet)
            fleet_tell_url(gateway, &other, true);
    }
    if (tells_fleet)
        fleet_tell_url(gateway, key, true);
    page_set_drop(gateway, cache_key_primary(key), true);
    make_stale(gateway, now_mono_ms, key);
}

void gateway_make_stale(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key)
{
    make_both_stale(gateway, now_mono_ms, key, true);
}

void gateway_make_stale_here(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key)
{
    make_both_stale(gateway, now_mono_ms, key, false);
}
