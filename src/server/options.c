#include "server/options.h"
#include <stdarg.h>
#include <stdlib.h>

/* Those of the server, or of a role and what it has. */
static void set_defaults(void *base, bool of_role)
{
    for (size_t i = 0; i < option_row_count(); i++)
        if ((option_row(i)->roles != 0) == of_role)
            option_set_default(option_row(i), option_field(option_row(i), base));
}

void options_init(struct options *options)
{
    *options = (struct options){.verb = VERB_HELP, .help_verb = VERB_HELP};
    set_defaults(options, false);
}

/* Frees what the options in `fields`, the struct of `scope`, own. */
static void release_all(enum option_scope scope, void *fields)
{
    for (size_t i = 0; i < option_row_count(); i++)
        if (option_row(i)->scope == scope)
            option_release(option_row(i), (char *)fields + option_row(i)->offset);
}

static void route_entry_fini(struct route_entry *route)
{
    struct route_spec *spec = &route->spec;

    release_all(OPTION_OF_ROUTE, &spec->policy);
    match_spec_fini(&spec->match);
    free(spec->upstream);
    free(spec->rewrite.strip_prefix);
    free(spec->rewrite.prefix);
    free(spec->rewrite.path);
    field_edit_spec_fini(&spec->request_fields);
    field_edit_spec_fini(&spec->response_fields);
    free(spec->credential.header);
    free(route->credential_env);
    free(route->credential_file);
    free(route->credential_prefix);
}

static void poll_entry_fini(struct poll_entry *poll)
{
    struct poll_spec *spec = &poll->spec;

    free(spec->url);
    for (size_t i = 0; i < spec->over_count; i++)
        free(spec->over[i]);
    free(spec->over);
    for (size_t i = 0; i < spec->field_count; i++) {
        free(spec->fields[i].name);
        free(spec->fields[i].value);
    }
    free(spec->fields);
}

static void compose_entry_fini(struct compose_entry *entry)
{
    release_all(OPTION_OF_ROUTE, &entry->spec.policy);
    composition_spec_fini(&entry->spec);
    free(entry->part_places);
}

static void role_fini(struct role_options *role)
{
    release_all(OPTION_OF_ROLE, role);
    release_all(OPTION_OF_UPSTREAM, &role->upstream_policy);
    release_all(OPTION_OF_ROUTE, &role->route_policy);
    for (size_t i = 0; i < role->upstream_count; i++) {
        release_all(OPTION_OF_UPSTREAM, &role->upstreams[i].spec.policy);
        free(role->upstreams[i].spec.name);
    }
    for (size_t i = 0; i < role->route_count; i++)
        route_entry_fini(&role->routes[i]);
    for (size_t i = 0; i < role->poll_count; i++)
        poll_entry_fini(&role->polls[i]);
    for (size_t i = 0; i < role->composition_count; i++)
        compose_entry_fini(&role->compositions[i]);
    free(role->upstreams);
    free(role->routes);
    free(role->polls);
    free(role->compositions);
}

void options_fini(struct options *options)
{
    for (size_t i = 0; i < options->role_count; i++)
        role_fini(&options->roles[i]);
    release_all(OPTION_OF_SERVER, options);
    text_list_fini(&options->purge_urls);
    free(options->roles);
    free(options->file);
    options_init(options);
}

struct role_options *options_add_role(struct options *options, enum role role, struct place where)
{
    struct role_options *grown = reallocarray(options->roles, options->role_count + 1, sizeof *grown);
    if (grown == NULL)
        return NULL;
    options->roles = grown;
    grown += options->role_count++;
    *grown = (struct role_options){.role = role, .where = where};
    set_defaults(grown, true);
    return grown;
}

void options_report(const struct options *options, struct place where, struct buffer *message,
                    const char *format, ...)
{
    char line[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (where.line > 0)
        buffer_append_format(message, "%s:%d:%d: %s\n", options->file, where.line, where.column, line);
    else
        buffer_append_format(message, "nuthatch: %s\n", line);
}
