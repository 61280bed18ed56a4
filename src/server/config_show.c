#include "server/config_show.h"
#include "base/compiler.h"
#include "base/number.h"
#include "engine/kv/kv_notify_flags.h"
#include "server/config_yaml.h"
#include "server/tier_url.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char redacted[] = "***";

/* ---- values -------------------------------------------------------------------------------------- */

/* What is no UTF-8, as a name of a file may be, is shown as far as that goes. */
static json_t *text(struct bytes bytes)
{
    json_t *string = json_stringn(bytes.size > 0 ? bytes.data : "", bytes.size);

    return string != NULL ? string : json_string(shown_text(bytes).text);
}

static json_t *text_of(const char *words) { return text(bytes_of_text(words)); }

static json_t *texts(char *const *items, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, text_of(items[i]));
    return list;
}

/* One origin, or a list of those that are one to a line. */
static json_t *origins(const char *lines)
{
    json_t *list = json_array();

    for (const char *line = lines; line != NULL;) {
        const char *end = strchr(line, '\n');
        json_array_append_new(list,
                              end != NULL ? text(bytes_of(line, (size_t)(end - line))) : text_of(line));
        line = end != NULL ? end + 1 : NULL;
    }
    return list;
}

static json_t *listens(const struct listen_list *list)
{
    json_t *array = json_array();

    for (size_t i = 0; i < list->count; i++) {
        const struct listen_option *listen = &list->items[i];
        struct buffer line = {0};

        buffer_append_format(&line, "%s://%s", listen_scheme(listen->protocol, listen->transport),
                             listen->address);
        if (listen->mode >= 0)
            buffer_append_format(&line, "?mode=%04o", (unsigned)listen->mode);
        if (!line.failed)
            json_array_append_new(array, text(buffer_bytes(&line)));
        buffer_fini(&line);
    }
    return array;
}

static json_t *formatted(const struct option_row *row, int64_t value)
{
    struct buffer out = {0};
    json_t *string;

    option_append_value(&out, row, value);
    string = out.failed ? NULL : text(buffer_bytes(&out));
    buffer_fini(&out);
    return string;
}

/* An item of status-ttl, which is kept in milliseconds, as an operator writes it. */
static json_t *status_and_time(struct bytes item)
{
    const char *equals = memchr(item.data, '=', item.size);
    size_t size = (size_t)(equals - item.data) + 1;
    struct buffer out = {0};
    int64_t ms = 0;
    json_t *string;

    int64_parse(bytes_after(item, size), &ms);
    buffer_append(&out, bytes_first(item, size));
    option_append_value(&out, option_find_scoped(OPTION_OF_ROUTE, BYTES("default-ttl")), ms);
    string = out.failed ? NULL : text(buffer_bytes(&out));
    buffer_fini(&out);
    return string;
}

/* Of a route's list. */
static json_t *items(const struct option_row *row, const char *list)
{
    struct bytes rest = route_items(list), item;
    json_t *array = json_array();

    while (http_list_next(&rest, &item))
        json_array_append_new(array, row->fallback == ROUTE_LIST_TTLS ? status_and_time(item) : text(item));
    return array;
}

static bool is_secret(const struct option_row *row)
{
    return row->type == OPTION_TYPE_secret || strcmp(row->name, "http-token") == 0;
}

/* What is in `field` as it would stand in a file, one function for each `shown` of tables/option_types.def.
 * Null if there is none, or no memory. */
static json_t *show_integer(const struct option_row *row, const void *field)
{
    return json_integer(option_number(row, field));
}

static json_t *show_words(const struct option_row *row, const void *field)
{
    return formatted(row, option_number(row, field));
}

static json_t *show_events(const struct option_row *row, const void *field)
{
    char letters[KV_NOTIFY_TEXT_BYTES];

    (void)row;
    return text(bytes_of(letters, kv_notify_format(*(const uint32_t *)field, letters)));
}

static json_t *show_flag(const struct option_row *row, const void *field)
{
    (void)row;
    return json_boolean(*(const bool *)field);
}

static json_t *show_text(const struct option_row *row, const void *field)
{
    const char *words = *(char *const *)field;

    return words != NULL ? text_of(is_secret(row) ? redacted : words) : NULL;
}

