/* kv_http.h — values over plain HTTP, for programs without a client library: GET, HEAD, PUT and DELETE of
 * /keys/NAME.
 *
 * An engine of exchanges (message/exchange.h) that reads and writes the store as commands do: inside the
 * gate, and telling of what it changed. On its worker's thread. */
#pragma once
#include "engine/kv/kv.h"
#include "message/exchange.h"

/* One port of one worker; filled in by the server, which owns everything it points at. */
struct kv_http {
    struct kv *kv;
    struct bytes token;       /* that a request must bear; empty: none */
    uint64_t value_bytes_max; /* of what is put */
    bool is_local;            /* listens on loopback: a request must say so too, see http_guard */
    /* The present moment: an exchange that waits for its body began in another. */
    struct now (*read_now)(void *context);
    void *now_context;
    /* the engine's own; zero at first */
    struct session session; /* of none: for what is told of changes */
};

/* Its engine is a struct kv_http. */
extern const struct exchange_engine kv_http_engine;
