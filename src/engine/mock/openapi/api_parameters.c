/* Parameters, request bodies and security, as an OpenAPI document writes them. */
#include "api_load.h"
#include "media_range.h"
#include <stdio.h>

/* ---- parameters -------------------------------------------------------------------------------- */

static const char *const place_names[] = {"path", "query", "header", "cookie"};
static const char *const style_names[] = {"simple",         "label",         "matrix",    "form",
                                          "spaceDelimited", "pipeDelimited", "deepObject"};

static bool read_place(struct loader *loader, struct place place, enum parameter_place *in)
{
    const char *name = loader_text(loader, place, "in");

    for (size_t i = 0; name != NULL && i < COUNT_OF(place_names); i++)
        if (strcmp(place_names[i], name) == 0) {
            *in = (enum parameter_place)i;
            return true;
        }
    document_complain(loader->document, place, "in must be path, query, header or cookie");
    return false;
}

static void read_style(struct loader *loader, struct place place, struct parameter *parameter)
{
    const char *name = loader_text(loader, place, "style");
    bool is_form = parameter->place == IN_QUERY || parameter->place == IN_COOKIE;
    size_t style = is_form ? STYLE_FORM : STYLE_SIMPLE;

    for (size_t i = 0; name != NULL && i < COUNT_OF(style_names); i++)
        if (strcmp(style_names[i], name) == 0)
            style = i;
    if ((name != NULL && strcmp(style_names[style], name) != 0) || (style >= STYLE_FORM) != is_form ||
        (style > STYLE_FORM && parameter->place != IN_QUERY) ||
        (style != STYLE_SIMPLE && parameter->place == IN_HEADER))
        document_complain(loader->document, place, "no style of a parameter in %s: \"%s\"",
                          place_names[parameter->place], name != NULL ? name : "");
    parameter->style = (enum parameter_style)style;
    parameter->explodes = loader_flag(loader, place, "explode", style == STYLE_FORM);
}

static void read_parameter_schema(struct loader *loader, struct place place, struct parameter *parameter)
{
    struct place content = loader_member(loader, place, "content", KIND_OBJECT);
    const char *type;
    json_t *node;

    parameter->schema = loader_schema(loader, place);
    if (content.node == NULL)
        return;
    json_object_foreach((json_t *)content.node, type, node)
    {
        if (!media_type_is_json(bytes_of_text(type)))
            continue;
        parameter->is_json = true;
        parameter->schema = loader_schema(loader, document_member(loader->document, content, type));
    }
}

static void load_parameter(struct loader *loader, struct place place, struct parameter_list *list)
{
    struct parameter parameter = {.name = loader_text(loader, place, "name")};
    size_t i = 0;

    if (parameter.name == NULL)
        document_complain(loader->document, place, "a parameter must have a name");
    if (parameter.name == NULL || !read_place(loader, place, &parameter.place))
        return;
    if (parameter.place == IN_HEADER) /* OpenAPI 3.1 §4.8.12.1: these are not described so */
        for (size_t j = 0; j < 3; j++)
            if (bytes_equal_nocase(
                    bytes_of_text(parameter.name),
                    bytes_of_text((const char *[]){"Accept", "Content-Type", "Authorization"}[j])))
                return;
    read_style(loader, place, &parameter);
    parameter.is_required = loader_flag(loader, place, "required", false) || parameter.place == IN_PATH;
    parameter.may_be_empty = loader_flag(loader, place, "allowEmptyValue", false);
    read_parameter_schema(loader, place, &parameter);
    while (i < list->count &&
           (list->list[i].place != parameter.place || strcmp(list->list[i].name, parameter.name) != 0))
        i++;
    list->list[i] = parameter;
    list->count += i == list->count;
}

void load_parameters(struct loader *loader, struct place place, struct parameter_list *list)
{
    struct place parameters = loader_member(loader, place, "parameters", KIND_ARRAY);
    size_t count = json_array_size(parameters.node);
    struct parameter *joined;

    if (count == 0)
        return;
    joined = loader_take(loader, list->count + count, sizeof *joined);
    if (joined == NULL)
        return;
    if (list->count > 0)
        memcpy(joined, list->list, list->count * sizeof *joined);
    list->list = joined;
    for (size_t i = 0; i < count; i++) {
        struct place one = document_item(loader->document, parameters, i);
        if (json_is_object(one.node))
            one = document_resolve(loader->document, one);
        if (one.node != NULL && !json_is_object(one.node))
            document_complain(loader->document, one, "a parameter must be an object");
        else if (one.node != NULL)
            load_parameter(loader, one, list);
    }
}

/* ---- bodies ------------------------------------------------------------------------------------ */

