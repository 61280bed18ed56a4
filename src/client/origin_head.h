/* origin_head.h — the head of an origin's response, checked and taken apart. No I/O.
 *
 * Strict where leniency would let two readers disagree on where a response ends: framing in doubt is
 * refused, never repaired (RFC 9112 §6.3). */
#pragma once
#include "base/err.h"
#include "message/http.h"

enum { ORIGIN_HEAD_BYTES_MAX = 64 * 1024, ORIGIN_HEAD_FIELDS_MAX = 200 };

struct origin_head {
    int status;                /* 100 to 999 */
    bool is_http2;             /* as libcurl writes down what came in HTTP/2, which has no reason phrases */
    struct bytes reason;       /* the phrase after it; may be empty */
    int64_t body_bytes;        /* as struct origin_callbacks says */
    bool is_chunked;           /* the body */
    struct http_fields fields; /* in `list`; without hop-by-hop fields, those that Connection names, and
                                * Content-Length; but a 101 has its Upgrade */
    struct http_field list[ORIGIN_HEAD_FIELDS_MAX];
};

/* Takes apart `text`: a status line, of HTTP/1 unless `may_be_http2`, field lines and an empty line, each
 * ending in CR LF. The fields borrow its bytes. Returns OK; ERR_SYNTAX; ERR_TOO_LARGE (more fields than
 * there is room for). On error `*head` means nothing. */
enum err origin_head_parse(struct bytes text, bool may_be_http2, struct origin_head *head);
