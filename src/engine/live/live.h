/* live.h — resources that are watched: the gateway polls what one client asks for, and tells any number.
 *
 * It stands in front of the gateway's engine and passes on all requests but those to watch a resource of a
 * route, or a composition, with `live: yes`: for Server-Sent Events, or for one answer once there is
 * another (long polling). Whoever watches the same resource shares a topic: one representation, one poller
 * (on one worker), one ring of encoded events, from whichever worker they are sent. */
#pragma once
#include "base/counters.h"
#include "base/err.h"
#include "engine/gateway/gateway.h"

struct live;        /* shared by the workers of a gateway */
struct live_worker; /* one worker's part */

/* ERR_NO_MEMORY. */
enum err live_create(struct live **live);
/* All its workers must have been destroyed. */
void live_destroy(struct live *live);

/* The part of the worker that has `gateway`, which it is destroyed before; before the loop runs or on its
 * thread. ERR_NO_MEMORY. */
enum err live_worker_create(struct live *live, struct gateway_worker *gateway, struct loop *loop,
                            struct counters *counters, struct live_worker **worker);

/* An engine that stands between it and the gateway's: from now on it has the requests that are not to
 * watch, and those by which the hub asks for what is watched. Before the first request; it outlives the
 * worker. */
void live_worker_put_before(struct live_worker *worker, const struct exchange_engine *engine,
                            void *engine_worker);

/* Begins to stop: streams end, and so does polling; who waits for another answer gets the one there is.
 * On the loop's thread. */
void live_worker_stop(struct live_worker *worker);
/* True when nothing of this worker's is under way any more. */
bool live_worker_is_idle(const struct live_worker *worker);
/* After the loop has ended, or while it goes on if no exchange is alive. */
void live_worker_destroy(struct live_worker *worker);

/* ---- following from inside the process ------------------------------------------------------------- */

struct live_follower;

/* Whether `path`, with its query, is a route's that lets resources be watched. */
bool live_may_follow(const struct live_worker *worker, struct bytes path);

/* Follows it, as asked for with "Host: localhost": `told` is called in turns to come with each change after
 * the state that is known first, as the JSON that WebSockets are told (frame.h), "end" included. It may
 * unfollow, but nothing else of the live worker. Null if there is no memory. On the loop's thread. */
struct live_follower *live_follow(struct live_worker *worker, struct bytes path,
                                  void (*told)(void *owner, struct bytes message), void *owner);
/* `told` is not called any more. Also when the live worker has stopped or is gone. */
void live_unfollow(struct live_follower *follower);

/* `begin` takes a struct live_worker. */
extern const struct exchange_engine live_engine;
