/* mock.h — a JSON REST API from a file of collections (db.json), or from an OpenAPI document: one per
 * process, a part per worker.
 *
 * rest.h says what is answered, or openapi.h; keep.h what becomes of changes. */
#pragma once
#include "base/buffer.h"
#include "base/counters.h"
#include "base/err.h"
#include "engine/mock/collections/compat.h"
#include "engine/mock/openapi/openapi_options.h"
#include "engine/mock/rules/front.h"
#include "message/exchange.h"
#include "net/loop.h"

struct keep_options;
struct watcher_options;
struct text;
struct mock;        /* the documents; shared by the workers */
struct mock_worker; /* one worker's part */

struct mock_options {
    struct bytes document;          /* the JSON text of the db.json, or of an OpenAPI document; copied */
    struct openapi_options openapi; /* if it is one of OpenAPI */
    /* As documents.h has it; null: nobody watches. */
    void (*progress)(void *watcher, size_t done_bytes, size_t total_bytes);
    void *watcher;
    int64_t latency_ms;        /* artificial delay before each answer; 0: none */
    int64_t max_age_s;         /* what caches may keep a GET's answer for; 0: they must ask each time */
    const char *static_path;   /* a folder whose files are served where no document is; null: none */
    struct bytes rewrite;      /* JSON text for rewrite_create; empty: none */
    bool is_read_only;         /* refuses what is not safe */
    bool omits_cors;           /* the pages of other origins may not call it */
    const struct bytes *hosts; /* where it listens, "HOST:PORT": names that it goes by. Copied; the bytes
                                * are kept by reference */
    size_t host_count;
    bool is_local;                   /* all that is loopback, where pages could come by a name of theirs */
    enum compat compat;              /* which json-server is meant where its two generations differ */
    struct bytes id_name;            /* the member that ids are in; empty: "id" */
    struct bytes foreign_key_suffix; /* of members that refer to items; empty: "Id" */
    bool codes;                      /* answers go out in gzip to who takes that */
    const struct keep_options *keep; /* the file that the documents are from, to be kept; null: none */
    struct rules *rules; /* asked first; null: none. On OK taken over: the caller's struct is empty */
    uint64_t seed;       /* of the rules' random numbers */
    size_t journal_entries_max; /* requests remembered, where there are rules */
    bool journal_shows_secrets;
    struct bytes admin_token; /* what /__admin/ wants; empty: a client on this machine. Kept by reference */
};

/* Returns OK with `*mock`; ERR_SYNTAX with a sentence that says where and what in `*message` if the text is
 * not a JSON object of arrays of objects, and objects; the same of the rules of `rewrite`; ERR_MISSING,
 * ERR_FORBIDDEN or ERR_TYPE with a sentence if there is no folder `static_path`; ERR_NO_MEMORY. */
enum err mock_create(const struct mock_options *options, struct mock **mock, struct buffer *message);
void mock_destroy(struct mock *mock);

/* How many requests it has answered, and how many of them for `path` alone if it is not empty; 0 for a path
 * where nothing is. Any thread. */
uint64_t mock_request_count(struct mock *mock, struct bytes path);

/* Looks at files from here on, as watcher_create does, until the mock is destroyed; at most twice.
 * `subject` is the mock, whatever it says in `options`. */
enum err mock_watch(struct mock *mock, const struct watcher_options *options);

/* Puts others in the place of the rules of a mock that has some; see front_replace_rules. Any thread. */
enum err mock_replace_rules(struct mock *mock, struct rules *rules);

/* The same of an OpenAPI document, of a mock that is made from one: `files` gets the paths of those it
 * refers to. What its collections keep, if they do, begins anew. Errors as of mock_create; then all stays.
 */
enum err mock_replace_document(struct mock *mock, struct bytes text, struct buffer *files,
                               struct buffer *message);
bool mock_is_of_document(const struct mock *mock);

/* Holds all the data as one JSON text for the caller. Returns OK; ERR_MISSING if the mock keeps none;
 * ERR_NO_MEMORY. Any thread. */
enum err mock_read_data(struct mock *mock, struct text **text);

/* The part of the worker that runs `loop`. */
enum err mock_worker_create(struct mock *mock, struct loop *loop, struct counters *counters,
                            struct mock_worker **worker);
/* After the loop has ended; no exchange of this worker may be alive. */
void mock_worker_destroy(struct mock_worker *worker);

/* `begin` takes a struct mock_worker. */
extern const struct exchange_engine mock_engine;

/* Whether a mock of `document` is one of OpenAPI. */
bool mock_is_of_openapi(struct bytes document);

/* The sample data that the demo serves, as JSON text. Static. */
struct bytes mock_sample_document(void);
