/* connect.h — from a name and a port to a connected socket, without making the loop wait.
 *
 * A numeric address is connected to at once; a name is resolved on a thread of its own (getaddrinfo), then
 * its addresses are tried one after the other, those that `permits` allows. */
#pragma once
#include "net/loop.h"

struct connector; /* opaque: connect.c */

struct connect_order {
    const char *host; /* copied */
    uint16_t port;
    int64_t timeout_ms; /* the name included */
    /* Whether an address may be connected to, asked right before it is: what was checked is what is used.
     * Null: any may. */
    bool (*permits)(void *owner, const struct sockaddr *address);
    /* OK with a connected, non-blocking, close-on-exec socket with TCP_NODELAY that is the callee's; else
     * why: ERR_TIMEOUT, ERR_REFUSED, ERR_UNREACHABLE, ERR_FORBIDDEN (no address is permitted), ERR_NAME
     * (the name is not known), ERR_NO_DESCRIPTOR, ERR_NO_MEMORY, ERR_SYSTEM. Once, never from inside
     * connect_begin; not after connect_cancel. The connector is gone. */
    void (*done)(void *owner, enum err err, int fd);
    void *owner;
};

enum err connect_begin(struct loop *loop, const struct connect_order *order, struct connector **connector);
void connect_cancel(struct connector *connector);
