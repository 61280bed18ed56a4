/* no_vary_search.h — No-Vary-Search: which parameters of the query an answer does not depend on
 * (draft-ietf-httpbis-no-vary-search). Pure. */
#pragma once
#include "base/buffer.h"

struct search_variance {
    bool is_all_but; /* none counts but those named; else all do but those */
    bool ignores_order;
    struct bytes names; /* an inner list of strings, for structured_inner_next */
};

/* Appends what rendered fields say of it, as one value. */
void search_field_join(struct buffer *text, struct bytes rendered);

/* What such a value says; it lives as long as `text`. False if it is no valid one, or says nothing: then
 * the query counts to the byte. */
bool search_variance_of(struct bytes text, struct search_variance *variance);

/* Writes what counts of `query`, the same for all queries that are equivalent. False if that is more than
 * `capacity`, or more parameters than are sorted. */
bool search_canonical(const struct search_variance *variance, struct bytes query, char *text,
                      size_t capacity, size_t *size);
