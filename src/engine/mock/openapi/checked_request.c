#include "checked_request.h"
#include "base/err.h"
#include "request_check.h"

static bool declares(const struct operation *operation, int status)
{
    const struct response *response = operation_response(operation, status);
    return response != NULL && response->status_low == status && response->status_high == status;
}

/* A problem document (RFC 9457) with each violation. */
static void refuse_violations(const struct operation *operation, const struct violations *violations,
                              struct answer *answer)
{
    int status = !declares(operation, 422) && declares(operation, 400) ? 400 : 422;
    struct buffer json = {0};

    buffer_append_format(&json,
                         "{\"title\":\"%.*s\",\"status\":%d,\"detail\":\"The request is not as the API's "
                         "document says, in %zu place%s\",\"errors\":[%.*s]}",
                         BYTES_PRINTF(http_status_reason(status)), status, violations->count,
                         violations->count == 1 ? "" : "s", BYTES_PRINTF(buffer_bytes(&violations->json)));
    if (json.failed || violations->json.failed) {
        answer_refuse(answer, 503, bytes_of_text(err_text(ERR_NO_MEMORY)));
    } else {
        answer_json(answer, status, buffer_bytes(&json));
        answer->media_type = "application/problem+json";
    }
    buffer_fini(&json);
}

void checked_request_report(const struct violations *violations, struct answer *answer)
{
    enum { FIELD_BYTES_MAX = 4096 };

    if (violations->count == 0)
        return;
    if (violations->json.size <= FIELD_BYTES_MAX && http_is_field_value(buffer_bytes(&violations->json)))
        buffer_append_format(&answer->lines, "Nuthatch-Violations: [%.*s]\r\n",
                             BYTES_PRINTF(buffer_bytes(&violations->json)));
    else
        buffer_append_format(&answer->lines, "Nuthatch-Violations: %zu\r\n", violations->count);
}

bool checked_request_may(const struct operation *operation, enum openapi_checks checks,
                         const struct http_request *request, const struct path_values *values,
                         struct bytes body, struct violations *violations, struct answer *answer)
{
    bool refuses = checks == OPENAPI_CHECKS_REFUSE;
    struct buffer why = {0}, lines = {0};
    bool may = true;
    enum err err;

    if (!request_shows_who(operation, request, &lines)) {
        if (refuses) {
            answer_refuse(answer, 401,
                          BYTES("The API's document asks for credentials, and the request has none "
                                "of those that WWW-Authenticate names"));
            buffer_append(&answer->lines, buffer_bytes(&lines));
            buffer_fini(&lines);
            return false;
        }
        violations_add(violations, "header", BYTES("/Authorization"), BYTES("credentials are required"));
    }
    buffer_fini(&lines);
    err = request_check(operation, request, values, body, violations, &why);
    if (err == ERR_TYPE || err == ERR_SYNTAX) {
        struct buffer sentence = {0};
        buffer_append(&sentence, err == ERR_TYPE ? BYTES("The body must be of one of these media types: ")
                                                 : BYTES("The body is not JSON: "));
        buffer_append(&sentence, buffer_bytes(&why));
        if (refuses)
            answer_refuse(answer, err == ERR_TYPE ? 415 : 400, buffer_bytes(&sentence));
        else
            violations_add(violations, "body", BYTES(""), buffer_bytes(&sentence));
        may = !refuses;
        buffer_fini(&sentence);
    } else if (err != OK) {
        answer_refuse(answer, 503, bytes_of_text(err_text(err)));
        may = false;
    } else if (violations->count > 0 && refuses) {
        refuse_violations(operation, violations, answer);
        may = false;
    }
    buffer_fini(&why);
    return may;
}
