/* indexes.h — which members of a collection have an index, when one is made, and which leave.
 *
 * An index is made by whoever first asks for it, a piece at a time with the lock held for reading only: so
 * long nobody else sees it, writers keep what is already in it right, and neither they nor readers wait for
 * more than a piece. All indexes together take no more than a bound; without room, or memory, items are
 * looked at one by one, which only takes longer. */
#pragma once
#include "documents_state.h"

/* Makes the index of member `member`, which has a name, of the collection `name`, if there is none and the
 * collection is large enough to be worth it. Without the lock held. */
void indexes_prepare(struct documents *documents, struct bytes name, struct bytes member);

/* The same with the lock held for writing, at once. */
void indexes_require(struct documents *documents, struct resource *resource, struct bytes member);

/* With the lock held: the index that may be asked; null if there is none. */
struct field_index *indexes_find(const struct resource *resource, struct bytes member);

/* With the lock held for writing: `item` of `resource` with its text came, or is about to go. */
void indexes_add(struct documents *documents, struct resource *resource, struct item *item);
void indexes_remove(struct documents *documents, struct resource *resource, struct item *item);

/* The same of the index of one member, if there is one. */
void indexes_add_member(struct documents *documents, struct resource *resource, struct bytes member,
                        struct item *item);
void indexes_remove_member(struct documents *documents, struct resource *resource, struct bytes member,
                           struct item *item);

void indexes_destroy(struct documents *documents, struct resource *resource);
