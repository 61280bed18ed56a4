/* source.h — a tracked connection: where what is near comes from, and who tells when it no longer holds.
 *
 * RESP3: one link, CLIENT TRACKING ON OPTOUT. RESP2: two, the second being subscribed to
 * __redis__:invalidate and named by REDIRECT; if either is lost both are closed. It comes back by itself,
 * with jittered back-off and a breaker (valkey_options), each time with a new generation, begun before its
 * first request.
 *
 * Coherence: every canary_interval_ms it reads a key of a slot that its server owns. On one connection the
 * push of a write leaves before the reply to whatever is asked after the write, so the reply proves that
 * all that was written before the canary was sent has been told: coherent_ms is that moment. A server that
 * has lost its slots answers MOVED or CLUSTERDOWN, one that is cut off nothing; coherent_ms then stays
 * where it is. (ASK, of a slot that is moving, proves as much as an answer.) In RESP2 a PING of the
 * subscribed link, sent after the canary's reply, is waited for too.
 *
 * A server that has said nothing at all for call_timeout_ms, while something was asked of it, is taken for
 * lost: so what may block or take long is asked on a link of its own. */
#pragma once
#include "client/valkey/link.h"
#include <stdatomic.h>

/* What other threads may look at. In a table that outlives the source, at its index; zeroed at first.
 *
 * Who asks whether something holds reads coherent_ms first and generation after it. The other way round it
 * could meet the old connection's generation and, after a while, the new one's moment. A moment that is
 * older than the generation is no danger: what was read through a connection is newer than what an earlier
 * one had been told. */
struct source_state {
    _Alignas(64) _Atomic uint32_t
        generation;              /* of the connection; never 0 while it is open, 0: it is not */
    _Atomic int64_t coherent_ms; /* monotonic; all writes before it have been told. 0: nothing is known */
    uint32_t last_generation;    /* the sources' own: no generation comes twice at an index */
};

struct source; /* opaque: source.c */

enum source_flush {
    SOURCE_FLUSHED_ALL, /* the server said so: FLUSHALL, FLUSHDB, a resynchronisation */
    SOURCE_LOST,        /* the connection ended */
    SOURCE_CHANGED_ROLE,
};

struct source_callbacks {
    void (*opened)(void *owner, struct source *source);
    /* A key has changed, or the server has forgotten that it was read. In the order of the wire (RESP3). */
    void (*invalidated)(void *owner, struct source *source, struct bytes key);
    /* Nothing that was read through it holds any more; its generation is another already, or 0. */
    void (*flushed)(void *owner, struct source *source, enum source_flush why);
    /* The canary was answered with an error: MOVED, CLUSTERDOWN … `text`. */
    void (*doubted)(void *owner, struct source *source, struct bytes text);
    /* It was tried to connect and came to nothing; another attempt follows after a while. */
    void (*failed)(void *owner, struct source *source, enum err why, struct bytes text);
    /* Any other push, such as sunsubscribe. May be null. */
    void (*pushed)(void *owner, struct source *source, const struct resp_reply *push);
};

/* Begins to connect. `state` is the entry of `index` in that table. `is_replica`: READONLY is said. */
enum err source_create(const struct valkey_options *options, const struct link_address *address,
                       bool is_replica, struct loop *loop, struct source_state *state, uint32_t index,
                       const struct source_callbacks *callbacks, void *owner, struct source **source);

/* Closes it and frees it, requests failing in a later turn; no callback of `callbacks` follows. */
void source_destroy(struct source *source);

/* As link_send. `is_untracked`: the one command in `bytes` reads, and is not to be remembered by the
 * server: CLIENT CACHING NO goes before it (its reply is not counted). ERR_CANCELLED: it is not open. */
enum err source_send(struct source *source, struct link_request *request, struct bytes bytes,
                     uint32_t reply_count, bool is_untracked);
void source_forget(struct source *source, struct link_request *request);

/* The key that its canaries read; of a slot that the server owns. Empty: none is known, and none is sent.
 */
void source_set_canary(struct source *source, struct bytes key);
/* Sends a canary now, or once that which is under way has come back: for who is waiting for a fence. */
void source_sound(struct source *source);

/* Closes the connection and opens another at once, such as after MOVED to the very server that was asked.
 */
void source_reconnect(struct source *source);
/* The server has become a replica, or a primary: what was read from it holds no longer. */
void source_change_role(struct source *source, bool is_replica);

bool source_is_open(const struct source *source);
/* Whether the server tells of changes. One that refuses CLIENT TRACKING is used without: its coherent_ms
 * stays 0, and nothing that comes from it may be kept. */
bool source_is_tracked(const struct source *source);
bool source_is_left_alone(const struct source *source); /* the breaker is open */
uint32_t source_index(const struct source *source);
uint32_t source_generation(const struct source *source);
/* Which of its connections it has or had last: another number is another one. A generation also ends when
 * all that was read is forgotten. */
uint32_t source_connection(const struct source *source);
/* RESP2: invalidations come on another connection, and may overtake replies. */
bool source_has_receiver(const struct source *source);
const struct link_address *source_address(const struct source *source);
const char *source_peer(const struct source *source);
