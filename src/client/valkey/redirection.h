/* redirection.h — what a server's error says of where, or when, a command is to be asked. Pure. */
#pragma once
#include "client/valkey/link.h"

enum redirection_kind {
    REDIRECTION_NONE,        /* any other error, or none: it is the command's answer */
    REDIRECTION_MOVED,       /* the slot is the other server's */
    REDIRECTION_ASK,         /* this once ask the other one, with ASKING */
    REDIRECTION_TRYAGAIN,    /* some of the keys have moved, some have not */
    REDIRECTION_CLUSTERDOWN, /* nobody serves the slot, or the server is cut off */
    REDIRECTION_LOADING,     /* the server reads its data */
    REDIRECTION_MASTERDOWN,  /* a replica without its primary, told not to answer then */
    REDIRECTION_READONLY,    /* it is a replica now */
    REDIRECTION_UNREADABLE,  /* begins as MOVED or ASK and is neither */
};

struct redirection {
    enum redirection_kind kind;
    uint16_t slot;               /* of MOVED and ASK */
    struct link_address address; /* likewise; an empty host: not known, such as "?" */
};

/* Reads `error`, the text of an error reply. `asked_host`: the host of the server that said it, which is
 * meant where it names none (":6380"). */
struct redirection redirection_read(struct bytes error, const char *asked_host);

/* Copies a host that a server has named: a name or an address, IPv6 in brackets or not. False, with an
 * empty `host`, if it is none: empty, too long, "?", or with bytes that no host has. */
bool redirection_read_host(struct bytes text, char host[VALKEY_HOST_BYTES_MAX + 1]);
