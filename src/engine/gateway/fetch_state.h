/* fetch_state.h — what the files of a fetch share: fetch_*.c's business alone.
 *
 *   waiting ──head──► flowing ──done──► complete          A fetch is on its worker's list and holds a
 *      │                 │                                reference to itself until `done`. It is in the
 *      │ 304, entry gone └──cut──► failed                 table from its begin to its end while it may be
 *      ├──► again                    ▲                    joined. Its head is written once, before
 *      └──no head────────────────────┘                    `progress` leaves WAITING under the lock.
 *
 * The body is a chain of chunks. A chunk holds a reference to the next, a reader to the one it reads, the
 * fetch to the last; if the body is kept, for storing or for readers yet to come, also to the first. So
 * what all have read and nobody will read again goes away by itself.
 *
 * "Under the lock" is under that of the fetch's shard, which guards all counts. What is not said to be for
 * any thread is for the fetch's own worker. */
#pragma once
#include "engine/gateway/routing/upstream_call.h"
#include "fetch.h"
#include "fetch_lease.h"
#include "purge_watch.h"

enum { FAILING_MS = 1000 }; /* for how long it is noted that the origin fails */

struct chunk {
    struct chunk *next; /* holds a reference */
    uint32_t reference_count;
    uint32_t size, capacity; /* bytes before `size` do not change */
    char data[];
};

struct fetch {
    struct gateway *gateway;
    const struct route *route;     /* held */
    struct gateway_worker *worker; /* null once its worker has been destroyed */
    struct fetch_shard *shard;
    struct list in_worker, in_table;
    struct list readers;
    struct task task; /* brings other workers' wishes to its own */
    uint32_t reference_count;
    bool is_posted;
    bool is_paused;
    bool is_kept;  /* `first` is held */
    bool has_head; /* which readers may see */
    bool is_overdue;
    enum fetch_progress progress;
    enum err error;
    struct chunk *first, *last;
    uint64_t body_bytes;

    /* The worker's alone, or immutable. */
    struct upstream_worker *by; /* what it goes by, while there is a call */
    struct timer handover;      /* set while others may wait for its head, if that is limited */
    struct upstream_call sending;
    struct origin_call *call; /* of `sending`: null when there is none any more */
    struct fetch_head head;
    struct upstream_fields upstream;
    struct request_traits traits;
    struct buffer key; /* under which it will be stored; empty: not at all */
    size_t primary_size;
    uint64_t hash;                      /* of the primary key */
    uint32_t fence_count, search_count; /* the latter as search_alias.h has it */
    struct purge_watch watch;
    struct now requested;
    enum http_method method;
    bool is_safe;       /* what was asked changes nothing */
    bool is_body_keyed; /* and then the request's body is here */
    struct buffer body;
    struct buffer path, query, authority; /* of a write's request: what it changes has to be found */
    bool has_query;
    struct buffer etag, last_modified; /* what we asked the origin to validate, */
    uint64_t body_number;              /* which is about this body */
    uint64_t asker;                    /* as of asker_identity: whose validators come */
    struct buffer range;               /* of which part it is, for those who may join; else empty */
    bool may_be_shared, takes_notes, replaces_entry, supersedes, with_preconditions;
    bool is_validation; /* we asked, and may be answered 304 */
    bool asks_for_part; /* a Range went along */
    bool has_if_range;  /* and If-Range: a part then comes without the fields that the client has */
    void (*upload_wanted)(struct reader *reader, size_t room);
    struct lease *lease; /* of the fleet's: fetch_lease.h. While it is being taken there is no call */
    enum quota_class quota_class; /* of the most urgent who wants it; under the lock */
    struct quota_ticket ticket;
    struct timer turn;            /* when to ask again, while it waits for its turn at the upstream, */
    struct http_request *waiting; /* and this is what will be sent; else null */
    struct fetch_refusal refusal; /* immutable once it has failed */
    uint32_t page_set;            /* that what comes is a page of: page_set.h; 0: of none */
};

/* Whether anything is still to come. */
static inline bool fetch_is_under_way(const struct fetch *fetch)
{
    return fetch->call != NULL || fetch->lease != NULL || fetch->waiting != NULL;
}

static inline void fetch_lock(struct fetch *fetch) { pthread_mutex_lock(&fetch->shard->lock); }
static inline void fetch_unlock(struct fetch *fetch) { pthread_mutex_unlock(&fetch->shard->lock); }

/* ---- fetch.c: its life --------------------------------------------------------------------------- */

void fetch_destroy(struct fetch *fetch);

/* Unlocks, and frees the fetch if that was the last reference. Any thread. */
void fetch_unlock_and_release(struct fetch *fetch);

/* Has the fetch's own worker look at it. Any thread, under the lock. */
void fetch_call_for_attention(struct fetch *fetch);

/* Ends the fetch: readers are told, and its own reference goes. */
void fetch_finish(struct fetch *fetch, enum fetch_progress progress, enum err error);

/* Likewise, as failed; the origin is left. */
void fetch_cancel(struct fetch *fetch, enum err error);

/* False if the fetch was given up, and may be gone. */
bool fetch_drop_if_unwanted(struct fetch *fetch);

/* From now on it may have others wait for so long as the route says. */
void fetch_limit_hold(struct fetch *fetch);

/* What `task` and `handover` of a fetch run. */
void fetch_attend(struct task *task);
void fetch_hand_over(struct timer *timer);

extern const struct origin_callbacks fetch_callbacks;

