/* polls.h — resources that a gateway asks for by itself, so that they are in its cache whoever asks, and
 * whether or not anybody does: through the cache, conditionally, behind what clients wait for.
 *
 * One worker asks for all of them. With a shared tier each is one node's turn, and the others look at what
 * that has brought (fleet_turn.h). Where a client has asked just before, that will do.
 *
 * Of one whose answers may not be stored nothing is there for anybody: that is logged once, and counted. */
#pragma once
#include "engine/gateway/gateway.h"
#include "poll_spec.h"

struct polls; /* opaque: polls.c */

/* The resources that the worker which has `gateway` asks for: none yet. Before its loop runs or on its
 * thread. ERR_NO_MEMORY. */
enum err polls_create(struct gateway_worker *gateway, struct loop *loop, struct counters *counters,
                      struct polls **polls);

/* From now on those that `specs` name, and no others; what is known of those that stay is kept. Nothing of
 * `specs`, of which none is wrong, is kept. Any thread. ERR_FULL: more than POLL_RESOURCES_MAX;
 * ERR_NO_MEMORY: then nothing changes. */
enum err polls_follow(struct polls *polls, const struct poll_spec *specs, size_t count);

/* No more is asked for. On the loop's thread. */
void polls_stop(struct polls *polls);
/* After the loop has ended, before the gateway's part of the worker is destroyed. */
void polls_destroy(struct polls *polls);

/* How one stands. */
struct poll_report {
    struct bytes url;                                     /* without its scheme */
    uint64_t polls, changes, unchanged, unkept, failures; /* the first is the sum of the others */
    uint64_t seen;                                        /* times that another had asked already */
    bool is_anothers;                                     /* it is another node's turn */
    int status;                                           /* the newest answer's; 0: none yet */
    int64_t interval_ms;                                  /* at present */
    int64_t due_ms;                                       /* from now; 0: it is being asked for */
};

/* Calls `tell` for each, in no order, with what is readable during the call. Any thread. */
void polls_report(struct polls *polls, int64_t now_mono_ms,
                  void (*tell)(void *context, const struct poll_report *report), void *context);
