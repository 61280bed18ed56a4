/* kv_acl.h — all users, who of them a session is, and what was refused.
 *
 * One table for all workers, in the hub. Users in it are replaced whole (kv_user.h). A session that may do
 * everything is asked nothing: only a stranger's and a restricted user's have a guard. When users change,
 * all sessions are guarded until each has looked who it is now: first by whichever of its commands comes
 * next, or else by a letter to its worker. */
#pragma once
#include "engine/kv/kv_call.h"
#include "engine/kv/kv_user.h"
#include <pthread.h>

struct kv_acl_log; /* kv_acl_log.h */

struct kv_acl {
    pthread_mutex_t lock;   /* of all below */
    struct kv_user **users; /* by name */
    size_t user_count;
    unsigned unread_letters; /* that tell of changes */
    char *file;              /* the file of users, or null */
    struct kv_acl_log *log;
    _Atomic uint64_t age; /* counts changes; read without the lock */
};

/* With the user "default", who is on, needs no password and may do everything. ERR_NO_MEMORY. */
enum err kv_acl_create(struct kv_acl **acl);
void kv_acl_destroy(struct kv_acl *acl); /* null is none */

/* With the lock held: the user of that name, borrowed; null if there is none. */
struct kv_user *kv_acl_find(const struct kv_acl *acl, struct bytes name);

/* With the lock held: takes `user` over, in the place of the one of his name. ERR_NO_MEMORY: he is
 * released. */
enum err kv_acl_put(struct kv_acl *acl, struct kv_user *user);

/* With the lock held. False if there is none. */
bool kv_acl_remove(struct kv_acl *acl, struct bytes name);

/* Users have changed: tells all sessions. Without the lock; `from` is the engine of who changed them, null
 * if no worker runs yet. */
void kv_acl_tell(struct kv_hub *hub, struct kv *from);

/* The password of "default", as CONFIG SET requirepass sets it: empty for none. ERR_NO_MEMORY. */
enum err kv_acl_require_password(struct kv_acl *acl, struct bytes password);

/* True if whoever connects is "default" without giving a password. Takes the lock. */
bool kv_acl_lets_strangers_in(struct kv_acl *acl);

/* ---- the file of users: kv_acl_file.c -------------------------------------------------------------- */

/* Takes the users of the file at `path`, with "default" as he was if the file does not name him; ACL SAVE
 * and ACL LOAD use that file from then on. What is wrong in it is appended to `why`, by file and line, and
 * no user has changed. */
bool kv_acl_open(struct kv_acl *acl, const char *path, struct buffer *why);

/* ACL LOAD and ACL SAVE of acl->file, which is not null. */
bool kv_acl_load(struct kv_acl *acl, struct buffer *why);
bool kv_acl_save(struct kv_acl *acl, struct buffer *why);

/* ---- sessions: kv_auth.c --------------------------------------------------------------------------- */

/* Makes the session the user of that name, if the password opens to it; else says WRONGPASS. */
bool kv_authenticate(const struct kv_call *call, struct bytes name, struct bytes password);

/* Makes the session what it was when it connected. */
void kv_greet(struct kv *kv, struct session *session);
/* Lets go of its user. */
void kv_forget(struct session *session);

/* Looks who the session is now. False if that user is gone: it is then closing. */
bool kv_look_again(struct kv *kv, struct session *session);

/* The name of the session's user. */
struct bytes kv_user_name(const struct session *session);
