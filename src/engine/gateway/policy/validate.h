/* validate.h — conditional requests (RFC 9110 §13, RFC 9111 §4.3), both those of clients, answered here,
 * and ours to the origin. Pure. */
#pragma once
#include "stored_response.h"

/* The client has the response already, so 304 is the answer. If-None-Match counts before
 * If-Modified-Since, and the Date stands in for a Last-Modified that is not there (RFC 9111 §4.3.2);
 * `fields` are the request's, `rendered` the response's. */
bool client_has_it(const struct http_fields *fields, struct bytes rendered, int64_t now_wall_ms);

/* The value of the first such line; empty if there is none. */
struct bytes rendered_value(struct bytes rendered, enum http_header header);

/* True for the fields that a 304 carries (RFC 9110 §15.4.5); never Set-Cookie. */
bool belongs_in_not_modified(enum http_header header);

/* The 304 speaks of this stored response: not so if it names another ETag, or without one another
 * Last-Modified (RFC 9111 §4.3.4). */
bool is_validated_by(const struct stored_response *stored, const struct http_fields *not_modified);

/* The answer to a HEAD may be the head of this stored response: what it says of validators and length is so
 * there, too (RFC 9111 §4.3.5). `body_bytes` as in struct origin_callbacks. */
bool is_described_by(const struct stored_response *stored, const struct http_fields *head,
                     int64_t body_bytes);

/* A stored response's fields, the hidden ones too, freshened by a 304's (RFC 9111 §3.2), as a list of its
 * own. The bytes are borrowed from all. Null `list` if there is no memory; the caller frees it. */
struct http_fields freshened_fields(struct bytes stored_rendered, struct bytes stored_hidden,
                                    const struct http_fields *not_modified);
