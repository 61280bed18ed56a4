/* origin_request.h — a request, said to libcurl. */
#pragma once
#include "base/buffer.h"
#include "client/origin.h"
#include <curl/curl.h>

/* Sets on `easy` all that follows from `request` (which is copied): where to, the method, the field lines
 * and the body's framing. `*field_lines` belongs to the caller, also on error, and must outlive the
 * transfer. ERR_NO_MEMORY; ERR_SYNTAX: a URL, method or field that cannot be sent. */
enum err origin_request_apply(const struct origin_request *request, CURL *easy,
                              struct curl_slist **field_lines);

/* Appends the head of a request for request->upgrade to `head`, as it goes out. Only after
 * origin_request_apply found `request` good. ERR_NO_MEMORY; ERR_SYNTAX: it has a body. */
enum err origin_request_render_upgrade(const struct origin_request *request, struct buffer *head);
