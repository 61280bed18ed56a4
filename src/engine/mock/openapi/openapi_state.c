#include "openapi_state.h"
#include "checked_request.h"
#include "engine/mock/json/json_text.h"
#include "engine/mock/schema/generate.h"
#include "media_range.h"
#include "openapi_inner.h"
#include "parameter_value.h"

/* ---- which paths are collections --------------------------------------------------------------- */

static const struct operation *find_method(const struct api_path *path, enum http_method method)
{
    for (size_t i = 0; i < path->operation_count; i++)
        if (path->operations[i].method == method)
            return &path->operations[i];
    return NULL;
}

/* The JSON of the usual response of a path's GET; null if there is none. */
static struct api_media *usual_json(const struct api_path *path)
{
    const struct operation *get = find_method(path, HTTP_METHOD_GET);
    const struct response *response;
    int status;

    response = get != NULL ? operation_usual_response(get, &status) : NULL;
    for (size_t i = 0; response != NULL && i < response->media.count; i++)
        if (response->media.list[i].is_json)
            return &response->media.list[i];
    return NULL;
}

/* Whether `item` is `collection` and one name in braces. */
static bool is_below(const struct api_path *collection, const struct api_path *item)
{
    size_t size = strlen(collection->text);
    const char *rest = item->text + size;

    return strncmp(item->text, collection->text, size) == 0 && rest[0] == '/' && rest[1] == '{' &&
           strchr(rest, '}') == rest + strlen(rest) - 1;
}

static const struct schema *item_schema(const struct api_path *item)
{
    const struct api_media *media = usual_json(item);

    return media != NULL && media->schema != NULL && schema_below(media->schema, "id") != NULL
               ? media->schema
               : NULL;
}

/* The item's path below a collection's; null if `path` is none. */
static const struct api_path *find_item(const struct api *api, const struct api_path *path)
{
    const struct api_media *media = usual_json(path);

    if (media == NULL || media->schema == NULL || strchr(path->text, '{') != NULL ||
        !(schema_kinds(media->schema) & KIND_ARRAY) || schema_kinds(media->schema) == KIND_ANY)
        return NULL;
    for (size_t i = 0; i < api->path_count; i++)
        if (is_below(path, &api->paths[i]))
            return item_schema(&api->paths[i]) != NULL ? &api->paths[i] : NULL;
    return NULL;
}

/* The collection that `path` is, or is the item of; null if it is neither. */
static const struct api_path *find_collection(const struct api *api, const struct api_path *path,
                                              const struct api_path **item)
{
    *item = find_item(api, path);
    if (*item != NULL)
        return path;
    for (size_t i = 0; i < api->path_count; i++)
        if (is_below(&api->paths[i], path) && find_item(api, &api->paths[i]) == path) {
            *item = path;
            return &api->paths[i];
        }
    return NULL;
}

/* "/shop/pets" is called "shop.pets" by its keeper, whose names have no slash. */
static void append_name(struct buffer *name, const struct api_path *collection)
{
    for (const char *c = collection->text + 1; *c != '\0'; c++)
        buffer_append_byte(name, *c == '/' ? '.' : *c);
}

/* ---- what they begin with ---------------------------------------------------------------------- */

/* Made items are numbered, if that is what their ids are: made ids might be equal. */
static void number_items(json_t *items, const struct schema *schema)
{
    json_t *item;
    size_t index;

    if (!(schema_kinds(schema_below(schema, "id")) & KIND_INTEGER))
        return;
    json_array_foreach(items, index, item)
        json_object_set_new(item, "id", json_integer((json_int_t)index + 1));
}

static enum err append_items(struct openapi *openapi, struct api_media *media, const struct schema *schema,
                             struct buffer *json)
{
    bool is_made = media->example_count == 0;
    struct text *text = is_made ? openapi_made_text(openapi, media) : media->examples[0].text;
    struct buffer message = {0};
    json_t *items = NULL;
    enum err err = text != NULL ? json_text_parse(text_bytes(text), &items, &message) : OK;

