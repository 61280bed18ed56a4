/* request_id.h — the name by which all who deal with a request can speak of it: X-Request-Id. */
#pragma once
#include "message/http.h"

enum { REQUEST_ID_BYTES_MAX = 64 };

struct request_id {
    uint8_t size; /* 0: none yet */
    char text[REQUEST_ID_BYTES_MAX];
};

static inline struct bytes request_id_bytes(const struct request_id *id)
{
    return bytes_of(id->text, id->size);
}

/* The client's, if `fields` has exactly one and it is of letters, digits, '-', '_', '.' and no longer than
 * REQUEST_ID_BYTES_MAX; else one that nobody had before: 32 random hexadecimal digits. */
void request_id_choose(struct request_id *id, const struct http_fields *fields);
