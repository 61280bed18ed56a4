/* http_target.h — what a request is about: its target (RFC 9112 §3.2, RFC 9113 §8.3.1) and its authority.
 * Pure.
 *
 * A path and a query hold what a URI may hold, and the [ \ ] ^ ` { | } that browsers send as they are.
 *
 * Each function returns 0, or the status to refuse the request with. What they set borrows from what they
 * are given. */
#pragma once
#include "message/http.h"

enum { HTTP_METHOD_BYTES_MAX = 64 }; /* a longer one is refused with 501 */

/* Sets authority, path, query and scheme from `target`, as far as it has them, all in the form that belongs
 * to request->method. Behind its last byte stands one that no target may hold, such as a space or a NUL. */
int http_parse_target(struct bytes target, struct http_request *request);

/* Settles request->authority: that of the target, if it has one, and Host must agree. `host_field` is null
 * where there is no Host, which only HTTP/1.0 may leave out. */
int http_settle_authority(struct http_request *request, const struct http_field *host_field);
