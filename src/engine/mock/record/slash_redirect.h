/* slash_redirect.h — a redirect from a path to the same path with a slash at its end, or without: what
 * rules do not tell apart, so that a mock would answer it again and again. Pure. */
#pragma once
#include "message/http.h"

/* Whether the answer is one; `api` is the URL that requests' paths go behind. */
bool is_slash_redirect(struct bytes api, const struct http_request *request, int status,
                       const struct http_fields *fields);
