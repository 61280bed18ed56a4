/* config_gateway.c — what nests under `gateway:` in a YAML file: its upstreams and its routes.
 *
 *   upstreams:
 *     NAME: {origin: URL, …}             options of tables/upstream_options.def
 *   routes:
 *     - match: {host:, path:, method:, header: {NAME: PATTERN}}
 *       upstream: NAME
 *       …                                options of tables/route_options.def
 *
 * What refers to something else in the file is looked at once all of the gateway has been read. */
#include "server/config_yaml.h"
#include "server/nearest.h"
#include <stdlib.h>
#include <string.h>

/* ---- mappings ------------------------------------------------------------------------------------ */

enum { KEYS_MAX = 16 };

/* A key of a mapping that is no option, and who reads its value into what the mapping is read into. */
struct key {
    const char *name;
    void (*read)(struct config_reader *reader, void *into);
};

struct mapping {
    const char *what; /* "a route" */
    const struct key *keys;
    size_t key_count;
    enum option_scope scope; /* whose options are keys, too; OPTION_OF_SERVER: none's */
    void *policy;
    bool *is_set; /* by row */
};

static void report_unknown(struct config_reader *reader, const struct mapping *mapping, struct bytes name)
{
    struct nearest nearest = {.wanted = name};
    struct shown shown = shown_text(name);
    struct buffer all = {0};

    for (size_t i = 0; i < mapping->key_count; i++) {
        nearest_consider(&nearest, mapping->keys[i].name);
        buffer_append_format(&all, "%s%s", i > 0 ? ", " : "", mapping->keys[i].name);
    }
    for (size_t i = 0; i < option_row_count() && mapping->scope != OPTION_OF_SERVER; i++)
        if (option_row(i)->scope == mapping->scope)
            nearest_consider(&nearest, option_row(i)->name);
    if (nearest.name != NULL)
        CONFIG_REPORT(reader, config_here(reader), "unknown key %s; did you mean %s?", shown.text,
                      nearest.name);
    else if (mapping->scope != OPTION_OF_SERVER)
        CONFIG_REPORT(reader, config_here(reader), "%s is no key of %s; see docs/options.md", shown.text,
                      mapping->what);
    else
        CONFIG_REPORT(reader, config_here(reader), "%s is no key of %s; write %.*s", shown.text,
                      mapping->what, BYTES_PRINTF(buffer_bytes(&all)));
    buffer_fini(&all);
}

static const struct key *find_key(const struct mapping *mapping, struct bytes name)
{
    for (size_t i = 0; i < mapping->key_count; i++)
        if (bytes_equal(bytes_of_text(mapping->keys[i].name), name))
            return &mapping->keys[i];
    return NULL;
}

/* Reads the key and its value. */
static void read_pair(struct config_reader *reader, const struct mapping *mapping, bool seen[KEYS_MAX],
                      struct bytes name, void *into)
{
    const struct key *key = find_key(mapping, name);
    const struct option_row *row =
        mapping->scope != OPTION_OF_SERVER ? option_find_scoped(mapping->scope, name) : NULL;
    bool *is_seen = key != NULL   ? &seen[key - mapping->keys]
                    : row != NULL ? &mapping->is_set[row - option_row(0)]
                                  : NULL;

    if (is_seen == NULL) {
        report_unknown(reader, mapping, name);
    } else if (*is_seen) {
        CONFIG_REPORT(reader, config_here(reader), "%s is there twice; keep one",
                      key != NULL ? key->name : row->name);
    } else {
        *is_seen = true;
        if (!config_advance(reader))
            return;
        if (row != NULL)
            config_read_value(reader, row, mapping->policy);
        else if (!config_refuse_alias(reader))
            key->read(reader, into);
        return;
    }
    config_skip_pair(reader);
}

static void read_mapping(struct config_reader *reader, const struct mapping *mapping, void *into)
{
    bool seen[KEYS_MAX] = {0};
    struct bytes name;

    if (!config_is_at(reader, YAML_MAPPING_START_EVENT)) {
        CONFIG_REPORT(reader, config_here(reader), "%s is a mapping of its keys and their values",
                      mapping->what);
        config_skip(reader);
        return;
    }
    for (config_advance(reader); reader->has_event && !config_is_at(reader, YAML_MAPPING_END_EVENT);)
        if (config_read_key(reader, &name))
            read_pair(reader, mapping, seen, name, into);
    config_advance(reader);
}

/* ---- texts --------------------------------------------------------------------------------------- */

