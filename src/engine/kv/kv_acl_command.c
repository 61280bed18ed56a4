/* kv_acl_command.c — ACL: users told, changed and tried out. */
#include "base/number.h"
#include "engine/kv/kv_acl.h"
#include "engine/kv/kv_acl_log.h"
#include <stdio.h>

static void say_buffer(const struct kv_call *call, struct buffer *text)
{
    if (text->failed)
        kv_refused(call, NH_NO_MEMORY);
    else
        reply_value(call->reply, buffer_bytes(text));
    buffer_fini(text);
}

static struct kv_acl *lock(const struct kv_call *call)
{
    pthread_mutex_lock(&call->kv->hub->acl->lock);
    return call->kv->hub->acl;
}

static void unlock(const struct kv_call *call) { pthread_mutex_unlock(&call->kv->hub->acl->lock); }

/* ---- told ------------------------------------------------------------------------------------------- */

static void acl_whoami(const struct kv_call *call)
{
    reply_value(call->reply, kv_user_name(call->session));
}

static void acl_users(const struct kv_call *call)
{
    struct kv_acl *acl = lock(call);

    reply_aggregate(call->reply, OUTCOME_array, acl->user_count);
    for (size_t i = 0; i < acl->user_count; i++)
        reply_value(call->reply, acl->users[i]->name);
    unlock(call);
}

static void acl_list(const struct kv_call *call)
{
    struct kv_acl *acl = lock(call);

    reply_aggregate(call->reply, OUTCOME_array, acl->user_count);
    for (size_t i = 0; i < acl->user_count; i++) {
        struct buffer text = {0};
        kv_user_describe(acl->users[i], &text);
        say_buffer(call, &text);
    }
    unlock(call);
}

static void say_part(const struct kv_call *call, const struct kv_user *user, struct bytes name,
                     void (*describe)(const struct kv_user *user, struct buffer *text))
{
    struct buffer text = {0};

    describe(user, &text);
    reply_value(call->reply, name);
    say_buffer(call, &text);
}

static void say_user(const struct kv_call *call, const struct kv_user *user)
{
    struct reply *reply = call->reply;

    reply_aggregate(reply, OUTCOME_map, 6);
    reply_value(reply, BYTES("flags"));
    reply_aggregate(reply, OUTCOME_set,
                    1u + user->needs_no_password + user->says_no_sanitize + user->says_sanitize);
    reply_value(reply, user->is_on ? BYTES("on") : BYTES("off"));
    if (user->needs_no_password)
        reply_value(reply, BYTES("nopass"));
    if (user->says_no_sanitize)
        reply_value(reply, BYTES("skip-sanitize-payload"));
    if (user->says_sanitize)
        reply_value(reply, BYTES("sanitize-payload"));
    reply_value(reply, BYTES("passwords"));
    reply_aggregate(reply, OUTCOME_array, user->password_count);
    for (size_t i = 0; i < user->password_count; i++) {
        char digits[KV_DIGEST_TEXT_BYTES];
        kv_digest_format(&user->passwords[i], digits);
        reply_value(reply, bytes_of(digits, sizeof digits));
    }
    say_part(call, user, BYTES("commands"), kv_user_describe_commands);
    say_part(call, user, BYTES("keys"), kv_user_describe_keys);
    say_part(call, user, BYTES("channels"), kv_user_describe_channels);
    reply_value(reply, BYTES("selectors"));
    reply_aggregate(reply, OUTCOME_array, 0);
}

static void acl_getuser(const struct kv_call *call)
{
    const struct kv_user *user = kv_acl_find(lock(call), call->arguments[2]);

    if (user != NULL)
        say_user(call, user);
    else
        reply_kind(call->reply, OUTCOME_nothing);
    unlock(call);
}

static void acl_cat(const struct kv_call *call)
{
    enum kv_category category;
    size_t count = 0;

    if (call->argument_count > 3) {
        kv_error(call, "ERR unknown subcommand or wrong number of arguments for 'CAT'. Try ACL HELP.");
        return;
    }
    if (call->argument_count == 2) {
        reply_aggregate(call->reply, OUTCOME_array, KV_CATEGORY_COUNT);
        for (int i = 0; i < KV_CATEGORY_COUNT; i++)
            reply_value(call->reply, bytes_of_text(kv_category_name((enum kv_category)i)));
        return;
    }
    if (!kv_category_find(call->arguments[2], &category)) {
        kv_error(call, "ERR Unknown category '%.*s'",
                 (int)(call->arguments[2].size < 128 ? call->arguments[2].size : 128),
                 call->arguments[2].data);
        return;
    }
    for (unsigned i = 1; i < KV_PERMISSION_COUNT; i++)
        count += kv_permission_is_resp(i) && kv_categories(i) >> category & 1;
    reply_aggregate(call->reply, OUTCOME_array, count);
    for (unsigned i = 1; i < KV_PERMISSION_COUNT; i++) {
        char name[KV_PERMISSION_NAME_BYTES];
        if (!kv_permission_is_resp(i) || !(kv_categories(i) >> category & 1))
            continue;
        kv_permission_name(i, name);
        reply_value(call->reply, bytes_of_text(name));
    }
}

