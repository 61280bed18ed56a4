/* access_line.h — a line of the access log: one exchange, for people and for programs. Pure.
 *
 * Never in it: queries, which may hold secrets, and any field of a request but Host, User-Agent and the
 * Referer without its query. */
#pragma once
#include "base/buffer.h"
#include "message/http.h"

enum access_format {
    ACCESS_JSON,
    ACCESS_COMBINED, /* as Apache and nginx have it */
};

struct access_record {
    const struct http_request *request;
    struct bytes client;     /* its address */
    struct bytes request_id; /* empty: it has none */
    const char *cache;       /* a word on how the answer came about; null: there was none */
    int64_t began_wall_ms;
    int64_t duration_ms;
    int status; /* 0: the client left before there was one */
    uint64_t body_bytes;
    bool is_whole; /* all of the answer was sent, as far as we can tell */
};

/* Appends the line and its end. */
void access_line_render(struct buffer *line, enum access_format format, const struct access_record *record);
