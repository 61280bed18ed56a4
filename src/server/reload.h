/* reload.h — a running server takes up what its files say by now: routes, upstreams and their options,
 * credentials, certificates. No connection is dropped and nothing that is stored is lost. */
#pragma once
#include "base/log.h"
#include "engine/gateway/gateway.h"
#include "engine/poll/polls.h"
#include "net/tls.h"
#include "server/config_show.h"
#include "server/options.h"

/* What of a server can be changed. */
struct reloadable {
    const struct options *running;
    struct gateway *const *gateways; /* by role; null for others */
    struct polls *const *polls;      /* likewise */
    struct tls_server *tls;          /* or null */
    struct log *log;
    struct config_shown *shown;
};

/* Takes all of it up, or, if a part cannot be used, nothing. What came of it is logged, and appended to
 * `report`, a line each. Returns OK, also if some of it needs a restart, which is then said; ERR_SYNTAX,
 * ERR_TLS and the like; ERR_NO_MEMORY. One thread at a time. */
enum err reload(const struct reloadable *what, struct buffer *report);
