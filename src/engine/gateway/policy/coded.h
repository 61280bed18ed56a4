/* coded.h — answers that are coded on the way out (RFC 9110 §8.4, §12.5.3): which may be, how their fields
 * change, and what is kept of the work. Pure.
 *
 * A coded body is an entry of its own in the store. Its key is the coding and the number of the body it was
 * made of, which a stored response keeps for as long as its body is the same: however the response changes
 * or goes, a coding is never found for another body. */
#pragma once
#include "coding/accept_encoding.h"
#include "route_policy.h"
#include "stored_response.h"

/* How a response is to be coded for a client. */
struct coding_plan {
    bool may_be_coded;  /* clients get different bytes of it: Vary has to say so */
    enum coding coding; /* for this client */
};

/* `rendered` are the response's fields, `body_bytes` its size or HTTP_BODY_UNKNOWN. Nothing is coded that
 * is coded already or partial, too small, of a type that does not get smaller, or marked no-transform. */
struct coding_plan coding_plan_of(const struct route_policy *policy, const struct http_fields *request,
                                  int status, struct bytes rendered, int64_t body_bytes);

/* Appends `rendered` as it is sent with a body in `coding`: with Content-Encoding and with a weak ETag, but
 * without digests of other bytes; Vary names Accept-Encoding in any case. */
void coded_fields_append(struct buffer *fields, struct bytes rendered, enum coding coding);

/* The same for a 304 to a client that has a coding of the body: no Content-Encoding. */
void coded_fields_append_validated(struct buffer *fields, struct bytes rendered);

enum { CODED_KEY_BYTES = 16 };
struct bytes coded_key(char text[CODED_KEY_BYTES], uint64_t body_number, enum coding coding);
