/* kv_tier_refuse.c — commands that are not passed on: they are about a connection, and ours to the tier
 * belong to many sessions, or about one server. */
#include "engine/kv/tier/kv_tier_state.h"

static const struct {
    const char *name; /* lower case; of a subcommand with its container */
    const char *text;
} refused[] = {
    {"asking", "ASKING is about a connection to the shared tier, which sessions here share"},
    {"readonly", "READONLY is about a connection to the shared tier, which sessions here share: see "
                 "--tier-replicas"},
    {"readwrite", "READWRITE is about a connection to the shared tier, which sessions here share"},
    {"move", "MOVE is not possible with a shared tier: there is only database 0"},
    {"swapdb", "SWAPDB is not possible with a shared tier: there is only database 0"},
    {"monitor", "MONITOR of the shared tier is not passed on"},
    {"sync", "replication is not passed on"},
    {"psync", "replication is not passed on"},
    {"replconf", "replication is not passed on"},
    {"migrate", "MIGRATE is not passed on: ask the shared tier itself"},
    {"restore-asking", "RESTORE-ASKING is not passed on"},
    {"script|debug", "SCRIPT DEBUG is about a connection to the shared tier, which sessions here share"},
};

const char *kv_tier_refusal(const struct bytes *arguments, uint32_t argument_count,
                            const struct server_command *command)
{
    char name[64];
    size_t size = 0;

    for (size_t i = 0; i < arguments[0].size && size < sizeof name - 1; i++)
        name[size++] = byte_to_lower(arguments[0].data[i]);
    name[size] = '\0';
    for (size_t i = 0; i < COUNT_OF(refused); i++)
        if (strcmp(refused[i].name, name) == 0)
            return refused[i].text;
    if (argument_count > 1 && strcmp(name, "script") == 0 &&
        bytes_equal_nocase(arguments[1], BYTES("debug")))
        return refused[COUNT_OF(refused) - 1].text;
    if (command == NULL)
        return NULL;
    if (command->flags & SERVER_COMMAND_ADMIN)
        return "commands of administration are not passed on: ask the shared tier itself";
    if ((command->flags & SERVER_COMMAND_PUBSUB) && strcmp(name, "publish") != 0 &&
        strcmp(name, "spublish") != 0 && strcmp(name, "pubsub") != 0)
        return "this subscription cannot be passed on to the shared tier";
    return NULL;
}