/* The URL without its password. */
static json_t *show_tier(const struct option_row *row, const void *field)
{
    const char *url = *(char *const *)field;
    struct bytes password;
    struct buffer out = {0};
    json_t *string = NULL;

    (void)row;
    if (url == NULL)
        return NULL;
    password = tier_url_password(bytes_of_text(url));
    if (password.size == 0)
        return text_of(url);
    buffer_append(&out, bytes_of(url, (size_t)(password.data - url)));
    buffer_append(&out, bytes_of_text(redacted));
    buffer_append(&out, bytes_of_text(password.data + password.size));
    if (!out.failed)
        string = text(buffer_bytes(&out));
    buffer_fini(&out);
    return string;
}

static json_t *show_texts(const struct option_row *row, const void *field)
{
    const struct text_list *list = field;

    (void)row;
    return list->count > 0 ? texts(list->items, list->count) : NULL;
}

static json_t *show_origins(const struct option_row *row, const void *field)
{
    const char *lines = *(char *const *)field;

    (void)row;
    return lines != NULL ? origins(lines) : NULL;
}

static json_t *show_items(const struct option_row *row, const void *field)
{
    const char *list = *(char *const *)field;

    return list != NULL ? items(row, list) : NULL;
}

static json_t *show_rates(const struct option_row *row, const void *field)
{
    const char *list = *(char *const *)field;
    struct bytes rest = bytes_of_text(list != NULL ? list : ""), item;
    json_t *array = json_array();

    (void)row;
    while (http_list_next(&rest, &item))
        json_array_append_new(array, text(item));
    return array;
}

static json_t *show_listens(const struct option_row *row, const void *field)
{
    const struct listen_list *list = field;

    (void)row;
    return list->count > 0 ? listens(list) : NULL;
}

static json_t *(*const showers[])(const struct option_row *row, const void *field) = {
#define OPTION_TYPE(type, kept, help, read, shown, traits) [OPTION_TYPE_##type] = show_##shown,
#include "tables/option_types.def"
#undef OPTION_TYPE
};

/* Adds those options of `scope` that `roles` have, from the struct at `base`. */
static void add_options(json_t *object, enum option_scope scope, unsigned roles, const void *base)
{
    for (size_t i = 0; i < option_row_count(); i++) {
        const struct option_row *row = option_row(i);
        bool belongs = roles != 0 ? (row->roles & roles) != 0 : option_is_of_server(row);

        if (row->scope == scope && belongs)
            json_object_set_new(object, row->name,
                                showers[row->type](row, (const char *)base + row->offset));
    }
}

/* The block `tier:`; null if there is no tier. */
static json_t *tier_of(const struct options *options)
{
    json_t *object = options->tier_url != NULL ? json_object() : NULL;

    for (size_t i = 0; i < option_row_count() && object != NULL; i++) {
        const struct option_row *row = option_row(i);
        if (option_is_of_tier(row))
            json_object_set_new(object, row->key,
                                showers[row->type](row, (const char *)options + row->offset));
    }
    return object;
}

/* ---- routes -------------------------------------------------------------------------------------- */

/* Whether what is said of a header may be told. Of any that is not named here it may be a secret, whatever
 * the header is called. */
