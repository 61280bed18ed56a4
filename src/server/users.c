#include "server/users.h"
#include "server/file.h"
#include <stdlib.h>

/* The first line, without its end. */
static enum err read_password(const char *path, struct buffer *password, struct buffer *message)
{
    enum err err = file_read(path, password);
    struct bytes text = buffer_bytes(password);
    const char *end = text.size > 0 ? memchr(text.data, '\n', text.size) : NULL;

    if (err != OK) {
        buffer_append_format(message, "requirepass-file: %s: %s\n", path, err_text(err));
        return err;
    }
    if (end != NULL)
        password->size = (size_t)(end - text.data);
    if (password->size > 0 && password->data[password->size - 1] == '\r')
        password->size--;
    if (password->size > 0)
        return OK;
    buffer_append_format(message, "requirepass-file: %s: its first line, the password, is empty\n", path);
    return ERR_SYNTAX;
}

static enum err find_password(const struct options *options, struct buffer *password,
                              struct buffer *message)
{
    const char *from_environment = getenv("NUTHATCH_REQUIREPASS");

    if (options->password != NULL && options->password_path != NULL) {
        buffer_append_literal(message, "requirepass and requirepass-file are both given; keep one\n");
        return ERR_SYNTAX;
    }
    if (options->password_path != NULL)
        return read_password(options->password_path, password, message);
    if (options->password != NULL)
        buffer_append(password, bytes_of_text(options->password));
    else if (from_environment != NULL)
        buffer_append(password, bytes_of_text(from_environment));
    return password->failed ? ERR_NO_MEMORY : OK;
}

/* The file has the last word on "default", if it names it. */
enum err users_take(const struct options *options, struct kv_acl *acl, struct buffer *message)
{
    struct buffer password = {0}, why = {0};
    enum err err = find_password(options, &password, message);

    if (err == OK && password.size > 0)
        err = kv_acl_require_password(acl, buffer_bytes(&password));
    if (err == OK && options->users_path != NULL && !kv_acl_open(acl, options->users_path, &why)) {
        buffer_append_format(message, "aclfile: %.*s\n", BYTES_PRINTF(buffer_bytes(&why)));
        err = ERR_SYNTAX;
    }
    if (password.data != NULL)
        explicit_bzero(password.data, password.size);
    buffer_fini(&password);
    buffer_fini(&why);
    return err;
}

bool users_allow_listening(const struct options *options, struct kv_hub *hub, size_t role_index,
                           const struct address *address, const char *text, struct buffer *message)
{
    if (options->roles[role_index].role != ROLE_CACHE || options->is_protected == ANSWER_NO ||
        address_is_loopback(address) || !kv_acl_lets_strangers_in(hub->acl))
        return true;
    buffer_append_format(
        message,
        "%s: a cache that needs no password would be open to everybody who can reach it. Set a password "
        "(NUTHATCH_REQUIREPASS in the environment, --requirepass-file or --requirepass) or users "
        "(--aclfile), listen at 127.0.0.1 instead, or say --protected-mode no if the network keeps others "
        "out\n",
        text);
    return false;
}
