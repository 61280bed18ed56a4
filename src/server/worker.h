/* worker.h — one thread of the server: its loop, its listeners, its connections, its part of each engine.
 *
 * Everything in it belongs to its own thread once that runs; only counters are read by others. */
#pragma once
#include "base/counters.h"
#include "base/list.h"
#include "base/log.h"
#include "client/tier/tier.h"
#include "engine/compose/compose.h"
#include "engine/gateway/gateway.h"
#include "engine/kv/kv.h"
#include "engine/kv/kv_http.h"
#include "engine/live/live.h"
#include "engine/mock/mock.h"
#include "engine/poll/polls.h"
#include "message/http.h"
#include "net/loop.h"
#include "net/tls.h"
#include "protocol/http/http1.h"
#include "protocol/memcached/memcached.h"
#include "protocol/resp/resp.h"
#include "server/admin.h"
#include "server/intake.h"
#include "server/tier_board.h"
#include <pthread.h>
#include <stdatomic.h>

struct server;

/* Which protocol a port speaks. */
enum wire { WIRE_DETECT, WIRE_RESP, WIRE_MEMCACHED, WIRE_HTTP };

/* What a connection may take, in plain numbers; one copy for the whole server. */
struct conn_limits {
    struct http1_limits http;
    struct resp_limits resp, stranger_resp; /* of who has not said who it is, if it must */
    struct memcached_limits memcached, stranger_memcached;
    uint64_t input_bytes_max;  /* received and not yet dealt with */
    uint64_t output_bytes_max; /* queued: beyond it the connection reads no further requests */
    uint64_t answer_bytes_max; /* queued by one batch of commands: beyond it the connection is cut */
    uint64_t pushed_bytes_max; /* queued of what subscribers are told: beyond it they are cut */
    uint64_t stranger_answer_bytes_max;
    int64_t http_idle_ms; /* 0: never */
    int64_t head_ms, body_ms, write_ms;
    int64_t body_rate;   /* bytes a second, of a request's body; 0: any */
    int64_t answer_rate; /* the same of what a client of HTTP takes of its answers */
};

/* One port as one worker sees it. */
struct port {
    struct listener listener;
    struct worker *worker;
    enum wire wire;
    struct tls_server *tls;               /* null: plain text */
    int fd;                               /* -1: another worker accepts for this one (see intake.h) */
    bool has_http2;                       /* of an HTTP port: whether it speaks HTTP/2 too */
    bool is_for_all;                      /* this worker accepts for all */
    size_t turn;                          /* then: whose turn it is */
    const struct exchange_engine *engine; /* of an HTTP port */
    void *engine_worker;                  /* its part for this worker */
    struct kv_http kv_http;               /* that part, of a port of values over HTTP */
    struct admin admin;                   /* that part, of the administrator's API */
};

enum { WORKER_BATCH_COMMANDS = 16, WORKER_BATCH_ARGUMENTS = 8 };

struct worker {
    struct server *server;
    const struct conn_limits *limits;
    struct loop *loop;
    struct log *log;
    const struct clock *clock;
    struct counters counters;
    struct kv kv;
    nh_store *store; /* null if no role keeps anything */
    struct port *ports;
    size_t port_count;
    struct gateway_worker **gateways; /* one per role that is a gateway, else null */
    struct live_worker **lives;       /* likewise */
    struct polls **polls;             /* likewise; the first worker's, for all */
    struct compose_worker **composes; /* likewise */
    struct mock_worker **mocks;
    struct recorder_worker **recorders;
    size_t role_count;
    struct tier_worker *tier; /* null without a shared tier, */
    struct tier_board *board; /* and so is this: where it says how its connections are */
    int64_t next_post_ms;
    struct list connections;
    size_t connection_count;
    atomic_int *server_connection_count; /* of all workers, for the cap */
    bool draining;
    bool tier_is_stopping;
    struct timer sweep, drain_check;
    struct intake intake;
    struct task letters; /* another worker has something for the sessions of this one */
    int64_t drain_deadline_ms;
    pthread_t thread;
    bool thread_started;

    /* Scratch that every connection of this worker uses for the length of one call. */
    struct http_field *fields; /* limits->http.fields_max */
    struct bytes arguments[WORKER_BATCH_COMMANDS][WORKER_BATCH_ARGUMENTS];
    struct command commands[WORKER_BATCH_COMMANDS];
    int64_t date_second; /* of `date`: the text of the present second */
    char date[29];
};

/* Starts accepting on the worker's ports; on its thread or before it runs. */
void worker_listen(struct worker *worker);

/* Stops accepting and lets the connections finish, at the latest after `drain_ms`; the loop then stops.
 * On the worker's thread. */
void worker_drain(struct worker *worker, int64_t drain_ms);

/* A connection is gone: a worker that drains looks whether it was the last. */
void worker_note_closed(struct worker *worker);

/* The date of the present turn as HTTP writes it: 29 bytes. */
const char *worker_date(struct worker *worker);
