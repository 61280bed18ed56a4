#include "write_scope.h"
#include "engine/gateway/policy/reference.h"
#include "engine/gateway/routing/edited_request.h"
#include "invalidate.h"

void invalidate_siblings(struct gateway *gateway, const struct route *route, int64_t now_mono_ms,
                         const struct http_request *request, const struct cache_key *key)
{
    for (size_t i = 0; i < route->plan->route_count; i++) {
        struct cache_key sibling;
        if (plan_sibling_key(route, i, request, key, &sibling))
            gateway_invalidate(gateway, now_mono_ms, &sibling);
    }
}

/* True, and nothing done, if it is the target. */
static bool invalidate(const struct write_scope *scope, const struct route *route,
                       const struct http_request *request)
{
    struct cache_key key;

    if (!route_key(route, request, &key))
        return false;
    if (bytes_equal(cache_key_primary(&key), scope->target))
        return true;
    gateway_invalidate(scope->gateway, scope->now_mono_ms, &key);
    invalidate_siblings(scope->gateway, route, scope->now_mono_ms, request, &key);
    return false;
}

static struct http_request request_for(const struct write_scope *scope, const struct reference *reference)
{
    return (struct http_request){.method = HTTP_METHOD_GET,
                                 .method_name = BYTES("GET"),
                                 .authority = scope->authority,
                                 .path = reference->path,
                                 .query = reference->query,
                                 .has_query = reference->has_query};
}

/* What the origin would be asked for; which of several it is that answered makes no difference. */
static bool invalidate_by_origin_url(const struct write_scope *scope, struct bytes text)
{
    const struct origin_set *origins = &scope->route->upstream->origins;
    bool is_resolved = false, names_target = false;

    for (size_t i = 0; i < origins->count && !is_resolved; i++) {
        struct reference reference;
        is_resolved =
            reference_resolve(&reference, buffer_bytes(&origins->places[i].base_url), scope->path, text);
        if (is_resolved) {
            struct http_request request = request_for(scope, &reference);
            names_target = invalidate(scope, scope->route, &request);
        }
        reference_fini(&reference);
    }
    return names_target;
}

/* What a client would ask for, by whatever route that takes. */
static bool invalidate_by_public_url(const struct write_scope *scope, struct bytes scheme,
                                     struct bytes text)
{
    struct buffer url = {0};
    struct reference reference;
    bool names_target = false;

    buffer_append(&url, scheme);
    buffer_append(&url, scope->authority);
    if (reference_resolve(&reference, buffer_bytes(&url), scope->path, text)) {
        struct edited_request edited = {0};
        struct http_request request = request_for(scope, &reference);
        const struct route *route = plan_route(scope->route->plan, &request);
        if (route->upstream != NULL && edited_request_make(&edited, route, &request))
            names_target = invalidate(scope, route, &edited.request);
        edited_request_fini(&edited);
    }
    reference_fini(&reference);
    buffer_fini(&url);
    return names_target;
}

bool invalidate_named(const struct write_scope *scope, const struct http_fields *fields)
{
    bool is_of_target = false;

    for (size_t i = 0; i < fields->count; i++) {
        const struct http_field *field = &fields->list[i];
        bool names_target;
        if (field->header != HTTP_HEADER_LOCATION && field->header != HTTP_HEADER_CONTENT_LOCATION)
            continue;
        names_target = invalidate_by_origin_url(scope, field->value);
        names_target |= invalidate_by_public_url(scope, BYTES("http://"), field->value);
        names_target |= invalidate_by_public_url(scope, BYTES("https://"), field->value);
        is_of_target |= names_target && field->header == HTTP_HEADER_CONTENT_LOCATION;
    }
    return is_of_target;
}
