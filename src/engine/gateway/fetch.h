/* fetch.h — one request to the origin and its answer, for any number of readers on any worker.
 *
 * A fetch runs on the worker that began it. Readers attach to it, are woken by tasks on their own loops,
 * and read at their own pace from pieces of the body that all of them share. What has been published
 * never changes. A fetch outlives the readers that left as long as others want it or it will be stored. */
#pragma once
#include "base/buffer.h"
#include "engine/gateway/policy/cache_key.h"
#include "engine/gateway/policy/response_fields.h"
#include "engine/gateway/policy/upstream_fields.h"
#include "engine/gateway/policy/vary.h"
#include "gateway_state.h"
#include <stdatomic.h>

struct fetch; /* opaque: fetch_state.h */
struct chunk;

enum fetch_progress {
    FETCH_WAITING,  /* no head yet */
    FETCH_FLOWING,  /* the head is there, the body comes */
    FETCH_COMPLETE, /* all is there */
    FETCH_FAILED,   /* no more will come; see fetch_error */
    FETCH_AGAIN,    /* what was to be validated is gone: look up again */
};

/* What a response says of itself; immutable once there. */
struct fetch_head {
    struct response_facts facts;
    struct now received;
    int64_t body_bytes;   /* a number, HTTP_BODY_NONE or HTTP_BODY_UNKNOWN */
    uint64_t body_number; /* of the stored body that a 304 confirmed, or 0 */
    int origin_status;    /* what the origin answered: 304 where facts.status is the stored one's */
    struct response_fields fields; /* `sent` is for the leader alone */
    struct buffer reason;
    bool has_reason;           /* the origin's phrase is not the usual one */
    struct vary vary;          /* names */
    struct buffer vary_values; /* of the request that was sent */
    bool is_limited;           /* it says to come later, and nothing of what was asked for */
    bool is_outdated;          /* a purge came between: those who asked later ask again */
    bool is_shared;            /* readers other than the leader may use it */
    bool is_stored;            /* it will be stored if it arrives whole */
};

/* As struct http_response has it. */
static inline struct bytes fetch_reason(const struct fetch_head *head)
{
    return !head->has_reason       ? (struct bytes){0}
           : head->reason.size > 0 ? buffer_bytes(&head->reason)
                                   : BYTES("");
}

/* One who waits for a fetch. Embedded; init it once, and free it only when reader_is_quiet. */
struct reader {
    struct gateway_worker *worker;
    void (*woken)(struct reader *reader); /* on the worker's thread: look again */
    /* Of a leader: an interim response came. May be null. */
    void (*informed)(struct reader *reader, int status, const struct http_fields *fields);
    struct fetch *fetch; /* null when not attached */
    struct list in_fetch;
    struct chunk *chunk;
    size_t chunk_offset;
    uint64_t read_bytes;
    bool is_waiting;     /* wants to be woken when there is news */
    bool is_leader;      /* the one whose request it is */
    _Atomic bool is_cut; /* gets no more: it was so slow that others would have had to wait */
    _Atomic bool is_posted;
    struct task task;
};

/* Why a fetch was not sent at all. */
struct fetch_refusal {
    enum quota_verdict verdict;
    int64_t retry_after_seconds;
    enum quota_class class; /* as which it asked */
};

struct fetch_order {
    const struct route *route;
    const struct http_request *request;
    const struct cache_key *key; /* null: the response is neither shared nor stored */
    struct request_traits traits;
    bool has_found; /* there was an entry under the key, of this moment */
    int64_t found_received_mono_ms;
    bool is_shared;         /* others may join */
    int64_t begun_since_ms; /* joins only a fetch begun no earlier than this; 0: any */
    bool takes_notes;       /* tells later requests, for seconds, what came of it */
    bool replaces_entry; /* there is an entry that may stand in for a failure, which must not take its place
                          */
    bool supersedes;     /* there is one, and what comes is newer: it goes even if that is not stored */
    enum quota_class quota_class;
    uint32_t page_set;       /* that it is a page of, not being the first; 0: of none */
    bool is_impatient;       /* there is something stale: the upstream's limits are not waited for */
    bool takes_lease;        /* of all nodes of the fleet one is to fetch it */
    uint64_t fleet_number;   /* what the fleet was seen to have; 0: nothing */
    bool with_preconditions; /* the client's conditions go to the origin */
    struct bytes
        range; /* the one condition of a part that others may join who ask for the same; or empty */
    bool is_body_keyed; /* `body` is all of the request's, and part of the key; copied */
    struct bytes body;
    struct bytes etag, last_modified; /* to validate the entry by; empty: ask for the whole */
    uint64_t body_number;             /* of that entry */
};

void reader_init(struct reader *reader, struct gateway_worker *worker,
                 void (*woken)(struct reader *reader));
bool reader_is_quiet(const struct reader *reader);

/* Attaches `reader` to the fetch of order->key that is under way, if one may be joined, or else begins one
 * that it leads; `*joined` says which. A null reader wants nothing but the store filled. Nothing is called
 * back from inside. Errors as of origin_start, and ERR_CHANGED: look up again, as there is something else
 * under the key by now. */
enum err fetch_join_or_begin(struct gateway_worker *worker, const struct fetch_order *order,
                             struct reader *reader, bool *joined);

/* How far the fetch is; the reader is woken when that changes. */
enum fetch_progress fetch_look(struct reader *reader);
enum err fetch_error(struct reader *reader);

/* After FAILED with ERR_LIMITED. */
struct fetch_refusal fetch_refusal(const struct reader *reader);

/* Whether a reader who only follows had better do without it: it has gone without a head for longer than
 * the route's coalesce-timeout. While WAITING; nobody joins it any more. */
bool fetch_is_overdue(struct reader *reader);

/* Whether it got as far as a head; after FAILED. */
bool fetch_has_head(struct reader *reader);

/* Once there is one; readable while attached. */
const struct fetch_head *fetch_head(const struct reader *reader);

/* The next piece of the body, at most `limit` bytes of it, readable until the next call on the reader;
 * empty if there is none now, and then `*progress` says whether more will come: the reader is woken. */
struct bytes fetch_read(struct reader *reader, size_t limit, enum fetch_progress *progress);

/* All bytes of the body, once COMPLETE. */
uint64_t fetch_body_bytes(const struct reader *reader);

/* Goes away; fine if not attached. */
void fetch_leave(struct reader *reader);

/* Hands a piece of the request's body over; only its leader. `upload_wanted` is called when it is wanted.
 */
void fetch_upload(struct reader *reader, struct bytes bytes, bool last);
void fetch_on_upload_wanted(struct reader *reader, void (*wanted)(struct reader *reader, size_t room));

/* Cancels this worker's fetches: those that nobody wants, or all, whose readers then fail. */
void fetches_cancel(struct gateway_worker *worker, bool all);
