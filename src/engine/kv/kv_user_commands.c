/* kv_user_commands.c — the rules of commands.
 *
 * They are kept as they were given, so that a category stays a category when a newer version knows more
 * commands. What a later rule has made void is dropped: one of the same command or category, and all of
 * them by "allcommands" and "nocommands". */
#include "engine/kv/kv_absent.h"
#include "engine/kv/kv_user_rule.h"

static const char no_memory[] = "out of memory";
static const char syntax[] = "Syntax error";
static const char unknown_command[] = "Unknown command or category name in ACL";

static const char *add(struct kv_words *words, struct bytes text, unsigned number)
{
    return kv_words_add(words, text, number) == OK ? NULL : no_memory;
}

static void permit(struct kv_user *user, unsigned permission, bool is_permitted)
{
    uint64_t bit = UINT64_C(1) << permission % 64;

    if (is_permitted)
        user->permitted[permission / 64] |= bit;
    else
        user->permitted[permission / 64] &= ~bit;
}

static void forget_first_arguments(struct kv_user *user, unsigned permission)
{
    for (size_t i = user->first_arguments.count; i-- > 0;)
        if (user->first_arguments.items[i].number == permission)
            kv_words_remove(&user->first_arguments, i);
}

const char *kv_rule_all_commands(struct kv_user *user, bool is_permitted)
{
    user->has_all_commands = is_permitted;
    memset(user->permitted, is_permitted ? 0xff : 0, sizeof user->permitted);
    kv_words_fini(&user->first_arguments);
    kv_words_fini(&user->rules);
    return NULL;
}

/* True if a rule, without its sign, is about `what` or about a part of it. */
static bool is_about(struct bytes rule, struct bytes what)
{
    struct bytes target = bytes_after(rule, 1);

    return bytes_start_with(target, what) &&
           (target.size == what.size ||
            (!bytes_start_with(what, BYTES("@")) && target.data[what.size] == '|'));
}

/* `what` is a name in lower case: of a command, a subcommand or a category with its '@'. */
static const char *keep_rule(struct kv_user *user, bool is_permitted, struct bytes what)
{
    struct buffer rule = {0};
    const char *wrong;

    buffer_append_byte(&rule, is_permitted ? '+' : '-');
    buffer_append(&rule, what);
    wrong = rule.failed ? no_memory : add(&user->rules, buffer_bytes(&rule), 0);
    buffer_fini(&rule);
    for (size_t i = wrong == NULL ? user->rules.count - 1 : 0; i-- > 0;)
        if (is_about(user->rules.items[i].text, what))
            kv_words_remove(&user->rules, i);
    return wrong;
}

const char *kv_rule_category(struct kv_user *user, bool is_permitted, struct bytes name)
{
    enum kv_category category;
    char what[32] = "@";
    const char *wrong;

    if (bytes_equal_nocase(name, BYTES("all")))
        return kv_rule_all_commands(user, is_permitted);
    if (!kv_category_find(name, &category))
        return unknown_command;
    strncat(what, kv_category_name(category), sizeof what - 2);
    wrong = keep_rule(user, is_permitted, bytes_of_text(what));
    if (wrong != NULL)
        return wrong;
    for (unsigned i = 1; i < KV_PERMISSION_COUNT; i++) {
        if ((kv_categories(i) >> category & 1) == 0)
            continue;
        permit(user, i, is_permitted);
        forget_first_arguments(user, i);
    }
    return NULL;
}

/* The same name may be RESP's and memcached's; a rule is about both. False if it is nobody's. */
static bool permit_command(struct kv_user *user, bool is_permitted, struct bytes name, bool only_look)
{
    bool found = false;

    for (unsigned i = 1; i < COMMAND_COUNT; i++) {
        if (!bytes_equal_nocase(bytes_of_text(command_row((enum command_id)i)->name), name))
            continue;
        found = true;
        if (only_look)
            continue;
        permit(user, i, is_permitted);
        forget_first_arguments(user, i);
    }
    for (unsigned i = COMMAND_COUNT; i < KV_PERMISSION_COUNT && !only_look; i++)
        if (bytes_equal_nocase(bytes_of_text(kv_subcommand_container(i)), name))
            permit(user, i, is_permitted);
    return found || kv_is_container(name);
}

