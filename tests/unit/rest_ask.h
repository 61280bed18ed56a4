/* rest_ask.h — asking the mock's collections in a line. */
#pragma once
#include "engine/mock/collections/rest.h"
#include "test.h"

/* Asks for `target`, a path with a query or none; the caller ends `*answer`, which has `status`. */
static inline void rest_ask(struct documents *documents, const char *method, const char *target,
                            const char *body, int status, struct answer *answer)
{
    const char *query = strchr(target, '?');
    struct http_request request = {.method = http_method_find(bytes_of_text(method))};

    request.path = bytes_of(target, query != NULL ? (size_t)(query - target) : strlen(target));
    if (query != NULL)
        request.query = bytes_of_text(query + 1);
    rest_answer(documents, &request, bytes_of_text(body), answer);
    if (answer->status != status)
        fail_msg("%s %s %s: %d, wanted %d", method, target, body, answer->status, status);
}
