/* live_ask.h — what a request says of watching: by its path, Accept, Prefer, Upgrade, Last-Event-ID. Pure.
 */
#pragma once
#include "event.h"
#include "message/http.h"

enum live_way {
    LIVE_NOT,    /* an ordinary request */
    LIVE_STREAM, /* Server-Sent Events */
    LIVE_WAIT,   /* one answer, once there is another than the client has (RFC 7240 §4.3) */
    LIVE_SOCKET, /* a WebSocket: what is watched is said on it */
    LIVE_FOLLOW, /* no request: somebody inside this process (live.h) */
};

struct live_ask {
    enum live_way way;
    bool wants_patches;
    size_t prefix_size; /* of the path: it stands before that of the resource */
    bool has_last_id;   /* and it is one of ours */
    struct event_id last_id;
    int64_t wait_ms;
};

struct live_ask live_ask_of(const struct http_request *request);
