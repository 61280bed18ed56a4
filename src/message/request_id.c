#include "message/request_id.h"
#include "base/hash.h"
#include <inttypes.h>
#include <stdio.h>

static bool is_sane(struct bytes text)
{
    if (text.size == 0 || text.size > REQUEST_ID_BYTES_MAX)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
              c == '_' || c == '.'))
            return false;
    }
    return true;
}

void request_id_choose(struct request_id *id, const struct http_fields *fields)
{
    const struct http_field *given = NULL;
    char digits[33];
    size_t count = 0;

    for (size_t i = 0; i < fields->count; i++) {
        if (fields->list[i].header != HTTP_HEADER_X_REQUEST_ID)
            continue;
        given = &fields->list[i];
        count++;
    }
    if (count == 1 && is_sane(given->value)) {
        id->size = (uint8_t)given->value.size;
        memcpy(id->text, given->value.data, given->value.size);
        return;
    }
    id->size = (uint8_t)snprintf(digits, sizeof digits, "%016" PRIx64 "%016" PRIx64, hash_seed_random(),
                                 hash_seed_random());
    memcpy(id->text, digits, id->size);
}
