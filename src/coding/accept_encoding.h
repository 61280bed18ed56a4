/* accept_encoding.h — which content codings a client takes (RFC 9110 §12.5.3). Pure. */
#pragma once
#include "message/http.h"

enum coding {
#define CODING(id, name) CODING_##id,
#include "tables/codings.def"
#undef CODING
    CODING_IDENTITY, /* none */
    CODING_COUNT
};

/* As in Content-Encoding. Static. */
struct bytes coding_name(enum coding coding);

struct accepted_codings {
    uint16_t weights[CODING_COUNT]; /* thousandths; 0: not taken */
    bool names_identity;            /* the client said what identity is worth */
    bool is_said;                   /* there is an Accept-Encoding; without one, anything may be sent */
};

struct accepted_codings accepted_codings_of(const struct http_fields *fields);

/* What to send to this client of what we could make: identity if it named nothing better. */
enum coding coding_choose(const struct accepted_codings *accepted);

/* One text for all that take the same of the codings we know, so that an origin that varies by
 * Accept-Encoding has few variants: "br, gzip", "identity", "gzip, identity;q=0". Returns its size; 0 if
 * nothing was said. */
enum { ACCEPTED_CODINGS_BYTES_MAX = 64 };
size_t accepted_codings_format(const struct accepted_codings *accepted,
                               char text[ACCEPTED_CODINGS_BYTES_MAX]);
