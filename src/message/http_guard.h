/* http_guard.h — may this request be looked at at all? For the servers of ours that change something, so
 * that a page in somebody's browser is no client of theirs. Pure. */
#pragma once
#include "message/http.h"

/* What is refused: an HTTP status, with a sentence for the client; 0 is good. */
struct http_refusal {
    int status;
    const char *detail;
};

/* No foreign Origin; on loopback (`is_local`) without a token a Host that is loopback's, since a name of
 * the page's own could point here (DNS rebinding); and the token, if there is one. 403 or 401. */
struct http_refusal http_guard(const struct http_request *request, struct bytes token, bool is_local);

/* For an API without a token that the pages of other origins may not read. What is unsafe must not come
 * from such a page, since a browser sends a simple request before it asks; what is safe may, for the page
 * cannot see the answer. It can see a WebSocket's: no Upgrade may come from there. On loopback (`is_local`)
 * the Host must be localhost, a number, or one of `hosts` ("HOST" or "HOST:PORT"): a page of another name
 * that points here would be of this origin. 403. */
struct http_refusal http_guard_pages(const struct http_request *request, const struct bytes *hosts,
                                     size_t host_count, bool is_local);
