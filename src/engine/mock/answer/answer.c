#include "answer.h"
#include "engine/mock/json/json_text.h"
#include "message/http.h"

void answer_json(struct answer *answer, int status, struct bytes json)
{
    answer_fini(answer);
    answer->status = status;
    answer->text = text_create(json);
}

void answer_refuse(struct answer *answer, int status, struct bytes detail)
{
    struct buffer json = {0};

    answer_fini(answer);
    buffer_append_literal(&json, "{\"title\":");
    json_text_append_string(&json, http_status_reason(status));
    buffer_append_format(&json, ",\"status\":%d", status);
    if (detail.size > 0) {
        buffer_append_literal(&json, ",\"detail\":");
        json_text_append_string(&json, detail);
    }
    buffer_append_byte(&json, '}');
    answer->status = status;
    answer->media_type = "application/problem+json";
    answer->text = json.failed ? NULL : text_create(buffer_bytes(&json));
    buffer_fini(&json);
}

void answer_fini(struct answer *answer)
{
    text_release(answer->text);
    buffer_fini(&answer->lines);
    *answer = (struct answer){0};
}
