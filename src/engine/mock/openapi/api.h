/* api.h — an OpenAPI document, taken apart: what it says of each path and method, as structs that refer to
 * each other. Immutable once loaded, but for texts that are made when they are first asked for; any thread.
 */
#pragma once
#include "engine/mock/answer/text.h"
#include "engine/mock/schema/schema.h"
#include "message/http.h"
#include "path_template.h"

enum parameter_place { IN_PATH, IN_QUERY, IN_HEADER, IN_COOKIE };

enum parameter_style {
    STYLE_SIMPLE,
    STYLE_LABEL,
    STYLE_MATRIX,
    STYLE_FORM,
    STYLE_SPACE,
    STYLE_PIPE,
    STYLE_DEEP_OBJECT,
};

struct parameter {
    const char *name;
    enum parameter_place place;
    enum parameter_style style;
    bool explodes, is_required, may_be_empty;
    bool is_json;                /* the value is a JSON text: `content` in place of a style */
    const struct schema *schema; /* or null: anything */
};

struct parameter_list {
    struct parameter *list;
    size_t count;
};

/* A named example of a response, or the only one, without a name. */
struct api_example {
    const char *name;
    struct text *text;
};

/* A media type of a response's or a request's body. */
struct api_media {
    const char *type;
    bool is_json;
    const struct schema *schema; /* or null */
    struct api_example *examples;
    size_t example_count;
    struct text *_Atomic made; /* from the schema, when it was first asked for */
    _Atomic bool is_unmade;    /* that has been tried, in vain */
};

struct media_list {
    struct api_media *list;
    size_t count;
};

struct response {
    int status_low, status_high; /* 200 to 200, or 200 to 299 for 2XX, or 0 to 999 for default */
    struct media_list media;     /* none: it has no body */
    const char *lines;           /* its header fields, "Name: value CRLF" each */
};

/* One way to show who one is. */
struct security_scheme {
    const char *name;
    enum { SECURITY_KEY, SECURITY_BASIC, SECURITY_BEARER, SECURITY_OTHER_HTTP, SECURITY_UNSEEN } kind;
    enum parameter_place key_place;
    const char *key_name; /* or the scheme of SECURITY_OTHER_HTTP */
};

/* All of these together are enough. */
struct security_choice {
    const struct security_scheme **schemes;
    size_t count;
};

struct operation {
    enum http_method method;
    const char *method_name;          /* in capitals */
    const char *pointer;              /* where it is written */
    struct parameter_list parameters; /* the path's among them */
    bool has_body, needs_body;
    struct media_list body;
    struct response *responses;
    size_t response_count;
    struct security_choice *security; /* any of them; none: everybody may */
    size_t security_count;
};

struct api_path {
    const char *text;
    const struct path_template *path;
    struct operation *operations;
    size_t operation_count;
    const char *allow; /* "GET, HEAD, OPTIONS" */
};

struct api {
    struct document *document;
    struct schemas *schemas;
    struct api_path *paths; /* in the order in which they are tried */
    size_t path_count;
    const char **bases; /* of servers' URLs: "/v1"; without "" */
    size_t base_count;
    struct security_scheme *schemes;
    size_t scheme_count;
    struct text **texts; /* of examples, held */
    size_t text_count, text_capacity;
    uint64_t seed;
};

/* Takes `document` apart, which api_destroy destroys. Returns OK; ERR_SYNTAX with what is wrong, and where,
 * in `message`; ERR_NO_MEMORY. On error the document is destroyed. */
enum err api_create(struct document *document, uint64_t seed, struct api **api, struct buffer *message);
void api_destroy(struct api *api);

/* The path that a request's is one of, with the values in its braces; null if there is none. */
const struct api_path *api_find_path(const struct api *api, struct bytes path, struct path_parts *parts,
                                     struct path_values *values);

/* The operation for a method, of HEAD that for GET if there is none of its own; null if there is none. */
struct operation *api_find_operation(const struct api_path *path, const struct http_request *request);

/* What is said of `status`, most closely: the status itself, its class, or the default; null if nothing is.
 */
const struct response *operation_response(const struct operation *operation, int status);

/* The response to a request that went well, the lowest 2xx that is described or else the first of all, and
 * its status. Null if none is described. */
const struct response *operation_usual_response(const struct operation *operation, int *status);