/* Reads the present value as a text; `like` is what to write instead of none; `wrong_with`, which may be
 * null, says what is wrong with it, or null. */
static void read_text(struct config_reader *reader, const char *what, const char *like,
                      const char *(*wrong_with)(struct bytes text), char **to)
{
    struct bytes text;
    const char *wrong = NULL;

    if (!config_is_at(reader, YAML_SCALAR_EVENT)) {
        CONFIG_REPORT(reader, config_here(reader), "%s is one value, not a list or a mapping; write %s",
                      what, like);
        config_skip(reader);
        return;
    }
    text = config_scalar(reader);
    if (text.size > 0 && wrong_with != NULL)
        wrong = wrong_with(text);
    if (text.size == 0)
        CONFIG_REPORT(reader, config_here(reader), "%s has no value; write %s", what, like);
    else if (memchr(text.data, '\0', text.size) != NULL)
        CONFIG_REPORT(reader, config_here(reader), "%s: a byte of 0 cannot be part of it", what);
    else if (wrong != NULL)
        CONFIG_REPORT(reader, config_here(reader), "%s: \"%s\" %s", what, shown_text(text).text, wrong);
    else {
        free(*to);
        *to = strndup(text.data, text.size);
        reader->no_memory |= *to == NULL;
    }
    config_advance(reader);
}

/* One more item, all zeroes; null, with no_memory set, if there is no room. */
#define APPEND(reader, items, count) append(reader, (void **)(items), count, sizeof **(items))

static void *append(struct config_reader *reader, void **items, size_t *count, size_t size)
{
    char *grown = reallocarray(*items, *count + 1, size);

    if (grown == NULL) {
        reader->no_memory = true;
        return NULL;
    }
    *items = grown;
    memset(grown + *count * size, 0, size);
    return grown + (*count)++ * size;
}

/* ---- match --------------------------------------------------------------------------------------- */

static const char *wrong_with_path(struct bytes text)
{
    struct path_pattern ignored;
    return path_pattern_parse(&ignored, text);
}

static const char *wrong_with_token(struct bytes text)
{
    return http_is_token(text) ? NULL : "has a byte that it cannot have";
}

static void read_host(struct config_reader *reader, void *into)
{
    read_text(reader, "host", "a name, such as api.example.com or \"*.example.com\"", match_host_is_wrong,
              &((struct match_spec *)into)->host);
}

static void read_path(struct config_reader *reader, void *into)
{
    read_text(reader, "path", "a path, such as /users, /users/* or /users/**", wrong_with_path,
              &((struct match_spec *)into)->path);
}

static void read_one_method(struct config_reader *reader, struct match_spec *match)
{
    char **method = APPEND(reader, &match->methods, &match->method_count);

    if (method == NULL) {
        config_skip(reader);
        return;
    }
    read_text(reader, "method", "a method, such as GET, or a list of them", wrong_with_token, method);
    if (*method == NULL)
        match->method_count--;
}

static void read_method(struct config_reader *reader, void *into)
{
    if (!config_is_at(reader, YAML_SEQUENCE_START_EVENT)) {
        read_one_method(reader, into);
        return;
    }
    for (config_advance(reader); reader->has_event && !config_is_at(reader, YAML_SEQUENCE_END_EVENT);)
        if (!config_refuse_alias(reader))
            read_one_method(reader, into);
    config_advance(reader);
}

/* Reads "name: value" into one more field. */
static void read_field(struct config_reader *reader, const char *what, struct bytes name, const char *like,
                       struct field_spec **fields, size_t *count)
{
    struct field_spec *field;

    if (!http_is_token(name)) {
        CONFIG_REPORT(reader, config_here(reader), "%s: \"%s\" is no field's name", what,
                      shown_text(name).text);
        config_skip_pair(reader);
        return;
    }
    for (size_t i = 0; i < *count; i++)
        if (bytes_equal_nocase(name, bytes_of_text((*fields)[i].name))) {
            CONFIG_REPORT(reader, config_here(reader), "%s: %s is there twice; keep one", what,
                          (*fields)[i].name);
            config_skip_pair(reader);
            return;
        }
    field = APPEND(reader, fields, count);
    if (field != NULL)
        field->name = strndup(name.data, name.size);
    if (field == NULL || field->name == NULL) {
        reader->no_memory = true;
        config_skip_pair(reader);
        return;
    }
    if (!config_advance(reader) || config_refuse_alias(reader))
        return;
    read_text(reader, field->name, like, NULL, &field->value);
}

