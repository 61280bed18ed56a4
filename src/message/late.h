/* late.h — a command's answer that is said later than the command was run, in its place in the order of
 * answers.
 *
 * While it runs, a command takes the place of its answer (session->take_late) and says nothing. When what
 * it waits for has come, all of the answer is said at once, between late->begin and late->end. What the
 * session's further commands say meanwhile waits behind it. Everything happens on the session's worker. */
#pragma once
#include "message/outcome.h"

struct session;

enum late_flags {
    LATE_SILENT = 1, /* its answer is not wanted (CLIENT REPLY): the order is kept, nothing is said */
    LATE_ALONE = 2,  /* no further command of the session runs before it has ended */
    LATE_BLOCKS = 4, /* it may wait for long: if the client ends the connection it is given up */
};

struct late {
    /* Where to say the answer, until `end`: nothing else may be said on the session in between. Null if
     * nothing can be said any more; `end` follows all the same. */
    struct reply *(*begin)(struct late *late);
    /* All has been said; `late` is gone. */
    void (*end)(struct late *late);
    /* Whoever runs the command sets these at once. The session has ended: nobody waits, `late` is gone
     * behind the call. */
    void (*give_up)(void *owner);
    void *owner;
};
