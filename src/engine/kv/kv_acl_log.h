/* kv_acl_log.h — ACL LOG: the latest refusals, of commands, keys, channels and passwords. Any thread. */
#pragma once
#include "engine/kv/kv_call.h"

enum kv_refusal { KV_REFUSED_COMMAND, KV_REFUSED_KEY, KV_REFUSED_CHANNEL, KV_REFUSED_AUTH };

struct kv_acl_log;

enum { KV_ACL_LOG_ENTRIES_MAX = 128 };

struct kv_acl_log *kv_acl_log_create(void); /* null without memory */
void kv_acl_log_destroy(struct kv_acl_log *log);

/* Notes that `call` was refused. `what` is the command, or of an AUTH nothing; `object` is the key, the
 * channel, or the name that somebody wanted to come in as. One like it within a minute is counted there.
 * Without memory nothing is noted. */
void kv_acl_log_add(const struct kv_call *call, enum kv_refusal refusal, const char *what,
                    struct bytes object);

void kv_acl_log_clear(struct kv_acl_log *log);

/* Answers with the `count` latest. */
void kv_acl_log_say(const struct kv_call *call, size_t count);

/* The most entries that are kept (acllog-max-len). */
void kv_acl_log_set_entries_max(struct kv_acl_log *log, size_t entries_max);
size_t kv_acl_log_entries_max(struct kv_acl_log *log);
