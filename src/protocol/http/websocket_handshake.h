/* websocket_handshake.h — how a client asks for WebSocket, and what it is told (RFC 6455 §4). Pure. */
#pragma once
#include "base/buffer.h"
#include "message/http.h"

enum { WEBSOCKET_ACCEPT_BYTES = 28 };

struct websocket_handshake {
    int status;            /* 101; 405, 426 or 400 if it cannot be */
    const char *detail;    /* of a refusal, for people; static */
    struct bytes protocol; /* the one that is spoken inside, borrowed from the request; empty: none */
    char accept[WEBSOCKET_ACCEPT_BYTES];
    bool says_upgrade; /* a refusal may name what to upgrade to: not in HTTP/2 */
};

/* What is to be said to `request` where WebSocket, and nothing else, is spoken. Of the subprotocols that
 * the client offers the first that is among `protocols` is chosen; none of them is no refusal (§4.2.2). */
struct websocket_handshake websocket_handshake(const struct http_request *request,
                                               const struct bytes *protocols, size_t protocol_count);

/* Appends the field lines that go with it. */
void websocket_handshake_render(const struct websocket_handshake *handshake, struct buffer *lines);
