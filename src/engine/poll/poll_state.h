/* poll_state.h — what the files of what is polled share: nobody else's business. */
#pragma once
#include "base/buffer.h"
#include "base/hash_table.h"
#include "base/random_source.h"
#include "engine/gateway/fleet_turn.h"
#include "engine/gateway/inquiry.h"
#include "poll_pace.h"
#include "polls.h"
#include <pthread.h>

enum {
    POLL_MS = 120000,    /* an answer comes within this, or has failed */
    POLL_LANES = 64,     /* upstreams beyond these share lanes with others */
    POLLS_AT_ONCE = 16,  /* of a lane: clients are not to wait behind them */
    POLL_TURN_MS = 1000, /* a turn lasts at least so much longer than a wait */
};

/* Those of an upstream: so many are under way at once, and the others wait in their order. */
struct poll_lane {
    struct list waiting;
    unsigned busy_count;
    bool is_running; /* the next ones are being begun */
};

/*   sleeps ── due ──► waits ──► takes turn ──┬── ours ────────► asks ──┐
 *      ▲                                     └── another's ───► looks ─┤
 *      └───────────────────────────────────────────────────────────────┘ */
enum poll_stage { POLL_SLEEPS, POLL_WAITS, POLL_TAKES_TURN, POLL_ASKS, POLL_LOOKS };

/* One resource. */
struct poll {
    struct hash_node in_table;
    struct list in_list, in_lane;
    struct polls *polls;
    struct http_request *request;
    struct buffer identity; /* its target, and the fields that go along */
    size_t url_bytes;       /* of it: the target */
    enum poll_stage stage;
    struct poll_lane *lane; /* unless it sleeps */
    struct timer timer;
    struct fleet_turn turn;
    struct inquiry *inquiry;
    struct poll_pace pace;
    int64_t begun_ms;
    int64_t wait_ms;          /* from the answer that is known to the moment it is due */
    int64_t anothers_left_ms; /* while it looks: how long it is another's turn */
    uint64_t body_number, body_hash;
    bool has_body;              /* the last two are of one */
    bool has_warned;            /* that nothing is kept */
    struct poll_report figures; /* under the lock of `polls`; but for url and due_ms */
    int64_t due_mono_ms;        /* likewise */
};

struct polls {
    struct gateway_worker *gateway;
    struct loop *loop;
    struct counters *counters;
    struct random_source random;
    uint64_t seed;
    bool is_stopping;
    bool is_choosing; /* which there are is being changed: none is begun that is to go */
    struct poll_lane lanes[POLL_LANES];
    struct task follow; /* takes up what is `wanted` */
    pthread_mutex_t lock;
    /* Under the lock; the list and the table are changed by the worker alone. */
    struct list polls;
    struct hash_table table;
    struct list wanted;
    bool is_posted;
};

/* ---- poll.c: one resource's rounds; on the worker's thread ---------------------------------------- */

void poll_init(struct poll *poll, struct polls *polls);

/* For the first time it is due at any moment of so long. */
void poll_begin(struct poll *poll);
/* Due at that moment, or now. While it sleeps. */
void poll_wait(struct poll *poll, int64_t due_mono_ms);
/* What is under way is given up, and nothing more is begun. */
void poll_rest(struct poll *poll);

/* Begins what waits, as far as it may. */
void polls_run_lanes(struct polls *polls);
