/* documents.h — the collections and single objects of a mock, each kept as the JSON text it is served as.
 *
 * Any thread may call any function. Readers share a lock and never make JSON of values: an item is a held
 * text, a list is a join of such. A write makes its text first and only swaps it in, so that the lock is
 * not held while JSON is parsed. The text of a whole collection is joined when it is first asked for after
 * a change. */
#pragma once
#include "base/buffer.h"
#include "base/err.h"
#include "base/list.h"
#include "engine/mock/answer/text.h"
#include "locator.h"
#include "query.h"

struct documents; /* opaque: documents_state.h */

struct documents_options {
    enum compat compat;
    struct bytes id_name;            /* the member that ids are in; empty: "id" */
    struct bytes foreign_key_suffix; /* of members that refer to items; empty: "Id" */
    size_t growth_bytes_max;         /* what writes may later add: texts, ids and book-keeping */
    size_t index_bytes_max;          /* what indexes may take; 0: as much as the documents, and 64 MiB */
    /* Told now and then while a document is read, if not null; of all bytes once that is over, well or not.
     */
    void (*progress)(void *watcher, size_t done_bytes, size_t total_bytes);
    void *watcher;
};

/* Fills new documents from a db.json. COMPAT_0_17: ids stay what they are, items without one get the next
 * number; COMPAT_1: ids become strings, random where there is none. "$schema" is passed over. Of the JSON
 * text one item at a time is taken apart. Returns OK; ERR_SYNTAX with a sentence appended to `message`;
 * ERR_NO_MEMORY. */
enum err documents_create(struct bytes json, const struct documents_options *options,
                          struct documents **documents, struct buffer *message);

/* The same with documents that are in use: on OK all is as `json` says, at once, and observers are told; on
 * an error nothing has changed. */
enum err documents_reload(struct documents *documents, struct bytes json, struct buffer *message);
void documents_destroy(struct documents *documents);

enum compat documents_compat(const struct documents *documents);
struct bytes documents_id_name(const struct documents *documents);

/* What a locator points at now. */
enum place {
    PLACE_NOTHING,
    PLACE_ROOT,
    PLACE_DATABASE, /* "/db" where no collection has that name */
    PLACE_COLLECTION,
    PLACE_ITEM,
    PLACE_OBJECT,
    PLACE_NESTED, /* the items of one collection that refer to an item of another */
};
enum place documents_place(struct documents *documents, const struct locator *locator);

/* Holds the text at `locator`, which is not PLACE_NESTED, for the caller. Returns OK, ERR_MISSING,
 * ERR_NO_MEMORY. */
enum err documents_read(struct documents *documents, const struct locator *locator, struct text **text);

/* The same of an item with what refers to it, and what it refers to, put in as `query` asks. */
enum err documents_read_related(struct documents *documents, const struct locator *locator,
                                struct query *query, struct text **text);

/* All documents as one JSON text, and the number of the last write that is in it. */
enum err documents_read_all(struct documents *documents, struct text **text, uint64_t *change_number);

/* What was found: how many items fulfil the conditions, and which page of them is in the text. */
struct found {
    size_t total_count;
    bool is_counted; /* the query asked for a part: the client is to be told the total */
    bool is_paged;
    bool is_empty_page;
    int64_t page, page_count;
};

/* Makes the text of those items of the collection `name` that `query` asks for. Returns OK; ERR_MISSING;
 * ERR_RANGE if the query takes too many steps; ERR_TOO_LARGE if what it embeds repeats too often;
 * ERR_NO_MEMORY. */
enum err documents_list(struct documents *documents, struct bytes name, struct query *query,
                        struct text **text, struct found *found);

/* An id as items have it: `text` is how paths name it. */
struct item_id {
    struct bytes text;
    bool is_number; /* and stands in JSON as one */
};

/* The member of collection `nested` that holds ids of items of collection `name`: "postId". Appends it. */
void documents_foreign_key(struct documents *documents, struct bytes name, struct buffer *key);

/* Writes an id that the collection `name` has no item of into `text`. Returns OK or ERR_MISSING. */
enum err documents_choose_id(struct documents *documents, struct bytes name, struct buffer *text,
                             bool *is_number);

/* Adds an item at the end of the collection `name`. Holds `text` itself. Returns OK; ERR_MISSING if there
 * is no such collection; ERR_EXISTS if it has that id; ERR_FULL beyond the bound on bytes; ERR_NO_MEMORY.
 */
enum err documents_insert(struct documents *documents, struct bytes name, struct item_id id,
                          struct text *text);

/* Puts `text` where `expected` is: an item or a single object. Holds `text` itself. Returns OK;
 * ERR_MISSING; ERR_CHANGED if something else is there by now; ERR_FULL; ERR_NO_MEMORY. */
enum err documents_swap(struct documents *documents, const struct locator *locator,
                        const struct text *expected, struct text *text);

/* Removes the item whose text is `expected`, and settles what referred to it: in COMPAT_0_17 those items
 * are removed too, and what refers to them; in COMPAT_1 their foreign key becomes null, or they are removed
 * if `query` names their collection as dependent. Returns OK, ERR_MISSING, ERR_CHANGED, ERR_NO_MEMORY. */
enum err documents_remove(struct documents *documents, const struct locator *locator,
                          const struct text *expected, const struct query *query);

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
        name;        /* of the collection or single object; empty for CHANGE_RELOAD: anything may differ */
    struct bytes id; /* of the item, as text; empty for a single object */
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
