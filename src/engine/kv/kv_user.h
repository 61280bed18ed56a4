/* kv_user.h — one user of the cache: who may come in under the name, and what he may then do.
 *
 * A user that others can see never changes: who changes one makes a copy, applies Redis's rules to it
 * ("on", ">password", "~keys:*", "+@read") and puts it in the old one's place (kv_acl.h). Sessions hold the
 * one they came in as; it lives until the last lets go. Of one that nobody else has yet, one thread at a
 * time. */
#pragma once
#include "base/buffer.h"
#include "engine/kv/kv_category.h"
#include "engine/kv/kv_secret.h"
#include "engine/kv/kv_words.h"
#include <stdatomic.h>

/* What a pattern of keys lets one do with them. */
enum { KV_ACCESS_READ = 1, KV_ACCESS_WRITE = 2, KV_ACCESS_BOTH = 3 };

struct kv_user {
    _Atomic uint32_t holder_count;
    struct bytes name; /* its own */
    bool is_on, needs_no_password;
    bool says_sanitize, says_no_sanitize; /* Redis's words about DUMP payloads: kept, and of no effect */
    struct kv_digest *passwords;
    size_t password_count;
    bool has_all_keys, has_all_channels;
    struct kv_words keys;     /* patterns, KV_ACCESS_… */
    struct kv_words channels; /* patterns */
    bool has_all_commands;    /* those yet to come, too */
    uint64_t permitted[(KV_PERMISSION_COUNT + 63) / 64];
    struct kv_words first_arguments; /* "+select|0": what argument 1 must be, and the permission */
    struct kv_words rules; /* the rules of commands as they were given, without what became void */
    bool is_free;          /* may do everything; see kv_user_settle */
};

/* One that is off and may do nothing. Null without memory. */
struct kv_user *kv_user_create(struct bytes name);
struct kv_user *kv_user_copy(const struct kv_user *user);

struct kv_user *kv_user_hold(struct kv_user *user);
void kv_user_release(struct kv_user *user); /* null is none */

/* Applies one rule of Redis's. Null if it was taken, else what is wrong with it: the copy is then to be
 * thrown away. kv_user_settle follows the last. */
const char *kv_user_apply(struct kv_user *user, struct bytes rule);
void kv_user_settle(struct kv_user *user);

/* Whether he may come in with this password. */
bool kv_user_opens_to(const struct kv_user *user, struct bytes password);

/* Appends "user <name> <rules>" as ACL LIST and the file of users have it, or parts of that. */
void kv_user_describe(const struct kv_user *user, struct buffer *text);
void kv_user_describe_keys(const struct kv_user *user, struct buffer *text);
void kv_user_describe_channels(const struct kv_user *user, struct buffer *text);
void kv_user_describe_commands(const struct kv_user *user, struct buffer *text);

static inline bool kv_user_permits(const struct kv_user *user, unsigned permission)
{
    return (user->permitted[permission / 64] >> permission % 64 & 1) != 0;
}

/* ---- what a command needs ------------------------------------------------------------------------ */

enum kv_denial { KV_ALLOWED, KV_DENIED_COMMAND, KV_DENIED_KEY, KV_DENIED_CHANNEL };

/* What opens or ends a session is everybody's, at any time: AUTH, HELLO, QUIT, RESET. */
static inline bool kv_is_everybodys(enum command_id id)
{
    return id == COMMAND_auth || id == COMMAND_hello || id == COMMAND_quit || id == COMMAND_reset;
}

/* Whether he may run a command; if not, `object` is the key or channel, borrowed from the arguments. */
enum kv_denial kv_user_ask(const struct kv_user *user, enum command_id id, const struct bytes *arguments,
                           uint32_t argument_count, struct bytes *object);
