/* openapi.h — a mock of the API that an OpenAPI document describes; no I/O once it is loaded.
 *
 * A request is looked up by path and method, checked against the document, and answered with the example
 * that the document has for it, or else with a value made from the schema: the same each time unless
 * `Prefer: dynamic=true` asks for one that depends on the request. */
#pragma once
#include "base/err.h"
#include "engine/mock/answer/answer.h"
#include "message/http.h"
#include "openapi_options.h"

struct openapi;

/* Whether a document, of JSON or YAML, is one of OpenAPI rather than data: by its member `openapi`. */
bool openapi_is_one(struct bytes text);

/* Returns OK; ERR_SYNTAX with what is wrong, and where, appended to `message`; ERR_NO_MEMORY. */
enum err openapi_create(struct bytes text, const struct openapi_options *options, struct openapi **openapi,
                        struct buffer *message);

/* Whoever got one holds it until openapi_release. */
struct openapi *openapi_hold(struct openapi *openapi);
void openapi_release(struct openapi *openapi); /* also of null */

/* Answers `request`, whose whole body is `body`. Any thread. The caller ends the answer with answer_fini.
 */
void openapi_answer(struct openapi *openapi, const struct http_request *request, struct bytes body,
                    struct answer *answer);
