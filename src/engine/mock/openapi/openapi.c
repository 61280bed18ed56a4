#include "openapi.h"
#include "api_load.h"
#include "base/hash.h"
#include "checked_request.h"
#include "engine/mock/json/json_text.h"
#include "engine/mock/json/yaml_json.h"
#include "engine/mock/schema/generate.h"
#include "media_range.h"
#include "openapi_inner.h"
#include <stdlib.h>

bool openapi_is_one(struct bytes text)
{
    /* A look for the word first: a file of data may be large, and is read by others. */
    bool is_one = memmem(text.size > 0 ? text.data : "", text.size, "openapi", 7) != NULL;
    struct buffer json = {0}, message = {0};
    json_t *root = NULL;

    if (!is_one)
        return false;
    if (json_text_parse(text, &root, &message) != OK && yaml_json_convert(text, &json, &message) == OK)
        json_text_parse(buffer_bytes(&json), &root, &message);
    is_one = json_is_string(json_object_get(root, "openapi"));
    json_decref(root);
    buffer_fini(&json);
    buffer_fini(&message);
    return is_one;
}

enum err openapi_create(struct bytes text, const struct openapi_options *options, struct openapi **openapi,
                        struct buffer *message)
{
    struct openapi *made = calloc(1, sizeof *made);
    struct document *document;
    enum err err = made != NULL ? document_create(options->path, text, &document, message) : ERR_NO_MEMORY;

    if (err == OK)
        document_note_files(document, options->files);
    if (err == OK)
        err = api_create(document, options->seed, &made->api, message);
    if (err != OK) {
        free(made);
        return err;
    }
    made->holders = 1;
    made->checks = options->checks;
    made->is_dynamic = options->is_dynamic;
    *openapi = made;
    return OK;
}

struct openapi *openapi_hold(struct openapi *openapi)
{
    atomic_fetch_add_explicit(&openapi->holders, 1, memory_order_relaxed);
    return openapi;
}

void openapi_release(struct openapi *openapi)
{
    if (openapi == NULL || atomic_fetch_sub_explicit(&openapi->holders, 1, memory_order_acq_rel) > 1)
        return;
    api_destroy(openapi->api);
    free(openapi);
}

/* ---- refusals ---------------------------------------------------------------------------------- */

static void answer_allow(struct answer *answer, const struct api_path *path)
{
    buffer_append_format(&answer->lines, "Allow: %s\r\n", path->allow);
}

/* OPTIONS where the document does not describe it: also what a browser asks before it lets a page ask. */
static void answer_options(const struct http_request *request, const struct api_path *path,
                           struct answer *answer)
{
    const struct http_field *asked =
        http_fields_find_name(&request->fields, BYTES("Access-Control-Request-Headers"));

    answer->status = 204;
    answer_allow(answer, path);
    buffer_append_format(&answer->lines, "Access-Control-Allow-Methods: %s\r\n", path->allow);
    if (asked != NULL)
        buffer_append_format(&answer->lines, "Access-Control-Allow-Headers: %.*s\r\n",
                             BYTES_PRINTF(asked->value));
}

/* ---- bodies ------------------------------------------------------------------------------------ */

static struct text *make_text(const struct openapi *openapi, const struct api_media *media, uint64_t seed,
                              bool uses_examples)
{
    struct generate_options options = {.seed = openapi->api->seed ^ seed, .uses_examples = uses_examples};
    json_t *value = media->schema != NULL ? generate_value(media->schema, &options) : json_object();
    struct text *text = value != NULL ? media_render(media, value) : NULL;

    json_decref(value);
    return text;
}

struct text *openapi_made_text(const struct openapi *openapi, struct api_media *media)
{
    struct text *made = atomic_load_explicit(&media->made, memory_order_acquire), *none = NULL;
    uint64_t seed = hash_bytes(bytes_of_text(media->schema != NULL && media->schema->pointer != NULL
                                                 ? media->schema->pointer
                                                 : media->type),
                               0);

    if (made != NULL || atomic_load_explicit(&media->is_unmade, memory_order_relaxed))
        return made;
    made = make_text(openapi, media, seed, true);
    if (made == NULL) {
        atomic_store_explicit(&media->is_unmade, true, memory_order_relaxed);
        return NULL;
    }
    if (atomic_compare_exchange_strong_explicit(&media->made, &none, made, memory_order_acq_rel,
                                                memory_order_acquire))
        return made;
    text_release(made); /* another thread was faster */
    return none;
}

/* The body for what is preferred, held; null if there is none of that. */
static struct text *choose_text(const struct openapi *openapi, struct api_media *media,
                                const struct preference *preference, const struct http_request *request)
{
    if (preference->example.data != NULL) {
        for (size_t i = 0; i < media->example_count; i++)
            if (media->examples[i].name != NULL &&
                bytes_equal(bytes_of_text(media->examples[i].name), preference->example))
                return text_hold(media->examples[i].text);
        return NULL;
    }
    if (preference->is_dynamic || openapi->is_dynamic) {
        uint64_t seed = hash_bytes(request->query, hash_bytes(request->path, preference->seed));
        return make_text(openapi, media, seed, false);
    }
    if (media->example_count > 0)
        return text_hold(media->examples[0].text);
    if (openapi_made_text(openapi, media) != NULL)
        return text_hold(media->made);
    return NULL;
}

/* The media type that the client wants most among those that a body can be given of; the document's order
 * decides between equals. */
