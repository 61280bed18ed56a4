#include "api_load.h"
#include <stdio.h>
#include <stdlib.h>

enum { PATHS_MAX = 20000 };

/* ---- for all ----------------------------------------------------------------------------------- */

void *loader_take(struct loader *loader, size_t count, size_t size)
{
    void *taken = region_take(document_region(loader->document), count * size);

    if (taken == NULL)
        document_fail(loader->document);
    return taken;
}

struct place loader_member(struct loader *loader, struct place parent, const char *name, unsigned kinds)
{
    struct place place = document_member(loader->document, parent, name);
    char words[KIND_WORDS_BYTES];

    if (place.node != NULL && json_is_object(place.node))
        place = document_resolve(loader->document, place);
    if (place.node != NULL && !(json_value_kind(place.node) & kinds)) {
        kind_describe(kinds, words);
        document_complain(loader->document, place, "%s must be %s", name, words);
        place.node = NULL;
    }
    return place;
}

const char *loader_text(struct loader *loader, struct place parent, const char *name)
{
    return json_string_value(loader_member(loader, parent, name, KIND_STRING).node);
}

bool loader_flag(struct loader *loader, struct place parent, const char *name, bool fallback)
{
    const json_t *node = loader_member(loader, parent, name, KIND_BOOLEAN).node;
    return node != NULL ? json_is_true(node) : fallback;
}

const struct schema *loader_schema(struct loader *loader, struct place parent)
{
    struct place place = document_member(loader->document, parent, "schema");
    return place.node != NULL ? schemas_add(loader->schemas, place) : NULL;
}

/* ---- servers ----------------------------------------------------------------------------------- */

/* The path of a server's URL, its variables having their defaults; null without memory. */
static char *base_of(struct loader *loader, struct place server, const char *url)
{
    struct place variables = loader_member(loader, server, "variables", KIND_OBJECT);
    struct buffer whole = {0};
    const char *path;
    char *base = NULL;

    while (*url != '\0') {
        const char *end = *url == '{' ? strchr(url, '}') : NULL;
        char name[64];
        if (end == NULL || (size_t)(end - url) > sizeof name) {
            buffer_append_byte(&whole, *url++);
            continue;
        }
        snprintf(name, sizeof name, "%.*s", (int)(end - url) - 1, url + 1);
        path = loader_text(loader, document_member(loader->document, variables, name), "default");
        buffer_append(&whole, bytes_of_text(path != NULL ? path : ""));
        url = end + 1;
    }
    buffer_append_byte(&whole, '\0');
    if (!whole.failed) {
        char *authority = strstr(whole.data, "://");
        path = strchrnul(authority != NULL ? authority + 3 : whole.data, '/');
        base = region_copy(document_region(loader->document), bytes_of(path, strcspn(path, "?#")));
    }
    buffer_fini(&whole);
    if (base == NULL) {
        document_fail(loader->document);
        return NULL;
    }
    for (size_t size = strlen(base); size > 0 && base[size - 1] == '/'; size--)
        base[size - 1] = '\0';
    return base;
}

static void load_servers(struct loader *loader, struct place root)
{
    struct place servers = loader_member(loader, root, "servers", KIND_ARRAY);
    size_t count = json_array_size(servers.node);
    struct api *api = loader->api;

    if (count == 0 || (api->bases = loader_take(loader, count, sizeof *api->bases)) == NULL)
        return;
    for (size_t i = 0; i < count; i++) {
        struct place server = document_item(loader->document, servers, i);
        const char *url = loader_text(loader, server, "url");
        char *base = url != NULL ? base_of(loader, server, url) : NULL;
        if (base != NULL && *base != '\0')
            api->bases[api->base_count++] = base;
    }
}

/* ---- paths ------------------------------------------------------------------------------------- */

static const struct {
    const char *key, *name;
    enum http_method method;
} methods[] = {
    {"get", "GET", HTTP_METHOD_GET},
    {"put", "PUT", HTTP_METHOD_PUT},
    {"post", "POST", HTTP_METHOD_POST},
    {"delete", "DELETE", HTTP_METHOD_DELETE},
    {"options", "OPTIONS", HTTP_METHOD_OPTIONS},
    {"head", "HEAD", HTTP_METHOD_HEAD},
    {"patch", "PATCH", HTTP_METHOD_PATCH},
    {"trace", "TRACE", HTTP_METHOD_TRACE},
    {"query", "QUERY", HTTP_METHOD_QUERY},
};

static void check_path_parameters(struct loader *loader, struct place place, const struct api_path *path,
                                  const struct operation *operation)
{
    for (size_t i = 0; i < operation->parameters.count; i++) {
        const struct parameter *parameter = &operation->parameters.list[i];
        if (parameter->place == IN_PATH && !path_template_has(path->path, parameter->name))
            document_complain(loader->document, place, "the path has no {%s}, which is a parameter in it",
                              parameter->name);
    }
}

static void load_operation(struct loader *loader, struct place item, struct place place,
                           struct api_path *path, struct operation *operation,
                           struct security_choice *security, size_t security_count)
{
    operation->pointer = place.pointer;
    operation->security = security;
    operation->security_count = security_count;
    load_parameters(loader, item, &operation->parameters);
    load_parameters(loader, place, &operation->parameters);
    check_path_parameters(loader, place, path, operation);
    load_security(loader, place, &operation->security, &operation->security_count);
    load_request_body(loader, place, operation);
    load_responses(loader, place, operation);
}