    if (json_is_array(items) && is_made)
        number_items(items, schema);
    if (json_is_array(items))
        json_text_append(json, items);
    else
        buffer_append_literal(json, "[]");
    json_decref(items);
    buffer_fini(&message);
    return err;
}

enum err openapi_state_begin(struct openapi *openapi, struct buffer *json)
{
    const struct api *api = openapi->api;
    size_t count = 0;
    enum err err = OK;

    buffer_append_byte(json, '{');
    for (size_t i = 0; i < api->path_count && err == OK; i++) {
        const struct api_path *path = &api->paths[i], *item = find_item(api, path);
        if (item == NULL)
            continue;
        buffer_append(json, count++ > 0 ? BYTES(",\"") : BYTES("\""));
        append_name(json, path);
        buffer_append_literal(json, "\":");
        err = append_items(openapi, usual_json(path), item_schema(item), json);
    }
    buffer_append_byte(json, '}');
    if (err == OK && json->failed)
        err = ERR_NO_MEMORY;
    return err != OK || count > 0 ? err : ERR_MISSING;
}

/* ---- requests ---------------------------------------------------------------------------------- */

static json_t *parse_body(const struct operation *operation, const struct http_request *request,
                          struct bytes body)
{
    const struct http_field *type = http_fields_find_name(&request->fields, BYTES("Content-Type"));
    const struct schema *schema = operation->body.count > 0 ? operation->body.list[0].schema : NULL;
    struct buffer message = {0};
    const char *why;
    json_t *value = NULL;

    if (type != NULL &&
        bytes_equal_nocase(media_type_bare(type->value), BYTES("application/x-www-form-urlencoded")))
        form_value(schema, body, &value, &why);
    else
        json_text_parse(body, &value, &message);
    buffer_fini(&message);
    return value;
}

/* Adds the members that only the server gives, and the schema requires: made ones. Ids that are numbers are
 * the keeper's to give. */
static void complete_item(struct openapi *openapi, const struct schema *schema, bool is_new, json_t *item)
{
    struct generate_options options = {.uses_examples = true};
    bool is_numbered = (schema_kinds(schema_below(schema, "id")) & KIND_INTEGER) != 0;
    const char *name;
    json_t *made, *member;

    options.seed = openapi->api->seed + (uint64_t)atomic_fetch_add(&openapi->made_count, 1) * 7919 + 1;
    made = generate_value(schema, &options);
    json_object_foreach(made, name, member)
    {
        const struct schema *property = schema_below(schema, name);
        bool is_id = strcmp(name, "id") == 0;
        while (property != NULL && property->reference != NULL && !property->is_read_only)
            property = property->reference;
        if (json_object_get(item, name) != NULL || property == NULL || (is_id && (is_numbered || !is_new)))
            continue;
        if (is_id) { /* an example would be the same each time */
            options.uses_examples = false;
            json_object_set_new(item, name, generate_value(property, &options));
        } else if (property->is_read_only) {
            json_object_set(item, name, member);
        }
    }
    json_decref(made);
}

/* What to put where; false if the body is no object. */
static bool make_body(struct openapi *openapi, const struct operation *operation,
                      const struct schema *schema, const struct http_request *request, struct bytes body,
                      struct buffer *made)
{
    json_t *item = parse_body(operation, request, body);
    bool is_object = json_is_object(item);

    if (is_object && request->method != HTTP_METHOD_PATCH)
        complete_item(openapi, schema, request->method == HTTP_METHOD_POST, item);
    if (is_object)
        json_text_append(made, item);
    json_decref(item);
    return is_object && !made->failed;
}

/* Whether the keeper knows the method there. */
static bool is_kept_method(enum http_method method, bool is_item)
{
    if (method == HTTP_METHOD_GET || method == HTTP_METHOD_HEAD)
        return true;
    return is_item
               ? method == HTTP_METHOD_PUT || method == HTTP_METHOD_PATCH || method == HTTP_METHOD_DELETE
               : method == HTTP_METHOD_POST;
}

