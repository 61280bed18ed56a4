/* greeting.h — what a connection says first, and what the answers to it mean. Pure.
 *
 * HELLO 3 with AUTH and SETNAME; where a server does not know that, or may not be asked it, RESP2: AUTH,
 * CLIENT SETNAME and a PING, which tells whether it wants a password that we do not have. A server that
 * refuses the password is not asked anything else. */
#pragma once
#include "base/buffer.h"
#include "client/valkey/valkey_options.h"
#include "protocol/resp/resp_reply.h"

struct greeting {
    const struct valkey_options *options;
    int resp_version;    /* that is being tried, and in force when done */
    uint32_t left_count; /* replies that are still to come */
    bool names_itself;   /* of RESP2: CLIENT SETNAME is among what was said */
};

enum greeting_heard {
    GREETING_GOES_ON,
    GREETING_SPEAKS, /* greeting_say once more */
    GREETING_DONE,
    GREETING_REFUSED, /* `why`, and the server's words are the reply's */
};

void greeting_begin(struct greeting *greeting, const struct valkey_options *options);

/* Appends what is to be said; left_count replies will come. */
void greeting_say(struct greeting *greeting, struct buffer *output);

/* One reply has come. `*why` is written with GREETING_REFUSED: ERR_FORBIDDEN (password, rights),
 * ERR_UNSUPPORTED (RESP3 was insisted on), ERR_SYNTAX (no answer to what was said), ERR_REFUSED. */
enum greeting_heard greeting_hear(struct greeting *greeting, const struct resp_node *reply, enum err *why);
