#include "request_check.h"
#include "engine/mock/json/json_text.h"
#include "engine/mock/schema/schema_check.h"
#include "media_range.h"
#include "parameter_value.h"
#include "query.h"

/* ---- parameters -------------------------------------------------------------------------------- */

static const char *const places[] = {
    [IN_PATH] = "path", [IN_QUERY] = "query", [IN_HEADER] = "header", [IN_COOKIE] = "cookie"};

static void check_parameter(const struct parameter *parameter, const struct http_request *request,
                            const struct path_values *path_values, struct violations *violations)
{
    struct buffer pointer = {0};
    const char *why;
    json_t *value;

    buffer_append_byte(&pointer, '/');
    for (const char *c = parameter->name; *c != '\0'; c++) {
        if (*c == '~' || *c == '/')
            buffer_append_format(&pointer, "~%c", *c == '~' ? '0' : '1');
        else
            buffer_append_byte(&pointer, *c);
    }
    if (!parameter_value(parameter, request, path_values, &value, &why)) {
        violations_add(violations, places[parameter->place], buffer_bytes(&pointer), bytes_of_text(why));
    } else if (value == NULL) {
        if (parameter->is_required)
            violations_add(violations, places[parameter->place], buffer_bytes(&pointer),
                           BYTES("is required"));
    } else if (parameter->schema != NULL &&
               !(parameter->may_be_empty && json_is_string(value) && json_string_length(value) == 0)) {
        buffer_append_byte(&pointer, '\0');
        if (!pointer.failed)
            schema_fits(parameter->schema, value, SCHEMA_TO_SERVER, violations, places[parameter->place],
                        pointer.data);
    }
    json_decref(value);
    buffer_fini(&pointer);
}

/* ---- bodies ------------------------------------------------------------------------------------ */

static const struct api_media *find_media(const struct operation *operation, struct bytes type)
{
    const struct api_media *found = NULL;

    for (size_t i = 0; i < operation->body.count; i++) {
        struct bytes range = bytes_of_text(operation->body.list[i].type);
        bool is_exact = bytes_equal_nocase(media_type_bare(range), media_type_bare(type));
        if (is_exact)
            return &operation->body.list[i];
        if (found == NULL && media_range_has(range, type))
            found = &operation->body.list[i];
    }
    return found;
}

static enum err check_json(const struct api_media *media, struct bytes body, struct violations *violations,
                           struct buffer *why)
{
    json_t *value = NULL;
    enum err err = json_text_parse(body, &value, why);

    if (err != OK)
        return err;
    if (media->schema != NULL)
        schema_fits(media->schema, value, SCHEMA_TO_SERVER, violations, "body", "");
    json_decref(value);
    return OK;
}

static enum err check_body(const struct operation *operation, const struct http_request *request,
                           struct bytes body, struct violations *violations, struct buffer *why)
{
    const struct http_field *field = http_fields_find_name(&request->fields, BYTES("Content-Type"));
    struct bytes type = field != NULL ? field->value : BYTES("application/json");
    const struct api_media *media = find_media(operation, type);
    const char *sentence;
    json_t *value;

    if (body.size == 0) {
        if (operation->needs_body)
            violations_add(violations, "body", BYTES(""), BYTES("is required"));
        return OK;
    }
    if (operation->body.count == 0)
        return OK;
    if (media == NULL) {
        for (size_t i = 0; i < operation->body.count; i++)
            buffer_append_format(why, "%s%s", i > 0 ? ", " : "", operation->body.list[i].type);
        return ERR_TYPE;
    }
    if (media->is_json && media_type_is_json(type))
        return check_json(media, body, violations, why);
    if (media->schema == NULL)
        return OK;
    if (bytes_equal_nocase(media_type_bare(type), BYTES("application/x-www-form-urlencoded"))) {
        if (!form_value(media->schema, body, &value, &sentence)) {
            violations_add(violations, "body", BYTES(""), bytes_of_text(sentence));
            return OK;
        }
    } else if (bytes_start_with(type, BYTES("text/")) &&
               !bytes_equal_nocase(media_type_bare(type), BYTES("text/xml"))) {
        value = value_of_text(media->schema, body);
        if (value == NULL) {
            violations_add(violations, "body", BYTES(""), BYTES("must be UTF-8"));
            return OK;
        }
    } else {
        return OK; /* multipart, XML, images: taken as they are */
    }
    schema_fits(media->schema, value, SCHEMA_TO_SERVER, violations, "body", "");
    json_decref(value);
    return OK;
}

