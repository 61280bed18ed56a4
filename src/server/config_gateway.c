/* config_gateway.c — what nests under `gateway:` in a YAML file: its upstreams, its routes, its polls.
 *
 *   upstreams:
 *     NAME: {origin: URL, …}             options of tables/upstream_options.def
 *   compose:                             see config_compose.c
 *   routes:
 *     - match: {host:, path:, method:, header: {NAME: PATTERN}}
 *       upstream: NAME
 *       rewrite: {strip-prefix:, prefix:} or {path:}
 *       request-headers: {set: {NAME: VALUE}, remove: [NAME]}
 *       response-headers: the same
 *       credentials: {header:, value-env: or value-file:, prefix:}
 *       …                                options of tables/route_options.def
 *   poll:                                see config_poll.c
 *
 * What refers to something else in the file is looked at once all of the gateway has been read. */
#include "server/config_mapping.h"
#include "server/nearest.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- the keys of a route ----------------------------------------------------------------------- */

static const char *wrong_with_path(struct bytes text)
{
    struct path_pattern ignored;
    return path_pattern_parse(&ignored, text);
}

static const char *wrong_with_token(struct bytes text)
{
    return http_is_token(text) ? NULL : "has a byte that it cannot have";
}

static const char *wrong_with_name(struct bytes text)
{
    return http_is_token(text) ? NULL : "is no field's name";
}

static const struct config_key match_keys[] = {
    CONFIG_TEXT("host", struct match_spec, host, match_host_is_wrong,
                "a name, such as api.example.com or \"*.example.com\""),
    CONFIG_TEXT("path", struct match_spec, path, wrong_with_path,
                "a path, such as /users, /users/* or /users/**"),
    CONFIG_TEXTS("method", struct match_spec, methods, method_count, wrong_with_token,
                 "a method, such as GET, or a list of them"),
    CONFIG_FIELDS("header", struct match_spec, fields, field_count, wrong_with_name, NULL,
                  "a pattern of its value, such as \"a*\", or \"*\" for any"),
};

static const struct config_key rewrite_keys[] = {
    CONFIG_TEXT("strip-prefix", struct rewrite_spec, strip_prefix, rewrite_prefix_is_wrong,
                "what the path begins with, such as /repos"),
    CONFIG_TEXT("prefix", struct rewrite_spec, prefix, rewrite_prefix_is_wrong,
                "what goes before the path, such as /v3"),
    CONFIG_TEXT("path", struct rewrite_spec, path, wrong_with_path, "a path, such as \"/v3/{name}/**\""),
};

static const struct config_key request_edit_keys[] = {
    CONFIG_FIELDS("set", struct field_edit_spec, set, set_count, request_set_is_wrong, field_value_is_wrong,
                  "what it is to say"),
    CONFIG_TEXTS("remove", struct field_edit_spec, removed, removed_count, request_removal_is_wrong,
                 "a field's name, or a list of them"),
};

static const struct config_key response_edit_keys[] = {
    CONFIG_FIELDS("set", struct field_edit_spec, set, set_count, response_edit_is_wrong,
                  field_value_is_wrong, "what it is to say"),
    CONFIG_TEXTS("remove", struct field_edit_spec, removed, removed_count, response_edit_is_wrong,
                 "a field's name, or a list of them"),
};

static const char *wrong_with_variable(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = byte_to_lower(text.data[i]);
        if ((c < 'a' || c > 'z') && c != '_' && (c < '0' || c > '9' || i == 0))
            return "is no variable's name; write letters, digits and _";
    }
    return NULL;
}

/* A value written where the name of its place belongs is not repeated in a message. */
static void read_variable(struct config_reader *reader, const struct config_key *key, void *into)
{
    struct route_entry *route = into;
    struct place where = config_here(reader);
    char *name = NULL;

    config_read_text(reader, key, &name);
    if (name != NULL && wrong_with_variable(bytes_of_text(name)) != NULL) {
        CONFIG_REPORT(reader, where, "value-env %s; the value itself belongs in that variable",
                      wrong_with_variable(bytes_of_text(name)));
        free(name);
        return;
    }
    route->credential_env = name;
}

static void read_value_file(struct config_reader *reader, const struct config_key *key, void *into)
{
    struct route_entry *route = into;
    struct buffer full = {0};
    char *name = NULL;

    config_read_text(reader, key, &name);
    if (name == NULL)
        return;
    if (config_beside_file(reader, bytes_of_text(name), &full) == OK)
        route->credential_file = strndup(full.data, full.size);
    reader->no_memory |= route->credential_file == NULL;
    buffer_fini(&full);
    free(name);
}

/* Unlike what goes behind it this is no secret, and a blank at its end is what it is for. */
static const char *wrong_with_prefix(struct bytes text)
{
    return http_is_field_value(text) ? NULL : "has a byte that no field has";
}

