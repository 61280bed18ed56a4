#include "violations.h"
#include "engine/mock/json/json_text.h"

void violations_add(struct violations *violations, const char *in, struct bytes pointer,
                    struct bytes detail)
{
    struct buffer *json = &violations->json;

    if (++violations->count > VIOLATIONS_MAX)
        return;
    if (json->size > 0)
        buffer_append_byte(json, ',');
    buffer_append_format(json, "{\"in\":\"%s\",\"pointer\":", in);
    json_text_append_string(json, pointer);
    buffer_append_literal(json, ",\"detail\":");
    json_text_append_string(json, detail);
    buffer_append_byte(json, '}');
}

void violations_fini(struct violations *violations)
{
    buffer_fini(&violations->json);
    *violations = (struct violations){0};
}