static void read_header(struct config_reader *reader, void *into)
{
    struct match_spec *match = into;
    struct bytes name;

    if (!config_is_at(reader, YAML_MAPPING_START_EVENT)) {
        CONFIG_REPORT(reader, config_here(reader),
                      "header is a mapping of names and patterns, such as {X-Kind: \"a*\"}");
        config_skip(reader);
        return;
    }
    for (config_advance(reader); reader->has_event && !config_is_at(reader, YAML_MAPPING_END_EVENT);)
        if (config_read_key(reader, &name))
            read_field(reader, "header", name, "a pattern of its value, such as \"a*\", or \"*\" for any",
                       &match->fields, &match->field_count);
    config_advance(reader);
}

static void read_match(struct config_reader *reader, void *into)
{
    static const struct key keys[] = {
        {"host", read_host}, {"path", read_path}, {"method", read_method}, {"header", read_header}};
    static const struct mapping mapping = {
        .what = "match", .keys = keys, .key_count = COUNT_OF(keys), .scope = OPTION_OF_SERVER};

    read_mapping(reader, &mapping, &((struct route_entry *)into)->spec.match);
}

/* ---- routes -------------------------------------------------------------------------------------- */

static void read_upstream_name(struct config_reader *reader, void *into)
{
    struct route_entry *route = into;

    route->upstream_at = config_here(reader);
    read_text(reader, "upstream", "the name of one under upstreams", NULL, &route->spec.upstream);
}

static const struct key route_keys[] = {{"match", read_match}, {"upstream", read_upstream_name}};

static void read_route(struct config_reader *reader, struct role_options *role)
{
    struct route_entry *route = APPEND(reader, &role->routes, &role->route_count);

    if (route == NULL) {
        config_skip(reader);
        return;
    }
    route->where = config_here(reader);
    read_mapping(reader,
                 &(struct mapping){.what = "a route",
                                   .keys = route_keys,
                                   .key_count = COUNT_OF(route_keys),
                                   .scope = OPTION_OF_ROUTE,
                                   .policy = &route->spec.policy,
                                   .is_set = route->is_set},
                 route);
}

static void read_routes(struct config_reader *reader, void *into)
{
    struct role_options *role = into;

    role->routes_at = config_here(reader);
    if (!config_is_at(reader, YAML_SEQUENCE_START_EVENT)) {
        CONFIG_REPORT(reader, config_here(reader), "routes is a list: begin each with a dash, `- match:`");
        config_skip(reader);
        return;
    }
    for (config_advance(reader); reader->has_event && !config_is_at(reader, YAML_SEQUENCE_END_EVENT);)
        if (!config_refuse_alias(reader))
            read_route(reader, role);
    config_advance(reader);
}

/* ---- upstreams ----------------------------------------------------------------------------------- */

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
        upstream = APPEND(reader, &role->upstreams, &role->upstream_count);
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
        read_mapping(reader,
                     &(struct mapping){.what = "an upstream",
                                       .scope = OPTION_OF_UPSTREAM,
                                       .policy = &upstream->spec.policy,
                                       .is_set = upstream->is_set},
                     upstream);
}

static void read_upstreams(struct config_reader *reader, void *into)
{
    struct role_options *role = into;
    struct bytes name;

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

/* ---- the gateway --------------------------------------------------------------------------------- */

static const struct key gateway_keys[] = {{"upstreams", read_upstreams}, {"routes", read_routes}};

void config_consider_gateway_keys(struct nearest *nearest)
{
    for (size_t i = 0; i < COUNT_OF(gateway_keys); i++)
        nearest_consider(nearest, gateway_keys[i].name);
}

bool config_read_gateway_key(struct config_reader *reader, struct role_options *role, struct bytes name)
{
    for (size_t i = 0; i < COUNT_OF(gateway_keys); i++) {
        struct place was_at = i == 0 ? role->upstreams_at : role->routes_at;
        if (!bytes_equal(bytes_of_text(gateway_keys[i].name), name))
            continue;
        if (was_at.line != 0) {
            CONFIG_REPORT(reader, config_here(reader), "%s is there twice; keep one", gateway_keys[i].name);
            config_skip_pair(reader);
        } else if (config_advance(reader) && !config_refuse_alias(reader)) {
            gateway_keys[i].read(reader, role);
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
        if (role->upstream_policy.origin_url == NULL && role->upstream_count > 0 &&
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
    if (role->upstream_count > 0 && role->routes_at.line == 0)
        CONFIG_REPORT(reader, role->upstreams_at, "nothing leads to the upstreams; add routes");
}
