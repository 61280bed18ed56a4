/* Responses with their header fields and examples, as an OpenAPI document writes them. */
#include "api_load.h"
#include "base/number.h"
#include "engine/mock/json/json_text.h"
#include "engine/mock/schema/generate.h"
#include "media_range.h"
#include <stdlib.h>

struct text *media_render(const struct api_media *media, const json_t *value)
{
    struct buffer bytes = {0};
    struct text *text = NULL;

    if (!media->is_json && json_is_string(value))
        return text_create(json_value_string(value));
    if (!media->is_json && (json_is_object(value) || json_is_array(value)))
        return NULL;
    json_text_append(&bytes, value);
    if (!bytes.failed)
        text = text_create(buffer_bytes(&bytes));
    buffer_fini(&bytes);
    return text;
}

/* ---- responses --------------------------------------------------------------------------------- */

/* "404", "4XX" or "default". */
static bool read_status(const char *key, struct response *response)
{
    uint64_t status;

    if (strcmp(key, "default") == 0) {
        response->status_low = 0;
        response->status_high = 999;
    } else if (key[0] >= '1' && key[0] <= '5' &&
               (strcmp(key + 1, "XX") == 0 || strcmp(key + 1, "xx") == 0)) {
        response->status_low = (key[0] - '0') * 100;
        response->status_high = response->status_low + 99;
    } else if (digits_parse(bytes_of_text(key), 599, &status) && status >= 100) {
        response->status_low = response->status_high = (int)status;
    } else {
        return false;
    }
    return true;
}

static void load_media(struct loader *loader, struct place response_place, struct response *response)
{
    struct place content = loader_member(loader, response_place, "content", KIND_OBJECT);
    struct media_list *media = &response->media;
    const char *type;
    json_t *node;

    if (json_object_size(content.node) == 0 ||
        (media->list = loader_take(loader, json_object_size(content.node), sizeof *media->list)) == NULL)
        return;
    json_object_foreach((json_t *)content.node, type, node)
    {
        struct api_media *one = &media->list[media->count];
        struct place place = loader_member(loader, content, type, KIND_OBJECT);
        if (!http_is_field_value(bytes_of_text(type)) || strchr(type, '/') == NULL) {
            document_complain(loader->document, place, "\"%s\" is no media type", type);
            continue;
        }
        one->type = strchr(type, '*') != NULL ? "application/json" : type;
        one->is_json = media_type_is_json(bytes_of_text(one->type));
        one->schema = loader_schema(loader, place);
        media->count++;
    }
}

/* The schemas of header fields, so that they are there when values are made of them. */
static void add_header_schemas(struct loader *loader, struct place response_place)
{
    struct place headers = loader_member(loader, response_place, "headers", KIND_OBJECT);
    const char *name;
    json_t *node;

    json_object_foreach((json_t *)headers.node, name, node)
        loader_schema(loader, loader_member(loader, headers, name, KIND_OBJECT));
}

void load_responses(struct loader *loader, struct place operation_place, struct operation *operation)
{
    struct place responses = loader_member(loader, operation_place, "responses", KIND_OBJECT);
    const char *key;
    json_t *node;

    if (json_object_size(responses.node) == 0) {
        if (!loader->is_3_1)
            document_complain(loader->document, operation_place,
                              "responses must be an object with one at least");
        return;
    }
    operation->responses =
        loader_take(loader, json_object_size(responses.node), sizeof *operation->responses);
    if (operation->responses == NULL)
        return;
    json_object_foreach((json_t *)responses.node, key, node)
    {
        struct response *response = &operation->responses[operation->response_count];
        struct place place;
        if (strncmp(key, "x-", 2) == 0)
            continue;
        place = loader_member(loader, responses, key, KIND_OBJECT);
        if (!read_status(key, response)) {
            document_complain(loader->document, place,
                              "a response must be of a status such as 404, 4XX or default");
            continue;
        }
        response->lines = "";
        load_media(loader, place, response);
        add_header_schemas(loader, place);
        operation->response_count++;
    }
}

/* ---- examples ---------------------------------------------------------------------------------- */

static struct text *keep(struct loader *loader, struct text *text)
{
    struct api *api = loader->api;

    if (text == NULL)
        return NULL;
    if (api->text_count == api->text_capacity) {
        size_t capacity = api->text_capacity * 2 + 16;
        struct text **grown = realloc(api->texts, capacity * sizeof *grown);
        if (grown == NULL) {
            text_release(text);
            document_fail(loader->document);
            return NULL;
        }
        api->texts = grown;
        api->text_capacity = capacity;
    }
    api->texts[api->text_count++] = text;
    return text;
}

