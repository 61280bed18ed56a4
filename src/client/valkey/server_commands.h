/* server_commands.h — the commands that a server has, as it tells itself (COMMAND): where their keys are,
 * what they do. So what is passed on needs no table of ours, whatever version or module runs there. Pure.
 */
#pragma once
#include "base/bytes.h"
#include "base/err.h"
#include "protocol/resp/resp_reply.h"

struct server_commands; /* opaque; immutable once made */

enum server_command_flags {
    SERVER_COMMAND_WRITES = 1,
    SERVER_COMMAND_READS = 2, /* "readonly" */
    SERVER_COMMAND_BLOCKS = 4,
    SERVER_COMMAND_PUBSUB = 8,
    SERVER_COMMAND_MOVABLE_KEYS = 16,
    SERVER_COMMAND_ADMIN = 32,
    SERVER_COMMAND_DENYOOM = 64,
    SERVER_COMMAND_SCRIPT = 128,      /* EVAL and the like: "noscript" commands of the scripting group */
    SERVER_COMMAND_EVERY_SHARD = 256, /* request_policy:all_shards or all_nodes */
    SERVER_COMMAND_HAS_SUBCOMMANDS = 512,
};

struct server_command {
    const char *name; /* lower case; "config|get" of a subcommand */
    int arity;
    unsigned flags;
    int first_key, last_key, key_step; /* 0: none, or only by its key specifications */
    unsigned reply_policy;             /* enum server_reply_policy, of SERVER_COMMAND_EVERY_SHARD */
    const char *categories;            /* " read fast hash "; empty if the server does not tell */
};
enum server_reply_policy {
    REPLY_FIRST,
    REPLY_SUM,
    REPLY_MIN,
    REPLY_MAX,
    REPLY_AND,
    REPLY_OR,
    REPLY_ALL_SUCCEEDED,
    REPLY_ONE_SUCCEEDED,
    REPLY_CONCATENATED,
    REPLY_SPECIAL
};

/* From the reply to COMMAND. ERR_SYNTAX: it is none; ERR_NO_MEMORY. */
enum err server_commands_create(const struct resp_reply *reply, struct server_commands **commands);
void server_commands_destroy(struct server_commands *commands);

/* The command of that name, or of its subcommand that argument 1 names; null if there is none. */
const struct server_command *server_commands_find(const struct server_commands *commands,
                                                  const struct bytes *arguments, uint32_t argument_count);

/* Whether it is of the category, given in lower case and without '@'; false if the server tells none. */
bool server_command_is_of(const struct server_command *command, struct bytes category);

/* Where its keys are, by its key specifications (range and numkeys forms), else first_key, last_key,
 * key_step: writes at most `capacity` indexes of arguments and returns how many there are in all. A
 * negative number: the arguments are too few or do not say it; ask the server (COMMAND GETKEYS). */
int server_command_keys(const struct server_commands *commands, const struct server_command *command,
                        const struct bytes *arguments, uint32_t argument_count, uint32_t *indexes,
                        size_t capacity);
