#include "route_match.h"
#include "base/glob.h"
#include "message/http_syntax.h"
#include <stdlib.h>

/* ---- making -------------------------------------------------------------------------------------- */

const char *match_host_is_wrong(struct bytes host)
{
    struct bytes name = bytes_start_with(host, BYTES("*.")) ? bytes_after(host, 2) : host;

    if (name.size > 2 && name.data[0] == '[' && name.data[name.size - 1] == ']')
        return NULL;
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] == '*')
            return "has a * that is not all of its first label, as in *.example.com";
        if (name.data[i] == ':' || name.data[i] == '/')
            return "is more than a name; leave out scheme, port and path";
        if (!http_byte_is(name.data[i], HTTP_BYTE_HOST))
            return "has a byte that no host has";
    }
    return name.size > 0 && name.data[0] != '.' ? NULL : "is no name";
}

static bool copy_text(const char *from, char **to)
{
    *to = from != NULL ? strdup(from) : NULL;
    return (from == NULL) == (*to == NULL);
}

bool match_spec_copy(struct match_spec *copy, const struct match_spec *spec)
{
    *copy = (struct match_spec){0};
    copy->methods = calloc(spec->method_count + 1, sizeof *copy->methods);
    copy->fields = calloc(spec->field_count + 1, sizeof *copy->fields);
    if (copy->methods == NULL || copy->fields == NULL || !copy_text(spec->host, &copy->host) ||
        !copy_text(spec->path, &copy->path))
        return false;
    for (; copy->method_count < spec->method_count; copy->method_count++)
        if (!copy_text(spec->methods[copy->method_count], &copy->methods[copy->method_count]))
            return false;
    while (copy->field_count < spec->field_count) {
        const struct field_spec *from = &spec->fields[copy->field_count];
        struct field_spec *to = &copy->fields[copy->field_count++];
        if (!copy_text(from->name, &to->name) || !copy_text(from->value, &to->value))
            return false;
    }
    return true;
}

void match_spec_fini(struct match_spec *spec)
{
    for (size_t i = 0; i < spec->method_count; i++)
        free(spec->methods[i]);
    for (size_t i = 0; i < spec->field_count; i++) {
        free(spec->fields[i].name);
        free(spec->fields[i].value);
    }
    free(spec->methods);
    free(spec->fields);
    free(spec->host);
    free(spec->path);
    *spec = (struct match_spec){0};
}

enum err route_match_init(struct route_match *match, const struct match_spec *spec)
{
    struct match_spec *own = &match->own;

    *match = (struct route_match){.has_host = false};
    if (!match_spec_copy(own, spec))
        return ERR_NO_MEMORY;
    if (own->host != NULL) {
        match->has_host = true;
        match->host = bytes_of_text(own->host);
        match->has_subdomains = bytes_start_with(match->host, BYTES("*."));
        if (match->has_subdomains)
            match->host = bytes_after(match->host, 1);
    }
    if (own->path == NULL)
        return OK;
    match->has_path = true;
    return path_pattern_parse(&match->path, bytes_of_text(own->path)) == NULL ? OK : ERR_SYNTAX;
}

void route_match_fini(struct route_match *match)
{
    match_spec_fini(&match->own);
    *match = (struct route_match){0};
}

/* ---- matching ------------------------------------------------------------------------------------ */

/* An authority's host, without the port and the dot that may end a name. */
static struct bytes host_of(struct bytes authority)
{
    const char *colon = authority.size > 0 ? memrchr(authority.data, ':', authority.size) : NULL;

    if (colon != NULL && authority.data[authority.size - 1] != ']')
        authority = bytes_first(authority, (size_t)(colon - authority.data));
    if (authority.size > 1 && authority.data[authority.size - 1] == '.')
        authority.size--;
    return authority;
}

static bool host_fits(const struct route_match *match, struct bytes host)
{
    if (match->has_subdomains) {
        if (host.size <= match->host.size)
            return false;
        host = bytes_after(host, host.size - match->host.size);
    }
    return bytes_equal_nocase(host, match->host);
}

static bool method_fits(const struct match_spec *own, struct bytes method)
{
    for (size_t i = 0; i < own->method_count; i++)
        if (bytes_equal(bytes_of_text(own->methods[i]), method))
            return true;
    return own->method_count == 0;
}

static bool field_fits(const struct field_spec *wanted, const struct http_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++)
        if (bytes_equal_nocase(fields->list[i].name, bytes_of_text(wanted->name)) &&
            glob_fits(bytes_of_text(wanted->value), fields->list[i].value))
            return true;
    return false;
}

bool route_matches(const struct route_match *match, const struct http_request *request)
{
    const struct match_spec *own = &match->own;

    if (match->has_host && !host_fits(match, host_of(request->authority)))
        return false;
    if (match->has_path && !path_pattern_fits(&match->path, request->path, NULL))
        return false;
    if (!method_fits(own, request->method_name))
        return false;
    for (size_t i = 0; i < own->field_count; i++)
        if (!field_fits(&own->fields[i], &request->fields))
            return false;
    return true;
}
