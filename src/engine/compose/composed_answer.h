/* composed_answer.h — the document that parts make, and what is said of it in the fields. Pure. */
#pragma once
#include "part_answer.h"

/* Appends the document: a member for each part, in the order in which the composition has them, null for
 * one that failed, and then `errors`, if any did, with what became of each. */
void composed_body_append(const struct composition_spec *spec, const struct part_answer *parts,
                          struct buffer *body);

enum { COMPOSED_TAG_BYTES = 34 };
/* Writes the strong entity tag of `body`, quotes and all. False if it cannot be had. */
bool composed_tag(struct bytes body, char tag[COMPOSED_TAG_BYTES]);

/* How long the document may be kept; `is_private`: it is this client's alone, whatever its parts say. */
struct composed_terms composed_terms_of_parts(const struct composition_spec *spec,
                                              const struct part_answer *parts, bool is_private);

/* Whether any client may have what is in it. A part that failed is not. */
bool parts_are_for_all(const struct composition_spec *spec, const struct part_answer *parts);

/* Appends the field lines of the document; `has_body`: not of a 304. */
void composed_fields_append(const struct composition_spec *spec, const struct part_answer *parts,
                            const struct composed_terms *terms, bool has_body, struct bytes tag,
                            struct buffer *lines);

/* Where all parts have failed: the one that the whole fails as. That is one that may be had later, if there
 * is any. */
size_t composed_failure_index(const struct composition_spec *spec, const struct part_answer *parts);

/* What clients are told of a whole that failed as this part of it did. */
int composed_failure_status(const struct part_answer *part, bool passes_credentials);
void composed_failure_append(const struct part_spec *spec, const struct part_answer *part,
                             struct buffer *sentence);