static void note_allowed(struct loader *loader, struct api_path *path)
{
    struct buffer allow = {0};
    bool has_get = false, has_head = false, has_options = false;

    for (size_t i = 0; i < path->operation_count; i++) {
        enum http_method method = path->operations[i].method;
        has_get |= method == HTTP_METHOD_GET;
        has_head |= method == HTTP_METHOD_HEAD;
        has_options |= method == HTTP_METHOD_OPTIONS;
        buffer_append_format(&allow, "%s%s", i > 0 ? ", " : "", path->operations[i].method_name);
    }
    if (has_get && !has_head)
        buffer_append_literal(&allow, ", HEAD");
    if (!has_options)
        buffer_append_format(&allow, "%sOPTIONS", allow.size > 0 ? ", " : "");
    path->allow =
        allow.failed ? NULL : region_copy(document_region(loader->document), buffer_bytes(&allow));
    buffer_fini(&allow);
    if (path->allow == NULL)
        document_fail(loader->document);
}

static void load_path(struct loader *loader, struct place item, const char *text, struct api_path *path,
                      struct security_choice *security, size_t security_count)
{
    const char *why;

    path->text = text;
    path->path = path_template_parse(document_region(loader->document), text, &why);
    if (path->path == NULL) {
        if (why != NULL)
            document_complain(loader->document, item, "%s", why);
        else
            document_fail(loader->document);
        return;
    }
    path->operations = loader_take(loader, COUNT_OF(methods), sizeof *path->operations);
    if (path->operations == NULL)
        return;
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        struct place place = loader_member(loader, item, methods[i].key, KIND_OBJECT);
        struct operation *operation = &path->operations[path->operation_count];
        if (place.node == NULL)
            continue;
        operation->method = methods[i].method;
        operation->method_name = methods[i].name;
        load_operation(loader, item, place, path, operation, security, security_count);
        path->operation_count++;
    }
    note_allowed(loader, path);
}

static int compare_paths(const void *a, const void *b)
{
    const struct api_path *x = a, *y = b;
    return path_template_compare(x->path, y->path);
}

static void load_paths(struct loader *loader, struct place root)
{
    struct place paths = loader_member(loader, root, "paths", KIND_OBJECT);
    struct api *api = loader->api;
    struct security_choice *security = NULL;
    size_t security_count = 0;
    const char *text;
    json_t *node;

    if (paths.node == NULL || json_object_size(paths.node) > PATHS_MAX) {
        if (paths.node != NULL || !loader->is_3_1) /* 3.1: only webhooks or components is fine */
            document_complain(loader->document, root, "paths must be an object of at most %d paths",
                              PATHS_MAX);
        return;
    }
    load_security(loader, root, &security, &security_count);
    api->paths = loader_take(loader, json_object_size(paths.node), sizeof *api->paths);
    if (api->paths == NULL)
        return;
    json_object_foreach((json_t *)paths.node, text, node)
    {
        struct place item = loader_member(loader, paths, text, KIND_OBJECT);
        struct api_path *path = &api->paths[api->path_count];
        if (item.node == NULL || strncmp(text, "x-", 2) == 0)
            continue;
        load_path(loader, item, text, path, security, security_count);
        api->path_count += path->path != NULL;
    }
    if (api->path_count > 0)
        qsort(api->paths, api->path_count, sizeof *api->paths, compare_paths);
    for (size_t i = 1; i < api->path_count; i++)
        if (path_template_compare(api->paths[i - 1].path, api->paths[i].path) == 0)
            document_complain(loader->document, paths, "%s and %s are the same path",
                              api->paths[i - 1].text, api->paths[i].text);
}

/* Examples are rendered once all schemas are known: a second look at the operations. */
static void load_all_examples(struct loader *loader, struct place root)
{
    struct place paths = loader_member(loader, root, "paths", KIND_OBJECT);

    for (size_t i = 0; i < loader->api->path_count; i++) {
        struct api_path *path = &loader->api->paths[i];
        struct place item = loader_member(loader, paths, path->text, KIND_OBJECT);
        for (size_t j = 0; j < path->operation_count; j++)
            for (size_t k = 0; k < COUNT_OF(methods); k++)
                if (methods[k].method == path->operations[j].method)
                    load_examples(loader, loader_member(loader, item, methods[k].key, KIND_OBJECT),
                                  &path->operations[j]);
    }
}

static bool read_version(struct loader *loader, struct place root)
{
    struct place version = document_member(loader->document, root, "openapi");
    const char *text = json_string_value(version.node);

    if (text == NULL || (strncmp(text, "3.0.", 4) != 0 && strncmp(text, "3.1.", 4) != 0)) {
        document_complain(
            loader->document, version.node != NULL ? version : root,
            "openapi must be a version such as \"3.0.3\" or \"3.1.0\": others are not known here");
        return false;
    }
    loader->is_3_1 = text[2] == '1';
    return true;
}

enum err api_create(struct document *document, uint64_t seed, struct api **api, struct buffer *message)
{
    struct loader loader = {.document = document};
    struct place root = document_root(document);
    enum err err;

    loader.api = calloc(1, sizeof *loader.api);
    if (loader.api == NULL) {
        document_destroy(document);
        return ERR_NO_MEMORY;
    }
    loader.api->document = document;
    loader.api->seed = seed;
    if (read_version(&loader, root)) {
        loader.schemas = schemas_create(document, loader.is_3_1 ? SCHEMA_2020_12 : SCHEMA_OPENAPI_3_0);
        loader.api->schemas = loader.schemas;
        if (loader.schemas == NULL) {
            document_fail(document);
        } else {
            load_servers(&loader, root);
            load_security_schemes(&loader, root);
            load_paths(&loader, root);
            schemas_finish(loader.schemas);
            if (document_error(document, NULL) == OK)
                load_all_examples(&loader, root);
        }
    }
    err = document_error(document, message);
    if (err != OK) {
        api_destroy(loader.api);
        return err;
    }
    document_seal(document);
    *api = loader.api;
    return OK;
}
