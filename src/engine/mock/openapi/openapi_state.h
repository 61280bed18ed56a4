/* openapi_state.h — the collections of an API: a path such as /pets with /pets/{petId} below, whose items
 * are kept by somebody else. Here is what they begin with, which requests are about them, and what the
 * document makes of the answers.
 *
 * A collection is a path without braces whose GET answers with an array, and a path below it with one name
 * in braces whose items have a member `id`. */
#pragma once
#include "engine/mock/schema/violations.h"
#include "openapi.h"

/* Appends the collections with their first items, the examples or what is made, as an object of arrays.
 * Returns OK; ERR_MISSING if the document has no collection; ERR_NO_MEMORY. */
enum err openapi_state_begin(struct openapi *openapi, struct buffer *json);

/* A request about a collection as its keeper is asked. */
struct kept_request {
    struct http_request request; /* its path and query; borrows from `path` */
    struct buffer path, body;
    struct violations violations; /* that are to be told of */
    const void *operation;
};

/* Whether the request, which it checks, is for the keeper of collections: then `kept` is what to ask. If
 * not, `answer` is the answer, or has no status: openapi_answer then has one. End `kept` in any case. */
bool openapi_state_ask(struct openapi *openapi, const struct http_request *request, struct bytes body,
                       struct kept_request *kept, struct answer *answer);

/* Makes of the keeper's answer what the document says of such; without a status, if openapi_answer has to
 * say it. */
void openapi_state_answer(const struct http_request *request, const struct kept_request *kept,
                          struct answer *answer);

void kept_request_fini(struct kept_request *kept);
