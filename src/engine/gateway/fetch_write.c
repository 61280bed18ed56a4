/* fetch_write.c — what a request that is not safe has changed: taken out before its client hears of it. */
#include "fetch_state.h"
#include "fleet.h"
#include "invalidate.h"
#include "write_scope.h"

static bool is_success(int status) { return status >= 200 && status < 400; }

/* RFC 9875 §3. */
static void drop_group(void *context, struct bytes tag)
{
    struct fetch *fetch = context;

    nh_purge_tag(fetch->gateway->store, (nh_bytes){tag.data, tag.size}, NH_PURGE_DROP);
    fleet_tell_rule(fetch->gateway, FLEET_TAG, tag, false);
}

void fetch_invalidate_target(struct fetch *fetch)
{
    struct cache_key key;

    if (fetch->key.size == 0)
        return;
    memcpy(key.text, fetch->key.data, fetch->primary_size);
    key.primary_size = key.size = fetch->primary_size;
    fetch->fence_count = gateway_invalidate(fetch->gateway, fetch->requested.mono_ms, &key);
    invalidate_siblings(fetch->gateway, fetch->route, fetch->requested.mono_ms,
                        &(struct http_request){.authority = buffer_bytes(&fetch->authority),
                                               .path = buffer_bytes(&fetch->path),
                                               .query = buffer_bytes(&fetch->query),
                                               .has_query = fetch->has_query},
                        &key);
}

/* RFC 9111 §4.4: what a write succeeded on, and what its answer says that it is about. True if the answer
 * is the target's own new state (RFC 9110 §8.7). */
static bool invalidate_after_success(struct fetch *fetch, const struct http_fields *fields)
{
    uint32_t count = fetch->fence_count;
    bool is_of_target;

    fetch_invalidate_target(fetch);
    is_of_target = invalidate_named(
        &(struct write_scope){.gateway = fetch->gateway,
                              .route = fetch->route,
                              .now_mono_ms = fetch->requested.mono_ms,
                              .authority = buffer_bytes(&fetch->authority),
                              .path = buffer_bytes(&fetch->path),
                              .target = bytes_first(buffer_bytes(&fetch->key), fetch->primary_size)},
        fields);
    /* If another write came between, who knows which of the two is the later one. */
    return is_of_target && fetch->fence_count == count + 1;
}

void fetch_on_written(struct fetch *fetch, int status, const struct http_fields *fields)
{
    bool is_of_target = is_success(status) && invalidate_after_success(fetch, fields);

    cache_groups_invalidated(fields, origin_of_url(buffer_bytes(&fetch->route->upstream->base_url)),
                             drop_group, fetch);
    if (!is_of_target || fetch->method != HTTP_METHOD_POST)
        buffer_fini(&fetch->key);
}
