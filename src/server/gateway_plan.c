#include "server/gateway_plan.h"
#include "server/file.h"
#include <assert.h>
#include <stdlib.h>

/* ---- credentials: what is read here is shown to nobody ------------------------------------------- */

static void wipe(struct buffer *secret)
{
    if (secret->data != NULL)
        explicit_bzero(secret->data, secret->capacity);
    buffer_fini(secret);
}

static void report(const struct options *options, const struct route_entry *route, struct buffer *message,
                   const char *what)
{
    bool is_file = route->credential_file != NULL;

    options_report(options, route->credential_at, message, "credentials: %s %s %s",
                   is_file ? "the file" : "the environment's",
                   shown_text(bytes_of_text(is_file ? route->credential_file : route->credential_env)).text,
                   what);
}

/* The value without the line's end behind it. */
static bool read_value(const struct options *options, const struct route_entry *route, struct buffer *value,
                       struct buffer *message)
{
    const char *text = route->credential_env != NULL ? getenv(route->credential_env) : NULL;
    enum err err = OK;

    assert((route->credential_env == NULL) != (route->credential_file == NULL));
    if (route->credential_file != NULL)
        err = file_read(route->credential_file, value);
    else if (text == NULL)
        err = ERR_MISSING;
    else
        buffer_append(value, bytes_of_text(text));
    while (value->size > 0 &&
           (value->data[value->size - 1] == '\n' || value->data[value->size - 1] == '\r'))
        value->size--;
    if (err != OK && route->credential_file != NULL)
        report(options, route, message, err_text(err));
    else if (err != OK)
        report(options, route, message, "is not set");
    else if (value->size == 0)
        report(options, route, message, "is empty");
    else if (field_value_is_wrong(buffer_bytes(value)) != NULL)
        report(options, route, message, field_value_is_wrong(buffer_bytes(value)));
    else
        return true;
    return false;
}

static char *text_of(const struct buffer *buffer)
{
    return buffer->failed || buffer->data == NULL ? NULL : strndup(buffer->data, buffer->size);
}

static enum err find_credential(struct credential_spec *credential, const struct options *options,
                                const struct route_entry *route, struct buffer *message)
{
    struct buffer value = {0}, whole = {0}, source = {0};
    enum err err = OK;

    if (!read_value(options, route, &value, message))
        err = ERR_SYNTAX;
    if (route->credential_prefix != NULL)
        buffer_append(&whole, bytes_of_text(route->credential_prefix));
    buffer_append(&whole, buffer_bytes(&value));
    buffer_append_format(&source, "%s %s", route->credential_file != NULL ? "file" : "env",
                         route->credential_file != NULL ? route->credential_file : route->credential_env);
    if (err == OK) {
        credential->value = text_of(&whole);
        credential->source = text_of(&source);
        if (credential->value == NULL || credential->source == NULL)
            err = ERR_NO_MEMORY;
    }
    wipe(&value);
    wipe(&whole);
    buffer_fini(&source);
    return err;
}

/* ---- authorities --------------------------------------------------------------------------------- */

/* So that a wrong name is found out now, and not by every request. */
static bool check_authorities(const struct options *options, const struct upstream_policy *policy,
                              struct place where, struct buffer *message)
{
    const char *path = policy->authorities_path;
    struct buffer file = {0};
    const char *wrong = NULL;
    enum err err;

    if (path == NULL)
        return true;
    err = file_read(path, &file);
    if (err != OK)
        wrong = err_text(err);
    else if (file.size == 0 || memmem(file.data, file.size, "-----BEGIN ", 11) == NULL)
        wrong = "has no certificate in PEM form";
    if (wrong != NULL)
        options_report(options, where, message, "origin-ca: %s: %s", shown_text(bytes_of_text(path)).text,
                       wrong);
    buffer_fini(&file);
    return wrong == NULL;
}

/* ---- the whole ----------------------------------------------------------------------------------- */

enum err plan_spec_init(struct plan_spec *spec, const struct options *options,
                        const struct role_options *role, struct buffer *message)
{
    struct upstream_spec *upstreams = calloc(role->upstream_count + 1, sizeof *upstreams);
    struct route_spec *routes = calloc(role->route_count + 1, sizeof *routes);
    struct composition_spec *compositions = calloc(role->composition_count + 1, sizeof *compositions);
    enum err err = OK;

    *spec = (struct plan_spec){.upstreams = upstreams,
                               .routes = routes,
                               .compositions = compositions,
                               .policy = role->route_policy};
    if (upstreams == NULL || routes == NULL || compositions == NULL) {
        plan_spec_fini(spec);
        return ERR_NO_MEMORY;
    }
    /* The one without a name first: without routes all goes there. */
    if (role->upstream_policy.origin_urls != NULL) {
        upstreams[spec->upstream_count++] = (struct upstream_spec){.policy = role->upstream_policy};
        if (!check_authorities(options, &role->upstream_policy, role->where, message))
            err = ERR_SYNTAX;
    }
    for (size_t i = 0; i < role->upstream_count; i++) {
        upstreams[spec->upstream_count++] = role->upstreams[i].spec;
        if (!check_authorities(options, &role->upstreams[i].spec.policy, role->upstreams[i].where, message))
            err = ERR_SYNTAX;
    }
    for (size_t i = 0; i < role->route_count; i++) {
        enum err found = OK;
        routes[spec->route_count] = role->routes[i].spec;
        if (routes[i].credential.header != NULL)
            found = find_credential(&routes[i].credential, options, &role->routes[i], message);
        spec->route_count++;
        if (found != OK && err != ERR_NO_MEMORY)
            err = found;
    }
    for (size_t i = 0; i < role->composition_count; i++)
        compositions[spec->composition_count++] = role->compositions[i].spec;
    if (err != OK)
        plan_spec_fini(spec);
    return err;
}

void plan_spec_fini(struct plan_spec *spec)
{
    for (size_t i = 0; i < spec->route_count; i++) {
        const struct credential_spec *credential = &spec->routes[i].credential;
        if (credential->value != NULL)
            explicit_bzero(credential->value, strlen(credential->value));
        free(credential->value);
        free(credential->source);
    }
    free((void *)(uintptr_t)spec->upstreams);
    free((void *)(uintptr_t)spec->routes);
    free((void *)(uintptr_t)spec->compositions);
    *spec = (struct plan_spec){0};
}

void plan_report(const struct options *options, const struct role_options *role, enum err err,
                 struct buffer *message)
{
    if (err == ERR_SYNTAX)
        options_report(options, role->where, message, "an origin is not an absolute http or https URL");
    else if (err != OK)
        options_report(options, role->where, message, "%s", err_text(err));
}
