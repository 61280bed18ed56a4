/* http1.h — HTTP/1.1 messages (RFC 9112): bytes to requests and responses, and back. Pure.
 *
 * Strict: reject, never repair. The answer is the same however the bytes are split. */
#pragma once
#include "base/buffer.h"
#include "message/http.h"

struct http1_limits {
    uint32_t line_bytes_max; /* of a request line's target (414) and of one field line (431); 16 KiB */
    uint32_t head_bytes_max; /* of the whole head (431); 64 KiB */
    uint32_t fields_max;     /* field lines (431); 100 */
};

enum http1_result {
    HTTP1_MORE, /* not whole yet: call again with these bytes and more behind them */
    HTTP1_DONE,
    HTTP1_BAD, /* `*status` is the status to refuse it with: 400, 414, 417, 431, 501, 505 */
};

/* How far a head that has not fully arrived was looked at. Zeroed is the beginning. */
struct http1_parser {
    size_t scanned;    /* bytes in which the head does not end */
    size_t line_start; /* of the line that `scanned` stands in */
    uint32_t lines;
};

/* Parses the request head at the front of `input`, which begins at its first byte at every call until the
 * result is not MORE. An empty line before the request line is skipped (RFC 9112 §2.2). On DONE `request`
 * borrows from `input`; its fields are in `fields`, which has room for limits->fields_max; the head took
 * `*consumed` bytes and the parser is back at the beginning. */
enum http1_result http1_parse_request(struct http1_parser *parser, const struct http1_limits *limits,
                                      struct bytes input, struct http_field *fields,
                                      struct http_request *request, size_t *consumed, int *status);

/* Reads the body that follows a head. */
struct http1_body {
    int64_t left_bytes; /* of the body or of the present chunk */
    uint8_t state;      /* of the chunked coding */
    bool chunked;
    uint32_t line_bytes; /* of a chunk line or of trailers so far */
};

/* Begins a body of `body_bytes`, or a chunked one if that is HTTP_BODY_UNKNOWN. */
void http1_body_init(struct http1_body *body, int64_t body_bytes);

/* True once the whole body has been read; at once for an empty one. */
bool http1_body_is_done(const struct http1_body *body);

/* Looks at the front of `input`: `*consumed` bytes are dealt with, and `*data`, a part of them, is body
 * (may be empty while framing is read). Call again until it consumes nothing or the body is done. Trailers
 * are dropped; chunk extensions are checked and dropped. DONE when the body is complete; MORE; BAD with a
 * status of 400. */
enum http1_result http1_body_read(struct http1_body *body, struct bytes input, struct bytes *data,
                                  size_t *consumed, int *status);

/* What the connection decides about a response's framing. */
struct http1_response_framing {
    uint8_t minor_version; /* the request's: 0 gets no chunked coding */
    bool keep_alive; /* false adds "Connection: close"; true adds "Connection: keep-alive" only for 1.0 */
    bool chunked;    /* body_bytes is UNKNOWN and the client speaks 1.1 */
    bool no_content_length; /* 1xx, 204, and 304 to which no length applies */
    bool add_date;          /* the response has no Date of its own */
    char date[29];          /* IMF-fixdate for add_date */
};

/* Appends the status line, the framing fields, the response's fields and the empty line. */
void http1_render_response_head(struct buffer *output, const struct http_response *response,
                                const struct http1_response_framing *framing);

/* Appends one chunk around `data`, which is not empty; the lines before and behind `data_bytes` that come
 * by another way; the last chunk. */
void http1_render_chunk(struct buffer *output, struct bytes data);
void http1_render_chunk_head(struct buffer *output, uint64_t data_bytes);
void http1_render_chunk_end(struct buffer *output);
void http1_render_last_chunk(struct buffer *output);
