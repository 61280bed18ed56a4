/* live_state.h — what the files of live/ share: nobody else's business.
 *
 *   topic      what is watched: its newest state and the ring of what came before, for all workers
 *   keeper     the worker that asks for it: the one whose client came first
 *   part       one worker's watchers of a topic
 *   watcher    one exchange: a stream of events, or one that waits for another answer
 *   socket     an exchange that is a WebSocket; each of its subscriptions is a watcher, too
 *   follower   a watcher without an exchange, for others in this process
 *
 * A topic is `asking` until its state is known, and again after nobody has watched it: who comes waits.
 *
 *            state, or a failure                    Nobody watching, it sleeps: for LINGER_MS it is found
 * by asking ───────────────────────► known           those who come back, then it goes. │  ▲ │  │ │
 * └─────── all have left ─────┘  │ └─────► ended: cannot be watched ◄┘
 *
 * (1) `live.lock` guards the table; `topic.lock` what the topic says of itself. The first is taken first.
 * (2) A topic with watchers is in the table, unless it has ended. */
#pragma once
#include "base/hash_table.h"
#include "base/list.h"
#include "base/random_source.h"
#include "engine/gateway/entry_watch.h"
#include "engine/gateway/inquiry.h"
#include "json_change.h"
#include "live.h"
#include "live_ask.h"
#include "socket_ask.h"
#include <pthread.h>

enum {
    BEATS = 15, /* seconds between two comments to a stream that is otherwise silent */
    BEAT_MS = 1000,
    SLOW_MS = 60000,      /* a stream is cut that has not taken all it was sent for so long */
    LINGER_MS = 60000,    /* a topic that nobody watches is kept for so long */
    FAILING_MS = 30000,   /* after which watchers are told that the origin fails */
    RETRY_MS_MAX = 60000, /* between two polls of an origin that fails */
    AGAIN_MS = 1000,      /* after which is done again what there was no memory for */
    INQUIRY_MS = 120000,  /* an answer comes within this, or has failed */
    BATCH = 500,          /* watchers that are told in one turn of the loop */
};

struct live {
    pthread_mutex_t lock;
    struct hash_table topics;
    uint64_t seed;
};

struct live_worker {
    struct live *live;
    struct gateway_worker *gateway;
    const struct exchange_engine *next; /* whom it asks, and passes on to */
    void *next_worker;                  /* what its `begin` takes */
    struct loop *loop;
    struct counters *counters;
    struct list parts;
    struct list kept;         /* topics that it is the keeper of */
    struct list waiting;      /* watchers that wait for one answer */
    struct list beats[BEATS]; /* streams, by the second in which they are looked at */
    struct list sockets[BEATS];
    struct list followers;
    unsigned beat;
    struct timer beat_timer; /* set while there are watchers or sockets: */
    size_t attended_count;
    atomic_uint call_count; /* topics' `call`s on their way */
    struct random_source random;
    bool is_stopping;
};

/* One state or problem, as watchers are told of it. */
struct slot {
    uint64_t number;
    struct event *event;
    struct event *patch; /* to those who want one; null: there is none */
    size_t bytes;        /* as they count in the ring */
};

enum stage { TOPIC_ASKING, TOPIC_KNOWN, TOPIC_ENDED };

struct topic {
    struct live *live;
    struct hash_node in_table;
    struct buffer key;
    struct buffer path;          /* and query, as who came first wrote it */
    atomic_uint reference_count; /* the keeper's, each part's, that of `call` on its way */
    struct live_worker *keeper;
    pthread_mutex_t lock;

    /* Under the lock. */
    enum stage stage;
    uint64_t epoch;
    uint64_t number;   /* of the newest slot; 0: none yet */
    struct slot *ring; /* slot n at (n - 1) % ring_capacity, the newest ring_count of them */
    size_t ring_capacity, ring_count, ring_bytes;
    struct slot state;    /* the newest that is one; no event: none yet */
    struct buffer fields; /* of the state, as lines */
    int refusal_status;   /* of ENDED */
    const char *refusal;  /* static */
    struct list parts;
    size_t watcher_count;
    bool wants_patches; /* somebody did */
    bool has_sockets;   /* it had one at least */
    bool is_called;
    struct task call; /* runs on the keeper's loop */

