/* request_check.h — whether a request is as the document says its operation takes it. */
#pragma once
#include "api.h"
#include "base/err.h"
#include "engine/mock/schema/violations.h"

/* Adds what is wrong with parameters and body to `violations`. Returns OK, whatever there was; ERR_SYNTAX
 * with a sentence in `why` if the body is not even JSON; ERR_TYPE if its media type is not taken, with
 * those that are in `why`. */
enum err request_check(const struct operation *operation, const struct http_request *request,
                       const struct path_values *path_values, struct bytes body,
                       struct violations *violations, struct buffer *why);

/* Whether the request shows who it is from in one of the ways the operation asks for; what it shows is not
 * looked at. If not, appends to `lines` the WWW-Authenticate fields that say which those are. */
bool request_shows_who(const struct operation *operation, const struct http_request *request,
                       struct buffer *lines);
