/* admin_guard.h — who may ask a mock for what is below /__admin/: whoever bears the token if there is one,
 * else a client on this machine; no page of another origin in either case. */
#pragma once
#include "message/http_guard.h"

/* As http_guard says it; `client_fd` is whose peer the client is. 401 wants "WWW-Authenticate: Bearer". */
struct http_refusal admin_guard(const struct http_request *request, struct bytes token, int client_fd);
