/* front.h — stands between the connections and whoever else answers a mock's requests: what rules say is
 * answered here, the rest is passed on, and either may come late, slowly, broken or not at all.
 *
 * A request's body is read whole, at most FRONT_BODY_BYTES_MAX, before anything is decided. Life of a call:
 *
 *   collecting ──► decided ──► waiting (latency) ──► answering │ passing on │ broken off
 *                                    hanging ◄──┘
 */
#pragma once
#include "base/counters.h"
#include "message/exchange.h"
#include "net/loop.h"
#include "rules_state.h"

enum { FRONT_BODY_BYTES_MAX = 1 << 20 };

struct front;        /* one per mock, shared by its workers */
struct front_worker; /* one worker's part */

struct front_options {
    struct rules *rules; /* taken over: the caller's struct is empty afterwards, also on failure */
    uint64_t seed;
    const struct exchange_engine *next; /* who answers what rules do not; static */
    struct bytes cors_lines;            /* of every answer that does not say its own; static */
    size_t journal_entries_max;         /* 0: no journal */
    bool journal_shows_secrets;
    struct bytes admin_token; /* kept by reference; empty: /__admin/ is for clients on this machine */
};

enum err front_create(const struct front_options *options, struct front **front);
void front_destroy(struct front *front);

/* Others take the place of the rules, for requests that come from here on; what they remember begins anew,
 * but for the journal. `rules` is taken over: the caller's struct is empty afterwards. ERR_NO_MEMORY: those
 * that are there stay. Any thread. */
enum err front_replace_rules(struct front *front, struct rules *rules);

/* Counters, turns, limits, scenarios, the journal and what is random begin anew. Any thread. */
void front_reset(struct front *front);

/* The part of the worker that runs `loop`; `next_engine` is what the next one's `begin` takes. */
enum err front_worker_create(struct front *front, void *next_engine, struct loop *loop,
                             struct counters *counters, struct front_worker **worker);
/* After the loop has ended; no exchange of this worker may be alive. */
void front_worker_destroy(struct front_worker *worker);

/* Takes the exchange, as an engine's `begin` does. */
void front_begin(struct front_worker *worker, struct exchange *x);

/* A write of the data, for those who listen: `kind` is a static word, `item` its JSON or empty. Any thread.
 */
void front_publish(struct front *front, const char *kind, uint64_t number, struct bytes name,
                   struct bytes id, struct bytes item);