static void acl_genpass(const struct kv_call *call)
{
    enum { BITS_MAX = 4096 };
    uint8_t random[BITS_MAX / 8];
    char digits[BITS_MAX / 4];
    int64_t bits = 256;
    size_t digit_count;

    if (call->argument_count > 3) {
        kv_error(call, "ERR unknown subcommand or wrong number of arguments for 'GENPASS'. Try ACL HELP.");
        return;
    }
    if (call->argument_count == 3 && !int64_parse(call->arguments[2], &bits)) {
        kv_integer_error(call);
        return;
    }
    if (bits <= 0 || bits > BITS_MAX) {
        kv_error(call,
                 "ERR ACL GENPASS argument must be the number of bits for the output password, a "
                 "positive number up to %d",
                 (int)BITS_MAX);
        return;
    }
    digit_count = ((size_t)bits + 3) / 4;
    if (!kv_random_bytes(random, (digit_count + 1) / 2)) {
        kv_error(call, "ERR the system gives no random numbers");
        return;
    }
    for (size_t i = 0; i < digit_count; i++)
        digits[i] = "0123456789abcdef"[random[i / 2] >> (i % 2 * 4) & 15];
    reply_value(call->reply, bytes_of(digits, digit_count));
}

/* ---- changed ---------------------------------------------------------------------------------------- */

static bool is_name(struct bytes name)
{
    for (size_t i = 0; i < name.size; i++)
        if (name.data[i] == '\0' || strchr(" \t\n\v\f\r", name.data[i]) != NULL)
            return false;
    return name.size > 0;
}

/* Null if every rule was taken and the user is in the table, else what is wrong with rule `*at`; 0 for none
 * of them. */
static const char *set_user(const struct kv_call *call, uint32_t *at)
{
    static const char no_memory[] = "out of memory";
    struct kv_acl *acl = lock(call);
    struct kv_user *old = kv_acl_find(acl, call->arguments[2]);
    struct kv_user *user = old != NULL ? kv_user_copy(old) : kv_user_create(call->arguments[2]);
    const char *wrong = user == NULL ? no_memory : NULL;

    *at = 0;
    for (uint32_t i = 3; i < call->argument_count && wrong == NULL; i++) {
        wrong = kv_user_apply(user, call->arguments[i]);
        *at = wrong != NULL ? i : 0;
    }
    if (wrong == NULL) {
        kv_user_settle(user);
        if (kv_acl_put(acl, user) != OK)
            wrong = no_memory;
    } else {
        kv_user_release(user);
    }
    unlock(call);
    return wrong;
}

static void acl_setuser(const struct kv_call *call)
{
    const char *wrong;
    uint32_t at;

    if (!is_name(call->arguments[2])) {
        kv_error(call, "ERR Usernames can't contain spaces or null characters");
        return;
    }
    wrong = set_user(call, &at);
    if (wrong == NULL) {
        kv_acl_tell(call->kv->hub, call->kv);
        reply_kind(call->reply, OUTCOME_ok);
    } else if (at == 0) {
        kv_error(call, "ERR %s", wrong);
    } else {
        kv_error(call, "ERR Error in ACL SETUSER modifier '%.*s': %s",
                 (int)(call->arguments[at].size < 256 ? call->arguments[at].size : 256),
                 call->arguments[at].data, wrong);
    }
}

static void acl_deluser(const struct kv_call *call)
{
    int64_t count = 0;

    for (uint32_t i = 2; i < call->argument_count; i++)
        if (bytes_equal(call->arguments[i], BYTES("default"))) {
            kv_error(call, "ERR The 'default' user cannot be removed");
            return;
        }
    for (uint32_t i = 2; i < call->argument_count; i++) {
        count += kv_acl_remove(lock(call), call->arguments[i]);
        unlock(call);
    }
    if (count > 0)
        kv_acl_tell(call->kv->hub, call->kv);
    reply_integer(call->reply, count);
}

/* ---- tried out -------------------------------------------------------------------------------------- */

static void say_trial(const struct kv_call *call, enum kv_denial denial, unsigned permission,
                      struct bytes object)
{
    struct buffer text = {0};
    char name[KV_PERMISSION_NAME_BYTES];

    kv_permission_name(permission, name);
    switch (denial) {
    case KV_ALLOWED: reply_kind(call->reply, OUTCOME_ok); return;
    case KV_DENIED_COMMAND:
        buffer_append_format(&text, "This user has no permissions to run the '%s' command", name);
        break;
    case KV_DENIED_KEY:
    case KV_DENIED_CHANNEL:
        buffer_append_literal(&text, "This user has no permissions to access the '");
        buffer_append(&text, object);
        buffer_append(&text, denial == KV_DENIED_KEY ? BYTES("' key") : BYTES("' channel"));
        break;
    }
    say_buffer(call, &text);
}

