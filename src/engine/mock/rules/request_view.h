/* request_view.h — a request as rules look at it: its path in decoded segments, its query's parameters, its
 * body as JSON. One thread. */
#pragma once
#include "base/buffer.h"
#include "message/http.h"
#include <jansson.h>

enum { VIEW_CAPTURES_MAX = 16 };

struct request_view {
    const struct http_request *request;
    struct bytes body;
    json_t *json; /* of the body, once it was asked for; null if it is none */
    bool json_was_read;
};

void request_view_fini(struct request_view *view);

/* The body as JSON, or null if it is none. Borrowed from the view. */
json_t *request_view_json(struct request_view *view);

/* Appends `text` with its percent-encoding, and with `plus_is_space` a '+', taken out. What is no encoding
 * stays as it is. */
void request_decode(struct buffer *out, struct bytes text, bool plus_is_space);

/* Takes the next "name=value" off the front of the query `*rest`, both decoded into `name` and `value`,
 * which are emptied first. False at the end. */
bool request_next_parameter(struct bytes *rest, struct buffer *name, struct buffer *value);

/* Appends the first value of the query's parameter `name`. False if there is none. */
bool request_parameter(const struct http_request *request, struct bytes name, struct buffer *value);
