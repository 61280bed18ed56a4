/* part_request.h — what a part asks the gateway for, made of the client's request. Pure. */
#pragma once
#include "composition.h"

/* A request, and the memory that is its own; the rest is the client's request's and the part's. */
struct part_request {
    struct http_request request;
    struct buffer path, query;
    struct http_field *fields;
};

enum part_request_result {
    PART_REQUEST_GOOD,
    PART_REQUEST_NOT_PLAIN, /* its target is too long, or leads elsewhere */
    PART_REQUEST_NO_MEMORY
};

/* Makes the request of `part` for `client`, whose path fits the composition's. `request_id`: what it is
 * called, empty if that is not to be told. Fini is due in any case. */
enum part_request_result part_request_init(struct part_request *made, const struct composition *composition,
                                           const struct part_spec *part, const struct http_request *client,
                                           struct bytes request_id);
void part_request_fini(struct part_request *made);

/* Whether the parts are to have this one of the client's fields. */
bool part_has_field(const struct composition *composition, const struct http_fields *fields,
                    const struct http_field *field);

/* Whether a field that tells clients apart is passed on and there: the answer is then this client's. */
bool passes_credentials(const struct composition *composition, const struct http_fields *fields);
