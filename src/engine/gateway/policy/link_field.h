/* link_field.h — Link (RFC 8288): where an answer says that others are. Pure. */
#pragma once
#include "message/http.h"

/* One of the links of a field; points into it. */
struct link_value {
    struct bytes target;   /* between < and >, as it is written: mostly a reference, to be resolved */
    struct bytes relation; /* of the first parameter rel: words, perhaps within quotes; empty: none */
    bool has_anchor;       /* it is of something else than what the answer is of */
};

/* Takes the next link off `value`. False at the end of it, and where it goes on with what is none: all of
 * the rest is then ignored. */
bool link_value_next(struct bytes *value, struct link_value *link);

/* Whether `relation`, in lower case, is among its words. */
bool link_has_relation(const struct link_value *link, struct bytes relation);

/* Finds in `lines`, each "Name: value CRLF", the target of the first Link of the answer itself with that
 * relation. False if there is none. */
bool link_find(struct bytes lines, struct bytes relation, struct bytes *target);
