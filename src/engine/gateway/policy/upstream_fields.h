/* upstream_fields.h — what of a client's request goes to the origin: nothing that could change the answer
 * without being part of the key (cache poisoning), nothing that was meant for us. Pure. */
#pragma once
#include "base/buffer.h"
#include "message/http.h"

/* False for the fields that never go upstream: hop-by-hop ones, Host, and those by which a client could
 * steer an origin past the key. */
bool upstream_takes(enum http_header header);

/* True for the fields that make a request conditional or partial: answered here where the response is
 * shared. */
bool is_precondition(enum http_header header);

/* A request's fields as they go upstream, in memory of their own. */
struct upstream_fields {
    struct http_fields fields;
    struct buffer text;
};

/* What the answer is wanted for. */
struct upstream_wish {
    bool with_preconditions; /* the client's conditions go upstream: only for what nobody shares */
    bool is_for_all; /* to be stored: Accept-Encoding goes in the words that its variant has in the key */
};

/* Copies from `fields` what the origin may see. False if there is no memory; fini is due in any case. */
bool upstream_fields_init(struct upstream_fields *upstream, const struct http_fields *fields,
                          const struct upstream_wish *wish);
void upstream_fields_fini(struct upstream_fields *upstream);
