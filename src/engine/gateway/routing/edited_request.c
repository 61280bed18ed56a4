#include "edited_request.h"
#include <stdlib.h>

bool route_edits_requests(const struct route *route)
{
    return route->rewrites_path || !field_edit_is_none(&route->request_fields) ||
           route->credential.value.size > 0 || route->policy.request_id;
}

static bool is_dropped(const struct route *route, const struct http_fields *fields,
                       const struct http_field *field)
{
    return field_edit_drops(&route->request_fields, field->name) ||
           (route->credential.value.size > 0 && bytes_equal_nocase(route->credential.name, field->name)) ||
           /* What Connection names ends here; nor may it name what is set: RFC 9110 §7.6.1. */
           field->header == HTTP_HEADER_CONNECTION || http_connection_names(fields, field->name);
}

bool edited_request_make(struct edited_request *edited, const struct route *route,
                         const struct http_request *request)
{
    size_t count = request->fields.count + route->request_fields.own.set_count + 1;
    struct http_fields *fields = &edited->request.fields;

    edited->request = *request;
    buffer_clear(&edited->path);
    if (count > edited->capacity) {
        struct http_field *grown = reallocarray(edited->fields, count, sizeof *grown);
        if (grown == NULL)
            return false;
        edited->fields = grown;
        edited->capacity = count;
    }
    *fields = (struct http_fields){edited->fields, 0};
    for (size_t i = 0; i < request->fields.count; i++)
        if (!is_dropped(route, &request->fields, &request->fields.list[i]) &&
            (edited->request_id.size == 0 || request->fields.list[i].header != HTTP_HEADER_X_REQUEST_ID))
            fields->list[fields->count++] = request->fields.list[i];
    for (size_t i = 0; i < route->request_fields.own.set_count; i++)
        fields->list[fields->count++] = route->request_fields.set[i];
    if (edited->request_id.size > 0)
        fields->list[fields->count++] =
            (struct http_field){HTTP_HEADER_X_REQUEST_ID, BYTES("X-Request-Id"), edited->request_id};
    if (route->rewrites_path && request->path.size > 0 && request->path.data[0] == '/') {
        path_rewrite_apply(&route->rewrite, route->match.has_path ? &route->match.path : NULL,
                           request->path, &edited->path);
        edited->request.path = buffer_bytes(&edited->path);
    }
    return !edited->path.failed;
}

void edited_request_fini(struct edited_request *edited)
{
    buffer_fini(&edited->path);
    free(edited->fields);
    *edited = (struct edited_request){0};
}

/* Copies `bytes` to `*at`, moves that on, and has `bytes` mean the copy. */
static void move_to(char **at, struct bytes *bytes)
{
    if (bytes->size > 0)
        memcpy(*at, bytes->data, bytes->size);
    bytes->data = *at;
    *at += bytes->size;
}

struct http_request *http_request_copy(const struct http_request *request)
{
    struct bytes parts[] = {request->method_name, request->scheme, request->authority, request->path,
                            request->query};
    size_t count = request->fields.count, size = 0;
    struct http_request *copy;
    struct http_field *fields;
    char *at;

    for (size_t i = 0; i < COUNT_OF(parts); i++)
        size += parts[i].size;
    for (size_t i = 0; i < count; i++)
        size += request->fields.list[i].name.size + request->fields.list[i].value.size;
    copy = malloc(sizeof *copy + count * sizeof *fields + size);
    if (copy == NULL)
        return NULL;
    *copy = *request;
    fields = (struct http_field *)(void *)(copy + 1);
    at = (char *)(fields + count);
    move_to(&at, &copy->method_name);
    move_to(&at, &copy->scheme);
    move_to(&at, &copy->authority);
    move_to(&at, &copy->path);
    move_to(&at, &copy->query);
    copy->fields.list = fields;
    for (size_t i = 0; i < count; i++) {
        fields[i] = request->fields.list[i];
        move_to(&at, &fields[i].name);
        move_to(&at, &fields[i].value);
    }
    return copy;
}
