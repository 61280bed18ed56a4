#include "api.h"
#include <stdlib.h>

static void drop_media(struct media_list *media)
{
    for (size_t i = 0; i < media->count; i++)
        text_release(media->list[i].made);
}

void api_destroy(struct api *api)
{
    if (api == NULL)
        return;
    for (size_t i = 0; i < api->path_count; i++)
        for (size_t j = 0; j < api->paths[i].operation_count; j++) {
            struct operation *operation = &api->paths[i].operations[j];
            for (size_t k = 0; k < operation->response_count; k++)
                drop_media(&operation->responses[k].media);
        }
    for (size_t i = 0; i < api->text_count; i++)
        text_release(api->texts[i]);
    free(api->texts);
    schemas_destroy(api->schemas);
    document_destroy(api->document);
    free(api);
}

/* The paths with as many segments are beside each other: where those begin, by halving. */
static size_t first_of(const struct api *api, size_t segment_count)
{
    size_t low = 0, high = api->path_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (path_template_segment_count(api->paths[middle].path) < segment_count)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const struct api_path *find(const struct api *api, struct bytes path, struct path_parts *parts,
                                   struct path_values *values)
{
    if (!path_parts_split(path, parts))
        return NULL;
    for (size_t i = first_of(api, parts->count); i < api->path_count; i++) {
        if (path_template_segment_count(api->paths[i].path) != parts->count)
            return NULL;
        if (path_template_matches(api->paths[i].path, parts, values))
            return &api->paths[i];
    }
    return NULL;
}

const struct api_path *api_find_path(const struct api *api, struct bytes path, struct path_parts *parts,
                                     struct path_values *values)
{
    const struct api_path *found = find(api, path, parts, values);

    for (size_t i = 0; found == NULL && i < api->base_count; i++) {
        struct bytes base = bytes_of_text(api->bases[i]);
        if (bytes_start_with(path, base) && path.size > base.size && path.data[base.size] == '/')
            found = find(api, bytes_after(path, base.size), parts, values);
    }
    return found;
}

struct operation *api_find_operation(const struct api_path *path, const struct http_request *request)
{
    struct operation *get = NULL;

    for (size_t i = 0; i < path->operation_count; i++) {
        if (path->operations[i].method == request->method)
            return &path->operations[i];
        if (path->operations[i].method == HTTP_METHOD_GET)
            get = &path->operations[i];
    }
    return request->method == HTTP_METHOD_HEAD ? get : NULL;
}

const struct response *operation_response(const struct operation *operation, int status)
{
    const struct response *found = NULL;

    for (size_t i = 0; i < operation->response_count; i++) {
        const struct response *response = &operation->responses[i];
        if (status < response->status_low || status > response->status_high)
            continue;
        if (found == NULL ||
            response->status_high - response->status_low < found->status_high - found->status_low)
            found = response;
    }
    return found;
}

const struct response *operation_usual_response(const struct operation *operation, int *status)
{
    const struct response *found = NULL;

    for (size_t i = 0; i < operation->response_count; i++) {
        const struct response *response = &operation->responses[i];
        if (response->status_low >= 200 && response->status_low < 300 &&
            (found == NULL || response->status_low < found->status_low))
            found = response;
    }
    if (found == NULL)
        found = operation_response(operation, 200);
    if (found == NULL && operation->response_count > 0)
        found = &operation->responses[0];
    *status = found == NULL || found->status_low == 0 ? 200 : found->status_low;
    return found;
}
