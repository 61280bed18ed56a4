/* config_gateway.c — what nests under `gateway:` in a YAML file: its upstreams and its routes.
 *
 *   upstreams:
 *     NAME: {origin: URL, …}             options of tables/upstream_options.def
 *   routes:
 *     - match: {host:, path:, method:, header: {NAME: PATTERN}}
 *       upstream: NAME
 *       rewrite: {strip-prefix:, prefix:} or {path:}
 *       request-headers: {set: {NAME: VALUE}, remove: [NAME]}
 *       response-headers: the same
 *       credentials: {header:, value-env: or value-file:, prefix:}
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

/* True if it is said that the key belongs to the other of upstreams and routes. */
static bool report_misplaced(struct config_reader *reader, const struct mapping *mapping, struct bytes name)
{
    bool is_upstream = mapping->scope == OPTION_OF_UPSTREAM;

    if (mapping->scope == OPTION_OF_SERVER ||
        option_find_scoped(is_upstream ? OPTION_OF_ROUTE : OPTION_OF_UPSTREAM, name) == NULL)
        return false;
    CONFIG_REPORT(reader, config_here(reader), "%s belongs under %s or the gateway, not under %s",
                  shown_text(name).text, is_upstream ? "a route" : "an upstream", mapping->what);
    return true;
}

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
    if (report_misplaced(reader, mapping, name))
        ; /* said */
    else if (nearest.name != NULL)
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

/* A list of texts, or one; each is read as read_text does. */
static void read_one(struct config_reader *reader, const char *what, const char *like,
                     const char *(*wrong_with)(struct bytes text), char ***items, size_t *count)
{
    char **item = APPEND(reader, items, count);

    if (item == NULL) {
        config_skip(reader);
        return;
    }
    read_text(reader, what, like, wrong_with, item);
    if (*item == NULL)
        --*count;
}

static void read_list(struct config_reader *reader, const char *what, const char *like,
                      const char *(*wrong_with)(struct bytes text), char ***items, size_t *count)
{
    if (!config_is_at(reader, YAML_SEQUENCE_START_EVENT)) {
        read_one(reader, what, like, wrong_with, items, count);
        return;
    }
    for (config_advance(reader); reader->has_event && !config_is_at(reader, YAML_SEQUENCE_END_EVENT);)
        if (!config_refuse_alias(reader))
            read_one(reader, what, like, wrong_with, items, count);
    config_advance(reader);
}

static void read_method(struct config_reader *reader, void *into)
{
    struct match_spec *match = into;

    read_list(reader, "method", "a method, such as GET, or a list of them", wrong_with_token,
              &match->methods, &match->method_count);
}

/* How the fields of a mapping are read: what it is called, what to write for a value, and what is wrong
 * with names and with values. */
struct field_reading {
    const char *what, *like;
    const char *(*wrong_name)(struct bytes name);
    const char *(*wrong_value)(struct bytes value);
};

/* Reads "name: value" into one more field. */
static void read_field(struct config_reader *reader, const struct field_reading *reading, struct bytes name,
                       struct field_spec **fields, size_t *count)
{
    const char *what = reading->what, *wrong = reading->wrong_name(name);
    struct field_spec *field;

    if (wrong != NULL) {
        CONFIG_REPORT(reader, config_here(reader), "%s: \"%s\" %s", what, shown_text(name).text, wrong);
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
    if (config_advance(reader) && !config_refuse_alias(reader))
        read_text(reader, field->name, reading->like, reading->wrong_value, &field->value);
    if (field->value == NULL) {
        free(field->name);
        --*count;
    }
}

static void read_fields(struct config_reader *reader, const struct field_reading *reading,
                        struct field_spec **fields, size_t *count)
{
    struct bytes name;

