/* kv_user_rule.c — Redis's rules for users, applied one by one. */
#include "engine/kv/kv_user_rule.h"
#include "base/compiler.h"
#include <stdlib.h>

static const char no_memory[] = "out of memory";
static const char syntax[] = "Syntax error";

static const char *add(struct kv_words *words, struct bytes text, unsigned number)
{
    return kv_words_add(words, text, number) == OK ? NULL : no_memory;
}

/* ---- keys and channels ---------------------------------------------------------------------------- */

static bool is_blank_inside(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] == '\0' || strchr(" \t\n\v\f\r", text.data[i]) != NULL)
            return true;
    return false;
}

static const char *apply_all_keys(struct kv_user *user, bool has_all)
{
    user->has_all_keys = has_all;
    kv_words_fini(&user->keys);
    return NULL;
}

static const char *apply_all_channels(struct kv_user *user, bool has_all)
{
    user->has_all_channels = has_all;
    kv_words_fini(&user->channels);
    return NULL;
}

/* "~pattern", or "%" with what it is for before it. */
static const char *apply_keys(struct kv_user *user, struct bytes rule)
{
    unsigned access = 0;
    struct kv_word *known;
    size_t at = 1;

    if (bytes_equal(rule, BYTES("~*")))
        return apply_all_keys(user, true);
    if (user->has_all_keys)
        return "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not "
               "have "
               "any effect. Try 'resetkeys' to start with an empty list of patterns";
    if (rule.data[0] == '~')
        access = KV_ACCESS_BOTH;
    for (; rule.data[0] == '%' && at < rule.size && rule.data[at] != '~'; at++) {
        unsigned more = byte_to_lower(rule.data[at]) == 'r'   ? KV_ACCESS_READ
                        : byte_to_lower(rule.data[at]) == 'w' ? KV_ACCESS_WRITE
                                                              : 0;
        if (more == 0 || access & more)
            return syntax;
        access |= more;
    }
    if (rule.data[0] == '%')
        at++;
    if (access == 0 || at > rule.size || is_blank_inside(bytes_after(rule, at)))
        return syntax;
    rule = bytes_after(rule, at);
    known = kv_words_find(&user->keys, rule);
    if (known != NULL)
        access |= known->number;
    if (access == KV_ACCESS_BOTH && bytes_equal(rule, BYTES("*")))
        return apply_all_keys(user, true);
    if (known == NULL)
        return add(&user->keys, rule, access);
    known->number = access;
    return NULL;
}

static const char *apply_channels(struct kv_user *user, struct bytes pattern)
{
    if (bytes_equal(pattern, BYTES("*")))
        return apply_all_channels(user, true);
    if (user->has_all_channels)
        return "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not "
               "have any effect. Try 'resetchannels' to start with an empty list of channels";
    if (is_blank_inside(pattern))
        return syntax;
    return kv_words_find(&user->channels, pattern) != NULL ? NULL : add(&user->channels, pattern, 0);
}

/* ---- passwords ------------------------------------------------------------------------------------ */

static const char *forget_passwords(struct kv_user *user)
{
    free(user->passwords);
    user->passwords = NULL;
    user->password_count = 0;
    return NULL;
}

static size_t find_password(const struct kv_user *user, const struct kv_digest *digest)
{
    size_t i = 0;

    while (i < user->password_count && !kv_digest_equal(&user->passwords[i], digest))
        i++;
    return i;
}

static const char *add_password(struct kv_user *user, const struct kv_digest *digest)
{
    struct kv_digest *passwords;

    user->needs_no_password = false;
    if (find_password(user, digest) < user->password_count)
        return NULL;
    passwords = reallocarray(user->passwords, user->password_count + 1, sizeof *passwords);
    if (passwords == NULL)
        return no_memory;
    user->passwords = passwords;
    passwords[user->password_count++] = *digest;
    return NULL;
}

static const char *remove_password(struct kv_user *user, const struct kv_digest *digest)
{
    size_t at = find_password(user, digest);

    if (at == user->password_count)
        return "The password you are trying to remove from the user does not exist";
    user->passwords[at] = user->passwords[--user->password_count];
    return NULL;
}

