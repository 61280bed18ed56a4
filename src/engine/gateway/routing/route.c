#include "route.h"
#include "base/hash.h"
#include "engine/gateway/policy/key_rule.h"
#include <stdlib.h>
#include <string.h>

static bool copy_text(const char *from, char **to)
{
    *to = from != NULL ? strdup(from) : NULL;
    return (from == NULL) == (*to == NULL);
}

/* ---- making -------------------------------------------------------------------------------------- */

static enum err take_rewrite(struct route *route, const struct rewrite_spec *spec)
{
    struct rewrite_spec *own = &route->rewrite_texts;
    const char *wrong_key;

    if (!copy_text(spec->strip_prefix, &own->strip_prefix) || !copy_text(spec->prefix, &own->prefix) ||
        !copy_text(spec->path, &own->path))
        return ERR_NO_MEMORY;
    route->rewrites_path = own->strip_prefix != NULL || own->prefix != NULL || own->path != NULL;
    return path_rewrite_init(&route->rewrite, own, route->match.has_path ? &route->match.path : NULL,
                             &wrong_key) == NULL
               ? OK
               : ERR_SYNTAX;
}

static enum err take_credential(struct route *route, const struct credential_spec *spec)
{
    struct http_field *field = &route->credential;
    char *name, *value;

    if (spec->header == NULL)
        return OK;
    name = strdup(spec->header);
    value = strdup(spec->value);
    if (name == NULL || value == NULL) {
        free(name);
        free(value);
        return ERR_NO_MEMORY;
    }
    *field = (struct http_field){http_header_find(bytes_of_text(name)), bytes_of_text(name),
                                 bytes_of_text(value)};
    return OK;
}

static void append_rule(struct buffer *added, const char *name, const char *list)
{
    if (list != NULL)
        buffer_append_format(added, "%s:%s\n", name, list);
}

/* Answers that were told apart by other rules are not told apart by these. */
static void append_key_rules(struct buffer *added, const struct route_policy *policy)
{
    append_rule(added, "key-query-allow", policy->key_query_allow);
    append_rule(added, "key-query-ignore", policy->key_query_ignore);
    append_rule(added, "key-query-sort", policy->key_query_sort ? "yes" : NULL);
    append_rule(added, "key-headers", policy->key_headers);
    append_rule(added, "key-cookies", policy->key_cookies);
}

/* What the route adds to every request, and what its keys are made of, is told by a number that is the same
 * after a restart, in braces, which no host has. */
static enum err make_key_prefix(struct route *route, const struct credential_spec *credential)
{
    enum { SEED = 1 };
    struct buffer added = {0};

    for (size_t i = 0; i < route->request_fields.own.set_count; i++)
        buffer_append_format(&added, "%.*s:%.*s\n", BYTES_PRINTF(route->request_fields.set[i].name),
                             BYTES_PRINTF(route->request_fields.set[i].value));
    if (credential->header != NULL)
        buffer_append_format(&added, "%s %s", credential->header, credential->source);
    append_key_rules(&added, &route->policy);
    if (added.size > 0)
        buffer_append_format(&route->key_prefix, "{%016llx} ",
                             (unsigned long long)hash_bytes(buffer_bytes(&added), SEED));
    buffer_append(&route->key_prefix, buffer_bytes(&route->upstream->base_url));
    route->key_prefix.failed |= added.failed;
    buffer_fini(&added);
    return route->key_prefix.failed ? ERR_NO_MEMORY : OK;
}

enum err route_init(struct route *route, const struct route_spec *spec, struct upstream *upstream)
{
    enum err err;

    *route = (struct route){.upstream = upstream, .counts = calloc(1, sizeof *route->counts)};
    err = route->counts != NULL && route_policy_copy(&route->policy, &spec->policy) ? OK : ERR_NO_MEMORY;
    if (err == OK)
        err = route_match_init(&route->match, &spec->match);
    if (err == OK)
        err = take_rewrite(route, &spec->rewrite);
    if (err == OK && (!field_edit_init(&route->request_fields, &spec->request_fields) ||
                      !field_edit_init(&route->response_fields, &spec->response_fields)))
        err = ERR_NO_MEMORY;
    if (err == OK)
        err = take_credential(route, &spec->credential);
    if (err == OK)
        err = make_key_prefix(route, &spec->credential);
    return err;
}

void route_fini(struct route *route)
{
    struct http_field *credential = &route->credential;
    char *value = (char *)(uintptr_t)credential->value.data;

    route_policy_fini(&route->policy);
    route_match_fini(&route->match);
    free(route->rewrite_texts.strip_prefix);
    free(route->rewrite_texts.prefix);
    free(route->rewrite_texts.path);
    field_edit_fini(&route->request_fields);
    field_edit_fini(&route->response_fields);
    free((char *)(uintptr_t)credential->name.data);
    if (value != NULL)
        explicit_bzero(value, credential->value.size);
    free(value);
    buffer_fini(&route->key_prefix);
    free(route->counts);
}

/* ---- keys ---------------------------------------------------------------------------------------- */

static bool passes_host(const struct route *route, const struct http_request *request)
{
    return route->policy.host_header == ROUTE_HOST_PASS && request->authority.size > 0;
}

struct bytes route_host(const struct route *route, const struct http_request *request)
{
    return passes_host(route, request) ? request->authority : (struct bytes){0};
}

/* `request`, whose query is made as the route has it in its keys. */
static bool key_of(const struct route *route, const struct http_request *request, struct cache_key *key)
{
    char prefix[CACHE_KEY_PRIMARY_MAX];
    size_t size = request->authority.size;

    if (!passes_host(route, request))
        return cache_key_init(key, buffer_bytes(&route->key_prefix), request);
    if (size + 1 + route->key_prefix.size > sizeof prefix)
        return false;
    /* A host is one whatever its case; no host has a space. */
    for (size_t i = 0; i < size; i++)
        prefix[i] = byte_to_lower(request->authority.data[i]);
    prefix[size] = ' ';
    memcpy(prefix + size + 1, route->key_prefix.data, route->key_prefix.size);
    return cache_key_init(key, bytes_of(prefix, size + 1 + route->key_prefix.size), request);
}

bool route_key(const struct route *route, const struct http_request *request, struct cache_key *key)
{
    char query[CACHE_KEY_PRIMARY_MAX];
    struct http_request counted;
    size_t size;

    if (!key_edits_query(&route->policy) || !request->has_query)
        return key_of(route, request, key);
    if (!key_query(&route->policy, request->query, query, sizeof query, &size))
        return false;
    counted = *request;
    counted.query = bytes_of(query, size);
    counted.has_query = size > 0;
    return key_of(route, &counted, key);
}