static void add_example(struct loader *loader, struct api_media *media, const char *name,
                        const json_t *value)
{
    struct text *text = value != NULL ? keep(loader, media_render(media, value)) : NULL;

    if (text != NULL)
        media->examples[media->example_count++] = (struct api_example){name, text};
}

static void load_media_examples(struct loader *loader, struct place place, struct api_media *media)
{
    struct place examples = loader_member(loader, place, "examples", KIND_OBJECT);
    const char *name;
    json_t *node;

    media->examples = loader_take(loader, json_object_size(examples.node) + 1, sizeof *media->examples);
    if (media->examples == NULL)
        return;
    /* Not followed: an example may well have a "$ref" of its own. */
    add_example(loader, media, NULL, document_member(loader->document, place, "example").node);
    json_object_foreach((json_t *)examples.node, name, node)
    {
        struct place example = loader_member(loader, examples, name, KIND_OBJECT);
        add_example(loader, media, name, json_object_get(example.node, "value"));
    }
}

/* Those that the connection makes, or that are described elsewhere (OpenAPI 3.1 §4.8.17). */
static bool is_own_field(const char *name)
{
    static const char *const names[] = {"Content-Type", "Content-Length", "Transfer-Encoding", "Connection",
                                        "Keep-Alive",   "Upgrade",        "Trailer",           "Date"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (bytes_equal_nocase(bytes_of_text(names[i]), bytes_of_text(name)))
            return true;
    return false;
}

/* The value of a header field: its example, or one made of its schema; the caller's. */
static json_t *header_value(struct loader *loader, struct place header)
{
    struct place examples = loader_member(loader, header, "examples", KIND_OBJECT);
    json_t *example = json_object_get(header.node, "example"), *node;
    const struct schema *schema = loader_schema(loader, header);
    const char *name;

    json_object_foreach((json_t *)examples.node, name, node) if (example == NULL) example =
        json_object_get(loader_member(loader, examples, name, KIND_OBJECT).node, "value");
    if (example != NULL)
        return json_incref(example);
    return schema != NULL ? generate_value(schema, &(struct generate_options){.seed = loader->api->seed,
                                                                              .uses_examples = true})
                          : NULL;
}

static void load_headers(struct loader *loader, struct place response_place, struct response *response)
{
    struct place headers = loader_member(loader, response_place, "headers", KIND_OBJECT);
    struct api_media plain = {.type = "text/plain"};
    struct buffer lines = {0};
    const char *name;
    json_t *node;

    json_object_foreach((json_t *)headers.node, name, node)
    {
        struct place header = loader_member(loader, headers, name, KIND_OBJECT);
        json_t *value;
        struct text *text;
        if (is_own_field(name) || !http_is_token(bytes_of_text(name)))
            continue;
        value = header_value(loader, header);
        text = value != NULL ? media_render(&plain, value) : NULL;
        if (text != NULL && http_is_field_value(text_bytes(text)))
            buffer_append_format(&lines, "%s: %.*s\r\n", name, BYTES_PRINTF(text_bytes(text)));
        text_release(text);
        json_decref(value);
    }
    response->lines =
        lines.failed ? NULL : region_copy(document_region(loader->document), buffer_bytes(&lines));
    buffer_fini(&lines);
    if (response->lines == NULL)
        document_fail(loader->document);
}

void load_examples(struct loader *loader, struct place operation_place, struct operation *operation)
{
    struct place responses = loader_member(loader, operation_place, "responses", KIND_OBJECT);
    size_t index = 0;
    const char *key;
    json_t *node;

    json_object_foreach((json_t *)responses.node, key, node)
    {
        struct response *response = &operation->responses[index];
        struct place place, content;
        struct response same;
        size_t media_index = 0;
        const char *type;
        json_t *media_node;
        if (strncmp(key, "x-", 2) == 0 || !read_status(key, &same))
            continue;
        place = loader_member(loader, responses, key, KIND_OBJECT);
        content = loader_member(loader, place, "content", KIND_OBJECT);
        json_object_foreach((json_t *)content.node, type, media_node)
            load_media_examples(loader, loader_member(loader, content, type, KIND_OBJECT),
                                &response->media.list[media_index++]);
        load_headers(loader, place, response);
        index++;
    }
}