/* Into the route: its parts of the credentials are not in one struct. */
static const struct config_key credential_keys[] = {
    CONFIG_TEXT("header", struct route_entry, spec.credential.header, credential_name_is_wrong,
                "the field to send it in, such as Authorization"),
    {.name = "value-env",
     .read = read_variable,
     .like = "the name of a variable of the environment, such as TOKEN"},
    {.name = "value-file", .read = read_value_file, .like = "the name of a file with the value"},
    CONFIG_TEXT("prefix", struct route_entry, credential_prefix, wrong_with_prefix,
                "what goes before the value, such as \"Bearer \""),
};

static void read_credentials(struct config_reader *reader, const struct config_key *key, void *into)
{
    struct route_entry *route = into;
    unsigned problems = reader->problem_count;

    config_read_inner(reader, key, into);
    if (problems != reader->problem_count)
        return;
    if (route->spec.credential.header == NULL)
        CONFIG_REPORT(
            reader, route->credential_at,
            "credentials have no `header`; write the field to send them in, such as Authorization");
    if ((route->credential_env == NULL) == (route->credential_file == NULL))
        CONFIG_REPORT(
            reader, route->credential_at,
            "credentials have one of value-env and value-file, the place where the value is found");
}

static const struct config_key route_keys[] = {
    CONFIG_INNER("match", struct route_entry, spec.match, match_keys),
    {.name = "upstream",
     .read = config_read_text,
     .offset = offsetof(struct route_entry, spec.upstream),
     .at_offset = offsetof(struct route_entry, upstream_at),
     .like = "the name of one under upstreams"},
    {.name = "rewrite",
     .read = config_read_inner,
     .offset = offsetof(struct route_entry, spec.rewrite),
     .at_offset = offsetof(struct route_entry, rewrite_at),
     .keys = rewrite_keys,
     .key_count = COUNT_OF(rewrite_keys)},
    CONFIG_INNER("request-headers", struct route_entry, spec.request_fields, request_edit_keys),
    CONFIG_INNER("response-headers", struct route_entry, spec.response_fields, response_edit_keys),
    {.name = "credentials",
     .read = read_credentials,
     .at_offset = offsetof(struct route_entry, credential_at),
     .keys = credential_keys,
     .key_count = COUNT_OF(credential_keys)},
};

/* ---- routes ------------------------------------------------------------------------------------ */

/* What of a rewriting depends on the match, which may stand behind it. */
static void check_rewrite(struct config_reader *reader, const struct route_entry *route)
{
    const struct match_spec *match = &route->spec.match;
    struct path_pattern pattern;
    struct path_rewrite rewrite;
    const char *wrong, *key;

    if (route->rewrite_at.line == 0 ||
        (match->path != NULL && path_pattern_parse(&pattern, bytes_of_text(match->path)) != NULL))
        return;
    wrong = path_rewrite_init(&rewrite, &route->spec.rewrite, match->path != NULL ? &pattern : NULL, &key);
    if (wrong != NULL)
        CONFIG_REPORT(reader, route->rewrite_at, "rewrite: the %s %s", key, wrong);
}

static void read_route(struct config_reader *reader, struct role_options *role)
{
    struct route_entry *route = CONFIG_APPEND(reader, &role->routes, &role->route_count);

    if (route == NULL) {
        config_skip(reader);
        return;
    }
    route->where = config_here(reader);
    config_read_mapping(reader,
                        &(struct config_mapping){.what = "a route",
                                                 .keys = route_keys,
                                                 .key_count = COUNT_OF(route_keys),
                                                 .scope = OPTION_OF_ROUTE,
                                                 .policy = &route->spec.policy,
                                                 .is_set = route->is_set},
                        route);
    check_rewrite(reader, route);
}

static void read_routes(struct config_reader *reader, const struct config_key *key, void *into)
{
    struct role_options *role = into;

    (void)key;
    role->routes_at = config_here(reader);
    config_read_list(reader, "routes is a list: begin each with a dash, `- match:`", read_route, role);
}

/* ---- upstreams --------------------------------------------------------------------------------- */

static struct upstream_entry *find_upstream(const struct role_options *role, struct bytes name)
{
    for (size_t i = 0; i < role->upstream_count; i++)
        if (bytes_equal(bytes_of_text(role->upstreams[i].spec.name), name))
            return &role->upstreams[i];
    return NULL;
}

static void read_upstream(struct config_reader *reader, struct role_options *role, struct bytes name)
{
    struct upstream_entry *upstream = NULL;

    if (!http_is_token(name))
        CONFIG_REPORT(reader, config_here(reader),
                      "\"%s\" is no name for an upstream; write letters, digits, - and _",
                      shown_text(name).text);
    else if (find_upstream(role, name) != NULL)
        CONFIG_REPORT(reader, config_here(reader), "upstream %s is there twice; keep one",
                      shown_text(name).text);
    else
        upstream = CONFIG_APPEND(reader, &role->upstreams, &role->upstream_count);
    if (upstream != NULL) {
        upstream->where = config_here(reader);
        upstream->spec.name = strndup(name.data, name.size);
        reader->no_memory |= upstream->spec.name == NULL;
    }
    if (upstream == NULL || upstream->spec.name == NULL) {
        if (upstream != NULL)
            role->upstream_count--;
        config_skip_pair(reader);
        return;
    }
    if (config_advance(reader) && !config_refuse_alias(reader))
        config_read_mapping(reader,
                            &(struct config_mapping){.what = "an upstream",
                                                     .scope = OPTION_OF_UPSTREAM,
                                                     .policy = &upstream->spec.policy,
                                                     .is_set = upstream->is_set},
                            upstream);
}

