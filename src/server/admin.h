/* admin.h — the administrator's API: an HTTP listener of its own, away from the clients'.
 *
 *   POST /purge      {"url": TEXT}, {"prefix": TEXT}, {"tag": TEXT} or {"all": true}, with "soft": true
 *                    for stale rather than gone; a list of texts purges all of them
 *   GET /metrics     what the server counts, in Prometheus' text format
 *   GET /health      whether it runs
 *   GET /status      how it is doing, as JSON: what `nuthatch status` shows
 *   GET /config      the configuration in force, as config_show.h has it
 *   POST /reload     reads the configuration again, as SIGHUP does, and says what came of it
 *
 * An engine of exchanges; on its worker's thread. */
#pragma once
#include "message/exchange.h"

struct worker;

/* One port of one worker; filled in by the server. */
struct admin {
    struct worker *worker;
    struct bytes token; /* that a request must bear; empty: none, and then the port is loopback's */
    bool is_local;      /* see http_guard */
};

/* Its engine is a struct admin. */
extern const struct exchange_engine admin_engine;
