#include "part_request.h"
#include <stdlib.h>

bool part_has_field(const struct composition *composition, const struct http_fields *fields,
                    const struct http_field *field)
{
    for (size_t i = 0; i < composition->own.passed_count; i++)
        if (bytes_equal_nocase(field->name, bytes_of_text(composition->own.passed[i])))
            return !http_connection_names(fields, field->name);
    return false;
}

bool passes_credentials(const struct composition *composition, const struct http_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        enum http_header header = fields->list[i].header;
        if ((header == HTTP_HEADER_AUTHORIZATION || header == HTTP_HEADER_COOKIE) &&
            part_has_field(composition, fields, &fields->list[i]))
            return true;
    }
    return false;
}

static bool make_fields(struct part_request *made, const struct composition *composition,
                        const struct http_request *client, struct bytes request_id)
{
    struct http_fields *fields = &made->request.fields;
    bool has_accept = false;

    made->fields = calloc(client->fields.count + 2, sizeof *made->fields);
    if (made->fields == NULL)
        return false;
    *fields = (struct http_fields){made->fields, 0};
    for (size_t i = 0; i < client->fields.count; i++) {
        const struct http_field *field = &client->fields.list[i];
        bool is_id = field->header == HTTP_HEADER_X_REQUEST_ID && request_id.size > 0;
        if (is_id || !part_has_field(composition, &client->fields, field))
            continue;
        has_accept |= field->header == HTTP_HEADER_ACCEPT;
        made->fields[fields->count++] = *field;
    }
    if (!has_accept)
        made->fields[fields->count++] =
            (struct http_field){HTTP_HEADER_ACCEPT, BYTES("Accept"), BYTES("application/json")};
    if (request_id.size > 0)
        made->fields[fields->count++] =
            (struct http_field){HTTP_HEADER_X_REQUEST_ID, BYTES("X-Request-Id"), request_id};
    return true;
}

enum part_request_result part_request_init(struct part_request *made, const struct composition *composition,
                                           const struct part_spec *part, const struct http_request *client,
                                           struct bytes request_id)
{
    struct path_captures captures = {0};
    bool is_plain;

    *made = (struct part_request){.request = {.method = HTTP_METHOD_GET,
                                              .method_name = BYTES("GET"),
                                              .scheme = client->scheme,
                                              .authority = client->authority,
                                              .minor_version = 1,
                                              .keep_alive = true,
                                              .body_bytes = HTTP_BODY_NONE}};
    path_pattern_fits(&composition->path, client->path, &captures);
    is_plain = part_target_fill(bytes_of_text(part->target), &composition->path, &captures, client->query,
                                &made->path, &made->query);
    if (made->path.failed || made->query.failed)
        return PART_REQUEST_NO_MEMORY;
    if (!is_plain)
        return PART_REQUEST_NOT_PLAIN;
    made->request.path = buffer_bytes(&made->path);
    made->request.query = buffer_bytes(&made->query);
    made->request.has_query = made->query.size > 0;
    return make_fields(made, composition, client, request_id) ? PART_REQUEST_GOOD : PART_REQUEST_NO_MEMORY;
}

void part_request_fini(struct part_request *made)
{
    buffer_fini(&made->path);
    buffer_fini(&made->query);
    free(made->fields);
}