static bool is_permitted_already(const struct kv_user *user, bool is_permitted, struct bytes name)
{
    for (unsigned i = 1; i < KV_PERMISSION_COUNT; i++) {
        const char *container = kv_subcommand_container(i);
        struct bytes its =
            bytes_of_text(container != NULL ? container : command_row((enum command_id)i)->name);
        if (bytes_equal_nocase(its, name) && kv_user_permits(user, i) != is_permitted)
            return false;
    }
    return true;
}

/* What is wrong with a rule's part behind the bar, or null. One with a blank in it would be several words
 * in the file of users. */
static const char *check_part(struct bytes part)
{
    if (part.size == 0)
        return syntax;
    for (size_t i = 0; i < part.size; i++)
        if (part.data[i] == '\0' || strchr(" \t\n\v\f\r", part.data[i]) != NULL)
            return syntax;
    if (memchr(part.data, '|', part.size) != NULL)
        return "Allowing first-arg of a subcommand is not supported";
    return NULL;
}

static const char *apply_first_argument(struct kv_user *user, struct bytes command, struct bytes argument,
                                        struct bytes lower)
{
    enum command_id id = command_find(DIALECT_resp, command);
    const char *wrong;

    if (id == COMMAND_UNKNOWN || kv_is_container(command))
        return unknown_command;
    if (kv_user_permits(user, id))
        return NULL;
    wrong = keep_rule(user, true, lower);
    return wrong != NULL ? wrong : add(&user->first_arguments, argument, id);
}

static const char *apply_part(struct kv_user *user, bool is_permitted, struct bytes command,
                              struct bytes part, struct bytes lower)
{
    unsigned subcommand = kv_subcommand_find(command, part);
    const char *wrong = check_part(part);

    if (wrong != NULL)
        return wrong;
    if (subcommand == 0)
        return is_permitted ? apply_first_argument(user, command, part, lower) : unknown_command;
    if (kv_user_permits(user, subcommand) == is_permitted)
        return NULL;
    wrong = keep_rule(user, is_permitted, lower);
    if (wrong == NULL)
        permit(user, subcommand, is_permitted);
    return wrong;
}

/* A rule about a command of Redis that this server has not got: kept for what it says, so that a user's
 * rules can be read from one server and given to the other. `rule` is in lower case. */
static const char *keep_absent(struct kv_user *user, bool is_permitted, struct bytes rule,
                               size_t command_bytes)
{
    const char *wrong = command_bytes < rule.size ? check_part(bytes_after(rule, command_bytes + 1)) : NULL;

    return wrong != NULL ? wrong : keep_rule(user, is_permitted, rule);
}

const char *kv_rule_command(struct kv_user *user, bool is_permitted, struct bytes name)
{
    const char *bar = name.size > 0 ? memchr(name.data, '|', name.size) : NULL;
    size_t command_bytes = bar != NULL ? (size_t)(bar - name.data) : name.size;
    struct bytes command = bytes_first(name, command_bytes);
    bool is_known = permit_command(user, is_permitted, command, true);
    bool is_absent = !is_known && kv_is_absent(command);
    struct buffer lower = {0};
    const char *wrong;

    /* A first argument keeps its case: it is no name. */
    for (size_t i = 0; i < name.size; i++)
        buffer_append_byte(&lower, i < command_bytes || kv_is_container(command) || is_absent
                                       ? byte_to_lower(name.data[i])
                                       : name.data[i]);
    if (lower.failed)
        wrong = no_memory;
    else if (is_absent)
        wrong = keep_absent(user, is_permitted, buffer_bytes(&lower), command_bytes);
    else if (bar != NULL)
        wrong = apply_part(user, is_permitted, command, bytes_after(name, command_bytes + 1),
                           buffer_bytes(&lower));
    else if (!is_known)
        wrong = unknown_command;
    else if (is_permitted_already(user, is_permitted, name))
        wrong = NULL;
    else
        wrong = keep_rule(user, is_permitted, buffer_bytes(&lower));
    if (wrong == NULL && bar == NULL && !is_absent)
        permit_command(user, is_permitted, name, false);
    buffer_fini(&lower);
    return wrong;
}