static bool is_harmless(const char *name)
{
    static const char *const names[] = {
        "Accept",
        "Accept-Encoding",
        "Accept-Language",
        "Cache-Control",
        "Connection",
        "Content-Encoding",
        "Content-Language",
        "Content-Type",
        "Host",
        "Permissions-Policy",
        "Referrer-Policy",
        "Server",
        "Strict-Transport-Security",
        "User-Agent",
        "Vary",
        "X-Content-Type-Options",
        "X-Forwarded-Proto",
        "X-Frame-Options",
    };

    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

static void add_text(json_t *object, const char *key, const char *words)
{
    if (words != NULL)
        json_object_set_new(object, key, text_of(words));
}

/* Adds what has anything in it, and takes it over. */
static void add_if_any(json_t *object, const char *key, json_t *what)
{
    if (json_object_size(what) > 0 || json_array_size(what) > 0)
        json_object_set(object, key, what);
    json_decref(what);
}

static json_t *fields(const struct field_spec *list, size_t count)
{
    json_t *object = json_object();

    for (size_t i = 0; i < count; i++)
        add_text(object, list[i].name, is_harmless(list[i].name) ? list[i].value : redacted);
    return object;
}

static json_t *field_edit(const struct field_edit_spec *edit)
{
    json_t *object = json_object();

    add_if_any(object, "set", fields(edit->set, edit->set_count));
    add_if_any(object, "remove", texts(edit->removed, edit->removed_count));
    return object;
}

static json_t *match(const struct match_spec *spec)
{
    json_t *object = json_object();

    add_text(object, "host", spec->host);
    add_text(object, "path", spec->path);
    add_if_any(object, "method", texts(spec->methods, spec->method_count));
    add_if_any(object, "header", fields(spec->fields, spec->field_count));
    return object;
}

static json_t *rewrite(const struct rewrite_spec *spec)
{
    json_t *object = json_object();

    add_text(object, "strip-prefix", spec->strip_prefix);
    add_text(object, "prefix", spec->prefix);
    add_text(object, "path", spec->path);
    return object;
}

/* What stands before a credential, such as "Bearer ": past a scheme and its blank may be a part of it. */
static json_t *credential_prefix(const char *prefix)
{
    const char *blank = strchr(prefix, ' ');
    size_t size = blank != NULL ? (size_t)(blank - prefix) + 1 : 0;
    struct buffer out = {0};
    json_t *string;

    buffer_append(&out, bytes_of(prefix, size));
    if (prefix[size] != '\0')
        buffer_append(&out, bytes_of_text(redacted));
    string = out.failed ? NULL : text(buffer_bytes(&out));
    buffer_fini(&out);
    return string;
}

static json_t *credentials(const struct route_entry *route)
{
    json_t *object = json_object();

    add_text(object, "header", route->spec.credential.header);
    add_text(object, "value-env", route->credential_env);
    add_text(object, "value-file", route->credential_file);
    if (route->credential_prefix != NULL)
        json_object_set_new(object, "prefix", credential_prefix(route->credential_prefix));
    return object;
}

static json_t *route_of(const struct route_entry *route)
{
    json_t *object = json_object();

    add_if_any(object, "match", match(&route->spec.match));
    add_text(object, "upstream", route->spec.upstream);
    add_if_any(object, "rewrite", rewrite(&route->spec.rewrite));
    add_if_any(object, "request-headers", field_edit(&route->spec.request_fields));
    add_if_any(object, "response-headers", field_edit(&route->spec.response_fields));
    add_if_any(object, "credentials", credentials(route));
    add_options(object, OPTION_OF_ROUTE, ROLES_GATEWAY, &route->spec.policy);
    return object;
}

/* ---- polls --------------------------------------------------------------------------------------- */

static json_t *time_of(int64_t ms)
{
    return formatted(option_find_scoped(OPTION_OF_ROUTE, BYTES("default-ttl")), ms);
}

static json_t *poll_of(const struct poll_entry *poll)
{
    const struct poll_spec *spec = &poll->spec;
    json_t *object = json_object();

    add_text(object, "url", spec->url);
    add_if_any(object, "over", texts(spec->over, spec->over_count));
    if (poll->interval_ms != 0) {
        json_object_set_new(object, "interval", time_of(poll->interval_ms));
    } else {
        json_object_set_new(object, "interval-min", time_of(spec->interval_ms_min));
        json_object_set_new(object, "interval-max", time_of(spec->interval_ms_max));
    }
    add_if_any(object, "headers", fields(spec->fields, spec->field_count));
    return object;
}

/* ---- composed routes ----------------------------------------------------------------------------- */

static json_t *selected(const struct part_spec *part)
{
    json_t *object = json_object();

    for (size_t i = 0; i < part->selected_count; i++)
        add_text(object, part->selected[i].name, part->selected[i].value);
    return object;
}

static json_t *part_of(const struct part_spec *part)
{
    json_t *object = json_object();

    add_text(object, "target", part->target);
    add_text(object, "pointer", part->pointer);
    add_if_any(object, "select", selected(part));
    add_text(object, "optional", part->optional);
    if (part->timeout_ms > 0)
        json_object_set_new(object, "timeout", show_words(&part_timeout_row, &part->timeout_ms));
    return object;
}

static json_t *composition_of(const struct compose_entry *entry)
{
    const struct composition_spec *spec = &entry->spec;
    json_t *object = json_object(), *parts = json_object();

    add_text(object, "path", spec->path);
    for (size_t i = 0; i < spec->part_count; i++)
        json_object_set_new(parts, spec->parts[i].name, part_of(&spec->parts[i]));
    add_if_any(object, "parts", parts);
    add_if_any(object, "pass-headers", texts(spec->passed, spec->passed_count));
    json_object_set_new(object, "on-failure",
                        text_of(spec->on_failure != NULL ? spec->on_failure : "null"));
    json_object_set_new(object, "timeout", show_words(&compose_timeout_row, &spec->timeout_ms));
    json_object_set_new(object, "compose-max", show_words(&compose_max_row, &spec->body_bytes_max));
    for (size_t i = 0; i < option_row_count(); i++) {
        const struct option_row *row = option_row(i);
        if (option_is_of_composition(row))
            json_object_set_new(object, row->name,
                                showers[row->type](row, (const char *)&spec->policy + row->offset));
    }
    return object;
}

/* ---- the whole ----------------------------------------------------------------------------------- */

json_t *config_of_gateway(const struct role_options *role)
{
    json_t *object = json_object(), *upstreams = json_object(), *routes = json_array(),
           *polls = json_array(), *compositions = json_array();

    add_options(object, OPTION_OF_UPSTREAM, ROLES_GATEWAY, &role->upstream_policy);
    add_options(object, OPTION_OF_ROUTE, ROLES_GATEWAY, &role->route_policy);
    for (size_t i = 0; i < role->upstream_count; i++) {
        json_t *upstream = json_object();
        add_options(upstream, OPTION_OF_UPSTREAM, ROLES_GATEWAY, &role->upstreams[i].spec.policy);
        json_object_set_new(upstreams, role->upstreams[i].spec.name, upstream);
    }
    for (size_t i = 0; i < role->route_count; i++)
        json_array_append_new(routes, route_of(&role->routes[i]));
    add_if_any(object, "upstreams", upstreams);
    for (size_t i = 0; i < role->composition_count; i++)
        json_array_append_new(compositions, composition_of(&role->compositions[i]));
    for (size_t i = 0; i < role->poll_count; i++)
        json_array_append_new(polls, poll_of(&role->polls[i]));
    add_if_any(object, "routes", routes);
    add_if_any(object, "poll", polls);
    add_if_any(object, "compose", compositions);
    return object;
}

enum err config_shown_init(struct config_shown *shown, const struct options *options)
{
    *shown = (struct config_shown){.options = options,
                                   .gateways = calloc(options->role_count + 1, sizeof *shown->gateways)};
    pthread_mutex_init(&shown->lock, NULL);
    if (shown->gateways == NULL)
        return ERR_NO_MEMORY;
    for (size_t i = 0; i < options->role_count; i++) {
        if (options->roles[i].role != ROLE_GATEWAY)
            continue;
        shown->gateways[i] = config_of_gateway(&options->roles[i]);
        if (shown->gateways[i] == NULL)
            return ERR_NO_MEMORY;
    }
    return OK;
}

void config_shown_fini(struct config_shown *shown)
{
    for (size_t i = 0; shown->gateways != NULL && i < shown->options->role_count; i++)
        json_decref(shown->gateways[i]);
    free(shown->gateways);
    pthread_mutex_destroy(&shown->lock);
}

void config_shown_set(struct config_shown *shown, size_t index, json_t *gateway)
{
    pthread_mutex_lock(&shown->lock);
    json_decref(shown->gateways[index]);
    shown->gateways[index] = gateway;
    pthread_mutex_unlock(&shown->lock);
}

static int append(const char *bytes, size_t size, void *out)
{
    buffer_append(out, bytes_of(bytes, size));
    return ((struct buffer *)out)->failed ? -1 : 0;
}

/* Under the lock. */
static json_t *config_of(const struct config_shown *shown)
{
    const struct options *options = shown->options;
    json_t *object = json_object();

    add_options(object, OPTION_OF_SERVER, 0, options);
    json_object_set_new(object, "tier", tier_of(options));
    for (size_t i = 0; i < options->role_count; i++) {
        const struct role_options *role = &options->roles[i];
        const char *name = role_row(role->role)->name;
        json_t *one = json_object();

        if (json_object_get(object, name) == NULL)
            json_object_set_new(object, name, json_array());
        add_options(one, OPTION_OF_ROLE, 1u << role->role, role);
        if (shown->gateways[i] != NULL)
            json_object_update(one, shown->gateways[i]);
        json_array_append_new(json_object_get(object, name), one);
    }
    return object;
}

enum err config_shown_append(struct config_shown *shown, struct buffer *out)
{
    json_t *config;
    int result;

    pthread_mutex_lock(&shown->lock);
    config = config_of(shown);
    result = json_dump_callback(config, append, out, JSON_INDENT(2));
    json_decref(config);
    pthread_mutex_unlock(&shown->lock);
    buffer_append_byte(out, '\n');
    return result == 0 && !out->failed ? OK : ERR_NO_MEMORY;
}
