/* kv_tier_permit.c — whether a user may run a command that is not in our table: by his rules, and what the
 * tier says of the command. In doubt he may not.
 *
 * A server before Redis 6 does not tell of what categories a command is: some are then known by its flags,
 * and of the others a rule that gives one does not give it, while one that takes it away does.
 *
 * What a script does nobody can check here: it would run with all that the tier allows this node. So
 * scripts are for users who may do everything, whatever rules give others. */
#include "base/glob.h"
#include "engine/kv/kv_acl_log.h"
#include "engine/kv/kv_user.h"
#include "engine/kv/tier/kv_tier_state.h"
#include <stdlib.h>

enum belongs { IT_DOES, IT_DOES_NOT, NOBODY_KNOWS };

static enum belongs belongs_to(const struct server_command *command, struct bytes category)
{
    static const struct {
        struct bytes name;
        unsigned flag;
    } known[] = {
        {BYTES_INIT("read"), SERVER_COMMAND_READS},      {BYTES_INIT("write"), SERVER_COMMAND_WRITES},
        {BYTES_INIT("admin"), SERVER_COMMAND_ADMIN},     {BYTES_INIT("pubsub"), SERVER_COMMAND_PUBSUB},
        {BYTES_INIT("blocking"), SERVER_COMMAND_BLOCKS}, {BYTES_INIT("scripting"), SERVER_COMMAND_SCRIPT},
    };

    if (bytes_equal(category, BYTES("all")))
        return IT_DOES;
    if (command->categories[0] != '\0')
        return server_command_is_of(command, category) ? IT_DOES : IT_DOES_NOT;
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (bytes_equal(known[i].name, category))
            return command->flags & known[i].flag ? IT_DOES : IT_DOES_NOT;
    return NOBODY_KNOWS;
}

static bool is_its_name(const struct kv_call *call, struct bytes target)
{
    size_t size = call->arguments[0].size;

    return bytes_equal_nocase(call->arguments[0], target) ||
           (call->argument_count > 1 && target.size == size + 1 + call->arguments[1].size &&
            target.data[size] == '|' && bytes_equal_nocase(call->arguments[0], bytes_first(target, size)) &&
            bytes_equal_nocase(call->arguments[1], bytes_after(target, size + 1)));
}

static bool may_run(const struct kv_call *call, const struct server_command *command)
{
    const struct kv_user *user = call->session->user;
    bool may = user->has_all_commands;

    for (size_t i = 0; i < user->rules.count; i++) {
        struct bytes rule = user->rules.items[i].text, target = bytes_after(rule, 1);
        bool gives = rule.data[0] == '+';
        if (target.size > 0 && target.data[0] == '@') {
            enum belongs belongs = belongs_to(command, bytes_after(target, 1));
            if (belongs == IT_DOES || (belongs == NOBODY_KNOWS && !gives))
                may = gives;
        } else if (is_its_name(call, target)) {
            may = gives;
        }
    }
    return may;
}

static bool may_use_key(const struct kv_user *user, struct bytes key, unsigned access)
{
    for (size_t i = 0; i < user->keys.count; i++)
        if ((user->keys.items[i].number & access) == access && glob_fits(user->keys.items[i].text, key))
            return true;
    return false;
}

/* SORT reads keys that patterns name. */
static bool reads_by_pattern(const struct kv_call *call)
{
    if (!kv_argument_is(call, 0, BYTES("sort")) && !kv_argument_is(call, 0, BYTES("sort_ro")))
        return false;
    for (uint32_t i = 2; i < call->argument_count; i++)
        if (kv_argument_is(call, i, BYTES("by")) || kv_argument_is(call, i, BYTES("get")))
            return true;
    return false;
}

/* The first key that he may not use, or whose name nobody knows: null bytes if there is none. */
static bool may_use_keys(const struct kv_call *call, const struct server_command *command,
                         struct bytes *object)
{
    const struct kv_user *user = call->session->user;
    const struct server_commands *commands = kv_tier_of(call->kv)->commands;
    unsigned access = command->flags & SERVER_COMMAND_READS ? KV_ACCESS_READ : KV_ACCESS_BOTH;
    uint32_t *keys = malloc(call->argument_count * sizeof *keys);
    int count = keys == NULL ? -1
                             : server_command_keys(commands, command, call->arguments, call->argument_count,
                                                   keys, call->argument_count);
    bool may = count >= 0 && (uint32_t)count <= call->argument_count && !reads_by_pattern(call);

    *object = call->arguments[0];
    for (int i = 0; may && i < count; i++) {
        *object = call->arguments[keys[i]];
        may = may_use_key(user, *object, access);
    }
    free(keys);
    return may;
}

bool kv_tier_permits(const struct kv_call *call)
{
    const struct server_commands *commands;
    const struct server_command *command;
    struct bytes object = {NULL, 0};
    char name[KV_FULL_NAME_BYTES];

    if (kv_tier_await_commands(call) != KV_PASS)
        return false;
    commands = kv_tier_of(call->kv)->commands;
    command =
        commands == NULL ? NULL : server_commands_find(commands, call->arguments, call->argument_count);
    kv_full_name(call, name);
    if (command != NULL && may_run(call, command) && (command->flags & SERVER_COMMAND_SCRIPT) != 0) {
        kv_acl_log_add(call, KV_REFUSED_COMMAND, name, object);
        kv_error(call,
                 "NOPERM '%s': what a script does on a shared tier cannot be checked; it is for users who "
                 "may do everything (~* &* +@all)",
                 name);
        return false;
    }
    if (command == NULL || !may_run(call, command)) {
        kv_acl_log_add(call, KV_REFUSED_COMMAND, name, object);
        kv_error(call, "NOPERM this user has no permissions to run the '%s' command", name);
        return false;
    }
    if (call->session->user->has_all_keys || may_use_keys(call, command, &object))
        return true;
    kv_acl_log_add(call, KV_REFUSED_KEY, name, object);
    kv_error(call, "NOPERM this user has no permissions to access one of the keys used as arguments");
    return false;
}
