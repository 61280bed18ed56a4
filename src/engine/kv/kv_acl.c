#include "engine/kv/kv_acl.h"
#include "engine/kv/kv_acl_log.h"
#include "engine/kv/kv_clients.h"
#include "engine/kv/kv_guard.h"
#include "engine/kv/kv_session.h"
#include <stdlib.h>

static struct kv_user *create_default(void)
{
    static const struct bytes rules[] = {BYTES_INIT("on"), BYTES_INIT("nopass"), BYTES_INIT("~*"),
                                         BYTES_INIT("&*"), BYTES_INIT("+@all")};
    struct kv_user *user = kv_user_create(BYTES("default"));

    for (size_t i = 0; user != NULL && i < COUNT_OF(rules); i++)
        kv_user_apply(user, rules[i]);
    if (user != NULL)
        kv_user_settle(user);
    return user;
}

enum err kv_acl_create(struct kv_acl **created)
{
    struct kv_acl *acl = calloc(1, sizeof *acl);
    struct kv_user *user;

    if (acl == NULL)
        return ERR_NO_MEMORY;
    pthread_mutex_init(&acl->lock, NULL);
    acl->log = kv_acl_log_create();
    user = create_default();
    if (acl->log == NULL || user == NULL || kv_acl_put(acl, user) != OK) {
        kv_acl_destroy(acl);
        return ERR_NO_MEMORY;
    }
    *created = acl;
    return OK;
}

void kv_acl_destroy(struct kv_acl *acl)
{
    if (acl == NULL)
        return;
    for (size_t i = 0; i < acl->user_count; i++)
        kv_user_release(acl->users[i]);
    kv_acl_log_destroy(acl->log);
    pthread_mutex_destroy(&acl->lock);
    free(acl->users);
    free(acl->file);
    free(acl);
}

/* The first user whose name is not before `name`. */
static size_t place_of(const struct kv_acl *acl, struct bytes name)
{
    size_t low = 0, high = acl->user_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (bytes_compare(acl->users[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct kv_user *kv_acl_find(const struct kv_acl *acl, struct bytes name)
{
    size_t at = place_of(acl, name);

    return at < acl->user_count && bytes_equal(acl->users[at]->name, name) ? acl->users[at] : NULL;
}

enum err kv_acl_put(struct kv_acl *acl, struct kv_user *user)
{
    size_t at = place_of(acl, user->name);
    struct kv_user **users;

    if (kv_acl_find(acl, user->name) != NULL) {
        kv_user_release(acl->users[at]);
        acl->users[at] = user;
        return OK;
    }
    users = reallocarray(acl->users, acl->user_count + 1, sizeof(struct kv_user *));
    if (users == NULL) {
        kv_user_release(user);
        return ERR_NO_MEMORY;
    }
    acl->users = users;
    memmove(users + at + 1, users + at, (acl->user_count - at) * sizeof(struct kv_user *));
    users[at] = user;
    acl->user_count++;
    return OK;
}

bool kv_acl_remove(struct kv_acl *acl, struct bytes name)
{
    size_t at = place_of(acl, name);

    if (kv_acl_find(acl, name) == NULL)
        return false;
    kv_user_release(acl->users[at]);
    acl->user_count--;
    memmove(acl->users + at, acl->users + at + 1, (acl->user_count - at) * sizeof(struct kv_user *));
    return true;
}

enum err kv_acl_require_password(struct kv_acl *acl, struct bytes password)
{
    struct buffer rule = {0};
    struct kv_user *user;
    enum err err = ERR_NO_MEMORY;

    buffer_append_byte(&rule, '>');
    buffer_append(&rule, password);
    pthread_mutex_lock(&acl->lock);
    user = kv_user_copy(kv_acl_find(acl, BYTES("default")));
    if (user != NULL && !rule.failed) {
        kv_user_apply(user, password.size > 0 ? BYTES("resetpass") : BYTES("nopass"));
        if (password.size > 0 && kv_user_apply(user, buffer_bytes(&rule)) != NULL)
            kv_user_release(user);
        else
            err = kv_acl_put(acl, user);
    }
    pthread_mutex_unlock(&acl->lock);
    if (rule.data != NULL)
        explicit_bzero(rule.data, rule.size);
    buffer_fini(&rule);
    return err;
}

bool kv_acl_lets_strangers_in(struct kv_acl *acl)
{
    const struct kv_user *user;
    bool lets_in;

    pthread_mutex_lock(&acl->lock);
    user = kv_acl_find(acl, BYTES("default"));
    lets_in = user->is_on && user->needs_no_password;
    pthread_mutex_unlock(&acl->lock);
    return lets_in;
}

/* ---- telling ---------------------------------------------------------------------------------------- */

static void note_letter_read(struct kv_hub *hub)
{
    pthread_mutex_lock(&hub->acl->lock);
    if (--hub->acl->unread_letters == 0)
        atomic_fetch_and(&hub->guards, ~(uint32_t)KV_GUARD_permissions);
    pthread_mutex_unlock(&hub->acl->lock);
}

static void look_again(struct kv *kv, struct session *session, const void *unused)
{
    (void)unused;
    if (!kv_look_again(kv, session))
        kv_session_cut(session);
}

static void read_letter(struct kv *kv, struct kv_letter *letter)
{
    free(letter);
    if (kv == NULL)
        return;
    kv_clients_of_worker(kv, look_again, NULL);
    note_letter_read(kv->hub);
}

void kv_acl_tell(struct kv_hub *hub, struct kv *from)
{
    atomic_fetch_add(&hub->acl->age, 1);
    if (from == NULL)
        return;
    pthread_mutex_lock(&hub->acl->lock);
    hub->acl->unread_letters += hub->worker_count;
    atomic_fetch_or(&hub->guards, (uint32_t)KV_GUARD_permissions);
    pthread_mutex_unlock(&hub->acl->lock);
    from->guards |= KV_GUARD_permissions; /* for what came in the same batch */
    for (unsigned i = 0; i < hub->worker_count; i++) {
        struct kv_letter *letter = malloc(sizeof *letter);
        /* Without memory for it the guards stay, which is slower and as safe. */
        if (letter == NULL)
            continue;
        letter->read = read_letter;
        kv_send(hub, from, i, letter);
    }
}
