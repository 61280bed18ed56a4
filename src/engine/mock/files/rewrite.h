/* rewrite.h — a file of paths and what to serve in their place, as json-server's routes.json has it. Pure.
 *
 *   "/posts/:category": "/posts?category=:category"   one segment, by name
 *   "/articles?id=:id": "/posts/:id"                  a query, exactly
 *
 * A star stands for anything; names and stars are $1, $2 and so on in the new target too. Rules are tried
 * in order, and each may change what those before it have made. A rule without '?' is about the path alone;
 * the query then goes along behind the new target's own. */
#pragma once
#include "base/buffer.h"
#include "base/err.h"
#include "message/http.h"

struct rewrite; /* opaque; never changes, any thread */

enum { REWRITE_RULES_MAX = 1000, REWRITE_CAPTURES_MAX = 16, REWRITE_TARGET_BYTES_MAX = 64 * 1024 };

/* Makes rules of a JSON object of texts. Returns OK; ERR_SYNTAX with a sentence that says which rule and
 * what is wrong with it appended to `message`; ERR_NO_MEMORY. */
enum err rewrite_create(struct bytes json, struct rewrite **rewrite, struct buffer *message);
void rewrite_destroy(struct rewrite *rewrite); /* may be given null */

/* Appends to `target` what `request` asks for by the rules, "/path?query". Returns false, with nothing
 * appended, if no rule is about it or what would come out is too long or no path. */
bool rewrite_apply(const struct rewrite *rewrite, const struct http_request *request,
                   struct buffer *target);
