/* checked_request.h — a request held against its operation, and the refusal of one that does not fit. */
#pragma once
#include "api.h"
#include "engine/mock/answer/answer.h"
#include "engine/mock/schema/violations.h"
#include "openapi_options.h"

/* Whether the request may go on; else `answer` is a refusal. With OPENAPI_CHECKS_REPORT it always may, and
 * what is wrong is in `violations`. */
bool checked_request_may(const struct operation *operation, enum openapi_checks checks,
                         const struct http_request *request, const struct path_values *values,
                         struct bytes body, struct violations *violations, struct answer *answer);

/* Says in a field line of `answer` what is in `violations`, if anything is. */
void checked_request_report(const struct violations *violations, struct answer *answer);