    if (!config_is_at(reader, YAML_MAPPING_START_EVENT)) {
        CONFIG_REPORT(reader, config_here(reader),
                      "%s is a mapping of names and values, such as {X-Kind: \"a\"}", reading->what);
        config_skip(reader);
        return;
    }
    for (config_advance(reader); reader->has_event && !config_is_at(reader, YAML_MAPPING_END_EVENT);)
        if (config_read_key(reader, &name))
            read_field(reader, reading, name, fields, count);
    config_advance(reader);
}

static const char *wrong_with_name(struct bytes text)
{
    return http_is_token(text) ? NULL : "is no field's name";
}

static void read_header(struct config_reader *reader, void *into)
{
    static const struct field_reading reading = {
        "header", "a pattern of its value, such as \"a*\", or \"*\" for any", wrong_with_name, NULL};
    struct match_spec *match = into;

    read_fields(reader, &reading, &match->fields, &match->field_count);
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

/* ---- rewriting, headers, credentials -------------------------------------------------------------- */

static void read_strip_prefix(struct config_reader *reader, void *into)
{
    read_text(reader, "strip-prefix", "what the path begins with, such as /repos", rewrite_prefix_is_wrong,
              &((struct rewrite_spec *)into)->strip_prefix);
}

static void read_prefix(struct config_reader *reader, void *into)
{
    read_text(reader, "prefix", "what goes before the path, such as /v3", rewrite_prefix_is_wrong,
              &((struct rewrite_spec *)into)->prefix);
}

static void read_new_path(struct config_reader *reader, void *into)
{
    read_text(reader, "path", "a path, such as \"/v3/{name}/**\"", wrong_with_path,
              &((struct rewrite_spec *)into)->path);
}

static void read_rewrite(struct config_reader *reader, void *into)
{
    static const struct key keys[] = {
        {"strip-prefix", read_strip_prefix}, {"prefix", read_prefix}, {"path", read_new_path}};
    static const struct mapping mapping = {
        .what = "rewrite", .keys = keys, .key_count = COUNT_OF(keys), .scope = OPTION_OF_SERVER};
    struct route_entry *route = into;

    route->rewrite_at = config_here(reader);
    read_mapping(reader, &mapping, &route->spec.rewrite);
}

static void read_request_set(struct config_reader *reader, void *into)
{
    static const struct field_reading reading = {"set", "what it is to say", request_set_is_wrong,
                                                 field_value_is_wrong};
    struct field_edit_spec *edit = into;

    read_fields(reader, &reading, &edit->set, &edit->set_count);
}

static void read_request_removed(struct config_reader *reader, void *into)
{
    struct field_edit_spec *edit = into;

    read_list(reader, "remove", "a field's name, or a list of them", request_removal_is_wrong,
              &edit->removed, &edit->removed_count);
}

static void read_request_headers(struct config_reader *reader, void *into)
{
    static const struct key keys[] = {{"set", read_request_set}, {"remove", read_request_removed}};
    static const struct mapping mapping = {
        .what = "request-headers", .keys = keys, .key_count = COUNT_OF(keys), .scope = OPTION_OF_SERVER};

    read_mapping(reader, &mapping, &((struct route_entry *)into)->spec.request_fields);
}

static void read_response_set(struct config_reader *reader, void *into)
{
    static const struct field_reading reading = {"set", "what it is to say", response_edit_is_wrong,
                                                 field_value_is_wrong};
    struct field_edit_spec *edit = into;

    read_fields(reader, &reading, &edit->set, &edit->set_count);
}

static void read_response_removed(struct config_reader *reader, void *into)
{
    struct field_edit_spec *edit = into;

    read_list(reader, "remove", "a field's name, or a list of them", response_edit_is_wrong, &edit->removed,
              &edit->removed_count);
}

static void read_response_headers(struct config_reader *reader, void *into)
{
    static const struct key keys[] = {{"set", read_response_set}, {"remove", read_response_removed}};
    static const struct mapping mapping = {
        .what = "response-headers", .keys = keys, .key_count = COUNT_OF(keys), .scope = OPTION_OF_SERVER};

    read_mapping(reader, &mapping, &((struct route_entry *)into)->spec.response_fields);
}

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
static void read_variable(struct config_reader *reader, void *into)
{
    struct route_entry *route = into;
    struct place where = config_here(reader);
    char *name = NULL;

    read_text(reader, "value-env", "the name of a variable of the environment, such as TOKEN", NULL, &name);
    if (name != NULL && wrong_with_variable(bytes_of_text(name)) != NULL) {
        CONFIG_REPORT(reader, where, "value-env %s; the value itself belongs in that variable",
                      wrong_with_variable(bytes_of_text(name)));
        free(name);
        return;
    }
    route->credential_env = name;
}

static void read_value_file(struct config_reader *reader, void *into)
{
    struct route_entry *route = into;
    struct buffer full = {0};
    char *name = NULL;

    read_text(reader, "value-file", "the name of a file with the value", NULL, &name);
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

static void read_value_prefix(struct config_reader *reader, void *into)
{
    read_text(reader, "prefix", "what goes before the value, such as \"Bearer \"", wrong_with_prefix,
              &((struct route_entry *)into)->credential_prefix);
}

static void read_credential_header(struct config_reader *reader, void *into)
{
    read_text(reader, "header", "the field to send it in, such as Authorization", credential_name_is_wrong,
              &((struct route_entry *)into)->spec.credential.header);
}

static void read_credentials(struct config_reader *reader, void *into)
{
    static const struct key keys[] = {{"header", read_credential_header},
                                      {"value-env", read_variable},
                                      {"value-file", read_value_file},
                                      {"prefix", read_value_prefix}};
    static const struct mapping mapping = {
        .what = "credentials", .keys = keys, .key_count = COUNT_OF(keys), .scope = OPTION_OF_SERVER};
    struct route_entry *route = into;
    unsigned problems = reader->problem_count;

    route->credential_at = config_here(reader);
    read_mapping(reader, &mapping, route);
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

static const struct key route_keys[] = {{"match", read_match},
                                        {"upstream", read_upstream_name},
                                        {"rewrite", read_rewrite},
                                        {"request-headers", read_request_headers},
                                        {"response-headers", read_response_headers},
                                        {"credentials", read_credentials}};

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
    check_rewrite(reader, route);
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
    if (role->upstream_count > 0 && role->routes_at.line == 0)
        CONFIG_REPORT(reader, role->upstreams_at, "nothing leads to the upstreams; add routes");
}