static void acl_dryrun(const struct kv_call *call)
{
    const struct bytes *arguments = call->arguments + 3;
    uint32_t count = call->argument_count - 3;
    enum command_id id = command_find(DIALECT_resp, arguments[0]);
    struct kv_user *user = kv_acl_find(lock(call), call->arguments[2]);
    struct bytes object = {NULL, 0};
    unsigned permission;

    if (user != NULL)
        kv_user_hold(user);
    unlock(call);
    permission = id != COMMAND_UNKNOWN ? kv_permission_of(id, arguments, count) : 0;
    if (user == NULL)
        kv_error(call, "ERR User '%.*s' not found",
                 (int)(call->arguments[2].size < 128 ? call->arguments[2].size : 128),
                 call->arguments[2].data);
    else if (id == COMMAND_UNKNOWN ||
             (count > 1 && permission == (unsigned)id && kv_is_container(arguments[0])))
        kv_error(call, "ERR Command '%.*s' not found",
                 (int)(arguments[0].size < 128 ? arguments[0].size : 128), arguments[0].data);
    else if (!command_arity_fits(command_row(id)->arity, count))
        kv_arity_error(call, command_row(id)->name);
    else
        say_trial(call, kv_user_ask(user, id, arguments, count, &object), permission, object);
    kv_user_release(user);
}

/* ---- the file and the log --------------------------------------------------------------------------- */

static bool has_file(const struct kv_call *call)
{
    if (call->kv->hub->acl->file != NULL)
        return true;
    kv_error(call, "ERR This Redis instance is not configured to use an ACL file. You may want to specify "
                   "users via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a "
                   "Redis configuration file set) in order to store users in the Redis configuration.");
    return false;
}

static void acl_load(const struct kv_call *call)
{
    struct buffer why = {0};

    if (!has_file(call))
        return;
    if (kv_acl_load(call->kv->hub->acl, &why)) {
        kv_acl_tell(call->kv->hub, call->kv);
        reply_kind(call->reply, OUTCOME_ok);
    } else {
        kv_error(call,
                 "ERR %.*s. WARNING: ACL errors detected, no change to the previously active ACL rules "
                 "was performed",
                 (int)(why.size < 384 ? why.size : 384), why.data);
    }
    buffer_fini(&why);
}

static void acl_save(const struct kv_call *call)
{
    struct buffer why = {0};

    if (!has_file(call))
        return;
    if (kv_acl_save(call->kv->hub->acl, &why))
        reply_kind(call->reply, OUTCOME_ok);
    else
        kv_error(call, "ERR There was an error trying to save the ACLs: %.*s",
                 (int)(why.size < 384 ? why.size : 384), why.data);
    buffer_fini(&why);
}

static void acl_log(const struct kv_call *call)
{
    int64_t count = 10;

    if (call->argument_count > 3) {
        kv_error(call, "ERR unknown subcommand or wrong number of arguments for 'LOG'. Try ACL HELP.");
        return;
    }
    if (call->argument_count == 3 && kv_argument_is(call, 2, BYTES("reset"))) {
        kv_acl_log_clear(call->kv->hub->acl->log);
        reply_kind(call->reply, OUTCOME_ok);
        return;
    }
    if (call->argument_count == 3 && !int64_parse(call->arguments[2], &count)) {
        kv_integer_error(call);
        return;
    }
    kv_acl_log_say(call, count > 0 ? (size_t)count : 0);
}

static void acl_help(const struct kv_call *call)
{
    static const char *const lines[] = {
        "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CAT [<category>]",
        "    List all commands that belong to <category>, or all command categories",
        "    when no category is specified.",
        "DELUSER <username> [<username> ...]",
        "    Delete a list of users.",
        "DRYRUN <username> <command> [<arg> ...]",
        "    Returns whether the user can execute the given command without executing the command.",
        "GETUSER <username>",
        "    Get the user's details.",
        "GENPASS [<bits>]",
        "    Generate a secure 256-bit user password. The optional `bits` argument can",
        "    be used to specify a different size.",
        "LIST",
        "    Show users details in config file format.",
        "LOAD",
        "    Reload users from the ACL file.",
        "LOG [<count> | RESET]",
        "    Show the ACL log entries.",
        "SAVE",
        "    Save the current config to the ACL file.",
        "SETUSER <username> <attribute> [<attribute> ...]",
        "    Create or modify a user with the specified attributes.",
        "USERS",
        "    List all the registered usernames.",
        "WHOAMI",
        "    Return the current connection username.",
        "HELP",
        "    Prints this help.",
    };
    kv_help(call, lines, COUNT_OF(lines));
}

void kv_acl(const struct kv_call *call)
{
    static const struct kv_subcommand rows[] = {
        {"cat", -2, acl_cat},         {"deluser", -3, acl_deluser}, {"dryrun", -4, acl_dryrun},
        {"genpass", -2, acl_genpass}, {"getuser", 3, acl_getuser},  {"help", 2, acl_help},
        {"list", 2, acl_list},        {"load", 2, acl_load},        {"log", -2, acl_log},
        {"save", 2, acl_save},        {"setuser", -3, acl_setuser}, {"users", 2, acl_users},
        {"whoami", 2, acl_whoami},
    };
    kv_run_subcommand(call, rows, COUNT_OF(rows));
}
