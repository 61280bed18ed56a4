#include "base/compiler.h"
#include "base/number.h"
#include "protocol/http/http1.h"
#include <assert.h>

/* Room for the status line, the framing fields, Date and the empty line. */
enum { FRAMING_BYTES_MAX = 256 };

static inline char *put(char *at, struct bytes bytes)
{
    if (bytes.size > 0)
        memcpy(at, bytes.data, bytes.size);
    return at + bytes.size;
}

#define PUT(at, literal) ((char *)memcpy(at, literal, sizeof(literal) - 1) + sizeof(literal) - 1)

static char *put_status_line(char *at, int status, struct bytes reason)
{
    if (UNLIKELY(reason.data != NULL)) {
        at = PUT(at, "HTTP/1.1 ");
        at += uint64_format(at, (uint64_t)status);
        at = PUT(at, " ");
        at = put(at, reason);
        return PUT(at, "\r\n");
    }
    switch (status) {
#define HTTP_STATUS(code, reason, heuristic)                                                               \
    case code:                                                                                             \
        return PUT(at, "HTTP/1.1 " #code " " reason "\r\n");                                               \
        static_assert(sizeof reason < 64, "FRAMING_BYTES_MAX counts on it");
#include "tables/http_statuses.def"
#undef HTTP_STATUS
    default:
        at = PUT(at, "HTTP/1.1 ");
        at += uint64_format(at, (uint64_t)status);
        return PUT(at, " \r\n"); /* the reason may be empty, its space may not */
    }
}

static char *put_framing(char *at, const struct http_response *response,
                         const struct http1_response_framing *framing)
{
    if (!framing->keep_alive)
        at = PUT(at, "Connection: close\r\n");
    else if (framing->minor_version == 0)
        at = PUT(at, "Connection: keep-alive\r\n");
    if (!framing->no_content_length) {
        if (framing->chunked) {
            at = PUT(at, "Transfer-Encoding: chunked\r\n");
        } else if (response->body_bytes >= 0) {
            at = PUT(at, "Content-Length: ");
            at += uint64_format(at, (uint64_t)response->body_bytes);
            at = PUT(at, "\r\n");
        }
    }
    if (framing->add_date) {
        at = PUT(at, "Date: ");
        at = put(at, bytes_of(framing->date, sizeof framing->date));
        at = PUT(at, "\r\n");
    }
    return at;
}

/* A field of this hop is of the connection's making; one that is not well formed could end the head. */
static inline bool may_render(const struct http_field *field)
{
    if (field->header != HTTP_HEADER_OTHER)
        return http_header_kind(field->header) == HTTP_HEADER_END_TO_END &&
               http_is_field_value(field->value);
    return http_is_token(field->name) && http_is_field_value(field->value);
}

void http1_render_response_head(struct buffer *output, const struct http_response *response,
                                const struct http1_response_framing *framing)
{
    size_t size = FRAMING_BYTES_MAX + response->rendered.size + response->reason.size;
    const struct http_field *list = response->fields.list;
    char *start, *at;

    assert(response->status >= 100 && response->status <= 999);
    assert(http_is_field_value(response->reason));
    for (size_t i = 0; i < response->fields.count; i++)
        size += list[i].name.size + list[i].value.size + 4;
    start = at = buffer_reserve(output, size);
    if (start == NULL)
        return;
    at = put_status_line(at, response->status, response->reason);
    at = put_framing(at, response, framing);
    for (size_t i = 0; i < response->fields.count; i++) {
        if (UNLIKELY(!may_render(&list[i])))
            continue;
        at = put(at, list[i].name);
        at = PUT(at, ": ");
        at = put(at, list[i].value);
        at = PUT(at, "\r\n");
    }
    at = put(at, response->rendered);
    at = PUT(at, "\r\n");
    buffer_commit(output, (size_t)(at - start));
}

/* Writes the line before `data_bytes` so that it ends at `end`; returns where it begins. */
static char *put_chunk_line_before(char *end, uint64_t data_bytes)
{
    static const char digits[] = "0123456789abcdef";

    *--end = '\n';
    *--end = '\r';
    for (uint64_t left = data_bytes; left > 0; left /= 16)
        *--end = digits[left % 16];
    return end;
}

enum { CHUNK_LINE_BYTES_MAX = 16 + 2 };

void http1_render_chunk(struct buffer *output, struct bytes data)
{
    char line[CHUNK_LINE_BYTES_MAX], *end = line + sizeof line;
    char *at = put_chunk_line_before(end, data.size);
    struct bytes line_bytes = bytes_of(at, (size_t)(end - at));
    char *start = buffer_reserve(output, line_bytes.size + data.size + 2);

    if (start == NULL)
        return;
    at = put(start, line_bytes);
    at = put(at, data);
    at = PUT(at, "\r\n");
    buffer_commit(output, (size_t)(at - start));
}

void http1_render_chunk_head(struct buffer *output, uint64_t data_bytes)
{
    char line[CHUNK_LINE_BYTES_MAX], *end = line + sizeof line;
    char *at = put_chunk_line_before(end, data_bytes);

    buffer_append(output, bytes_of(at, (size_t)(end - at)));
}

void http1_render_chunk_end(struct buffer *output) { buffer_append_literal(output, "\r\n"); }

void http1_render_last_chunk(struct buffer *output) { buffer_append_literal(output, "0\r\n\r\n"); }
