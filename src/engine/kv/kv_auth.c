/* kv_auth.c — who a session is: AUTH, what a stranger may do, and what a user may. */
#include "engine/kv/kv_acl.h"
#include "engine/kv/kv_acl_log.h"
#include "engine/kv/kv_guard.h"

/* ---- being somebody --------------------------------------------------------------------------------- */

/* Takes over the caller's hold of `user`. */
static void become(struct session *session, struct kv_user *user, bool is_stranger)
{
    unsigned guards = session->guards & ~(unsigned)(KV_GUARD_authentication | KV_GUARD_permissions);

    if (is_stranger)
        guards |= KV_GUARD_authentication;
    if (!user->is_free)
        guards |= KV_GUARD_permissions;
    kv_user_release(session->user);
    session->user = user;
    session->is_stranger = is_stranger;
    session->guards = guards;
}

void kv_greet(struct kv *kv, struct session *session)
{
    struct kv_acl *acl = kv->hub->acl;
    struct kv_user *user;

    session->users_age = atomic_load(&acl->age);
    pthread_mutex_lock(&acl->lock);
    user = kv_user_hold(kv_acl_find(acl, BYTES("default")));
    pthread_mutex_unlock(&acl->lock);
    become(session, user, !user->is_on || !user->needs_no_password);
}

void kv_forget(struct session *session)
{
    kv_user_release(session->user);
    session->user = NULL;
}

bool kv_look_again(struct kv *kv, struct session *session)
{
    struct kv_acl *acl = kv->hub->acl;
    uint64_t age = atomic_load(&acl->age);
    struct kv_user *user;

    if (session->user == NULL || session->users_age == age)
        return true;
    session->users_age = age;
    pthread_mutex_lock(&acl->lock);
    user = kv_acl_find(acl, session->user->name);
    if (user != NULL)
        kv_user_hold(user);
    pthread_mutex_unlock(&acl->lock);
    if (user == NULL) {
        session->closing = true;
        return false;
    }
    /* Who has come in stays in; a stranger is none any more once nobody must show anything. */
    become(session, user, session->is_stranger && !(user->is_on && user->needs_no_password));
    return true;
}

struct bytes kv_user_name(const struct session *session)
{
    return session->user != NULL ? session->user->name : BYTES("default");
}

/* ---- coming in -------------------------------------------------------------------------------------- */

static struct kv_user *hold(struct kv_acl *acl, struct bytes name)
{
    struct kv_user *user;

    pthread_mutex_lock(&acl->lock);
    user = kv_acl_find(acl, name);
    if (user != NULL)
        kv_user_hold(user);
    pthread_mutex_unlock(&acl->lock);
    return user;
}

static bool try_to_come_in(const struct kv_call *call, struct bytes name, struct bytes password)
{
    uint64_t age = atomic_load(&call->kv->hub->acl->age);
    struct kv_user *user = hold(call->kv->hub->acl, name);

    if (user != NULL && kv_user_opens_to(user, password)) {
        become(call->session, user, false);
        call->session->users_age = age;
        return true;
    }
    if (user == NULL) { /* takes as long as with one, so that the time tells no names */
        struct kv_digest ignored;
        kv_digest_of(password, &ignored);
    }
    kv_user_release(user);
    kv_acl_log_add(call, KV_REFUSED_AUTH, command_row(call->id)->name, name);
    return false;
}

bool kv_authenticate(const struct kv_call *call, struct bytes name, struct bytes password)
{
    if (try_to_come_in(call, name, password))
        return true;
    kv_error(call, "WRONGPASS invalid username-password pair or user is disabled.");
    return false;
}

