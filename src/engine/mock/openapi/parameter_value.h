/* parameter_value.h — from the text of parameters and forms to values, as their schemas and styles say
 * (OpenAPI 3.1 §4.8.12.5). Pure. */
#pragma once
#include "api.h"
#include "base/buffer.h"

/* Which kinds of values `schema` may allow; KIND_ANY for null. */
unsigned schema_kinds(const struct schema *schema);

/* The schema of the member `name`, or of the items if that is null, wherever `schema` says of it; null if
 * it does not. */
const struct schema *schema_below(const struct schema *schema, const char *name);

/* `text` as the value that a schema most likely means by it: a number where one is allowed and it is one,
 * and so on, else a string. Null if it is not UTF-8, or without memory. The caller drops it. */
json_t *value_of_text(const struct schema *schema, struct bytes text);

/* The value of `parameter` in its place in `request`; null if it is not there. False with a sentence in
 * `*why`, static, if it is malformed. The caller drops it. */
bool parameter_value(const struct parameter *parameter, const struct http_request *request,
                     const struct path_values *path_values, json_t **value, const char **why);

/* A form's body (application/x-www-form-urlencoded) as an object; null as above. */
bool form_value(const struct schema *schema, struct bytes form, json_t **value, const char **why);

/* The value of the cookie `name`, as it was sent; false if there is none. */
bool cookie_find(const struct http_fields *fields, struct bytes name, struct bytes *value);
