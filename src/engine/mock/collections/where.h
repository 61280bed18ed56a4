/* where.h — "_where", json-server 1's conditions as JSON:
 * {"or":[{"views":{"gt":9}},{"author":{"eq":"Ann"}}]}.
 *
 * An object holds if all of its members do. Of these "or" and "and" have lists of objects; all others are
 * members of the item, and have objects of operations, or of members further down. */
#pragma once
#include "query.h"

struct where; /* opaque: where.c */

enum {
    WHERE_CONDITIONS_MAX = 64,
    WHERE_DEPTH_MAX = 16, /* of objects in objects, lists aside */
};

/* Makes what `text` says. Returns OK; ERR_SYNTAX with a sentence in `message`; ERR_NO_MEMORY. */
enum err where_create(struct query *query, struct bytes text, struct bytes id_name, struct where **where,
                      struct buffer *message);
void where_destroy(struct where *where); /* also of null */

/* Whether the item with the text `item` fulfils it. `query` is charged, and may give up. */
bool where_holds(const struct where *where, struct query *query, struct bytes item);
