/* documents.h — the collections and single objects of a mock, each kept as the JSON text it is served as.
 *
 * Any thread may call any function. A read is a look-up that hands out a held text; a write makes its new
 * text first and only swaps it in, so that the lock is never held while JSON is parsed or made. The text
 * of a whole collection is joined when it is first asked for after a change. */
#pragma once
#include "base/buffer.h"
#include "base/err.h"
#include "base/list.h"
#include "engine/mock/answer/text.h"
#include "locator.h"

struct documents; /* opaque: documents.c */

/* Fills new documents from a db.json; writes may later add `growth_bytes_max` to what they hold: texts, ids
 * and book-keeping. Ids that are numbers become strings, items without one get a random
 * one, "$schema" is passed over. Returns OK; ERR_SYNTAX with a sentence appended to `message`;
 * ERR_NO_MEMORY. */
enum err documents_create(struct bytes json, size_t growth_bytes_max, struct documents **documents,
                          struct buffer *message);
void documents_destroy(struct documents *documents);

/* What a locator points at now. */
enum place { PLACE_NOTHING, PLACE_ROOT, PLACE_COLLECTION, PLACE_ITEM, PLACE_OBJECT };
enum place documents_place(struct documents *documents, const struct locator *locator);

/* Holds the text at `locator` for the caller. Returns OK, ERR_MISSING, ERR_NO_MEMORY. */
enum err documents_read(struct documents *documents, const struct locator *locator, struct text **text);

/* Adds an item at the end of the collection `name`. Holds `text` itself. Returns OK; ERR_MISSING if there
 * is no such collection; ERR_EXISTS if it has that id; ERR_FULL beyond the bound on bytes; ERR_NO_MEMORY.
 */
enum err documents_insert(struct documents *documents, struct bytes name, struct bytes id,
                          struct text *text);

/* Puts `text` where `expected` is: an item or a single object. Holds `text` itself. Returns OK;
 * ERR_MISSING; ERR_CHANGED if something else is there by now; ERR_FULL. */
enum err documents_swap(struct documents *documents, const struct locator *locator,
                        const struct text *expected, struct text *text);

/* Removes the item whose text is `expected`. Returns OK, ERR_MISSING, ERR_CHANGED. */
enum err documents_remove(struct documents *documents, const struct locator *locator,
                          const struct text *expected);

/* Counts a request for what is at `locator`, and says how many there were; 0 where nothing is. */
void documents_count_request(struct documents *documents, const struct locator *locator);
uint64_t documents_request_count(struct documents *documents, const struct locator *locator);

/* ---- who wants to know of writes ---- */

enum change_kind { CHANGE_INSERT, CHANGE_REPLACE, CHANGE_REMOVE, CHANGE_RELOAD };

/* One write. All of it is borrowed for the call; hold `text` to keep it. */
struct documents_change {
    enum change_kind kind;
    uint64_t number; /* 1, 2, 3 …: the order of writes */
    struct bytes
        name; /* of the collection or the single object; empty for CHANGE_RELOAD: anything may differ */
    struct bytes id;   /* of the item, as text; empty for a single object */
    struct text *text; /* what is there now, or what was removed; null for CHANGE_RELOAD */
};

/* `changed` is called for each write in the order of writes, before the write is answered, on the writer's
 * thread and under the documents' lock: it must be quick and must not call the documents. */
struct documents_observer {
    struct list in_list;
    void (*changed)(struct documents_observer *observer, const struct documents_change *change);
};

/* From here on `observer`, which the caller keeps, is told; until unsubscribed, after which no call is
 * under way. Any thread. */
void documents_subscribe(struct documents *documents, struct documents_observer *observer);
void documents_unsubscribe(struct documents *documents, struct documents_observer *observer);

/* A random id as json-server 1 makes them: 64 bits in 11 characters of base64url. */
enum { RANDOM_ID_BYTES = 11 };
void random_id_make(char id[static RANDOM_ID_BYTES]);
