/* kv_user_ask.c — whether a user may run a command: the command itself, then its keys, then its channels.
 */
#include "base/compiler.h"
#include "base/glob.h"
#include "engine/kv/kv_purge.h"
#include "engine/kv/kv_user.h"

enum { NONE = 0, READ = KV_ACCESS_READ, WRITE = KV_ACCESS_WRITE, BOTH = KV_ACCESS_BOTH, NO_KEY = 4 };

static const struct {
    const char *command;
    unsigned of_first, of_further;
} exceptions[] = {
#define KEY_ACCESS(command, of_first, of_further) {command, of_first, of_further},
#include "tables/key_access.def"
#undef KEY_ACCESS
};

/* Which arguments are channels; of patterns, what they are must be permitted and not what they fit. */
static const struct {
    const char *command;
    bool is_pattern, has_many;
} with_channels[] = {
    {"publish", false, false},   {"spublish", false, false}, {"subscribe", false, true},
    {"ssubscribe", false, true}, {"psubscribe", true, true},
};

static bool may_use_key(const struct kv_user *user, struct bytes key, unsigned access)
{
    for (size_t i = 0; i < user->keys.count; i++)
        if ((user->keys.items[i].number & access) == access && glob_fits(user->keys.items[i].text, key))
            return true;
    return user->has_all_keys;
}

static bool may_use_channel(const struct kv_user *user, struct bytes channel, bool is_pattern)
{
    for (size_t i = 0; i < user->channels.count; i++) {
        struct bytes permitted = user->channels.items[i].text;
        if (is_pattern ? bytes_equal(permitted, channel) : glob_fits(permitted, channel))
            return true;
    }
    return user->has_all_channels;
}

/* SET … GET reads too. */
static bool set_reads(const struct bytes *arguments, uint32_t argument_count)
{
    for (uint32_t i = 3; i < argument_count; i++)
        if (bytes_equal_nocase(arguments[i], BYTES("get")))
            return true;
    return false;
}

static void find_access(enum command_id id, const struct bytes *arguments, uint32_t argument_count,
                        unsigned *of_first, unsigned *of_further)
{
    const struct command_row *row = command_row(id);

    *of_first = row->flags & COMMAND_WRITE ? WRITE : READ;
    if (id == COMMAND_set && set_reads(arguments, argument_count))
        *of_first = BOTH;
    *of_further = *of_first;
    for (size_t i = 0; i < COUNT_OF(exceptions); i++) {
        if (strcmp(exceptions[i].command, row->name) != 0)
            continue;
        *of_first = exceptions[i].of_first;
        *of_further = exceptions[i].of_further;
    }
}

/* NH.PURGE KEY key … is about those keys; by a tag or a prefix it is about whatever bears it, which is for
 * who may write every key. */
static enum kv_denial ask_purge(const struct kv_user *user, const struct bytes *arguments,
                                uint32_t argument_count, struct bytes *object)
{
    bool is_by_key = bytes_equal_nocase(arguments[1], BYTES("key"));
    uint32_t end = argument_count - kv_purge_is_soft(arguments, argument_count);

    for (uint32_t at = 2; at < end; at++) {
        if (is_by_key && may_use_key(user, arguments[at], KV_ACCESS_WRITE))
            continue;
        *object = arguments[at];
        return KV_DENIED_KEY;
    }
    return KV_ALLOWED;
}

static enum kv_denial ask_keys(const struct kv_user *user, enum command_id id, unsigned permission,
                               const struct bytes *arguments, uint32_t argument_count, struct bytes *object)
{
    const struct command_row *row = command_row(id);
    int64_t first = row->first_key, last = row->last_key, step = row->key_step;
    unsigned of_first, of_further;

    if (kv_subcommand_key(permission) > 0) {
        first = last = kv_subcommand_key(permission);
        step = 1;
    }
    if (id == COMMAND_nh_purge)
        return ask_purge(user, arguments, argument_count, object);
    if (first == 0)
        return KV_ALLOWED;
    find_access(id, arguments, argument_count, &of_first, &of_further);
    if (last < 0)
        last += argument_count;
    for (int64_t at = first; at <= last && at < (int64_t)argument_count; at += step) {
        unsigned access = at == first ? of_first : of_further;
        if (access == NO_KEY || may_use_key(user, arguments[at], access))
            continue;
        *object = arguments[at];
        return KV_DENIED_KEY;
    }
    return KV_ALLOWED;
}

static enum kv_denial ask_channels(const struct kv_user *user, enum command_id id,
                                   const struct bytes *arguments, uint32_t argument_count,
                                   struct bytes *object)
{
    const char *name = command_row(id)->name;

    for (size_t i = 0; i < COUNT_OF(with_channels); i++) {
        if (strcmp(with_channels[i].command, name) != 0)
            continue;
        for (uint32_t at = 1; at < (with_channels[i].has_many ? argument_count : 2); at++) {
            if (may_use_channel(user, arguments[at], with_channels[i].is_pattern))
                continue;
            *object = arguments[at];
            return KV_DENIED_CHANNEL;
        }
    }
    return KV_ALLOWED;
}

static bool may_run(const struct kv_user *user, enum command_id id, unsigned permission,
                    const struct bytes *arguments, uint32_t argument_count)
{
    if (kv_user_permits(user, permission) || kv_is_everybodys(id))
        return true;
    for (size_t i = 0; i < user->first_arguments.count && argument_count > 1; i++)
        if (user->first_arguments.items[i].number == (unsigned)id &&
            bytes_equal_nocase(user->first_arguments.items[i].text, arguments[1]))
            return true;
    return false;
}

enum kv_denial kv_user_ask(const struct kv_user *user, enum command_id id, const struct bytes *arguments,
                           uint32_t argument_count, struct bytes *object)
{
    unsigned permission = kv_permission_of(id, arguments, argument_count);
    enum kv_denial denial = KV_ALLOWED;

    if (!may_run(user, id, permission, arguments, argument_count))
        return KV_DENIED_COMMAND;
    if (!user->has_all_keys)
        denial = ask_keys(user, id, permission, arguments, argument_count, object);
    if (denial == KV_ALLOWED && !user->has_all_channels)
        denial = ask_channels(user, id, arguments, argument_count, object);
    return denial;
}
