/* resolve.h — from a host's name to its addresses: getaddrinfo, which waits, on threads of its own.
 *
 * Who asks for a name that is being looked up already waits for the same thread, also if nobody has been
 * waiting for it any more: getaddrinfo cannot be interrupted. A loop has at most RESOLVE_THREADS_MAX such
 * threads; names beyond that wait for their turn. */
#pragma once
#include "net/loop.h"
#include <netdb.h>

enum { RESOLVE_THREADS_MAX = 16, RESOLVE_HOST_BYTES_MAX = 255 };

/* Of one loop; embedded in it. */
struct resolver {
    struct list names; /* that are being looked up, or wait to be; oldest first */
    unsigned thread_count;
};

/* Embedded by who waits for a name; its callback is the owner's, the rest the resolver's. */
struct resolution {
    /* OK with addresses that are readable during the call; ERR_NAME, ERR_NO_MEMORY, ERR_SYSTEM. On the
     * loop's thread, once, never from inside resolve_begin. */
    void (*resolved)(struct resolution *resolution, enum err err, const struct addrinfo *addresses);
    struct list in_waiting;
};

void resolver_init(struct resolver *resolver);
/* The loop runs no more turns: lets go of what is being looked up, without a callback. */
void resolver_fini(struct resolver *resolver);

/* `resolution->resolved` is set. `host` is copied. ERR_NO_MEMORY; ERR_NAME: it is too long for a name;
 * ERR_SYSTEM: there is no thread. */
enum err resolve_begin(struct loop *loop, struct resolution *resolution, const char *host);

/* No callback follows. Also if it has come already. */
void resolve_cancel(struct resolution *resolution);

/* The addresses of a host that is an address itself; null if it is a name. freeaddrinfo frees them. */
struct addrinfo *resolve_numeric(const char *host);