/* ">text" and "<text", "#digest" and "!digest". */
static const char *apply_password(struct kv_user *user, struct bytes rule)
{
    struct bytes text = bytes_after(rule, 1);
    struct kv_digest digest;

    if (rule.data[0] == '#' || rule.data[0] == '!') {
        if (!kv_digest_parse(text, &digest))
            return "The password hash must be exactly 64 characters and contain only lowercase hexadecimal "
                   "characters";
    } else if (!kv_digest_of(text, &digest)) {
        return no_memory;
    }
    return rule.data[0] == '>' || rule.data[0] == '#' ? add_password(user, &digest)
                                                      : remove_password(user, &digest);
}

/* ---- words ---------------------------------------------------------------------------------------- */

static const char *apply_on(struct kv_user *user)
{
    user->is_on = true;
    return NULL;
}

static const char *apply_off(struct kv_user *user)
{
    user->is_on = false;
    return NULL;
}

static const char *apply_nopass(struct kv_user *user)
{
    user->needs_no_password = true;
    return forget_passwords(user);
}

static const char *apply_resetpass(struct kv_user *user)
{
    user->needs_no_password = false;
    return forget_passwords(user);
}

static const char *apply_allkeys(struct kv_user *user) { return apply_all_keys(user, true); }
static const char *apply_resetkeys(struct kv_user *user) { return apply_all_keys(user, false); }
static const char *apply_allchannels(struct kv_user *user) { return apply_all_channels(user, true); }
static const char *apply_resetchannels(struct kv_user *user) { return apply_all_channels(user, false); }
static const char *apply_allcommands(struct kv_user *user) { return kv_rule_all_commands(user, true); }
static const char *apply_nocommands(struct kv_user *user) { return kv_rule_all_commands(user, false); }
static const char *apply_clearselectors(struct kv_user *user)
{
    (void)user; /* there are none */
    return NULL;
}

static const char *apply_sanitize(struct kv_user *user)
{
    user->says_sanitize = true;
    user->says_no_sanitize = false;
    return NULL;
}

static const char *apply_no_sanitize(struct kv_user *user)
{
    user->says_sanitize = false;
    user->says_no_sanitize = true;
    return NULL;
}

static const char *apply_reset(struct kv_user *user)
{
    apply_resetpass(user);
    apply_resetkeys(user);
    apply_resetchannels(user);
    apply_nocommands(user);
    apply_sanitize(user);
    return apply_off(user);
}

static const struct {
    const char *word;
    const char *(*apply)(struct kv_user *user);
} words[] = {
    {"on", apply_on},
    {"off", apply_off},
    {"nopass", apply_nopass},
    {"resetpass", apply_resetpass},
    {"allkeys", apply_allkeys},
    {"resetkeys", apply_resetkeys},
    {"allchannels", apply_allchannels},
    {"resetchannels", apply_resetchannels},
    {"allcommands", apply_allcommands},
    {"nocommands", apply_nocommands},
    {"clearselectors", apply_clearselectors},
    {"sanitize-payload", apply_sanitize},
    {"skip-sanitize-payload", apply_no_sanitize},
    {"reset", apply_reset},
};

const char *kv_user_apply(struct kv_user *user, struct bytes rule)
{
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (bytes_equal_nocase(bytes_of_text(words[i].word), rule))
            return words[i].apply(user);
    if (rule.size == 0) /* as Redis has it */
        return NULL;
    switch (rule.data[0]) {
    case '>':
    case '<':
    case '#':
    case '!': return apply_password(user, rule);
    case '~':
    case '%': return apply_keys(user, rule);
    case '&': return apply_channels(user, bytes_after(rule, 1));
    case '+':
    case '-':
        return rule.size > 1 && rule.data[1] == '@'
                   ? kv_rule_category(user, rule.data[0] == '+', bytes_after(rule, 2))
                   : kv_rule_command(user, rule.data[0] == '+', bytes_after(rule, 1));
    case '(': return "Selectors are not supported: make another user";
    default: return syntax;
    }
}

void kv_user_settle(struct kv_user *user)
{
    user->is_free = user->has_all_keys && user->has_all_channels;
    for (unsigned i = 1; i < KV_PERMISSION_COUNT; i++)
        user->is_free = user->is_free && kv_user_permits(user, i);
}
