/* mock_admin.h — what a mock is asked about its data as a whole, below /__admin/: snapshots of them, and
 * beginning anew. What is asked about rules alone is in rules/rules_admin.h.
 *
 *   GET snapshots                 which there are
 *   POST snapshots                {"name": "before"} keeps the data as they are; without, a name is made
 *   POST snapshots/NAME/restore   puts them back
 *   DELETE snapshots/NAME         forgets one
 *   POST reset                    the data and what rules remember begin anew; ?what=data, ?what=rules
 *
 * To make or to put back a snapshot of large data takes seconds, so a thread does it. */
#pragma once
#include "base/buffer.h"
#include "base/counters.h"
#include "base/list.h"
#include "message/exchange.h"
#include "net/loop.h"

struct errands;
struct front;
struct snapshots;

struct mock_admin {
    struct snapshots *snapshots; /* null: the mock keeps no data */
    struct front *front;         /* null: it has no rules */
    struct errands *errands;     /* null where there are no snapshots */
    struct bytes token;          /* what requests must bear; empty: they come from this machine */
};

/* One worker's part. */
struct mock_admin_worker {
    const struct mock_admin *admin;
    struct loop *loop;
    struct counters *counters;
    struct list calls; /* that the thread has, or has done */
};

/* Whether the request is for one of these. */
bool mock_admin_is_asked(const struct http_request *request);

/* All are kept by reference. On the worker's thread; `_fini` after the loop has ended, when no exchange of
 * it is alive. */
void mock_admin_worker_init(struct mock_admin_worker *worker, const struct mock_admin *admin,
                            struct loop *loop, struct counters *counters);
void mock_admin_worker_fini(struct mock_admin_worker *worker);

/* Takes the exchange, as an engine's `begin` does. */
void mock_admin_begin(struct mock_admin_worker *worker, struct exchange *x);
