/* kv_acl_file.c — the file of users, in Redis's format: lines of "user <name> <rules>". */
#include "engine/kv/kv_acl.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 16 * 1024 * 1024 };

static bool read_all(const char *path, struct buffer *text, struct buffer *why)
{
    FILE *file = fopen(path, "re");
    bool is_read = false;

    while (file != NULL && text->size <= FILE_BYTES_MAX) {
        enum { PIECE_BYTES = 16384 };
        char *end = buffer_reserve(text, PIECE_BYTES);
        size_t size = end != NULL ? fread(end, 1, PIECE_BYTES, file) : 0;
        buffer_commit(text, size);
        if (size > 0)
            continue;
        is_read = !text->failed && !ferror(file);
        break;
    }
    if (!is_read)
        buffer_append_format(why, "%s: %s", path,
                             text->size > FILE_BYTES_MAX ? "larger than a file of users can be (16 MiB)"
                                                         : strerror(text->failed ? ENOMEM : errno));
    if (file != NULL)
        fclose(file);
    return is_read;
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

/* Takes the next word off the front of `line`; false at its end. */
static bool next_word(struct bytes *line, struct bytes *word)
{
    size_t size = 0;

    while (line->size > 0 && is_blank(line->data[0]))
        *line = bytes_after(*line, 1);
    while (size < line->size && !is_blank(line->data[size]))
        size++;
    *word = bytes_first(*line, size);
    *line = bytes_after(*line, size);
    return size > 0;
}

/* The user of one line, or null with what is wrong appended. */
static struct kv_user *read_user(struct bytes line, struct buffer *why)
{
    struct kv_user *user;
    struct bytes word;

    if (!next_word(&line, &word) || !bytes_equal(word, BYTES("user")) || !next_word(&line, &word)) {
        buffer_append_literal(why, "should start with user keyword followed by the username");
        return NULL;
    }
    user = kv_user_create(word);
    while (user != NULL && next_word(&line, &word)) {
        const char *wrong = kv_user_apply(user, word);
        if (wrong == NULL)
            continue;
        /* A password must not get into the log. */
        if (word.data[0] != '>' && word.data[0] != '<')
            buffer_append_format(why, "%.*s: ", (int)(word.size < 128 ? word.size : 128), word.data);
        buffer_append(why, bytes_of_text(wrong));
        kv_user_release(user);
        return NULL;
    }
    if (user == NULL)
        buffer_append_literal(why, "out of memory");
    else
        kv_user_settle(user);
    return user;
}

static bool read_users(struct kv_acl *users, const char *path, struct bytes text, struct buffer *why)
{
    struct kv_acl seen = {.user_count = 0};
    bool is_good = true;

    for (unsigned line_number = 1; text.data != NULL && text.size > 0; line_number++) {
        const char *end = memchr(text.data, '\n', text.size);
        struct bytes line = bytes_first(text, end != NULL ? (size_t)(end - text.data) : text.size);
        struct bytes rest = line, word;
        struct buffer wrong = {0};
        struct kv_user *user = NULL;

        text = bytes_after(text, end != NULL ? line.size + 1 : line.size);
        if (!next_word(&rest, &word) || word.data[0] == '#')
            continue;
        user = read_user(line, &wrong);
        if (user != NULL && kv_acl_find(&seen, user->name) != NULL) {
            buffer_append_format(&wrong, "the user '%.*s' is there twice", BYTES_PRINTF(user->name));
            kv_user_release(user);
            user = NULL;
        }
        if (user != NULL && (kv_acl_put(&seen, kv_user_hold(user)) != OK || kv_acl_put(users, user) != OK))
            buffer_append_literal(&wrong, "out of memory");
        if (wrong.size > 0) {
            buffer_append_format(why, "%s%s:%u: %.*s", why->size > 0 ? "; " : "", path, line_number,
                                 BYTES_PRINTF(buffer_bytes(&wrong)));
            is_good = false;
        }
        buffer_fini(&wrong);
    }
    for (size_t i = 0; i < seen.user_count; i++)
        kv_user_release(seen.users[i]);
    free(seen.users);
    return is_good;
}

/* "default" stays as he is if the file does not name him: else a password would be lost with it. */
static enum err keep_default(struct kv_acl *fresh, struct kv_acl *acl)
{
    struct kv_user *user;

    pthread_mutex_lock(&acl->lock);
    user = kv_user_hold(kv_acl_find(acl, BYTES("default")));
    pthread_mutex_unlock(&acl->lock);
    return kv_acl_put(fresh, user);
}

/* The users of the file instead of those there are. */
static bool take(struct kv_acl *acl, const char *path, struct buffer *why)
{
    struct kv_acl *fresh = NULL;
    struct buffer text = {0};
    bool is_good = false;

    if (kv_acl_create(&fresh) != OK || keep_default(fresh, acl) != OK)
        buffer_append_literal(why, "out of memory");
    else
        is_good = read_all(path, &text, why) && read_users(fresh, path, buffer_bytes(&text), why);
    if (is_good) {
        struct kv_user **users;
        size_t count;
        pthread_mutex_lock(&acl->lock);
        users = acl->users;
        count = acl->user_count;
        acl->users = fresh->users;
        acl->user_count = fresh->user_count;
        pthread_mutex_unlock(&acl->lock);
        fresh->users = users;
        fresh->user_count = count;
    }
    kv_acl_destroy(fresh);
    if (text.data != NULL)
        explicit_bzero(text.data, text.size);
    buffer_fini(&text);
    return is_good;
}

bool kv_acl_open(struct kv_acl *acl, const char *path, struct buffer *why)
{
    char *copy = strdup(path);

    if (copy == NULL) {
        buffer_append_literal(why, "out of memory");
        return false;
    }
    free(acl->file);
    acl->file = copy;
    return take(acl, path, why);
}

bool kv_acl_load(struct kv_acl *acl, struct buffer *why) { return take(acl, acl->file, why); }

static bool write_all(int fd, struct bytes text)
{
    while (text.size > 0) {
        ssize_t written = write(fd, text.data, text.size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        text = bytes_after(text, (size_t)written);
    }
    return fsync(fd) == 0;
}

/* Beside the file and then in its place, so that a crash leaves the one or the other. */
static bool replace_file(const char *path, struct bytes text)
{
    char *beside;
    bool is_written;
    int fd;

    if (asprintf(&beside, "%s.%d.tmp", path, (int)getpid()) < 0)
        return false;
    fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    is_written = fd >= 0 && write_all(fd, text);
    if (fd >= 0 && close(fd) != 0)
        is_written = false;
    if (is_written && rename(beside, path) != 0)
        is_written = false;
    if (!is_written && fd >= 0)
        unlink(beside);
    free(beside);
    return is_written;
}

bool kv_acl_save(struct kv_acl *acl, struct buffer *why)
{
    struct buffer text = {0};
    bool is_saved;

    pthread_mutex_lock(&acl->lock);
    for (size_t i = 0; i < acl->user_count; i++) {
        struct buffer line = {0};
        kv_user_describe(acl->users[i], &line);
        buffer_append(&text, buffer_bytes(&line));
        buffer_append_byte(&text, '\n');
        text.failed |= line.failed;
        buffer_fini(&line);
    }
    is_saved = !text.failed && replace_file(acl->file, buffer_bytes(&text));
    pthread_mutex_unlock(&acl->lock);
    if (!is_saved)
        buffer_append_format(why, "%s: %s", acl->file, strerror(text.failed ? ENOMEM : errno));
    buffer_fini(&text);
    return is_saved;
}