/* ---- fetch_begin.c ------------------------------------------------------------------------------- */

/* Sends it now. Errors as of origin_start. */
enum err fetch_send(struct fetch *fetch, const struct http_request *request);

/* ---- fetch_turn.c -------------------------------------------------------------------------------- */

/* Sends it when it is its turn at the upstream, which is nothing to wait for here. Errors as of
 * origin_start, and ERR_LIMITED: it may not be sent, and `refusal` says why. */
enum err fetch_start(struct fetch *fetch, const struct http_request *request);

/* It waits, and there is a reason to ask again. The fetch may be gone afterwards. */
void fetch_turn_ask_again(struct fetch *fetch);
void fetch_turn_come(struct timer *timer); /* what `turn` runs */

/* It neither waits nor has a turn any more. */
void fetch_turn_give_up(struct fetch *fetch);

/* ---- fetch_table.c: who may join ----------------------------------------------------------------- */

/* Attaches `reader`, if any, to the fetch in the table that has the order's key; false if there is none.
 * Any thread, under the lock. */
bool fetch_join(struct fetch_shard *shard, const struct fetch_order *order, struct reader *reader);

/* Puts the fetch in the table under its key if it may be joined and nobody else is there. Under the lock.
 */
void fetch_enter_table(struct fetch *fetch);

/* From here on nobody may join. Under the lock. */
void fetch_leave_table(struct fetch *fetch);

/* Whether the URL was invalidated since the fetch began, or may have been: many share a fence, which
 * knows the last only. Under the store lock. */
bool fetch_is_fenced(const struct fetch *fetch);

/* ---- fetch_reader.c: who reads ------------------------------------------------------------------- */

void fetch_attach(struct fetch *fetch, struct reader *reader, bool is_leader); /* under the lock */

/* Null if it has left. It is on the fetch's thread. */
struct reader *fetch_leader(struct fetch *fetch);

void fetch_wake_readers(struct fetch *fetch); /* under the lock */

/* Whether even the reader that waits for more, or will first, is so far behind that the origin should
 * wait; and whether, if it does, it may go on. Any thread, under the lock. */
bool fetch_is_far_ahead(const struct fetch *fetch);
bool fetch_may_go_on(const struct fetch *fetch);

/* Of a body that is not kept: what is sent to the fastest reader must not wait for the slowest, nor fill
 * the memory on its account. Under the lock. */
void fetch_cut_stragglers(struct fetch *fetch);

/* ---- fetch_body.c: what has come of the body ----------------------------------------------------- */

struct chunk *chunk_create(size_t capacity); /* null if there is no memory */
struct chunk *chunk_hold(struct chunk *chunk);
void chunk_release(struct chunk *chunk); /* may be null */

/* False if there is no memory. */
bool fetch_append_body(struct fetch *fetch, struct bytes bytes);

/* Appends all of a body that is kept. */
void fetch_copy_body(const struct fetch *fetch, struct buffer *value);

/* What has been read need not stay. Under the lock. */
void fetch_stop_keeping(struct fetch *fetch);

void fetch_on_body(void *owner, struct bytes bytes);

/* ---- fetch_head.c: what may become of the response ----------------------------------------------- */

void fetch_on_head(void *owner, int status, struct bytes reason, const struct http_fields *fields,
                   int64_t body_bytes);

/* What the fields say: the origin's (`is_forwarded`), or those of an entry that it freshened. */
void fetch_take_fields(struct fetch *fetch, int status, const struct http_fields *fields,
                       bool is_forwarded);
void fetch_take_reason(struct fetch_head *head, struct bytes reason);

/* The head is complete but for what follows from it. The fetch may be gone afterwards. */
void fetch_conclude(struct fetch *fetch);

/* ---- fetch_freshen.c: what the origin says of an entry ------------------------------------------- */

/* The origin says that the entry we have is good. */
void fetch_on_not_modified(struct fetch *fetch, const struct http_fields *fields);

/* RFC 9111 §4.3.5: what a HEAD says of the entry that would have answered it, had that been fresh. */
void fetch_learn_from_head(struct fetch *fetch, const struct http_fields *fields, int64_t body_bytes);

/* ---- fetch_write.c: what a write has changed ----------------------------------------------------- */

/* A write was carried out, or may have been although we never hear of it. */
void fetch_invalidate_target(struct fetch *fetch);

/* The head of the answer to a write, before the client hears of it. */
void fetch_on_written(struct fetch *fetch, int status, const struct http_fields *fields);

/* ---- fetch_store.c: what is stored --------------------------------------------------------------- */

/* All is there: stores the response, or the part of one. */
void fetch_store(struct fetch *fetch);

/* Puts `value` unless the URL was invalidated, or what it carries was purged, since the fetch began. */
bool fetch_put(struct fetch *fetch, struct bytes key, const struct buffer *value, int64_t now_mono_ms,
               int64_t ttl_ms);

/* Begins the value to be stored: all but the body, for which there is then room. False if there is no
 * memory. */
bool fetch_begin_value(const struct fetch *fetch, struct buffer *value, struct stored_response *response,
                       uint64_t body_bytes);

/* Makes `fetch->key` the key of the variant that this response is, and sees that it will be found. False
 * if that cannot be: it is not to be stored then. */
bool fetch_become_variant(struct fetch *fetch);

/* Tells later requests, for `ttl_ms`, what came of this one; no more. */
void fetch_take_note(struct fetch *fetch, enum note_kind kind, int status, int64_t ttl_ms);
void fetch_drop_note(struct fetch *fetch);