static struct text *choose_body(const struct openapi *openapi, const struct response *response,
                                const struct preference *preference, const struct http_request *request,
                                const char **type, bool *is_acceptable)
{
    struct text *best = NULL;
    int best_quality = 0;

    *is_acceptable = false;
    for (size_t i = 0; i < response->media.count; i++) {
        struct api_media *media = &response->media.list[i];
        int quality = media_quality(&request->fields, bytes_of_text(media->type));
        struct text *text;
        if (quality <= best_quality)
            continue;
        *is_acceptable = true;
        text = choose_text(openapi, media, preference, request);
        if (text == NULL)
            continue;
        text_release(best);
        best = text;
        best_quality = quality;
        *type = media->type;
    }
    return best;
}

/* ---- answers ----------------------------------------------------------------------------------- */

/* Whether If-None-Match has the entity tag (RFC 9110 §13.1.2). */
static bool is_not_modified(const struct http_request *request, const struct text *text)
{
    for (size_t i = 0; i < request->fields.count; i++) {
        struct bytes list = request->fields.list[i].value, tag;
        if (request->fields.list[i].header != HTTP_HEADER_IF_NONE_MATCH)
            continue;
        while (http_list_next(&list, &tag)) {
            if (bytes_start_with(tag, BYTES("W/")))
                tag = bytes_after(tag, 2);
            if (bytes_equal(tag, BYTES("*")) || bytes_equal(tag, text_etag(text)))
                return true;
        }
    }
    return false;
}

static void refuse_body(const struct response *response, const struct preference *preference,
                        bool is_acceptable, struct answer *answer)
{
    struct buffer sentence = {0};
    int status = 500;

    if (!is_acceptable) {
        status = 406;
        buffer_append_literal(&sentence, "There is no answer of a media type that Accept allows, only of ");
        for (size_t i = 0; i < response->media.count; i++)
            buffer_append_format(&sentence, "%s%s", i > 0 ? ", " : "", response->media.list[i].type);
    } else if (preference->example.data != NULL) {
        status = 404;
        buffer_append_literal(&sentence, "The response has no example of the name that is preferred");
    } else {
        buffer_append_literal(&sentence,
                              "No value could be made that fits the response's schema: give the document "
                              "an example for it");
    }
    answer_refuse(answer, status, buffer_bytes(&sentence));
    buffer_fini(&sentence);
}

static void respond(const struct openapi *openapi, const struct operation *operation,
                    const struct http_request *request, const struct preference *preference,
                    struct answer *answer)
{
    bool is_get = request->method == HTTP_METHOD_GET || request->method == HTTP_METHOD_HEAD;
    int status = preference->code;
    const struct response *response =
        status != 0 ? operation_response(operation, status) : operation_usual_response(operation, &status);
    bool is_acceptable;

    if (response == NULL && preference->code != 0) {
        answer_refuse(answer, 404,
                      BYTES("The API's document describes no response of the status that is preferred"));
        return;
    }
    if (response != NULL && response->media.count > 0 && status != 204 && status != 304) {
        answer->text =
            choose_body(openapi, response, preference, request, &answer->media_type, &is_acceptable);
        if (answer->text == NULL) {
            refuse_body(response, preference, is_acceptable, answer);
            return;
        }
    }
    answer->status = status;
    if (response != NULL && *response->lines != '\0')
        buffer_append(&answer->lines, bytes_of_text(response->lines));
    answer->is_read = status == 200 && is_get && answer->text != NULL && answer->lines.size == 0;
    if (answer->is_read && is_not_modified(request, answer->text))
        answer->status = 304;
}

static void note_applied(const struct preference *preference, struct answer *answer)
{
    const char *comma = "";

    if (!preference->is_asked_by_field)
        return;
    answer->is_read = false; /* what has field lines of its own is answered with those */
    if (answer->status == 304)
        answer->status = 200;
    buffer_append_literal(&answer->lines, "Preference-Applied: ");
    if (preference->code != 0) {
        buffer_append_format(&answer->lines, "code=%d", preference->code);
        comma = ", ";
    }
    if (preference->example.data != NULL && http_is_token(preference->example)) {
        buffer_append_format(&answer->lines, "%sexample=%.*s", comma, BYTES_PRINTF(preference->example));
        comma = ", ";
    }
    buffer_append_format(&answer->lines, "%sdynamic=%s\r\n", comma,
                         preference->is_dynamic ? "true" : "false");
}

void openapi_answer(struct openapi *openapi, const struct http_request *request, struct bytes body,
                    struct answer *answer)
{
    struct path_parts parts;
    struct path_values values;
    struct preference preference;
    struct violations violations = {0};
    char name[PREFERENCE_NAME_BYTES_MAX];
    const struct api_path *path = api_find_path(openapi->api, request->path, &parts, &values);
    const struct operation *operation = path != NULL ? api_find_operation(path, request) : NULL;
    const char *why;

    *answer = (struct answer){0};
    if (path == NULL) {
        answer_refuse(answer, 404, BYTES("The API's document has no such path"));
    } else if (operation == NULL && request->method == HTTP_METHOD_OPTIONS) {
        answer_options(request, path, answer);
    } else if (operation == NULL) {
        answer_refuse(answer, 405, BYTES("The API's document has no such method for this path"));
        answer_allow(answer, path);
    } else if (preference_read(request, &preference, name, &why) != OK) {
        answer_refuse(answer, 400, bytes_of_text(why));
    } else if (openapi->checks == OPENAPI_CHECKS_OFF ||
               checked_request_may(operation, openapi->checks, request, &values, body, &violations,
                                   answer)) {
        respond(openapi, operation, request, &preference, answer);
        if (violations.count > 0) {
            answer->is_read = false;
            if (answer->status == 304)
                answer->status = 200;
            checked_request_report(&violations, answer);
        }
        note_applied(&preference, answer);
    }
    violations_fini(&violations);
}