bool openapi_state_ask(struct openapi *openapi, const struct http_request *request, struct bytes body,
                       struct kept_request *kept, struct answer *answer)
{
    struct path_parts parts;
    struct path_values values;
    struct preference preference;
    char name[PREFERENCE_NAME_BYTES_MAX];
    const struct api_path *path = api_find_path(openapi->api, request->path, &parts, &values), *item = NULL;
    const struct api_path *collection = path != NULL ? find_collection(openapi->api, path, &item) : NULL;
    const struct operation *operation = collection != NULL ? api_find_operation(path, request) : NULL;
    const char *why;
    bool may;

    *kept = (struct kept_request){.request = *request, .operation = operation};
    *answer = (struct answer){0};
    if (operation == NULL || !is_kept_method(request->method, path == item) ||
        preference_read(request, &preference, name, &why) != OK || preference.code != 0 ||
        preference.example.data != NULL || preference.is_dynamic)
        return false;
    may =
        openapi->checks == OPENAPI_CHECKS_OFF ||
        checked_request_may(operation, openapi->checks, request, &values, body, &kept->violations, answer);
    if (!may)
        return false;
    if (request->method == HTTP_METHOD_POST || request->method == HTTP_METHOD_PUT ||
        request->method == HTTP_METHOD_PATCH) {
        if (!make_body(openapi, operation, item_schema(item), request, body, &kept->body))
            return false; /* nothing that could be kept */
    }
    buffer_append_byte(&kept->path, '/');
    append_name(&kept->path, collection);
    if (path == item) {
        const char *slash = memrchr(request->path.data, '/', request->path.size);
        buffer_append(&kept->path, bytes_after(request->path, (size_t)(slash - request->path.data)));
    }
    kept->request.path = buffer_bytes(&kept->path);
    return !kept->path.failed;
}

void kept_request_fini(struct kept_request *kept)
{
    buffer_fini(&kept->path);
    buffer_fini(&kept->body);
    violations_fini(&kept->violations);
}

/* ---- answers ----------------------------------------------------------------------------------- */

/* The keeper says where the new item is by its own name for the collection. */
static void say_location(const struct http_request *request, struct answer *answer)
{
    struct bytes lines = buffer_bytes(&answer->lines);
    const char *location = lines.size > 0 ? memmem(lines.data, lines.size, "Location: ", 10) : NULL;
    const char *end =
        location != NULL ? memchr(location, '\r', (size_t)(lines.data + lines.size - location)) : NULL;
    const char *slash = end != NULL ? memrchr(location, '/', (size_t)(end - location)) : NULL;
    struct buffer made = {0};

    if (slash == NULL)
        return;
    buffer_append_format(&made, "Location: %.*s%.*s\r\n", BYTES_PRINTF(request->path), (int)(end - slash),
                         slash);
    buffer_fini(&answer->lines);
    answer->lines = made;
}

static void say_as_described(const struct http_request *request, const struct operation *operation,
                             struct answer *answer)
{
    int status;
    const struct response *response = operation_usual_response(operation, &status);
    bool has_body = response != NULL && response->media.count > 0 && status != 204;

    if (request->method == HTTP_METHOD_DELETE && has_body) { /* the keeper has nothing left to show */
        answer_fini(answer);
        return;
    }
    say_location(request, answer);
    answer->status = status;
    if (!has_body) {
        text_release(answer->text);
        answer->text = NULL;
    }
}

void openapi_state_answer(const struct http_request *request, const struct kept_request *kept,
                          struct answer *answer)
{
    const struct operation *operation = kept->operation;

    if (answer->status == 404) {
        answer_refuse(answer, 404, BYTES("There is no such item"));
        return;
    }
    if (answer->status < 300 && request->method != HTTP_METHOD_GET && request->method != HTTP_METHOD_HEAD)
        say_as_described(request, operation, answer);
    if (answer->status != 0)
        checked_request_report(&kept->violations, answer);
}
