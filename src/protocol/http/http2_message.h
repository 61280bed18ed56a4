/* http2_message.h — requests and responses as HTTP/2 writes them (RFC 9113 §8): from the fields of a header
 * block to a request, and from a response to fields. HPACK and frames are libnghttp2's. Pure.
 *
 * Strict like http1.h, and after that the same: an engine cannot tell which protocol a request came in. */
#pragma once
#include "base/buffer.h"
#include "message/http.h"
#include "protocol/http/http1.h"
#include <nghttp2/nghttp2.h>

/* A request's header block while it arrives. Zeroed is one that has not begun. */
struct http2_block {
    struct buffer text;   /* each field: two sizes, name, NUL, value, NUL */
    size_t list_bytes;    /* RFC 9113 §10.5.1: names, values, and 32 for each field */
    uint32_t field_count; /* pseudo-header fields not counted */
    int status;           /* to refuse it with once it is whole; 0: none so far */
};

/* Makes it ready for the next block; keeps a little memory for it. */
void http2_block_begin(struct http2_block *block);
void http2_block_fini(struct http2_block *block);

/* Adds a field. What is beyond the limits is not kept, and gives the block a status: 431, 414. */
void http2_block_add(struct http2_block *block, const struct http1_limits *limits, struct bytes name,
                     struct bytes value);

/* Makes the request of a whole block; `is_all`: no body follows. Host is made of :authority where it lacks,
 * and the lines of Cookie become one (§8.2.3). The fields go to `fields`, which has room for
 * limits->fields_max; all bytes are in block->text, until the next change of the block. Returns 0, or the
 * status to refuse the request with, as HTTP/1.1 would be. */
int http2_block_request(struct http2_block *block, const struct http1_limits *limits, bool is_all,
                        struct http_field *fields, struct http_request *request);

/* A response's fields for nghttp2, which copies them and makes names lower-case. */
struct http2_fields {
    nghttp2_nv few[48];
    nghttp2_nv *list; /* `few`, or memory of its own */
    size_t count;
    char status[3], length[20];
};

/* Makes the fields of `response`; they borrow from it and from `date`, which is 29 bytes, or null if the
 * response has one. False without memory. */
bool http2_fields_init(struct http2_fields *fields, const struct http_response *response, const char *date);
void http2_fields_fini(struct http2_fields *fields);