    /* The keeper's. */
    struct list in_keeper;
    struct http_request *request;
    struct timer timer; /* awake: the next poll; asleep: its end */
    struct inquiry *inquiry;
    struct entry_watch *watches[COMPOSED_PARTS_MAX]; /* of what it is made of, */
    size_t watch_count;
    struct route_plan *watched_plan; /* by this one; held. Null: it has not been looked at */
    struct buffer body;              /* of the state */
    unsigned char digest[STATE_DIGEST_BYTES];
    bool is_json;
    uint64_t body_number;
    int64_t confirmed_ms;       /* when the origin sent the state, or confirmed it */
    int64_t interval_ms;        /* between two polls at present; 0: there are none */
    int64_t origin_interval_ms; /* it is not to be asked again sooner; 0: it has not said */
    int64_t begun_ms;           /* the latest inquiry; or, where it found what was confirmed before, that */
    int64_t failing_since_ms;   /* 0: it does not */
    bool is_awake;
    bool was_asked; /* once at least */
    bool is_poll;   /* the inquiry; else a look at what others have brought */
    bool is_dirty;  /* to be looked at once the inquiry is over */
    bool has_told_problem;
    bool lacks_memory; /* for something since it was asked for last: to be asked for again, polled or not */
};

struct topic_part {
    struct topic *topic; /* held */
    struct live_worker *worker;
    struct list in_topic, in_worker; /* the former under the topic's lock */
    struct list watchers;
    struct list *next; /* whom to tell next; &watchers: nobody */
    struct task task;
    bool is_running;
    bool is_posted, has_news; /* under the topic's lock */
};

struct watcher {
    struct exchange *x;
    struct topic_part *part;
    const struct route *route; /* held until it is answered; then null */
    struct list in_part, in_worker;
    uint64_t number;  /* of what it was sent last; until it has begun, what it says it was, */
    uint64_t epoch;   /* with this; 0: it does not */
    int64_t due_ms;   /* WAIT: until when; STREAM: since when it has been behind, or 0 */
    int64_t spoke_ms; /* when it was sent something last */
    enum live_way way;
    bool wants_patches;
    bool has_begun;   /* it has its head */
    bool wants_state; /* all of it, whatever it was sent before */
};

/* What a WebSocket watches. */
struct subscription {
    struct watcher watcher; /* its way is LIVE_SOCKET */
    struct socket *socket;
    struct list in_socket;
    bool is_topics; /* the path is the topic's, letter by letter */
    size_t path_size;
    char path[]; /* as the client wrote it */
};

struct socket {
    struct live_worker *worker;
    struct exchange *x;
    struct websocket *websocket;
    struct list in_worker;
    struct list subscriptions;
    size_t subscription_count;
    struct socket_ask ask;  /* what the client said last, while it is being done: */
    size_t asked_count;     /* so many of the paths that it subscribes to have been */
    int64_t stuck_since_ms; /* since when nothing more could be sent; 0: it can */
    bool is_read;           /* the connection was asked for more */
    bool is_running;        /* inside socket_go_on, or what calls it afterwards */
    bool has_failed;        /* to be broken off */
};

/* ---- topic.c: what is watched -------------------------------------------------------------------- */

/* Has `watcher`, otherwise complete, watch what `request` asks for by `route`; `key` is that of what
 * answers it. ERR_FULL: too many topics, or watchers of it; ERR_NO_MEMORY. */
enum err topic_join(struct live_worker *worker, struct watcher *watcher, const struct http_request *request,
                    const struct cache_key *key);
void topic_leave(struct watcher *watcher);
/* What there is now is known to the watcher. */
void topic_skip(struct watcher *watcher);
void topic_unhold(struct topic *topic);

/* How the topic stands, for that watcher. */
struct standing {
    enum stage stage;
    int refusal_status;
    const char *refusal;
    bool has_news; /* there is something that it was not sent */
    bool has_state;
    bool client_has_it; /* as its conditions say */
};
struct standing topic_standing(struct watcher *watcher);

/* The watcher begins: with what it lacks, if that is known, else with all of the state. False: the latter.
 */
bool topic_resume(struct watcher *watcher);

/* What comes next for the watcher, held; null: nothing now. */
struct event *topic_next(struct watcher *watcher, bool *is_state);

/* The event, which is the topic's, as a frame for WebSockets that call it by the topic's path; held. Null
 * if there is no memory. */
struct event *topic_frame(struct topic *topic, struct event *event);

/* Makes it known to all, under the lock; takes both events over. */
void topic_publish(struct topic *topic, struct event *event, struct event *patch, bool is_state);
/* Forgets the oldest until no more than so many bytes are left, or one; under the lock. */
void topic_trim(struct topic *topic, size_t bytes_max);
/* Has all parts look at the topic, under the lock. */
void topic_call_parts(struct topic *topic);

/* The keeper's: it can be watched no more. `text` is static. */
void topic_end(struct topic *topic, int status, const char *text);

