/* socket_ask.h — what a client says on its WebSocket (the subprotocol nuthatch.live.v1). Pure.
 *
 *   {"subscribe": ["/a", "/b?c=d"], "patch": true, "after": {"/a": "the id of what came last"}}
 *   {"unsubscribe": ["/a"]} */
#pragma once
#include "event.h"
#include <jansson.h>

enum { SOCKET_PATHS_MAX = 1000 /* of one WebSocket, and in one list of what it says */ };

struct socket_ask {
    json_t *whole;                   /* borrowed by the others */
    json_t *subscribe, *unsubscribe; /* arrays of SOCKET_PATHS_MAX strings at most, or null */
    json_t *after;                   /* an object of strings, or null */
    bool wants_patches;
};

/* Reads a message. Null, or what is wrong with it, for people: static, and then there is nothing in `*ask`.
 * socket_ask_fini in either case. */
const char *socket_ask_read(struct bytes message, struct socket_ask *ask);
void socket_ask_fini(struct socket_ask *ask);

/* The id after which what `path` says is wanted; false if none was said, or none of ours. */
bool socket_ask_after(const struct socket_ask *ask, const char *path, struct event_id *id);
