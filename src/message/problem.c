#include "message/problem.h"
#include "message/http.h"

void problem_render(struct buffer *body, int status, struct bytes detail, struct bytes request_id)
{
    buffer_append_format(body, "{\"title\":\"%.*s\",\"status\":%d",
                         BYTES_PRINTF(http_status_reason(status)), status);
    if (detail.size > 0)
        buffer_append_format(body, ",\"detail\":\"%.*s\"", BYTES_PRINTF(detail));
    if (request_id.size > 0) /* RFC 9457 §3.2: names of letters, digits and '_' */
        buffer_append_format(body, ",\"request_id\":\"%.*s\"", BYTES_PRINTF(request_id));
    buffer_append_literal(body, "}\n");
}
