#include "found.h"
#include "engine/gateway/policy/ranged.h"
#include "engine/gateway/policy/vary.h"

void found_release(struct gateway *gateway, struct found *found)
{
    if (found->is_there)
        value_release(gateway->store, &found->value, &found->lender);
    found->is_there = false;
}

void found_find(struct gateway *gateway, int64_t now_mono_ms, const struct http_request *request,
                struct cache_key *key, struct found *found)
{
    struct stored_variants variants;

    found->is_there = found->varies = found->is_part = false;
    found->lender = NULL;
    if (nh_borrow(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(key)), &found->value) !=
        NH_OK)
        return;
    if (value_response(gateway, cache_key_bytes(key), &found->value, &found->response)) {
        found->is_there = true;
        return;
    }
    found->varies = stored_variants_decode(bytes_of_value(&found->value), gateway->seed, &variants) &&
                    cache_key_vary(key, variants.generation, variants.names, &request->fields);
    nh_release(gateway->store, &found->value);
    if (!found->varies || nh_borrow(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(key)),
                                    &found->value) != NH_OK)
        return;
    found->is_there = value_response(gateway, cache_key_bytes(key), &found->value, &found->response);
    if (!found->is_there)
        nh_release(gateway->store, &found->value);
    else if (found->response.birth < variants.stale_before)
        found->response.flags |= STORED_PURGED;
}

void found_find_part(struct gateway *gateway, struct now now, const struct http_request *request,
                     const struct cache_key *key, struct found *found)
{
    char values[CACHE_KEY_BYTES_MAX];
    struct http_ranges ranges;
    struct cache_key parts_key;
    struct parts parts;
    size_t size;

    memcpy(parts_key.text, key->text, key->primary_size);
    parts_key.primary_size = key->primary_size;
    cache_key_part(&parts_key);
    if (nh_borrow(gateway->store, now.mono_ms, gateway_key(gateway, cache_key_bytes(&parts_key)),
                  &found->value) != NH_OK)
        return;
    if (!value_parts(gateway, cache_key_bytes(&parts_key), &found->value, &parts) ||
        !vary_values(parts.vary_names, &request->fields, values, sizeof values, &size) ||
        !bytes_equal(bytes_of(values, size), parts.vary_values))
        goto release;
    ranges = ranges_wanted(request, parts.response.fields, parts.size, now.wall_ms);
    if (ranges.count != 1 || !parts_find(&parts, &ranges.list[0], &found->part_offset))
        goto release;
    found->is_there = found->is_part = true;
    found->response = parts.response;
    found->part = ranges.list[0];
    found->whole_bytes = parts.size;
    return;

release:
    nh_release(gateway->store, &found->value);
}

enum use found_use(const struct route *route, const struct request_facts *facts, const struct found *found,
                   int64_t now_mono_ms)
{
    return found->is_there ? use_of(&route->policy, facts, &found->response, now_mono_ms) : USE_NONE;
}

bool found_may_stand_in(enum failure failure, const struct route *route, const struct request_facts *facts,
                        const struct found *found, int64_t now_mono_ms)
{
    return found->is_there && may_serve_on(failure, &route->policy, facts, &found->response, now_mono_ms);
}

bool note_find(struct gateway *gateway, int64_t now_mono_ms, const struct cache_key *key,
               struct stored_note *note)
{
    struct cache_key marker;
    nh_value value;
    bool is_there;

    memcpy(marker.text, key->text, key->primary_size);
    marker.primary_size = key->primary_size;
    cache_key_mark(&marker);
    if (nh_borrow(gateway->store, now_mono_ms, gateway_key(gateway, cache_key_bytes(&marker)), &value) !=
        NH_OK)
        return false;
    is_there = stored_note_decode(bytes_of_value(&value), gateway->seed, note);
    nh_release(gateway->store, &value);
    return is_there;
}
