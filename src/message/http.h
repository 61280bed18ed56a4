/* http.h — one HTTP request or response as plain structs (RFC 9110), no I/O and no bytes of the wire.
 *
 * All bytes are borrowed; whoever hands out a message says for how long. */
#pragma once
#include "base/bytes.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The names of tables/http_headers.def, recognised once when a field is parsed; others are OTHER. */
enum http_header {
    HTTP_HEADER_OTHER,
#define HTTP_HEADER(id, name, kind) HTTP_HEADER_##id,
#include "tables/http_headers.def"
#undef HTTP_HEADER
    HTTP_HEADER_COUNT
};

/* What a row's `kind` says. */
enum http_header_kind {
    HTTP_HEADER_END_TO_END,
    HTTP_HEADER_HOP_BY_HOP, /* RFC 9110 §7.6.1: never forwarded, never stored */
};

enum http_method {
    HTTP_METHOD_OTHER, /* a token that is no row below: still proxied */
    HTTP_METHOD_GET,
    HTTP_METHOD_HEAD,
    HTTP_METHOD_POST,
    HTTP_METHOD_PUT,
    HTTP_METHOD_PATCH,
    HTTP_METHOD_DELETE,
    HTTP_METHOD_OPTIONS,
    HTTP_METHOD_TRACE,
    HTTP_METHOD_CONNECT,
    HTTP_METHOD_QUERY, /* safe, and asks with a body */
};

struct http_field {
    enum http_header header;
    struct bytes name;  /* a token, as it was written */
    struct bytes value; /* no CR, LF or NUL; no white space at either end */
};

/* Field lines in the order they came; a name may come more than once. */
struct http_fields {
    struct http_field *list;
    size_t count;
};

/* How many bytes a body has: a number, or one of these. */
enum { HTTP_BODY_NONE = 0, HTTP_BODY_UNKNOWN = -1 };

struct http_request {
    enum http_method method;
    struct bytes method_name;
    struct bytes scheme;    /* of an absolute-form target, or HTTP/2's :scheme; else empty */
    struct bytes authority; /* the absolute-form target's, which equals Host; else Host's value; may be
                             * empty only in HTTP/1.0 */
    struct bytes path;      /* starts with '/', or is "*" for OPTIONS, or empty for CONNECT */
    struct bytes query;     /* without '?'; has_query tells "" from none */
    bool has_query;
    uint8_t minor_version; /* 0 or 1; 1 for HTTP/2 too */
    bool keep_alive;       /* whether the client means to go on with the connection */
    bool expects_continue; /* Expect: 100-continue, and a body */
    int64_t body_bytes;    /* HTTP_BODY_NONE, HTTP_BODY_UNKNOWN (chunked), or how many */
    struct http_fields fields;
};

struct http_response {
    int status;                /* 100 to 999 */
    struct bytes reason;       /* as a field's value may be; null: the usual phrase */
    int64_t body_bytes;        /* HTTP_BODY_UNKNOWN: ends with exchange_end */
    struct http_fields fields; /* without Connection, Content-Length and Transfer-Encoding: those are of the
                                * connection's making */
    struct bytes rendered;  /* more field lines, already "Name: value CRLF" each and valid; may be empty */
    bool rendered_has_date; /* Date is among them: the connection need not add it */
    uint64_t body_number;   /* of a stored body, whose bytes are always the same; 0: who knows */
};

/* The header called `name`, in any case; HTTP_HEADER_OTHER if the table has no such row. */
enum http_header http_header_find(struct bytes name);

/* The row's name in its usual spelling, and its kind. `header` is not OTHER. Static. */
struct bytes http_header_name(enum http_header header);
enum http_header_kind http_header_kind(enum http_header header);

enum http_method http_method_find(struct bytes name); /* case-sensitive, RFC 9110 §9.1 */

/* "Not Found" for 404; empty for a status that tables/http_statuses.def lacks. Static. */
struct bytes http_status_reason(int status);

/* The first field of that name, or null. */
const struct http_field *http_fields_find(const struct http_fields *fields, enum http_header header);

/* The same by name, in any case: for those that the table has no row for. */
const struct http_field *http_fields_find_name(const struct http_fields *fields, struct bytes name);

/* True for GET, HEAD, OPTIONS, TRACE (RFC 9110 §9.2.1), and QUERY. */
bool http_method_is_safe(enum http_method method);

/* Moves every borrowed run of bytes of `request` that lies in the `size` bytes at `from` to the same
 * place at `to`; the caller has copied the bytes. */
void http_request_rebase(struct http_request *request, const char *from, size_t size, const char *to);

/* True if `name` is one or more tchar (RFC 9110 §5.6.2); if `value` may be a field's value: no CR, LF,
 * NUL or other control but tab (§5.5). */
bool http_is_token(struct bytes name);
bool http_is_field_value(struct bytes value);

/* Takes the next element that is not empty off the front of a comma-separated `list` (RFC 9110 §5.6.1),
 * without white space around it; false at the end. Not for lists with quoted strings. */
bool http_list_next(struct bytes *list, struct bytes *element);

/* True if a Connection field names `name`, which then belongs to this hop only (RFC 9110 §7.6.1). */
bool http_connection_names(const struct http_fields *fields, struct bytes name);