void kv_auth(const struct kv_call *call)
{
    struct bytes name = BYTES("default");

    if (call->argument_count > 3) {
        kv_syntax_error(call);
        return;
    }
    if (call->argument_count == 3) {
        name = call->arguments[1];
    } else {
        struct kv_user *user = hold(call->kv->hub->acl, name);
        bool needs_no_password = user->needs_no_password;
        kv_user_release(user);
        if (needs_no_password) {
            kv_error(call, "ERR AUTH <password> called without any password configured for the default "
                           "user. Are you sure your configuration is correct?");
            return;
        }
    }
    if (kv_authenticate(call, name, call->arguments[call->argument_count - 1]))
        reply_kind(call->reply, OUTCOME_ok);
}

/* memcached's way: the data block of any `set` is "user password". */
static void come_in_by_set(const struct kv_call *call)
{
    struct bytes token = call->arguments[call->argument_count - 1];
    const char *space = token.size > 0 ? memchr(token.data, ' ', token.size) : NULL;
    struct outcome outcome = {.kind = OUTCOME_stored};

    if (space == NULL)
        outcome = (struct outcome){.kind = OUTCOME_client_error,
                                   .bytes = BYTES("bad authentication token format")};
    else if (!try_to_come_in(call, bytes_first(token, (size_t)(space - token.data)),
                             bytes_after(token, (size_t)(space - token.data) + 1)))
        outcome = (struct outcome){.kind = OUTCOME_client_error, .bytes = BYTES("authentication failure")};
    reply_say(call->reply, &outcome);
}

/* ---- the guards ------------------------------------------------------------------------------------- */

static bool is_memcached(const struct kv_call *call)
{
    return call->id != COMMAND_UNKNOWN && command_row(call->id)->dialect == DIALECT_memcached;
}

enum kv_pass kv_guard_authentication(const struct kv_call *call)
{
    if (!kv_look_again(call->kv, call->session))
        return KV_REFUSED;
    if (!call->session->is_stranger || kv_is_everybodys(call->id))
        return KV_PASS;
    if (call->id == COMMAND_memcached_set) {
        come_in_by_set(call);
        return KV_KEPT;
    }
    if (is_memcached(call))
        reply_say(call->reply,
                  &(struct outcome){.kind = OUTCOME_client_error, .bytes = BYTES("unauthenticated")});
    else
        kv_error(call, "NOAUTH Authentication required.");
    return KV_REFUSED;
}

static void say_denial(const struct kv_call *call, enum kv_denial denial, struct bytes object)
{
    char name[KV_PERMISSION_NAME_BYTES];

    kv_permission_name(kv_permission_of(call->id, call->arguments, call->argument_count), name);
    kv_acl_log_add(call,
                   denial == KV_DENIED_COMMAND ? KV_REFUSED_COMMAND
                   : denial == KV_DENIED_KEY   ? KV_REFUSED_KEY
                                               : KV_REFUSED_CHANNEL,
                   name, object);
    if (is_memcached(call))
        reply_say(call->reply,
                  &(struct outcome){.kind = OUTCOME_client_error, .bytes = BYTES("not permitted")});
    else if (denial == KV_DENIED_COMMAND)
        kv_error(call, "NOPERM this user has no permissions to run the '%s' command", name);
    else
        kv_error(call, "NOPERM this user has no permissions to access one of the %s used as arguments",
                 denial == KV_DENIED_KEY ? "keys" : "channels");
}

enum kv_pass kv_guard_permissions(const struct kv_call *call)
{
    const struct session *session = call->session;
    struct bytes object = {NULL, 0};
    enum kv_denial denial;

    if (session->user == NULL)
        return KV_PASS;
    if (!kv_look_again(call->kv, call->session))
        return KV_REFUSED;
    if (session->is_stranger && !kv_is_everybodys(call->id)) /* since the last change */
        return kv_guard_authentication(call);
    if (session->user->is_free)
        return KV_PASS;
    if (call->id == COMMAND_UNKNOWN) /* which is run elsewhere */
        return call->kv->elsewhere->permits(call) ? KV_PASS : KV_REFUSED;
    denial = kv_user_ask(session->user, call->id, call->arguments, call->argument_count, &object);
    if (denial == KV_ALLOWED)
        return KV_PASS;
    say_denial(call, denial, object);
    return KV_REFUSED;
}