static void read_upstreams(struct config_reader *reader, const struct config_key *key, void *into)
{
    struct role_options *role = into;
    struct bytes name;

    (void)key;
    role->upstreams_at = config_here(reader);
    if (!config_is_at(reader, YAML_MAPPING_START_EVENT)) {
        CONFIG_REPORT(
            reader, config_here(reader),
            "upstreams is a mapping of names, such as `github: {origin: https://api.github.com}`");
        config_skip(reader);
        return;
    }
    for (config_advance(reader); reader->has_event && !config_is_at(reader, YAML_MAPPING_END_EVENT);)
        if (config_read_key(reader, &name))
            read_upstream(reader, role, name);
    config_advance(reader);
}

/* ---- the gateway ------------------------------------------------------------------------------- */

static void read_compose(struct config_reader *reader, const struct config_key *key, void *into)
{
    (void)key;
    config_read_compose(reader, into);
}

static const struct config_key gateway_keys[] = {{.name = "upstreams", .read = read_upstreams},
                                                 {.name = "routes", .read = read_routes},
                                                 {.name = "poll", .read = config_read_polls},
                                                 {.name = "compose", .read = read_compose}};

void config_consider_gateway_keys(struct nearest *nearest)
{
    for (size_t i = 0; i < COUNT_OF(gateway_keys); i++)
        nearest_consider(nearest, gateway_keys[i].name);
}

bool config_read_gateway_key(struct config_reader *reader, struct role_options *role, struct bytes name)
{
    const struct place *places[] = {&role->upstreams_at, &role->routes_at, &role->polls_at,
                                    &role->compose_at}; /* as the keys */

    static_assert(COUNT_OF(places) == COUNT_OF(gateway_keys), "each has its place");
    for (size_t i = 0; i < COUNT_OF(gateway_keys); i++) {
        struct place was_at = *places[i];
        if (!bytes_equal(bytes_of_text(gateway_keys[i].name), name))
            continue;
        if (was_at.line != 0) {
            CONFIG_REPORT(reader, config_here(reader), "%s is there twice; keep one", gateway_keys[i].name);
            config_skip_pair(reader);
        } else if (config_advance(reader) && !config_refuse_alias(reader)) {
            gateway_keys[i].read(reader, &gateway_keys[i], role);
        }
        return true;
    }
    return false;
}

static void check_upstream_of(struct config_reader *reader, const struct role_options *role,
                              const struct route_entry *route)
{
    struct nearest nearest = {0};

    if (route->spec.upstream == NULL) {
        if (role->upstream_policy.origin_urls == NULL && role->upstream_count > 0 &&
            route->upstream_at.line == 0)
            CONFIG_REPORT(reader, route->where, "the route has no `upstream`; write upstream: %s",
                          role->upstreams[0].spec.name);
        return;
    }
    if (find_upstream(role, bytes_of_text(route->spec.upstream)) != NULL)
        return;
    nearest.wanted = bytes_of_text(route->spec.upstream);
    for (size_t i = 0; i < role->upstream_count; i++)
        nearest_consider(&nearest, role->upstreams[i].spec.name);
    if (nearest.name != NULL)
        CONFIG_REPORT(reader, route->upstream_at, "there is no upstream %s; did you mean %s?",
                      shown_text(nearest.wanted).text, nearest.name);
    else
        CONFIG_REPORT(reader, route->upstream_at, "there is no upstream %s; add it under upstreams",
                      shown_text(nearest.wanted).text);
}

void config_check_gateway(struct config_reader *reader, struct role_options *role)
{
    const struct option_row *origin = option_find_scoped(OPTION_OF_UPSTREAM, BYTES("origin"));

    for (size_t i = 0; i < role->upstream_count; i++)
        if (!role->upstreams[i].is_set[origin - option_row(0)])
            CONFIG_REPORT(reader, role->upstreams[i].where, "upstream %s has no `origin`: %s",
                          role->upstreams[i].spec.name, origin->help);
    for (size_t i = 0; i < role->route_count; i++)
        check_upstream_of(reader, role, &role->routes[i]);
    config_check_compose(reader, role);
    if (role->upstream_count > 0 && role->routes_at.line == 0)
        CONFIG_REPORT(reader, role->upstreams_at, "nothing leads to the upstreams; add routes");
}
