/* command.h — one cache command as a protocol has understood it and an engine runs it.
 *
 * The rows are in tables/commands.def. A protocol fills it in; the arguments borrow from the bytes that
 * were received and are good only until the engine returns. */
#pragma once
#include "base/bytes.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum command_id {
    COMMAND_UNKNOWN, /* argument 0 names no command of the dialect */
#define COMMAND(dialect, id, name, arity, flags, first_key, last_key, key_step, group, since, summary)     \
    COMMAND_##id,
#include "tables/commands.def"
#undef COMMAND
    COMMAND_COUNT
};

enum dialect { DIALECT_resp, DIALECT_memcached };

/* What a row's `flags` may say. */
enum command_flags {
    COMMAND_READONLY = 1 << 0,
    COMMAND_WRITE = 1 << 1,
    COMMAND_FAST = 1 << 2,
    COMMAND_ADMIN = 1 << 3,
    COMMAND_CONNECTION = 1 << 4, /* about the connection, not about keys */
    COMMAND_DENYOOM = 1 << 5,    /* may need memory: refused when none can be made */
    COMMAND_DANGEROUS = 1 << 6,  /* in Redis's category @dangerous: loses or tells much */
    COMMAND_ALWAYS = 1 << 7,     /* Redis's "loading" and "stale": answered in any state of the server */
    COMMAND_HANDSHAKE =
        1 << 8,               /* Redis's "noscript", "no_auth" and "allow_busy": opens or ends a session */
    COMMAND_PUBSUB = 1 << 10, /* about channels; its "keys" are channels, if it has any */
    COMMAND_CONTAINER = 1 << 11, /* argument 1 names a subcommand */
    COMMAND_ALONE = 1 << 9,      /* finds several keys as they are at one moment: no other runs meanwhile */
};

struct command {
    enum command_id id;
    bool quiet;                    /* memcached "noreply": run it and answer nothing but errors of syntax */
    uint32_t argument_count;       /* argument 0, the name, included */
    const struct bytes *arguments; /* argument_count of them */
};

struct command_row {
    enum dialect dialect;
    const char *name; /* lower case; "config get" for a subcommand is one row each only if it says so */
    size_t name_bytes;
    int arity;                         /* Redis's: exact count, or minus the least; the name counts */
    unsigned flags;                    /* enum command_flags */
    int first_key, last_key, key_step; /* Redis's key positions; 0 for none */
    const char *group, *since, *summary;
};

/* The row of `id`, which is not COMMAND_UNKNOWN. Static. */
const struct command_row *command_row(enum command_id id);

/* True if a command of this row may have `argument_count` arguments, the name included. */
static inline bool command_arity_fits(int arity, uint32_t argument_count)
{
    return arity >= 0 ? argument_count == (uint32_t)arity : argument_count >= (uint32_t)-arity;
}

/* The command of `dialect` called `name`, in any case; COMMAND_UNKNOWN if there is none. */
enum command_id command_find(enum dialect dialect, struct bytes name);