void load_request_body(struct loader *loader, struct place operation_place, struct operation *operation)
{
    struct place body = loader_member(loader, operation_place, "requestBody", KIND_OBJECT);
    struct place content = loader_member(loader, body, "content", KIND_OBJECT);
    const char *type;
    json_t *node;

    operation->has_body = body.node != NULL;
    operation->needs_body = loader_flag(loader, body, "required", false);
    operation->body.list =
        loader_take(loader, json_object_size(content.node), sizeof *operation->body.list);
    if (content.node == NULL || operation->body.list == NULL)
        return;
    json_object_foreach((json_t *)content.node, type, node)
    {
        struct api_media *media = &operation->body.list[operation->body.count++];
        media->type = type;
        media->is_json = media_type_is_json(bytes_of_text(type)) || strcmp(type, "*/*") == 0;
        media->schema = loader_schema(loader, loader_member(loader, content, type, KIND_OBJECT));
    }
}

/* ---- security ---------------------------------------------------------------------------------- */

static void load_scheme(struct loader *loader, struct place place, struct security_scheme *scheme)
{
    const char *type = loader_text(loader, place, "type");
    const char *http = loader_text(loader, place, "scheme");
    struct bytes http_name = bytes_of_text(http != NULL ? http : "");

    if (type == NULL) {
        document_complain(loader->document, place, "a security scheme must have a type");
    } else if (strcmp(type, "apiKey") == 0) {
        scheme->kind = SECURITY_KEY;
        scheme->key_name = loader_text(loader, place, "name");
        if (scheme->key_name == NULL)
            document_complain(loader->document, place, "an API key must have a name");
        if (read_place(loader, place, &scheme->key_place) && scheme->key_place == IN_PATH)
            document_complain(loader->document, place, "an API key is in query, header or cookie");
    } else if (strcmp(type, "http") == 0) {
        scheme->key_name = http;
        scheme->kind = bytes_equal_nocase(http_name, BYTES("basic"))    ? SECURITY_BASIC
                       : bytes_equal_nocase(http_name, BYTES("bearer")) ? SECURITY_BEARER
                                                                        : SECURITY_OTHER_HTTP;
        if (!http_is_token(http_name))
            document_complain(loader->document, place, "scheme must name one of HTTP, such as bearer");
    } else if (strcmp(type, "oauth2") == 0 || strcmp(type, "openIdConnect") == 0) {
        scheme->kind = SECURITY_BEARER;
    } else if (strcmp(type, "mutualTLS") == 0) {
        scheme->kind = SECURITY_UNSEEN; /* settled before there is a request */
    } else {
        document_complain(loader->document, place,
                          "type must be apiKey, http, oauth2, openIdConnect or mutualTLS");
    }
}

void load_security_schemes(struct loader *loader, struct place root)
{
    struct place components = loader_member(loader, root, "components", KIND_OBJECT);
    struct place schemes = loader_member(loader, components, "securitySchemes", KIND_OBJECT);
    struct api *api = loader->api;
    const char *name;
    json_t *node;

    if (schemes.node == NULL ||
        (api->schemes = loader_take(loader, json_object_size(schemes.node), sizeof *api->schemes)) == NULL)
        return;
    json_object_foreach((json_t *)schemes.node, name, node)
    {
        struct place place = loader_member(loader, schemes, name, KIND_OBJECT);
        api->schemes[api->scheme_count].name = name;
        if (place.node != NULL)
            load_scheme(loader, place, &api->schemes[api->scheme_count++]);
    }
}

static const struct security_scheme *find_scheme(const struct api *api, const char *name)
{
    for (size_t i = 0; i < api->scheme_count; i++)
        if (strcmp(api->schemes[i].name, name) == 0)
            return &api->schemes[i];
    return NULL;
}

static void load_choice(struct loader *loader, struct place place, struct security_choice *choice)
{
    const char *name;
    json_t *node;

    choice->schemes = loader_take(loader, json_object_size(place.node), sizeof(struct security_scheme *));
    if (choice->schemes == NULL)
        return;
    json_object_foreach((json_t *)place.node, name, node)
    {
        const struct security_scheme *scheme = find_scheme(loader->api, name);
        if (scheme == NULL)
            document_complain(loader->document, document_member(loader->document, place, name),
                              "there is no security scheme \"%s\" in components", name);
        else
            choice->schemes[choice->count++] = scheme;
    }
}

void load_security(struct loader *loader, struct place place, struct security_choice **choices,
                   size_t *count)
{
    struct place security = loader_member(loader, place, "security", KIND_ARRAY);

    if (security.node == NULL)
        return;
    *count = 0;
    *choices = loader_take(loader, json_array_size(security.node), sizeof **choices);
    if (*choices == NULL)
        return;
    for (size_t i = 0; i < json_array_size(security.node); i++) {
        struct place choice = document_item(loader->document, security, i);
        if (json_is_object(choice.node))
            load_choice(loader, choice, &(*choices)[(*count)++]);
        else
            document_complain(loader->document, choice, "a security requirement must be an object");
    }
}
