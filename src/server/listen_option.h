/* listen_option.h — where clients connect, as an operator names it: "http://127.0.0.1:8080",
 * "unix:///run/cache.sock?mode=0660". Nothing here opens a socket or looks up a name. */
#pragma once
#include "server/place.h"
#include "server/roles.h"

struct listen_option {
    enum listen_protocol protocol;
    enum listen_transport transport;
    char *address; /* "HOST:PORT", for address_parse of net/listen.h; well-formed, not looked up. Of a Unix
                    * socket its absolute path */
    int mode;      /* of a Unix socket: its permissions, or -1 */
    struct place where;
};

struct listen_list {
    struct listen_option *items;
    size_t count;
};

/* Whether both name the same places in the same order. */
bool listen_list_equal(const struct listen_list *a, const struct listen_list *b);
void listen_list_fini(struct listen_list *list);

/* Whether two addresses of listeners are one, however written; a name is taken as it is. Port 0 is any
 * free one, never the same. */
bool listen_is_same_address(const char *a, const char *b);

/* True for a number that is not loopback's; what a name means is found out when it is looked up. */
bool listen_is_beyond_loopback(const char *address);