enum err request_check(const struct operation *operation, const struct http_request *request,
                       const struct path_values *path_values, struct bytes body,
                       struct violations *violations, struct buffer *why)
{
    for (size_t i = 0; i < operation->parameters.count; i++)
        check_parameter(&operation->parameters.list[i], request, path_values, violations);
    return operation->has_body ? check_body(operation, request, body, violations, why) : OK;
}

/* ---- security ---------------------------------------------------------------------------------- */

static bool has_credentials(const struct http_request *request, struct bytes scheme)
{
    const struct http_field *field = http_fields_find_name(&request->fields, BYTES("Authorization"));

    return field != NULL && field->value.size > scheme.size + 1 &&
           bytes_equal_nocase(bytes_first(field->value, scheme.size), scheme) &&
           field->value.data[scheme.size] == ' ';
}

static bool has_key(const struct security_scheme *scheme, const struct http_request *request)
{
    struct bytes name = bytes_of_text(scheme->key_name), query = request->query, found, value;
    const struct http_field *field;
    char decoded[256];

    switch (scheme->key_place) {
    case IN_HEADER:
        field = http_fields_find_name(&request->fields, name);
        return field != NULL && field->value.size > 0;
    case IN_COOKIE: return cookie_find(&request->fields, name, &value) && value.size > 0;
    case IN_QUERY:
        while (query_next(&query, &found, &value))
            if (query_decode(found, decoded, sizeof decoded, &found) && bytes_equal(found, name) &&
                value.size > 0)
                return true;
        return false;
    case IN_PATH: return false;
    }
    UNREACHABLE();
}

static bool shows(const struct security_scheme *scheme, const struct http_request *request)
{
    switch (scheme->kind) {
    case SECURITY_KEY: return has_key(scheme, request);
    case SECURITY_BASIC: return has_credentials(request, BYTES("Basic"));
    case SECURITY_BEARER: return has_credentials(request, BYTES("Bearer"));
    case SECURITY_OTHER_HTTP: return has_credentials(request, bytes_of_text(scheme->key_name));
    case SECURITY_UNSEEN: return true;
    }
    UNREACHABLE();
}

/* A challenge, RFC 9110 §11.6.1. An API key has no registered scheme: the name is that which most use. */
static void append_challenge(const struct security_scheme *scheme, struct buffer *lines)
{
    static const char *const where[] = {
        [IN_PATH] = "path", [IN_QUERY] = "query", [IN_HEADER] = "header", [IN_COOKIE] = "cookie"};
    struct bytes name = bytes_of_text(scheme->key_name != NULL ? scheme->key_name : "");

    buffer_append_literal(lines, "WWW-Authenticate: ");
    switch (scheme->kind) {
    case SECURITY_KEY:
        buffer_append_format(lines, "ApiKey realm=\"api\", in=\"%s\"", where[scheme->key_place]);
        if (http_is_token(name))
            buffer_append_format(lines, ", name=\"%.*s\"", BYTES_PRINTF(name));
        break;
    case SECURITY_BASIC: buffer_append_literal(lines, "Basic realm=\"api\", charset=\"UTF-8\""); break;
    case SECURITY_BEARER:
    case SECURITY_UNSEEN: buffer_append_literal(lines, "Bearer realm=\"api\""); break;
    case SECURITY_OTHER_HTTP: buffer_append_format(lines, "%s realm=\"api\"", scheme->key_name); break;
    }
    buffer_append_literal(lines, "\r\n");
}

bool request_shows_who(const struct operation *operation, const struct http_request *request,
                       struct buffer *lines)
{
    enum { CHALLENGES_MAX = 8 };
    const struct security_scheme *told[CHALLENGES_MAX];
    size_t told_count = 0;

    for (size_t i = 0; i < operation->security_count; i++) {
        const struct security_choice *choice = &operation->security[i];
        size_t shown = 0;
        for (size_t j = 0; j < choice->count; j++)
            shown += shows(choice->schemes[j], request);
        if (shown == choice->count)
            return true;
    }
    if (operation->security_count == 0)
        return true;
    for (size_t i = 0; i < operation->security_count; i++)
        for (size_t j = 0; j < operation->security[i].count && told_count < CHALLENGES_MAX; j++) {
            const struct security_scheme *scheme = operation->security[i].schemes[j];
            bool is_told = false;
            for (size_t k = 0; k < told_count; k++)
                is_told |= told[k] == scheme;
            if (is_told)
                continue;
            told[told_count++] = scheme;
            append_challenge(scheme, lines);
        }
    return false;
}
