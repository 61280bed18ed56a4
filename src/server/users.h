/* users.h — what the options say of the cache's users, and where it may listen without any. */
#pragma once
#include "engine/kv/kv_acl.h"
#include "net/listen.h"
#include "server/options.h"

/* Gives `acl` the users of --aclfile and the password of --requirepass, --requirepass-file or the
 * environment's NUTHATCH_REQUIREPASS. Returns OK; ERR_SYNTAX, ERR_MISSING, ERR_NO_MEMORY with a line that
 * says what to do appended to `message`. */
enum err users_take(const struct options *options, struct kv_acl *acl, struct buffer *message);

/* False, with a line that says what to do, if a cache would let anybody in who can reach the machine.
 * `text` is the address as it was asked for. */
bool users_allow_listening(const struct options *options, struct kv_hub *hub, size_t role_index,
                           const struct address *address, const char *text, struct buffer *message);
