#include "engine/kv/kv_user.h"
#include <stdlib.h>

struct kv_user *kv_user_create(struct bytes name)
{
    struct kv_user *user = calloc(1, sizeof *user);
    char *copy = malloc(name.size + 1);

    if (user == NULL || copy == NULL) {
        free(user);
        free(copy);
        return NULL;
    }
    if (name.size > 0)
        memcpy(copy, name.data, name.size);
    user->name = bytes_of(copy, name.size);
    atomic_init(&user->holder_count, 1);
    return user;
}

static bool copy_lists(struct kv_user *copy, const struct kv_user *user)
{
    if (user->password_count > 0) {
        copy->passwords = malloc(user->password_count * sizeof *copy->passwords);
        if (copy->passwords == NULL)
            return false;
        memcpy(copy->passwords, user->passwords, user->password_count * sizeof *copy->passwords);
        copy->password_count = user->password_count;
    }
    return kv_words_add_all(&copy->keys, &user->keys) == OK &&
           kv_words_add_all(&copy->channels, &user->channels) == OK &&
           kv_words_add_all(&copy->first_arguments, &user->first_arguments) == OK &&
           kv_words_add_all(&copy->rules, &user->rules) == OK;
}

struct kv_user *kv_user_copy(const struct kv_user *user)
{
    struct kv_user *copy = kv_user_create(user->name);

    if (copy == NULL)
        return NULL;
    copy->is_on = user->is_on;
    copy->needs_no_password = user->needs_no_password;
    copy->says_sanitize = user->says_sanitize;
    copy->says_no_sanitize = user->says_no_sanitize;
    copy->has_all_keys = user->has_all_keys;
    copy->has_all_channels = user->has_all_channels;
    copy->has_all_commands = user->has_all_commands;
    copy->is_free = user->is_free;
    memcpy(copy->permitted, user->permitted, sizeof copy->permitted);
    if (copy_lists(copy, user))
        return copy;
    kv_user_release(copy);
    return NULL;
}

struct kv_user *kv_user_hold(struct kv_user *user)
{
    atomic_fetch_add_explicit(&user->holder_count, 1, memory_order_relaxed);
    return user;
}

void kv_user_release(struct kv_user *user)
{
    if (user == NULL || atomic_fetch_sub_explicit(&user->holder_count, 1, memory_order_acq_rel) > 1)
        return;
    kv_words_fini(&user->keys);
    kv_words_fini(&user->channels);
    kv_words_fini(&user->first_arguments);
    kv_words_fini(&user->rules);
    free(user->passwords);
    free((char *)(uintptr_t)user->name.data);
    free(user);
}

bool kv_user_opens_to(const struct kv_user *user, struct bytes password)
{
    struct kv_digest digest;
    bool fits = false;

    if (!user->is_on)
        return false;
    if (user->needs_no_password)
        return true;
    if (!kv_digest_of(password, &digest))
        return false;
    for (size_t i = 0; i < user->password_count; i++) /* all of them, whichever fits */
        fits |= kv_digest_equal(&user->passwords[i], &digest);
    return fits;
}

/* ---- as text -------------------------------------------------------------------------------------- */

static void append_word(struct buffer *text, const char *before, struct bytes word)
{
    if (text->size > 0 && text->data[text->size - 1] != ' ')
        buffer_append_byte(text, ' ');
    buffer_append(text, bytes_of_text(before));
    buffer_append(text, word);
}

void kv_user_describe_keys(const struct kv_user *user, struct buffer *text)
{
    static const char *const before[] = {"", "%R~", "%W~", "~"};

    if (user->has_all_keys)
        append_word(text, "", BYTES("~*"));
    for (size_t i = 0; i < user->keys.count; i++)
        append_word(text, before[user->keys.items[i].number], user->keys.items[i].text);
}

void kv_user_describe_channels(const struct kv_user *user, struct buffer *text)
{
    if (user->has_all_channels)
        append_word(text, "", BYTES("&*"));
    for (size_t i = 0; i < user->channels.count; i++)
        append_word(text, "&", user->channels.items[i].text);
}

void kv_user_describe_commands(const struct kv_user *user, struct buffer *text)
{
    append_word(text, "", user->has_all_commands ? BYTES("+@all") : BYTES("-@all"));
    for (size_t i = 0; i < user->rules.count; i++)
        append_word(text, "", user->rules.items[i].text);
}

void kv_user_describe(const struct kv_user *user, struct buffer *text)
{
    buffer_append_literal(text, "user ");
    buffer_append(text, user->name);
    append_word(text, "", user->is_on ? BYTES("on") : BYTES("off"));
    if (user->needs_no_password)
        append_word(text, "", BYTES("nopass"));
    if (user->says_no_sanitize)
        append_word(text, "", BYTES("skip-sanitize-payload"));
    if (user->says_sanitize)
        append_word(text, "", BYTES("sanitize-payload"));
    for (size_t i = 0; i < user->password_count; i++) {
        char digits[KV_DIGEST_TEXT_BYTES];
        kv_digest_format(&user->passwords[i], digits);
        append_word(text, "#", bytes_of(digits, sizeof digits));
    }
    kv_user_describe_keys(user, text);
    if (!user->has_all_channels)
        append_word(text, "", BYTES("resetchannels"));
    kv_user_describe_channels(user, text);
    kv_user_describe_commands(user, text);
}
