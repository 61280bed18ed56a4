/* http_lines.h — the field lines of nuthatch_http.h as those of message/, and rendered. */
#pragma once
#include "base/buffer.h"
#include "message/http.h"
#include "nuthatch_http.h"

enum { HTTP_LINES_INLINE = 64 };

struct http_lines {
    struct http_fields fields; /* the bytes are the caller's */
    struct http_field few[HTTP_LINES_INLINE], *many;
};

/* NH_OK; NH_INVALID, NH_TOO_LARGE, NH_NO_MEMORY. Fini is due in any case. The struct must not move. */
nh_result http_lines_init(struct http_lines *lines, const nh_http_fields *from);
void http_lines_fini(struct http_lines *lines);

/* The field as the caller has it. */
nh_http_field http_line_out(const struct http_field *field);

/* The same fields as "Name: value CRLF" lines. Look at `failed`. */
void http_lines_render(struct buffer *rendered, const struct http_fields *fields);
