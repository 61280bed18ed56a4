/* passage.h — what the files of a passage, one client request on its way, share: passage*.c's business
 * alone. On the thread of its worker.
 *
 *      collect ── a body that is part of the key, or a small one, or too much of it ──► lookup
 *
 *                fresh, or stale and allowed
 *      lookup ─────────────────────────────► serve ──────► done
 *       │  ▲ │ may not be forwarded            ▲             ▲
 *       │  │ └────────────────► refuse ────────┼─────────────┤
 *       │  │                      ▲            │             │
 *       │  │ not for us, or gone  │ failed     │ failed, and │
 *       ▼  │                      │            │ stale will do
 *      wait ──────────────────────┴────────────┘             │
 *       │ a head that is for us                              │
 *       ▼                                                    │
 *      relay ─── whole, or cut off ──────────────────────────┘
 *
 * With a shared tier, lookup goes by way of ask, back to lookup: what is found here may not hold any more,
 * and what is not may be there.
 *
 * A step returns the next state; returning its own means parked, and passage_run is called again when the
 * fetch has news or the client has room. */
#pragma once
#include "body_key.h"
#include "fetch.h"
#include "fleet_question.h"
#include "found.h"
#include "respond.h"

enum { ROUNDS_MAX = 3 }; /* so often a passage waits for others */

#define STATES(X) X(collect) X(lookup) X(ask) X(wait) X(relay) X(serve) X(refuse) X(done)
#define X(name)   STATE_##name,
enum state { STATES(X) };
#undef X

struct passage {
    struct reader reader;
    struct gateway_worker *worker;
    const struct route *route;   /* held */
    struct http_request *edited; /* null: the upstream gets the client's as it is */
    struct exchange *x;          /* null once it is over */
    struct list in_worker;
    enum state state;
    struct request_facts facts;
    struct found found;
    struct cache_status status;
    struct buffer body; /* collected, while it is part of the key, or until it has gone to the origin */
    unsigned char digest[KEY_DIGEST_BYTES]; /* of it, once all is there */
    bool collects;                          /* its body, before it does anything else */
    bool has_whole_body;
    enum err failure;
    int refusal_status;
    const char *refusal_text;
    int64_t refusal_seconds;  /* Retry-After; 0: none */
    struct outgoing outgoing; /* of a stored response's body */
    struct http_range window; /* what of a fetched body is for the client, if is_cut */
    uint64_t sent_bytes, uploaded_bytes;
    int64_t promised_bytes; /* or HTTP_BODY_UNKNOWN */
    int64_t arrived_mono_ms;
    uint32_t page_set;  /* that what is fetched for it is a page of: page_set.h; 0: of none */
    unsigned rounds;    /* how often it came back to lookup */
    unsigned handovers; /* how often because what it waited for took too long */
    bool has_looked;    /* `found` is up to date */
    bool is_alone;      /* no more waiting for others */
    bool with_preconditions;
    bool has_responded;
    bool skips_body;
    bool is_cut;
    bool is_running, runs_again;
    /* With a shared tier. */
    struct asker asker;
    struct fleet_reply fleet_reply; /* once asked */
    enum { FLEET_UNASKED, FLEET_ASKED_URL, FLEET_ASKED } fleet_stage;
    bool is_asking;
    bool has_brought; /* it was brought from the tier for this passage */
};

/* One step of each state. */
#define X(name) enum state passage_on_##name(struct passage *passage);
STATES(X)
#undef X

/* ---- passage.c ----------------------------------------------------------------------------------- */

/* Takes as many steps as can be. The passage may be gone afterwards. */
void passage_run(struct passage *passage);

/* Lets go of everything; what is left goes when no task of it is on its way any more. */
void passage_retire(struct passage *passage);
void passage_free(struct passage *passage);

/* What its reader calls. */
void passage_on_woken(struct reader *reader);
void passage_on_informed(struct reader *reader, int status, const struct http_fields *fields);

/* The request as its upstream sees it. */
const struct http_request *upstream_request(const struct passage *passage);

struct now passage_now(const struct passage *passage);

/* The key of what the passage asks for. False if it can have none. */
bool passage_key(const struct passage *passage, enum key_use use, struct cache_key *key);

/* For whom it is. */
enum quota_class passage_quota_class(const struct passage *passage);

/* Ways on: each returns the next state. `text` and `detail` are static. */
enum state passage_refuse(struct passage *passage, int status, const char *text);
enum state passage_serve_stale(struct passage *passage, const char *detail);
enum state passage_look_again(struct passage *passage);
enum state passage_over(struct passage *passage, void (*finish)(struct exchange *x));

/* ---- prefetch_next.c ----------------------------------------------------------------------------- */

/* The passage, whose exchange is not over, was answered with `fields`, as lines: if its route has
 * prefetch-next, and they name a next page that the same route leads to, that is fetched, too, as far as
 * nobody who waits is kept from the upstream by it. */
void prefetch_next(struct passage *passage, struct bytes fields);

/* ---- passage_ask.c ------------------------------------------------------------------------------- */

/* Whether the client wants the tier to be asked, whatever is known of it. */
bool asks_fenced(const struct gateway_worker *worker, const struct http_request *request);

/* Asks the tier if need be: then `found` has been released, and STATE_ask comes next. `key` is what was
 * looked up, `use` what could be made of it. */
bool passage_asks(struct passage *passage, const struct cache_key *key, enum use use);

/* Lets go of what was found under `key` if the fleet has it no more, and says in its flags that it was
 * purged softly. */
void passage_believe(struct passage *passage, const struct cache_key *key);

/* What the fleet was seen to have; 0: nothing. */
uint64_t passage_fleet_number(const struct passage *passage);

/* Whether what is fetched is the fleet's: only one node should. */
bool passage_may_lease(const struct passage *passage);

/* ---- passage_upload.c ---------------------------------------------------------------------------- */

/* Whether the request's body is to be collected before anything else is done. */
bool passage_is_to_be_collected(const struct request_facts *facts, const struct http_request *request);

/* All of a body that is collected has come. */
void passage_end_collecting(struct passage *passage);

/* Of a leader: the origin wants some of the body. */
void passage_on_upload_wanted(struct reader *reader, size_t room);

/* As of struct exchange_engine. */
void passage_on_body(struct exchange *x, struct bytes bytes);
void passage_on_body_end(struct exchange *x);

extern const char BODY_TOO_LARGE[];
