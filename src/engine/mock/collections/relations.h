/* relations.h — items that refer to each other by foreign keys: "postId" holds the id of one of "posts".
 *
 * Ids are compared as text, so that 1 and "1" are the same one. With the documents' lock held, but for
 * relations_prepare. */
#pragma once
#include "documents_state.h"

/* Makes the indexes that removing an item of the collection `name` needs, so that it need not hold the lock
 * for that long. Without the lock held. */
void relations_prepare(struct documents *documents, struct bytes name);

/* Removes `item`, and settles what refers to it (documents_remove). Returns OK; ERR_NO_MEMORY with nothing
 * changed. */
enum err relations_remove(struct documents *documents, struct resource *resource, struct item *item,
                          const struct query *query);

/* True if `query` wants something put into items of `resource`. */
bool relations_are_wanted(const struct query *query);

/* Appends the text of `item` with what `query` wants put in. Without memory `out` has failed;
 * where `query` gives up, it has not all. */
void relations_append(struct documents *documents, const struct resource *resource, const struct item *item,
                      struct query *query, struct buffer *out);