/* ---- topic_keep.c: what the keeper does ---------------------------------------------------------- */

/* The topic has its first watcher again, or has none any more. */
void topic_attend(struct task *task);
void topic_tick(struct timer *timer);

/* ---- topic_watch.c: which entries a topic's resource is made of ------------------------------------ */

/* Has topic_changed called whenever one of them may have changed; by the newest plan. False if there is no
 * memory for some: to be called again. */
bool topic_watch(struct topic *topic);
void topic_unwatch(struct topic *topic);
/* What is stored has changed, or may have: in topic_keep.c. */
void topic_changed(void *topic);

/* ---- watcher.c: who watches ---------------------------------------------------------------------- */

void part_run(struct task *task);
/* Sends what there is for it. It may be gone afterwards. */
void watcher_look(struct watcher *watcher);
/* Its exchange has ended, or is another's. */
void watcher_free(struct watcher *watcher);
/* The same without freeing the struct itself. */
void watcher_fini(struct watcher *watcher);
/* Begins to watch. */
void watcher_begin(struct live_worker *worker, struct exchange *x, const struct route *route,
                   const struct live_ask *ask, const struct http_request *request,
                   const struct cache_key *key);
void watcher_writable(struct exchange *x);
void watcher_gone(struct exchange *x);
/* Whom the worker looks at now and then: one more, one less. */
void live_attend(struct live_worker *worker);
void live_unattend(struct live_worker *worker);
/* Sends an event as it lies in memory, or a copy if it is small. */
void live_send(struct exchange *x, struct event *event);
/* Sends what there is, as far as the client takes it. */
void watcher_deliver(struct watcher *watcher);
/* Ends all of the worker's. */
void watchers_end(struct live_worker *worker);
void watchers_beat(struct timer *timer);

/* ---- socket.c: WebSockets ------------------------------------------------------------------------ */

/* Answers the request for one. */
void socket_begin(struct live_worker *worker, struct exchange *x);
/* How much may be sent now. */
size_t socket_room(struct socket *socket);
/* Whether less of our own waits to be sent than may be, or nothing is sent any more. */
bool socket_has_room_for_answers(const struct socket *socket);
/* Says something of our own: JSON. */
void socket_say(struct socket *socket, const struct buffer *text);
/* It is to be broken off, as soon as nobody is at work on it. */
void socket_fail(struct socket *socket);
/* Does what is due. It may be gone afterwards. */
void socket_go_on(struct socket *socket);
/* Looks at those whose turn it is. */
void sockets_beat(struct live_worker *worker, int64_t now_ms);
/* Ends all of the worker's. */
void sockets_end(struct live_worker *worker);

/* ---- subscription.c: what they watch ------------------------------------------------------------- */

/* Takes a message of the client, after which subscriptions_go_on is due. */
void subscriptions_take(struct socket *socket, struct bytes message);
/* Does what it asks for, path by path, as long as there is room for what is said of each. */
void subscriptions_go_on(struct socket *socket);
/* Whether something of that is still to be done. */
bool subscriptions_are_due(const struct socket *socket);
/* Has all of them send what they have, those first that had to wait. */
void subscriptions_deliver(struct socket *socket);
void subscriptions_drop(struct socket *socket);
struct subscription *subscription_of(struct watcher *watcher);
/* As watcher_look does. It may be gone afterwards, and so may its socket, unless that is_running. */
void subscription_look(struct subscription *subscription, const struct standing *standing);
void subscription_send(struct subscription *subscription, struct event *event);

/* ---- follower.c: who follows from inside --------------------------------------------------------- */

/* As watcher_look and watcher_deliver. */
void follower_look(struct watcher *watcher, const struct standing *standing);
void follower_send(struct watcher *watcher, struct event *event);
/* Nobody is told any more; */
void followers_end(struct live_worker *worker);
/* and the worker goes. */
void followers_forget(struct live_worker *worker);

/* ---- live.c -------------------------------------------------------------------------------------- */

/* Hands the exchange to the next engine. */
void live_pass_on(struct live_worker *worker, struct exchange *x);

/* The route, or a composition's, by which the resource that `request` asks for may be watched; null: it may
 * not. */
const struct route *live_route(const struct live_worker *worker, const struct http_request *request);

/* The primary key of what answers `request`, as its upstream sees it. False if there is none: it is too
 * long, or not plain. */
bool live_entry_key(struct live_worker *worker, const struct route *route,
                    const struct http_request *request, struct cache_key *key);
/* What tells the resource from others, likewise: that, or of a composed one the URL. */
bool live_find_key(struct live_worker *worker, const struct route *route,
                   const struct http_request *request, struct cache_key *key);
